//! A moment of the log as a person names it: a sequence number or a time.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::{LogStore, last_at_or_before};
use chancery_ledger::time::Micros;
use chancery_projections::context::{Clock as _, SystemClock};
use chancery_projections::replay::Moment;

use crate::output;

/// A sequence number, or a time of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Right after that event, at its own time.
    Seq(Seq),
    /// At that time: after the last event at or before it.
    Time(Micros),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(Seq(seq)));
        }
        let time = text.parse();
        let neither = |_| format!("`{text}` is neither a sequence number nor a time like 2026-01-02T03:04:05Z");
        time.map(Self::Time).map_err(neither)
    }
}

impl When {
    /// The moment in a log; its end when no other is named.
    ///
    /// # Errors
    /// When the log does not reach to that moment, or cannot be read.
    pub fn moment(when: Option<Self>, log: &dyn LogStore) -> anyhow::Result<Moment> {
        let TreeSize(size) = log.size();
        let Some(last) = log.size().last() else { bail!("the log is empty, so nothing can be said of any moment") };
        match when {
            None => Ok(Moment::after(log, last)?),
            Some(Self::Seq(seq)) if seq <= last => Ok(Moment::after(log, seq)?),
            Some(Self::Seq(seq)) => {
                bail!("there is no event {seq}: the log has {size} events, the last of them is event {last}")
            }
            Some(Self::Time(now)) => {
                let end = Moment::after(log, last)?.now;
                if now > end && now > SystemClock.now() {
                    bail!("{now} has not come yet, and the log ends at {end}");
                }
                if now > end {
                    output::note(&format!(
                        "the log ends at {end}; it is taken that nothing happened from then to {now}"
                    ));
                }
                let seq = last_at_or_before(log, now)?;
                let seq = seq.with_context(|| format!("the log had no event yet at {now}"))?;
                Ok(Moment { seq, now })
            }
        }
    }
}
