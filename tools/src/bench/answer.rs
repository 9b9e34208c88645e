//! An HTTP/1.1 answer, read as it comes: where it ends, its status, and for NDJSON how many lines say 200.
//!
//! Only what the daemon sends is understood: a length or chunks. It copies nothing but the head and each line's start, so
//! that the load tool leaves the cores to the daemon.

use anyhow::{Context as _, bail, ensure};

/// Longest head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What is kept of an answer's first refusal.
const REFUSAL_BYTES_MAX: usize = 1024;
/// Bytes of a line's start in which its status stands: an index of 20 digits before it.
const LINE_START_BYTES: usize = 48;

/// Reads one answer after another.
#[derive(Debug, Default)]
pub struct Answer {
    place: Place,
    /// What came of a head or of a chunk's size without its end.
    begun: Vec<u8>,
    /// Whether lines are counted, each an answer of its own.
    is_lines: bool,
    line: Vec<u8>,
    /// The status of the whole.
    pub status: u16,
    /// Lines answered so far.
    pub lines: u64,
    /// Of these, refused.
    pub refused: u64,
    /// The beginning of the first refusal, for a person.
    pub refusal: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    Sized(u64),
    ChunkSize,
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// The empty line after the last chunk.
    End,
}

impl Answer {
    /// Readies it for the next answer; `is_lines` says that the request was NDJSON.
    pub fn begin(&mut self, is_lines: bool) {
        self.place = Place::Head;
        self.begun.clear();
        self.line.clear();
        self.refusal.clear();
        (self.is_lines, self.status, self.lines, self.refused) = (is_lines, 0, 0, 0);
    }

    /// Takes what came; true when the answer is there to its end.
    ///
    /// # Errors
    /// When it is no answer that a Chancery daemon gives.
    pub fn take(&mut self, mut bytes: &[u8]) -> anyhow::Result<bool> {
        loop {
            match self.place {
                Place::Head => {
                    let Some(head) = self.until(&mut bytes, b"\r\n\r\n")? else { return Ok(false) };
                    self.head(&head)?;
                }
                Place::Sized(left) => {
                    let piece = split(&mut bytes, left);
                    let left = left - piece.len() as u64;
                    self.body(piece);
                    self.place = Place::Sized(left);
                    return if left == 0 { end(bytes) } else { Ok(false) };
                }
                Place::ChunkSize => {
                    let Some(line) = self.until(&mut bytes, b"\r\n")? else { return Ok(false) };
                    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                    let size = std::str::from_utf8(digits).ok().and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
                    self.place = match size.context("a chunk of the answer has no size")? {
                        0 => Place::End,
                        size => Place::Chunk(size),
                    };
                }
                Place::Chunk(left) => {
                    let piece = split(&mut bytes, left);
                    let left = left - piece.len() as u64;
                    self.body(piece);
                    self.place = if left == 0 { Place::ChunkEnd } else { Place::Chunk(left) };
                    if left > 0 {
                        return Ok(false);
                    }
                }
                Place::ChunkEnd => {
                    let Some(rest) = self.until(&mut bytes, b"\r\n")? else { return Ok(false) };
                    ensure!(rest.is_empty(), "a chunk of the answer is longer than it says");
                    self.place = Place::ChunkSize;
                }
                Place::End => {
                    let Some(_) = self.until(&mut bytes, b"\r\n")? else { return Ok(false) };
                    return end(bytes);
                }
            }
        }
    }

