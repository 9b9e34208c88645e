//! What an accepted command is answered: the things its events are about, as rows have them now. The same for a first
//! answer, given from the rows as the events leave them, and for a replay, given from today's rows without secrets.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AuditChainId, DestinationId, SubscriptionId};

use crate::command::{Command, LiftHold, PlaceHold};
use crate::decision::State;
use crate::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use crate::execution::state::{AuditChain, MISSIONS, audit_chain};
use crate::execution::transaction::TRANSACTIONS;
use crate::identity::decide::challenge::AGENT_NOT_USABLE;
use crate::identity::state::{
    AGENTS, CERTIFICATES, CHALLENGES, CREDENTIALS, ERASED, HOLDS, ISSUER_RULES, ISSUERS, KEYS, MEMBERSHIPS,
    ORGANISATIONS, TENANTS, WITNESSED,
};
use crate::output::{ChallengeVerdict, Output, Registered, ShownOnce};
use crate::rows::{Rows, RowsError};
use crate::token::lineage;
use crate::token::state::TOKENS;
use crate::trust::state::{DISPUTES, POLICIES, PolicyKind};

/// The first event of a kind, with its facts; the decider of the command always makes one.
macro_rules! fact {
    ($events:expr, $kind:ident) => {
        $events
            .iter()
            .find_map(|event| match &event.body {
                Body::$kind(facts) => Some((event, facts)),
                _ => None,
            })
            .ok_or(RowsError::Missing(concat!("the event ", stringify!($kind), " of a command")))
    };
}

/// A row that the command's events made or changed.
macro_rules! row {
    ($table:expr, $rows:expr, $key:expr) => {
        $table.get($rows, $key)?.ok_or(RowsError::Missing("what a command is about"))
    };
}

