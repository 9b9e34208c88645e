//! What is printed: answers on standard output, remarks for people on standard error. A reader that goes away, as
//! `| head` does, is no failure.

use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::ops::ControlFlow;

use serde::Serialize;

/// Answers as lines of JSON, written as they come.
pub struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    count: u64,
    failed: Option<io::Error>,
}

impl Lines {
    /// None yet.
    pub fn new() -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), count: 0, failed: None }
    }

    /// Writes one; breaks when no more can be written.
    pub fn write(&mut self, item: &impl Serialize) -> ControlFlow<()> {
        let written = serde_json::to_writer(&mut self.out, item).map_err(io::Error::from);
        match written.and_then(|()| self.out.write_all(b"\n")) {
            Ok(()) => {
                self.count += 1;
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Writes out what waits, and says how many there were.
    ///
    /// # Errors
    /// When one could not be written.
    pub fn finish(mut self) -> io::Result<u64> {
        match self.failed {
            Some(error) => Err(error),
            None => self.out.flush().map(|()| self.count),
        }
    }
}

/// Prints one answer as indented JSON.
///
/// # Errors
/// When it cannot be written.
pub fn pretty(item: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(item)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Tells the person at the terminal something.
pub fn note(text: &str) {
    // With nobody there to read it, there is nobody to tell that.
    let _ = writeln!(io::stderr(), "chancery: {text}");
}

/// Whether an error only says that the reader of the output went away.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