    /// What stands before the end mark, once that is there.
    fn until<'a>(&mut self, bytes: &mut &'a [u8], mark: &[u8]) -> anyhow::Result<Option<std::borrow::Cow<'a, [u8]>>> {
        if self.begun.is_empty() {
            if let Some(at) = memchr::memmem::find(bytes, mark) {
                let found = &bytes[..at];
                *bytes = &bytes[at + mark.len()..];
                return Ok(Some(found.into()));
            }
            self.begun.extend_from_slice(bytes);
        } else {
            let searched = self.begun.len().saturating_sub(mark.len() - 1);
            let before = self.begun.len();
            self.begun.extend_from_slice(bytes);
            if let Some(at) = memchr::memmem::find(&self.begun[searched..], mark) {
                let mut found = std::mem::take(&mut self.begun);
                found.truncate(searched + at);
                *bytes = &bytes[searched + at + mark.len() - before..];
                return Ok(Some(found.into()));
            }
        }
        *bytes = &[];
        if self.begun.len() > HEAD_BYTES_MAX {
            bail!("the head of the answer does not end");
        }
        Ok(None)
    }

    fn head(&mut self, head: &[u8]) -> anyhow::Result<()> {
        let mut lines = head.split(|byte| *byte == b'\n');
        let status =
            lines.next().and_then(|line| line.strip_prefix(b"HTTP/1.1 ")).and_then(|rest| number(rest.get(..3)?));
        let status = status.context("the answer is not HTTP/1.1")?;
        if status == 100 {
            return Ok(());
        }
        self.status = u16::try_from(status)?;
        self.place = Place::Sized(0);
        for line in lines {
            if let Some(value) = value_of(line, b"content-length:") {
                self.place = Place::Sized(number(value).context("the answer's length is no number")?);
            } else if value_of(line, b"transfer-encoding:").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"))
            {
                self.place = Place::ChunkSize;
            }
        }
        if self.status != 200 {
            self.is_lines = false;
        }
        Ok(())
    }

    fn body(&mut self, mut piece: &[u8]) {
        if !self.is_lines {
            if self.status != 200 {
                keep(&mut self.refusal, piece, REFUSAL_BYTES_MAX);
            }
            return;
        }
        while let Some(at) = memchr::memchr(b'\n', piece) {
            let is_accepted = if self.line.is_empty() {
                says_200(&piece[..at])
            } else {
                keep(&mut self.line, &piece[..at], REFUSAL_BYTES_MAX);
                says_200(&self.line)
            };
            self.lines += 1;
            if !is_accepted {
                self.refused += 1;
                if self.refusal.is_empty() {
                    let line = std::mem::take(&mut self.line);
                    keep(&mut self.refusal, if line.is_empty() { &piece[..at] } else { &line }, REFUSAL_BYTES_MAX);
                }
            }
            self.line.clear();
            piece = &piece[at + 1..];
        }
        keep(&mut self.line, piece, REFUSAL_BYTES_MAX);
    }
}

fn end(rest: &[u8]) -> anyhow::Result<bool> {
    match rest {
        [] => Ok(true),
        _ => bail!("the daemon sent more than its answer"),
    }
}

fn split<'a>(bytes: &mut &'a [u8], left: u64) -> &'a [u8] {
    let at = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    let (piece, rest) = bytes.split_at(at);
    *bytes = rest;
    piece
}

fn keep(kept: &mut Vec<u8>, more: &[u8], max: usize) {
    let room = max.saturating_sub(kept.len()).min(more.len());
    kept.extend_from_slice(&more[..room]);
}

fn says_200(line: &[u8]) -> bool {
    let start = &line[..line.len().min(LINE_START_BYTES)];
    memchr::memmem::find(start, b"\"status\":200,").is_some()
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello";
    const REFUSED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nretry-after: 1\r\n\r\nbusy";
    const LINES: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        1a\r\n{\"index\":0,\"status\":200,\"a\r\n18\r\n\":1}\n{\"index\":1,\"status\"\r\n10\r\n:409,\"problem\":{\r\n3\r\n}}\n\r\n0\r\n\r\n";

    const LONG_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n";

    /// The same, however it is cut.
    fn read(text: &[u8], is_lines: bool) -> Answer {
        let mut whole = Answer::default();
        whole.begin(is_lines);
        assert!(whole.take(text).unwrap(), "whole");
        for size in 1..text.len() {
            let mut answer = Answer::default();
            // One reader reads many answers.
            for _ in 0..2 {
                answer.begin(is_lines);
                let mut pieces = text.chunks(size).peekable();
                while let Some(piece) = pieces.next() {
                    assert_eq!(answer.take(piece).unwrap(), pieces.peek().is_none(), "in pieces of {size}");
                }
                assert_eq!(
                    (answer.status, answer.lines, answer.refused, &answer.refusal),
                    (whole.status, whole.lines, whole.refused, &whole.refusal),
                    "in pieces of {size}"
                );
            }
        }
        whole
    }

    #[test]
    fn an_answer_ends_where_its_length_says() {
        assert_eq!(read(SIZED, false).status, 200);
        let refused = read(REFUSED, false);
        assert_eq!((refused.status, refused.refusal.as_slice()), (503, &b"busy"[..]));
    }

    #[test]
    fn lines_are_counted_and_refusals_among_them() {
        let lines = read(LINES, true);
        assert_eq!((lines.status, lines.lines, lines.refused), (200, 2, 1));
        assert!(lines.refusal.starts_with(b"{\"index\":1,\"status\":409"), "{:?}", lines.refusal);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for text in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", LONG_CHUNK] {
            assert!(Answer::default().take(text).is_err());
        }
        let more = [SIZED, SIZED].concat();
        assert!(Answer::default().take(&more).is_err());
    }
}
