//! Files that are made while their reader takes them.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use tokio::sync::mpsc;

/// One piece of a file, in bytes, and how many wait for a slow client.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_WAITING: usize = 4;

/// Writing that waits for the client; for a thread that may.
pub struct Pieces(mpsc::Sender<Bytes>);

impl Pieces {
    /// Where to write, and what the client reads.
    #[must_use]
    pub fn channel() -> (BufWriter<Self>, mpsc::Receiver<Bytes>) {
        let (pieces, body) = mpsc::channel(PIECES_WAITING);
        (BufWriter::with_capacity(PIECE_BYTES, Self(pieces)), body)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(Bytes::copy_from_slice(bytes)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text that no spreadsheet takes for a formula: one that would begin like it gets an apostrophe before.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    // White space before does not keep a spreadsheet from it; tabs and line breaks make a cell of their own.
    let first = text.trim_start().chars().next();
    let begins = matches!(first, Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'));
    if begins || text.starts_with(['\t', '\r', '\n']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_cell_begins_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r1", "\n-2", "\u{ff1d}1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=b", "1-2", "'=1", "é"] {
            assert_eq!(harmless(text), text);
        }
    }
}
