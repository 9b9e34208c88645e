//! The decider frame: state, command and context to a decision. Pure: what it may know of the world is in [`Context`].

use chancery_ledger::body::Body;
use chancery_ledger::ids::{Seq, TenantId, ThingKind};
use chancery_ledger::keystore::NewSecret;

use crate::command::Command;
use crate::context::{Context, ContextError};
use crate::output::{Output, ShownOnce};
use crate::rejection::Rejection;
use crate::rows::{Rows, RowsError};
use crate::{execution, identity, token};

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
    events: Vec<(TenantId, Body)>,
    answer: Answer,
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

/// Decides one command.
///
/// # Errors
/// [`Stop::Refused`] when it is refused without a fact; the others when it could not be decided at all.
pub fn decide(state: &State<'_>, command: &Command, mut ctx: Context<'_>) -> Result<Decision, Stop> {
    let c = &mut ctx;
    let decided = match command {
        Command::CreateTenant(command) => identity::decide::tenant::create(state, command, c),
        Command::SuspendTenant(command) => identity::decide::tenant::suspend(state, command, c),
        Command::ResumeTenant(command) => identity::decide::tenant::resume(state, command, c),
        Command::DeleteTenant(command) => identity::decide::tenant::delete(state, command, c),
        Command::CreateOrganisation(command) => identity::decide::tenant::create_organisation(state, command, c),
        Command::RegisterAgent(command) => identity::decide::agent::register(state, command, c),
        Command::UpdateAgent(command) => identity::decide::agent::update(state, command, c),
        Command::SuspendAgent(command) => identity::decide::agent::suspend(state, command, c),
        Command::ResumeAgent(command) => identity::decide::agent::resume(state, command, c),
        Command::DecommissionAgent(command) => identity::decide::agent::decommission(state, command, c),
        Command::IssueChallenge(command) => identity::decide::challenge::issue(state, command, c),
        Command::AnswerChallenge(command) => identity::decide::challenge::answer(state, command, c),
        Command::CreateApiKey(command) => identity::decide::credential::create_api_key(state, command, c),
        Command::RevokeApiKey(command) => identity::decide::credential::revoke_api_key(state, command, c),
        Command::NoteAuthentication(command) => identity::decide::credential::note(state, command, c),
        Command::RotateSigningKey(command) => identity::decide::ledger::rotate(state, command, c),
        Command::IssueToken(command) => token::decide::issue(state, command, c),
        Command::UseToken(command) => token::decide::mark_used(state, command, c),
        Command::RevokeToken(command) => token::decide::revoke(state, command, c),
        Command::CheckScope(command) => token::decide::check_scope(state, command, c),
        Command::OpenMission(command) => execution::decide::mission::open(state, command, c),
        Command::CompleteMission(command) => execution::decide::mission::complete(state, command, c),
        Command::RevokeMission(command) => execution::decide::mission::revoke(state, command, c),
        Command::OpenAuditChain(command) => execution::decide::audit::open(state, command, c),
        Command::AppendAuditEntry(command) => execution::decide::audit::append(state, command, c),
        Command::CloseAuditChain(command) => execution::decide::audit::close(state, command, c),
    }?;
    Ok(Decision { events: decided.events, answer: decided.answer, keys: ctx.into_new_secrets() })
}

/// The event that last changed what a command of a tenant is about, for `If-Match`; `None` when the tenant has no such
/// thing. Tenants themselves are the root tenant's to see.
///
/// # Errors
/// [`RowsError`] when views cannot be read.
pub fn version_of(state: &State<'_>, tenant: TenantId, command: &Command) -> Result<Option<Seq>, RowsError> {
    use chancery_ledger::ids::{AgentId, AuditChainId, ChallengeId, CredentialId, MissionId, TokenId};

    use crate::execution::state::{CHAINS, MISSIONS};
    use crate::identity::state::{AGENTS, CHALLENGES, CREDENTIALS, TENANTS};
    use crate::token::state::TOKENS;

    let Some(about) = command.about() else { return Ok(None) };
    let id = about.id;
    let owned = |owner: TenantId, seq: Seq| (owner == tenant).then_some(seq);
    let State { identity, token, execution, .. } = *state;
    Ok(match about.kind {
        ThingKind::Tenant => {
            let root = TENANTS.get(identity, tenant)?.is_some_and(|tenant| tenant.root);
            TENANTS.get_versioned(identity, TenantId(id))?.filter(|_| root).map(|row| row.seq)
        }
        ThingKind::Agent => AGENTS.get_versioned(identity, AgentId(id))?.and_then(|it| owned(it.value.tenant, it.seq)),
        ThingKind::Challenge => {
            CHALLENGES.get_versioned(identity, ChallengeId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Credential => {
            CREDENTIALS.get_versioned(identity, CredentialId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Token => TOKENS.get_versioned(token, TokenId(id))?.and_then(|it| owned(it.value.tenant, it.seq)),
        ThingKind::Mission => {
            MISSIONS.get_versioned(execution, MissionId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::AuditChain => {
            CHAINS.get_versioned(execution, AuditChainId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        _ => None,
    })
}

/// Checks that a text has a length, in characters, within bounds.
///
/// # Errors
/// [`Rejection::Invalid`] names the field and the bounds.
pub fn check_len(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), Rejection> {
    if (min..=max).contains(&text.chars().count()) {
        Ok(())
    } else {
        Err(Rejection::Invalid { field, why: format!("must have {min} to {max} characters") })
    }
}

/// Checks an optional text as [`check_len`] does, from 0 characters on.
///
/// # Errors
/// As [`check_len`].
pub fn check_optional(field: &'static str, text: Option<&str>, max: usize) -> Result<(), Rejection> {
    text.map_or(Ok(()), |text| check_len(field, text, 0, max))
}

/// Checks a slug: 2 to 64 of `a-z0-9-`, starting with a letter.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn check_slug(field: &'static str, slug: &str) -> Result<(), Rejection> {
    let letters = slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if (2..=64).contains(&slug.len()) && letters && slug.as_bytes()[0].is_ascii_lowercase() {
        Ok(())
    } else {
        Err(Rejection::Invalid { field, why: "must have 2 to 64 of a-z, 0-9 and -, and start with a letter".into() })
    }
}
