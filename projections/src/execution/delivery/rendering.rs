//! Renderings: in whose words events are told, which there are words for, and how often telling one is tried.
//!
//! A rendering is a row of [`RENDERINGS`]. How it looks on the wire is the API's business.

use chancery_ledger::body::{Body, Kind};
use chancery_ledger::event::Event;
use chancery_ledger::ids::TenantId;

use super::retry::Retry;
use crate::lane;
use crate::lane::agentidp::entry::Action;
use crate::lane::agentidp::rows::is_known;
use crate::rows::{Rows, RowsError};
use crate::trust::evolve::Scored;

/// The word that stands for every event of a rendering that has it.
pub const EVERY: &str = "*";
/// Its code.
pub const EVERY_CODE: u16 = u16::MAX;
/// Most words of one rendering for one event.
pub const WORDS_MAX: usize = 2;
/// What Alsorn calls a score that moved.
pub const SCORE_CHANGED: &str = "trust.score_changed";

/// In whose words events are told.
#[derive(Debug, PartialEq, Eq)]
pub struct Rendering {
    /// `native`, or the dialect's name.
    pub name: &'static str,
    /// When telling an event is tried again, and when no more.
    pub retry: Retry,
    /// Whether [`EVERY`] is a word.
    has_every: bool,
    topics: Topics,
}

/// What a rendering has words for.
#[derive(Debug, PartialEq, Eq)]
enum Topics {
    /// Every kind of event but those of telling, by its name; its code is the kind's.
    Kinds,
    /// These entries of AgentIdP's audit log, by their action. A word's code is its place here, so the list only grows.
    Actions(&'static [Action]),
    /// These entries of Alsorn's chains, by their action, and [`SCORE_CHANGED`]; codes as above.
    Chains(&'static [&'static str]),
}

/// Native words.
pub const NATIVE: Rendering =
    Rendering { name: "native", retry: Retry::OVER_A_DAY, has_every: true, topics: Topics::Kinds };

/// AgentIdP's words (contracts/agentidp.md section 11, "Webhooks").
pub const AGENTIDP: Rendering = Rendering {
    name: "agentidp",
    retry: Retry::TEN_TIMES,
    has_every: false,
    topics: Topics::Actions(&[
        Action::AgentCreated,
        Action::AgentUpdated,
        Action::AgentSuspended,
        Action::AgentReactivated,
        Action::AgentDecommissioned,
        Action::CredentialGenerated,
        Action::CredentialRotated,
        Action::CredentialRevoked,
        Action::TokenIssued,
        Action::TokenRevoked,
    ]),
};

/// Alsorn's words (contracts/alsorn.md section 11).
pub const ALSORN: Rendering = Rendering {
    name: "alsorn",
    retry: Retry::OVER_THREE_DAYS,
    has_every: true,
    topics: Topics::Chains(&[
        "agent.registered",
        "agent.suspended",
        "agent.reactivated",
        "agent.deleted",
        "transaction.completed",
        "transaction.failed",
        "transaction.reversed",
        SCORE_CHANGED,
        "trust.dispute_filed",
    ]),
};

/// Every rendering.
pub const RENDERINGS: &[&Rendering] = &[&NATIVE, &AGENTIDP, &ALSORN];

impl Rendering {
    /// The rendering of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        RENDERINGS.iter().copied().find(|rendering| rendering.name == name)
    }

    /// Every word it has.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        let mut words = match &self.topics {
            Topics::Kinds => Kind::ALL.iter().filter(|kind| is_told(**kind)).map(|kind| kind.name()).collect(),
            Topics::Actions(actions) => actions.iter().map(|action| action.text()).collect(),
            Topics::Chains(words) => words.to_vec(),
        };
        if self.has_every {
            words.push(EVERY);
        }
        words
    }

    /// The code of a word; `None` when it is none.
    #[must_use]
    pub fn code(&self, word: &str) -> Option<u16> {
        if word == EVERY {
            return self.has_every.then_some(EVERY_CODE);
        }
        match &self.topics {
            Topics::Kinds => Kind::from_name(word).filter(|kind| is_told(*kind)).map(Kind::code),
            Topics::Actions(actions) => place(actions, |action| action.text() == word),
            Topics::Chains(words) => place(words, |known| *known == word),
        }
    }

    /// The word of a code that an event has; empty for one that it does not have.
    #[must_use]
    pub fn word(&self, code: u16) -> &'static str {
        match &self.topics {
            Topics::Kinds => Kind::from_code(code).map_or("", Kind::name),
            Topics::Actions(actions) => actions.get(usize::from(code)).map_or("", |action| action.text()),
            Topics::Chains(words) => words.get(usize::from(code)).copied().unwrap_or_default(),
        }
    }

    /// The codes of the words that stand for an event to a tenant: its own event, or one that scored its agent.
    pub(super) fn codes_of(
        &self, rows: &dyn Rows, event: &Event, scored: Option<&Scored>, tenant: TenantId,
    ) -> Result<Vec<u16>, RowsError> {
        let is_own = event.tenant == tenant;
        let code = match &self.topics {
            Topics::Kinds => is_told(event.body.kind()).then(|| event.body.kind().code()).filter(|_| is_own),
            Topics::Actions(_) if !is_own => None,
            Topics::Actions(actions) => action_code(rows, event, actions)?,
            Topics::Chains(words) => {
                let moved = scored.filter(|it| it.record.tenant == tenant && it.is_notable());
                // What has an entry in the chains of two agents is told once.
                let entry = lane::alsorn::entry::entries(event).into_iter().next();
                let entry = entry.and_then(|entry| place(words, |word| *word == entry.action));
                let moved = moved.and_then(|_| place(words, |word| *word == SCORE_CHANGED));
                return Ok(entry.into_iter().chain(moved).collect());
            }
        };
        Ok(code.into_iter().collect())
    }
}

fn action_code(rows: &dyn Rows, event: &Event, actions: &[Action]) -> Result<Option<u16>, RowsError> {
    // The audit log tells of the end of such tokens alone as it knows.
    if let Body::TokenRevoked(it) = &event.body
        && !is_known(rows, it.token)?
    {
        return Ok(None);
    }
    // Whatever has several entries has no word here.
    let first = lane::agentidp::entry::entries(event).next();
    Ok(first.and_then(|entry| place(actions, |action| *action == entry.action)))
}

fn place<T>(words: &[T], is_meant: impl Fn(&T) -> bool) -> Option<u16> {
    words.iter().position(is_meant).and_then(|place| u16::try_from(place).ok())
}

/// What came of telling is told to nobody, or it would never end.
fn is_told(kind: Kind) -> bool {
    kind != Kind::DeliveriesRecorded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_code_of_its_own() {
        for rendering in RENDERINGS {
            let words = rendering.words();
            let mut codes: Vec<u16> = words.iter().map(|word| rendering.code(word).unwrap()).collect();
            for (word, code) in words.iter().zip(&codes) {
                assert!(*word == EVERY || rendering.word(*code) == *word, "{word}");
            }
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), words.len(), "{}", rendering.name);
            assert_eq!(rendering.code("DeliveriesRecorded"), None);
        }
        assert_eq!(AGENTIDP.code(EVERY), None, "the vendor has no such word");
    }
}
