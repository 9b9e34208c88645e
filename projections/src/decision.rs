//! What deciding starts from and what it gives: the frame that every decider stands in.

use chancery_ledger::body::Body;
use chancery_ledger::ids::TenantId;
use chancery_ledger::keystore::NewSecret;

use crate::context::ContextError;
use crate::output::{Output, ShownOnce};
use crate::rejection::Rejection;
use crate::rows::{Rows, RowsError};

/// What deciders know: every view's rows, with every command before this one in them.
#[derive(Clone, Copy)]
pub struct State<'a> {
    /// Who there is.
    pub identity: &'a dyn Rows,
    /// What they may.
    pub token: &'a dyn Rows,
    /// How far they are trusted.
    pub trust: &'a dyn Rows,
    /// What they do.
    pub execution: &'a dyn Rows,
    /// What happened already.
    pub journal: &'a dyn Rows,
}

/// What was decided: facts, an answer, and keys that must be durable before the facts.
#[derive(Debug)]
pub struct Decision {
    /// The facts, in order, each with the tenant whose event it is. A refusal can have some.
    pub events: Vec<(TenantId, Body)>,
    /// What is answered.
    pub answer: Answer,
    /// New data keys and signing keys.
    pub keys: Vec<NewSecret>,
}

/// What is answered to a decided command.
#[derive(Debug)]
pub enum Answer {
    /// The things as the events leave them, with what is shown once.
    AsDecided(ShownOnce),
    /// What was asked for is so already.
    Unchanged(Box<Output>),
    /// It is refused.
    Refused(Rejection),
}

/// Why deciding stopped.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The command is refused, and that is no fact worth keeping.
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// Views could not be read: the caller may try again.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Keys or randomness were not to be had: the caller may try again.
    #[error("{0}")]
    Context(#[source] ContextError),
}

impl From<ContextError> for Stop {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::TooLarge { max } => Rejection::LimitReached { limit: "bytes in one event", max }.into(),
            error => Self::Context(error),
        }
    }
}

/// What one decider function gives.
#[derive(Debug)]
pub struct Decided {
    pub(crate) events: Vec<(TenantId, Body)>,
    pub(crate) answer: Answer,
}

impl Decided {
    /// Facts, and the answer is how they leave things.
    #[must_use]
    pub fn facts(tenant: TenantId, events: Vec<Body>) -> Self {
        Self::shown(tenant, events, None)
    }

    /// Facts, and a secret to show once.
    #[must_use]
    pub fn shown(tenant: TenantId, events: Vec<Body>, shown: ShownOnce) -> Self {
        Self { events: owned(tenant, events), answer: Answer::AsDecided(shown) }
    }

    /// What was asked for is so already; no fact.
    #[must_use]
    pub fn unchanged(output: Output) -> Self {
        Self { events: Vec::new(), answer: Answer::Unchanged(Box::new(output)) }
    }

    /// A refusal that is itself a fact.
    #[must_use]
    pub fn refused(tenant: TenantId, events: Vec<Body>, rejection: Rejection) -> Self {
        Self { events: owned(tenant, events), answer: Answer::Refused(rejection) }
    }
}

fn owned(tenant: TenantId, events: Vec<Body>) -> Vec<(TenantId, Body)> {
    events.into_iter().map(|body| (tenant, body)).collect()
}
