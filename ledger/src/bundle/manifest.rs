//! What a bundle was asked for, and in which form it answers.

use serde::{Deserialize, Serialize};

use crate::event::Envelope;
use crate::export::Bodies;
use crate::ids::{Seq, Subject, TenantId, TreeSize};
use crate::store::{LogStore, StoreError, last_at_or_before};
use crate::time::Micros;

/// Longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Most things a choice can name.
pub const THINGS_MAX: usize = 64;

/// Which events are asked for: those that meet all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The first position.
    pub first: Seq,
    /// The position after the last.
    pub end: Seq,
    /// The earliest time, where the period was named by times.
    pub from_time: Option<Micros>,
    /// The latest time, likewise.
    pub to_time: Option<Micros>,
    /// Only those of this tenant.
    pub tenant: Option<TenantId>,
    /// Only those that concern one of these things, or that one of them brought about; none for all. At most
    /// [`THINGS_MAX`].
    pub things: Vec<Subject>,
}

/// Where a range begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// At that event, which belongs to it.
    Seq(Seq),
    /// At that time, which belongs to it.
    Time(Micros),
}

impl Choice {
    /// Every event of a range among the first `size` events. Without an edge it begins with the first, and ends with the last.
    ///
    /// # Errors
    /// [`StoreError`] when the log cannot be read.
    pub fn range(log: &dyn LogStore, size: TreeSize, from: Option<Edge>, to: Option<Edge>) -> Result<Self, StoreError> {
        let after = |time| Ok::<_, StoreError>(last_at_or_before(log, time)?.map_or(0, |seq| seq.tree_size().0));
        let mut choice = Self::all(size);
        match from {
            None => {}
            Some(Edge::Seq(seq)) => choice.first = seq,
            Some(Edge::Time(time)) => {
                choice.first = Seq(after(Micros(time.0.saturating_sub(1)))?);
                choice.from_time = Some(time);
            }
        }
        match to {
            None => {}
            Some(Edge::Seq(seq)) => choice.end = choice.end.min(Seq(seq.0.saturating_add(1))),
            Some(Edge::Time(time)) => {
                choice.end = choice.end.min(Seq(after(time)?));
                choice.to_time = Some(time);
            }
        }
        choice.first = choice.first.min(choice.end);
        Ok(choice)
    }

    /// Every event there is at a size.
    #[must_use]
    pub const fn all(size: TreeSize) -> Self {
        let end = size.next();
        Self { first: Seq(0), end, from_time: None, to_time: None, tenant: None, things: Vec::new() }
    }

    /// Whether a position is among those it can be about.
    #[must_use]
    pub fn covers(&self, seq: Seq) -> bool {
        (self.first..self.end).contains(&seq)
    }

    /// Whether it asks for every event of its range.
    #[must_use]
    pub const fn is_period(&self) -> bool {
        self.tenant.is_none() && self.things.is_empty()
    }

    /// Whether it asks for an event, by the event's header alone.
    #[must_use]
    pub fn takes(&self, event: &Envelope) -> bool {
        let acting = event.actor.principal.thing();
        self.covers(event.seq)
            && self.from_time.is_none_or(|from| event.time >= from)
            && self.to_time.is_none_or(|to| event.time <= to)
            && self.tenant.is_none_or(|tenant| event.tenant == tenant)
            && (self.things.is_empty()
                || self.things.iter().any(|thing| Some(*thing) == acting || event.subjects.contains(thing)))
    }
}

/// What becomes of the events of the range that are not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Others {
    /// They are not shown. Then nothing shows that none of them should have been chosen.
    LeftOut,
    /// Their headers are shown, which prove that none of them is asked for.
    Headers,
}

/// The first frame of a bundle. Nothing vouches for it: a verifier compares it with what the bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The log.
    pub origin: String,
    /// The size at whose checkpoint everything is proved.
    pub size: TreeSize,
    /// What was asked.
    pub choice: Choice,
    /// Whether the bodies of the chosen events are there, or their hashes alone.
    pub bodies: Bodies,
    /// What became of the others.
    pub others: Others,
    /// The event that says who had the bundle made, where a daemon made it.
    pub recorded: Option<Seq>,
    /// For people: what the bundle proves, in sentences.
    pub proves: Vec<String>,
    /// For people: what it does not.
    pub does_not_prove: Vec<String>,
}

impl Manifest {
    /// For a choice, with what can be said of such a bundle.
    #[must_use]
    pub fn new(
        origin: String, size: TreeSize, choice: Choice, bodies: Bodies, others: Others, recorded: Option<Seq>,
    ) -> Self {
        let mut manifest = Self {
            origin,
            size,
            choice,
            bodies,
            others,
            recorded,
            proves: vec![
                "every event shown is in the log, unaltered, at its position".to_owned(),
                "the checkpoint that signs them is by the key in force, of the log's own history of keys".to_owned(),
            ],
            does_not_prove: vec![
                "that the log was not cut off after this checkpoint: a newer checkpoint, or a witness, shows that"
                    .to_owned(),
                "that what was recorded is true".to_owned(),
            ],
        };
        if manifest.is_complete() {
            manifest.proves.push("no event that was asked for is missing from the range".to_owned());
        } else {
            manifest
                .does_not_prove
                .push("that no other event of the range was asked for: their headers are not shown".to_owned());
        }
        if manifest.bodies == Bodies::Withheld {
            manifest.does_not_prove.push("what the events say: of their bodies only the hashes are shown".to_owned());
        }
        manifest
    }

    /// Whether everything in the range must be shown, so that nothing asked for can be missing.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.choice.is_period() || matches!(self.others, Others::Headers)
    }

    /// Whether a position's event must be shown, at least its header.
    #[must_use]
    pub fn must_show(&self, seq: Seq) -> bool {
        self.is_complete() && self.choice.covers(seq)
    }

    /// The event before the range, and the one after it, that bound a period named by times: shown too, as headers, where
    /// everything between them is.
    #[must_use]
    pub fn is_bound(&self, seq: Seq) -> bool {
        let Choice { first, end, from_time, to_time, .. } = self.choice;
        self.is_complete()
            && ((from_time.is_some() && seq.tree_size().next() == first) || (to_time.is_some() && seq == end))
    }

    /// Whether it agrees with itself.
    pub(super) fn is_sound(&self) -> bool {
        let Choice { first, end, things, .. } = &self.choice;
        first <= end && end.0 <= self.size.0 && things.len() <= THINGS_MAX && self.size.0 > 0
    }
}