/// The answer to a command whose events are these.
///
/// # Errors
/// [`RowsError`] when rows cannot be read or are missing.
pub(super) fn output(
    state: &State<'_>, command: &Command, events: &[Event], shown: ShownOnce,
) -> Result<Output, RowsError> {
    let (identity, token, execution) = (state.identity, state.token, state.execution);
    Ok(match command {
        Command::CreateTenant(_) => {
            let (_, created) = fact!(events, TenantCreated)?;
            Output::Tenant { tenant: row!(TENANTS, identity, created.tenant)?, api_key: shown }
        }
        Command::UpdateTenant(it) => Output::Tenant { tenant: row!(TENANTS, identity, it.tenant)?, api_key: None },
        Command::SuspendTenant(it) => Output::Tenant { tenant: row!(TENANTS, identity, it.tenant)?, api_key: None },
        Command::ResumeTenant(it) => Output::Tenant { tenant: row!(TENANTS, identity, it.tenant)?, api_key: None },
        Command::DeleteTenant(it) => Output::Tenant { tenant: row!(TENANTS, identity, it.tenant)?, api_key: None },
        Command::CreateOrganisation(_) => {
            let (_, created) = fact!(events, OrganisationCreated)?;
            Output::Organisation(row!(ORGANISATIONS, identity, created.organisation)?)
        }
        Command::UpdateOrganisation(it) => Output::Organisation(row!(ORGANISATIONS, identity, it.organisation)?),
        Command::DeleteOrganisation(it) => Output::Organisation(row!(ORGANISATIONS, identity, it.organisation)?),
        Command::AddOrganisationMember(it) => {
            Output::Membership(row!(MEMBERSHIPS, identity, (it.organisation, it.agent))?)
        }
        Command::RegisterAgent(_) => {
            let (_, registered) = fact!(events, AgentRegistered)?;
            let agent = row!(AGENTS, identity, registered.agent)?;
            Output::Registered(Box::new(Registered {
                organisation_slug: row!(ORGANISATIONS, identity, agent.organisation)?.slug,
                certificate: CERTIFICATES.get(identity, agent.agent)?,
                agent,
                private_key_pem: shown,
            }))
        }
        Command::UpdateAgent(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::SetAgentReach(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::ClaimHandle(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::ReleaseHandle(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::GrantScopes(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::SuspendAgent(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::ResumeAgent(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::DecommissionAgent(it) => Output::Agent(Box::new(row!(AGENTS, identity, it.agent)?)),
        Command::IssueChallenge(_) => {
            let (_, issued) = fact!(events, ChallengeIssued)?;
            Output::Challenge(row!(CHALLENGES, identity, issued.challenge)?)
        }
        Command::AnswerChallenge(_) => {
            let (event, answered) = fact!(events, ChallengeAnswered)?;
            Output::ChallengeAnswered(ChallengeVerdict {
                // An agent that is suspended, expired or gone did prove that it holds its key.
                passed: answered.passed || answered.why.as_deref() == Some(AGENT_NOT_USABLE),
                certificate_valid: answered.passed,
                why: answered.why.clone(),
                at: event.time,
            })
        }
        Command::CreateCredential(_) => {
            let (_, created) = fact!(events, CredentialCreated)?;
            Output::ClientSecret { credential: row!(CREDENTIALS, identity, created.credential)?, secret: shown }
        }
        Command::RotateCredential(it) => {
            Output::ClientSecret { credential: row!(CREDENTIALS, identity, it.credential)?, secret: shown }
        }
        Command::RevokeCredential(it) => Output::Credential(row!(CREDENTIALS, identity, it.credential)?),
        Command::CreateApiKey(_) => {
            let (_, created) = fact!(events, CredentialCreated)?;
            Output::ApiKey { credential: row!(CREDENTIALS, identity, created.credential)?, secret: shown }
        }
        Command::RevokeApiKey(it) => Output::Credential(row!(CREDENTIALS, identity, it.credential)?),
        Command::TrustIssuer(_) => {
            let (_, trusted) = fact!(events, IssuerTrusted)?;
            Output::Issuer(Box::new(row!(ISSUERS, identity, trusted.issuer)?))
        }
        Command::UpdateIssuer(it) => Output::Issuer(Box::new(row!(ISSUERS, identity, it.issuer)?)),
        Command::RemoveIssuer(it) => Output::Issuer(Box::new(row!(ISSUERS, identity, it.issuer)?)),
        Command::AddIssuerRule(_) => {
            let (_, added) = fact!(events, IssuerRuleAdded)?;
            Output::IssuerRule(Box::new(row!(ISSUER_RULES, identity, added.rule)?))
        }
        Command::RemoveIssuerRule(it) => Output::IssuerRule(Box::new(row!(ISSUER_RULES, identity, it.rule)?)),
        Command::NoteAuthentication(_)
        | Command::ExportEvidence(_)
        | Command::PublishViewRoots(_)
        | Command::RecordTimestamp(_) => Output::Done,
        Command::EraseSubject(it) => Output::Erasure(Box::new(row!(ERASED, identity, it.subject)?)),
        Command::PlaceHold(PlaceHold { subject, .. }) | Command::LiftHold(LiftHold { subject, .. }) => {
            let tenant = events.first().ok_or(RowsError::Missing("the event of a hold"))?.tenant;
            Output::Holds { subject: *subject, holds: row!(HOLDS, identity, (tenant, *subject))? }
        }
        Command::ReportShredded(_) | Command::ApplyRetention(_) => Output::Done,
        Command::RotateSigningKey(_) | Command::ProvideTokenKey(_) | Command::ProvideWitnessKey(_) => {
            let (_, added) = fact!(events, SigningKeyAdded)?;
            Output::SigningKey(row!(KEYS, identity, added.key)?)
        }
        Command::VerifyOrganisation(it) => Output::Organisation(row!(ORGANISATIONS, identity, it.organisation)?),
        Command::EvaluateTrust(_) => {
            let (_, evaluated) = fact!(events, TrustEvaluated)?;
            Output::TrustEvaluated(evaluated.clone())
        }
        Command::FileDispute(_) => {
            let (_, filed) = fact!(events, DisputeFiled)?;
            Output::Dispute(row!(DISPUTES, state.trust, filed.dispute)?)
        }
        Command::ResolveDispute(it) => Output::Dispute(row!(DISPUTES, state.trust, it.dispute)?),
        Command::SetPolicy(_) | Command::ResetPolicy(_) => policy(state, events)?,
        Command::ExecuteTransaction(_) => {
            let (_, completed) = fact!(events, TransactionCompleted)?;
            Output::Transaction(Box::new(row!(TRANSACTIONS, execution, completed.transaction)?))
        }
        Command::ReverseTransaction(it) => {
            let (_, reversed) = fact!(events, TransactionReversed)?;
            debug_assert!(it.transaction == reversed.transaction || it.transaction == reversed.reversal);
            Output::Transaction(Box::new(row!(TRANSACTIONS, execution, reversed.transaction)?))
        }
        Command::IssueToken(_) => {
            let (_, issued) = fact!(events, TokenIssued)?;
            Output::Token(Box::new(row!(TOKENS, token, issued.token)?))
        }
        Command::ExchangeToken(_) => {
            let (_, issued) = fact!(events, TokenIssued)?;
            let token = row!(TOKENS, token, issued.token)?;
            let organisation = match token.principal {
                Principal::Agent(agent) => {
                    let organisation = row!(AGENTS, identity, agent)?.organisation;
                    let organisation = row!(ORGANISATIONS, identity, organisation)?;
                    (!organisation.default).then_some(organisation.organisation)
                }
                _ => None,
            };
            let actors = lineage::actors(&lineage::line(state.token, token.clone())?);
            let key = token.key.ok_or(RowsError::Missing("the key of an access token"))?;
            let key = Box::new(row!(KEYS, identity, key)?);
            Output::AccessToken { token: Box::new(token), actors, organisation, key }
        }
        Command::DelegateToken(_) => {
            let (_, issued) = fact!(events, TokenIssued)?;
            let token = Box::new(row!(TOKENS, token, issued.token)?);
            Output::Delegation { delegator: lineage::delegator(state.token, &token)?, token, secret: shown }
        }
        Command::UseToken(it) => Output::Token(Box::new(row!(TOKENS, token, it.token)?)),
        Command::RevokeToken(it) => Output::Token(Box::new(row!(TOKENS, token, it.token)?)),
        Command::CheckScope(_) => {
            let (_, checked) = fact!(events, ScopeChecked)?;
            Output::ScopeCheck { passed: checked.passed, violations: checked.violations.clone() }
        }
        Command::OpenMission(_) => {
            let (_, opened) = fact!(events, MissionOpened)?;
            Output::Mission(row!(MISSIONS, execution, opened.mission)?)
        }
        Command::CompleteMission(it) => Output::Mission(row!(MISSIONS, execution, it.mission)?),
        Command::RevokeMission(it) => Output::Mission(row!(MISSIONS, execution, it.mission)?),
        Command::OpenAuditChain(_) => {
            let (_, opened) = fact!(events, AuditChainOpened)?;
            Output::AuditChain(chain(execution, opened.chain)?)
        }
        Command::AppendAuditEntry(_) => {
            let (_, appended) = fact!(events, AuditEntryAppended)?;
            Output::AuditEntry { entry: appended.clone() }
        }
        Command::CloseAuditChain(it) => Output::AuditChainClosed(chain(execution, it.chain)?),
        Command::AddDestination(_) => {
            let (_, added) = fact!(events, DestinationAdded)?;
            destination(execution, added.destination, shown)?
        }
        Command::VerifyDestination(it) => destination(execution, it.destination, None)?,
        Command::RotateDestinationSecret(it) => destination(execution, it.destination, shown)?,
        Command::RemoveDestination(it) => destination(execution, it.destination, None)?,
        Command::Subscribe(_) => {
            let (_, created) = fact!(events, SubscriptionCreated)?;
            subscription(execution, created.subscription, shown)?
        }
        Command::ChangeSubscription(it) => subscription(execution, it.subscription, None)?,
        Command::EndSubscription(it) => subscription(execution, it.subscription, None)?,
        Command::Redeliver(it) => subscription(execution, it.subscription, None)?,
        Command::RecordDeliveries(_) | Command::RecordCosignature(_) => Output::Done,
        Command::WitnessCheckpoint(it) => Output::Witnessed(WITNESSED.get(identity, it.log.as_str())?.map(Box::new)),
    })
}

fn destination(execution: &dyn Rows, id: DestinationId, secret: ShownOnce) -> Result<Output, RowsError> {
    Ok(Output::Destination { destination: Box::new(row!(DESTINATIONS, execution, id)?), secret })
}

fn subscription(execution: &dyn Rows, id: SubscriptionId, secret: ShownOnce) -> Result<Output, RowsError> {
    Ok(Output::Subscription { subscription: Box::new(row!(SUBSCRIPTIONS, execution, id)?), secret })
}

/// The policy that the first event is about, in the spelling of its key there.
fn policy(state: &State<'_>, events: &[Event]) -> Result<Output, RowsError> {
    let (tenant, kind, key) = match events.first().map(|event| (event.tenant, &event.body)) {
        Some((tenant, Body::PolicyChanged(it))) => (tenant, &it.kind, &it.key),
        Some((tenant, Body::PolicyReset(it))) => (tenant, &it.kind, &it.key),
        _ => return Err(RowsError::Missing("the event of a policy")),
    };
    let policy = row!(POLICIES, state.trust, (tenant, kind.as_str(), key.as_str()))?;
    let kind = PolicyKind::parse(kind).ok_or(RowsError::Missing("the kind of a policy"))?;
    Ok(Output::Policy { kind, key: key.clone(), policy })
}

fn chain(execution: &dyn Rows, id: AuditChainId) -> Result<AuditChain, RowsError> {
    Ok(audit_chain(execution, id)?.ok_or(RowsError::Missing("what a command is about"))?.value)
}
