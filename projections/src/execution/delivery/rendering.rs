//! Renderings: in whose words events are told, which there are words for, and how often telling one is tried.
//!
//! A rendering is a row of [`RENDERINGS`]. How it looks on the wire is the API's business.

use chancery_ledger::body::{Body, Kind};
use chancery_ledger::event::Event;

use crate::lane::agentidp::entry::{Action, entries};
use crate::lane::agentidp::rows::is_known;
use crate::rows::{Rows, RowsError};

/// In whose words events are told.
#[derive(Debug, PartialEq, Eq)]
pub struct Rendering {
    /// `native`, or the dialect's name.
    pub name: &'static str,
    /// How often telling one event is tried, the first time included.
    pub attempts_max: u8,
    topics: Topics,
}

/// What a rendering has words for.
#[derive(Debug, PartialEq, Eq)]
enum Topics {
    /// Every kind of event but those of telling, by its name; its code is the kind's.
    Kinds,
    /// These entries of AgentIdP's audit log, by their action. A word's code is its place here, so the list only grows.
    Actions(&'static [Action]),
}

/// Native words.
pub const NATIVE: Rendering = Rendering { name: "native", attempts_max: 10, topics: Topics::Kinds };

/// AgentIdP's words (contracts/agentidp.md section 11, "Webhooks").
pub const AGENTIDP: Rendering = Rendering {
    name: "agentidp",
    attempts_max: 10,
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

/// Every rendering.
pub const RENDERINGS: &[&Rendering] = &[&NATIVE, &AGENTIDP];

impl Rendering {
    /// The rendering of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        RENDERINGS.iter().copied().find(|rendering| rendering.name == name)
    }

    /// Every word it has.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        match &self.topics {
            Topics::Kinds => Kind::ALL.iter().filter(|kind| is_told(**kind)).map(|kind| kind.name()).collect(),
            Topics::Actions(actions) => actions.iter().map(|action| action.text()).collect(),
        }
    }

    /// The code of a word; `None` when it is none.
    #[must_use]
    pub fn code(&self, word: &str) -> Option<u16> {
        match &self.topics {
            Topics::Kinds => Kind::from_name(word).filter(|kind| is_told(*kind)).map(Kind::code),
            Topics::Actions(actions) => place(actions, |action| action.text() == word),
        }
    }

    /// The word of a code; empty for one that it does not have.
    #[must_use]
    pub fn word(&self, code: u16) -> &'static str {
        match &self.topics {
            Topics::Kinds => Kind::from_code(code).map_or("", Kind::name),
            Topics::Actions(actions) => actions.get(usize::from(code)).map_or("", |action| action.text()),
        }
    }

    /// The code of the word that stands for an event; `None` when it has none for it.
    pub(super) fn code_of(&self, rows: &dyn Rows, event: &Event) -> Result<Option<u16>, RowsError> {
        let kind = event.body.kind();
        match &self.topics {
            Topics::Kinds => Ok(is_told(kind).then(|| kind.code())),
            Topics::Actions(actions) => {
                // The audit log tells of the end of such tokens alone as it knows.
                if let Body::TokenRevoked(it) = &event.body
                    && !is_known(rows, it.token)?
                {
                    return Ok(None);
                }
                // Whatever has several entries has no word here.
                let first = entries(event).next();
                Ok(first.and_then(|entry| place(actions, |action| *action == entry.action)))
            }
        }
    }
}

fn place(actions: &[Action], is_meant: impl Fn(&Action) -> bool) -> Option<u16> {
    actions.iter().position(is_meant).and_then(|place| u16::try_from(place).ok())
}

/// What came of telling is told to nobody, or it would never end.
fn is_told(kind: Kind) -> bool {
    kind != Kind::DeliveriesRecorded
}
