//! What a run did, line by line, and one hash over all of it: equal for two runs that did the same.

use std::collections::VecDeque;
use std::fmt;

/// Lines kept to be shown when something is found.
const KEPT_MAX: usize = 20_000;

/// A run's steps.
#[derive(Default)]
pub struct Trace {
    hasher: blake3::Hasher,
    lines: VecDeque<String>,
    /// The step that is being taken.
    pub step: u64,
}

impl Trace {
    /// Adds a line.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        let line = format!("{:>6}  {line}", self.step);
        self.hasher.update(line.as_bytes()).update(b"\n");
        if self.lines.len() == KEPT_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Hash of all lines so far.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(self.hasher.finalize().as_bytes())
    }

    /// The last lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// Adds a line to a trace.
#[macro_export]
macro_rules! note {
    ($trace:expr, $($text:tt)*) => {
        $trace.note(format_args!($($text)*))
    };
}
