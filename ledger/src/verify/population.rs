//! Whether a bundle holds what it was asked for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::report::YesNo;
use crate::bundle::{Choice, Manifest};
use crate::event::Envelope;
use crate::export::Bodies;
use crate::ids::Seq;
use crate::time::Micros;

/// What a bundle says of a choice, as far as it proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Population {
    /// What was asked.
    pub choice: Choice,
    /// Events shown that were asked for.
    pub chosen: u64,
    /// Of those, how many of each kind, by code.
    pub kinds: BTreeMap<u16, u64>,
    /// Events shown besides: the history of keys, headers of others, and what bounds the period.
    pub beside: u64,
    /// Whether it is proved that nothing asked for is missing between the first and the last position.
    pub complete: YesNo,
    /// Whether it is proved that those positions are all of the period that was named by times; yes where none was.
    pub period_complete: YesNo,
    /// The event that records who had the bundle made, if the bundle names one.
    pub recorded: Option<Seq>,
    /// Sizes of the reader's heads at which the bundle does not show the tree: nothing was compared with those.
    pub heads_not_compared: Vec<u64>,
}

/// What is known of one event before its place is compared.
pub(super) struct Role {
    pub chosen: bool,
    pub has_body: bool,
}

/// Counts what a bundle holds, and compares it with what was asked.
pub(super) struct Census<'a> {
    pub manifest: &'a Manifest,
    chosen: u64,
    kinds: BTreeMap<u16, u64>,
    beside: u64,
    /// A time before the period, and one after it, were shown where they must be.
    starts: bool,
    ends: bool,
    complete: bool,
}

impl<'a> Census<'a> {
    pub(super) fn new(manifest: &'a Manifest) -> Self {
        let Choice { first, end, from_time, to_time, .. } = manifest.choice;
        Self {
            manifest,
            chosen: 0,
            kinds: BTreeMap::new(),
            beside: 0,
            starts: from_time.is_none() || first == Seq(0),
            // Nothing after the last event that the checkpoint signs can be in the bundle.
            ends: to_time.is_none() || end.0 == manifest.size.0,
            complete: true,
        }
    }

    pub(super) fn role(&self, header: &[u8], has_body: bool) -> Role {
        let chosen = Envelope::parse(header).is_ok_and(|event| self.manifest.choice.takes(&event));
        Role { chosen, has_body }
    }

    /// Takes an event at its place; says what is wrong with its being there so.
    pub(super) fn event(&mut self, seq: Seq, time: Micros, kind: u16, role: &Role) -> Option<&'static str> {
        let Choice { first, end, from_time, to_time, .. } = self.manifest.choice;
        if !role.chosen {
            self.beside += 1;
            self.starts |= seq.tree_size().next() == first && from_time.is_some_and(|from| time < from);
            self.ends |= seq == end && to_time.is_some_and(|to| time > to);
            return None;
        }
        self.chosen += 1;
        *self.kinds.entry(kind).or_default() += 1;
        let missing = self.manifest.bodies == Bodies::Included && !role.has_body;
        missing.then_some("its body was asked for and is not here")
    }

    /// Takes note that so many events from a position on are not shown; gives the first of them that must be.
    pub(super) fn skipped(&mut self, from: u64, leaves: u64) -> Option<u64> {
        let Choice { first, end, .. } = self.manifest.choice;
        let missing = from.max(first.0);
        let is_missing = self.manifest.is_complete() && missing < end.0.min(from.saturating_add(leaves));
        self.complete &= !is_missing;
        is_missing.then_some(missing)
    }

    /// Whether the bundle's own counts are these.
    pub(super) fn agrees_with(&self, said: Option<&BTreeMap<u16, u64>>) -> bool {
        said == Some(&self.kinds)
    }

    pub(super) fn finish(self, whole: bool, heads_not_compared: Vec<u64>) -> Population {
        let yes_if = |proved: bool| if proved { YesNo::Yes } else { YesNo::No };
        let complete = whole && self.complete && self.manifest.is_complete();
        Population {
            choice: self.manifest.choice.clone(),
            chosen: self.chosen,
            kinds: self.kinds,
            beside: self.beside,
            complete: yes_if(complete),
            period_complete: yes_if(complete && self.starts && self.ends),
            recorded: self.manifest.recorded,
            heads_not_compared,
        }
    }
}
