//! Files that are made while their reader takes them. One that could not be made to its end breaks off as a failure, so that
//! nobody takes a part for all.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

/// One piece of a file, in bytes, and how many wait for a slow client.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_WAITING: usize = 4;

/// A piece of a file, or its end.
#[derive(Debug)]
pub enum Piece {
    /// What comes next.
    Bytes(Bytes),
    /// Nothing more: it is whole.
    End,
}

/// A file could not be made to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file could not be made to its end")]
pub struct Cut;

/// Where a file is written.
pub type Out = BufWriter<Pieces>;

/// Writing that waits for the client; for a thread that may.
#[derive(Debug)]
pub struct Pieces(mpsc::Sender<Piece>);

impl Pieces {
    /// Where to write, and what the client reads.
    #[must_use]
    pub fn channel() -> (Out, mpsc::Receiver<Piece>) {
        let (pieces, body) = mpsc::channel(PIECES_WAITING);
        (BufWriter::with_capacity(PIECE_BYTES, Self(pieces)), body)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Piece::Bytes(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends a file. One that is dropped without it is cut off, and its reader's connection breaks.
///
/// # Errors
/// [`io::Error`] when the reader went away.
pub fn end(out: Out) -> io::Result<()> {
    let Pieces(pieces) = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    pieces.blocking_send(Piece::End).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Things one after the other, as a spreadsheet or a program reads them.
pub enum Rows {
    /// RFC 4180, the columns' names first.
    Csv(Box<csv::Writer<Out>>),
    /// A list.
    Json {
        /// Where to.
        out: Out,
        /// Whether something stands in it.
        has_begun: bool,
    },
}

impl Rows {
    /// Begins a file in CSV.
    ///
    /// # Errors
    /// [`csv::Error`] when the reader went away.
    pub fn csv(out: Out, columns: &[&str]) -> Result<Self, csv::Error> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        writer.write_record(columns)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    /// Begins a file in JSON.
    #[must_use]
    pub const fn json(out: Out) -> Self {
        Self::Json { out, has_begun: false }
    }

    /// Writes one thing: its cells, in the columns' order, or its value.
    ///
    /// # Errors
    /// [`csv::Error`] when the reader went away.
    pub fn write<'a, const N: usize, T: Serialize>(
        &mut self, cells: impl FnOnce() -> [Cow<'a, str>; N], value: impl FnOnce() -> T,
    ) -> Result<(), csv::Error> {
        match self {
            Self::Csv(writer) => writer.write_record(cells().iter().map(|cell| cell.as_bytes())),
            Self::Json { out, has_begun } => {
                out.write_all(if std::mem::replace(has_begun, true) { b"," } else { b"[" })?;
                Ok(serde_json::to_writer(out, &value()).map_err(io::Error::from)?)
            }
        }
    }

    /// Ends the file, as [`end`].
    ///
    /// # Errors
    /// [`io::Error`] when the reader went away.
    pub fn end(self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => end(writer.into_inner().map_err(|error| error.into_error())?),
            Self::Json { mut out, has_begun } => {
                out.write_all(if has_begun { b"]" } else { b"[]" })?;
                end(out)
            }
        }
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
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::response::{Response, file};

    /// What the client reads of a file, or that it breaks.
    fn read(make: impl FnOnce(Out) + Send + 'static) -> Result<Bytes, Cut> {
        let (out, body) = Pieces::channel();
        let maker = std::thread::spawn(move || make(out));
        let response: Response = file("text/plain", "f", body);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(response.into_body().collect()).map(http_body_util::Collected::to_bytes);
        maker.join().unwrap();
        read
    }

    #[test]
    fn a_file_that_is_cut_off_is_no_file() {
        let long = "x".repeat(3 * PIECE_BYTES);
        let text = long.clone();
        let whole = read(move |mut out| {
            out.write_all(text.as_bytes()).unwrap();
            end(out).unwrap();
        });
        assert_eq!(whole.unwrap(), long);
        assert_eq!(read(move |mut out| out.write_all(long.as_bytes()).unwrap()), Err(Cut));
        let row = |rows: &mut Rows| rows.write(|| ["1".into(), "a,b".into()], || 7).unwrap();
        let csv = read(move |out| {
            let mut rows = Rows::csv(out, &["n", "t"]).unwrap();
            row(&mut rows);
            rows.end().unwrap();
        });
        assert_eq!(csv.unwrap(), "n,t\r\n1,\"a,b\"\r\n");
        let json = read(move |out| {
            let mut rows = Rows::json(out);
            row(&mut rows);
            row(&mut rows);
            rows.end().unwrap();
        });
        assert_eq!(json.unwrap(), "[7,7]");
        assert_eq!(read(|out| Rows::json(out).end().unwrap()).unwrap(), "[]");
        assert_eq!(read(|out| drop(Rows::csv(out, &["n"]))), Err(Cut));
    }

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
