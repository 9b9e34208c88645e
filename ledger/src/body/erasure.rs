//! Erasure: whose encrypted fields are to be read by nobody any more, and what must not be erased for now.

use serde::{Deserialize, Serialize};

use super::{Facts, Subjects};
use crate::ids::{Seq, Subject};

/// What was and is encrypted for a thing is erased: its data key is destroyed once this event is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectErased {
    /// The thing; for addresses of nobody's requests, what names their key.
    pub subject: Subject,
    /// Why, in words that stay.
    pub reason: String,
    /// The version of the retention policy that had it erased; `None` when somebody did.
    pub policy: Option<u32>,
}

/// A thing, and what belongs to it, must not be erased until the hold is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPlaced {
    /// The thing.
    pub subject: Subject,
    /// In which matter; a thing can be held in several.
    pub matter: String,
    /// Why.
    pub reason: String,
}

/// A hold is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLifted {
    /// The thing.
    pub subject: Subject,
    /// In which matter.
    pub matter: String,
    /// Why.
    pub reason: String,
}

/// A data key is gone from the keystore, and from its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDestroyed {
    /// Whose.
    pub key: Subject,
    /// The event that erased it.
    pub cause: Seq,
}

impl Facts for SubjectErased {
    fn subjects(&self, into: &mut Subjects) {
        into.push(self.subject);
    }
}

impl Facts for HoldPlaced {
    fn subjects(&self, into: &mut Subjects) {
        into.push(self.subject);
    }
}

impl Facts for HoldLifted {
    fn subjects(&self, into: &mut Subjects) {
        into.push(self.subject);
    }
}

impl Facts for KeyDestroyed {
    fn subjects(&self, into: &mut Subjects) {
        into.push(self.key);
    }
}
