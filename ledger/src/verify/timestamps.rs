//! What authorities said of the time, held against the checkpoints of this log.

use std::collections::VecDeque;

use super::report::{NewestTimestamp, Timestamps};
use crate::body::timestamp::CheckpointTimestamped;
use crate::body::{Body, Kind};
use crate::event::Outline;
use crate::ids::TreeSize;
use crate::link::{self, Hash};
use crate::timestamp::{Authorities, Imprint, TimestampError, Token};
use crate::tree::NodeHash;
use crate::tree::seal::Checkpoint;

/// Seals whose roots are remembered, to compare timestamps with: some 3 MiB. A timestamp is asked for within minutes.
const SEALS_REMEMBERED: usize = 64 * 1024;

/// A timestamp, as an event has it.
pub(super) struct Stamped {
    facts: CheckpointTimestamped,
    token: Result<Token, TimestampError>,
}

impl Stamped {
    /// What an event says, when its body is one that says so.
    pub(super) fn read(header: &Outline, body: &[u8]) -> Option<Self> {
        if header.kind != Kind::CheckpointTimestamped.code() || link::body_hash(body) != header.body_hash {
            return None;
        }
        match Body::decode(header.kind, header.version, body) {
            Ok((_, Body::CheckpointTimestamped(facts))) => Some(Self { token: Token::parse(&facts.token), facts }),
            _ => None,
        }
    }
}

/// The timestamps so far.
pub(super) struct Times<'a> {
    authorities: Option<&'a Authorities>,
    sealed: VecDeque<(u64, NodeHash)>,
    found: Timestamps,
}

impl<'a> Times<'a> {
    pub(super) fn new(authorities: Option<&'a Authorities>) -> Self {
        Self { authorities, sealed: VecDeque::new(), found: Timestamps::default() }
    }

    pub(super) const fn found(&self) -> Timestamps {
        self.found
    }

    /// Remembers a root that was found to be that of the events.
    pub(super) fn sealed(&mut self, size: u64, root: NodeHash) {
        if self.sealed.len() == SEALS_REMEMBERED {
            self.sealed.pop_front();
        }
        self.sealed.push_back((size, root));
    }

    /// Takes a timestamp of a log of this name; what is wrong with it, in a sentence, if anything is.
    pub(super) fn take(&mut self, stamped: Stamped, origin: &str) -> Result<(), String> {
        let Stamped { facts, token } = stamped;
        let token = token.map_err(|error| error.to_string())?;
        let (size, root) = (TreeSize(facts.size), NodeHash(facts.root.0));
        let imprint = Imprint::of(&Checkpoint { origin: origin.to_owned(), size, root });
        if !token.is_over(imprint) {
            return Err(TimestampError::OtherImprint.to_string());
        }
        if token.time() != facts.at {
            return Err("it names another time than stands beside it".to_owned());
        }
        let known = self.sealed.binary_search_by_key(&facts.size, |(size, _)| *size).ok().map(|at| self.sealed[at].1);
        if known.is_some_and(|known| known != root) {
            return Err("it is over a root that the log did not have".to_owned());
        }
        let verified = self.authorities.map(|authorities| token.verify(imprint, authorities));
        match (known, verified) {
            (Some(_), Some(Ok(()))) => {
                self.found.verified += 1;
                self.found.newest = Some(NewestTimestamp { size: facts.size, root: Hash(root.0), at: facts.at });
            }
            // Whom the reader does not trust may have said it all the same.
            (_, None | Some(Ok(()) | Err(TimestampError::Untrusted(_)))) => self.found.unverified += 1,
            (_, Some(Err(error))) => return Err(error.to_string()),
        }
        Ok(())
    }
}
