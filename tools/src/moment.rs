//! A moment of the log: a sequence number or a time.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::{LogStore, last_at_or_before};
use chancery_ledger::time::Micros;

/// A sequence number, or a time of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Right after that event.
    Seq(Seq),
    /// After the last event at or before that time.
    Time(Micros),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(Seq(seq)));
        }
        let time: jiff::Timestamp = text
            .parse()
            .map_err(|_| format!("`{text}` is neither a sequence number nor a time like 2026-01-02T03:04:05Z"))?;
        Ok(Self::Time(Micros(time.as_microsecond())))
    }
}

impl Moment {
    /// The last event of the moment.
    ///
    /// # Errors
    /// When the log has no event yet at that moment, or cannot be read.
    pub fn seq(self, log: &dyn LogStore) -> anyhow::Result<Seq> {
        let TreeSize(size) = log.size();
        match self {
            Self::Seq(seq) if seq.0 < size => Ok(seq),
            Self::Seq(seq) => bail!("the log has {size} events, so there is no event {seq} yet"),
            Self::Time(time) => last_at_or_before(log, time)?.context("the log had no event yet at that time"),
        }
    }
}
