//! Whether an answer is right: what was asked, decided anew on what the log says was known then; and what was shown, held
//! against the views after it.

use chancery_ledger::body::Kind;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keystore::Secrets;
use chancery_ledger::time::Micros;
use chancery_projections::command::{Command, Via};
use chancery_projections::context::Random;
use chancery_projections::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use chancery_projections::execution::state::{ENTRIES, MISSIONS, audit_chain};
use chancery_projections::execution::transaction::TRANSACTIONS;
use chancery_projections::identity::state::{
    AGENTS, CERTIFICATES, CHALLENGES, CREDENTIALS, ERASED, ISSUER_RULES, ISSUERS, KEYS, MEMBERSHIPS, ORGANISATIONS,
    TENANTS,
};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::RowsError;
use chancery_projections::sequencer::{Receipt, Rehearsed, Request, rehearse};
use chancery_projections::token::state::TOKENS;
use chancery_projections::trust::state::DISPUTES;
use chancery_projections::views::View;

use crate::history::{AllAsOf, History};

/// A command that was decided, and what was known then.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The position of the next event.
    pub at: Seq,
    /// What the clock said.
    pub clock: Micros,
}

/// Checks an answer against the log, which `history` has read as far as the answer reaches.
///
/// # Errors
/// What is wrong with it.
pub fn check(
    history: &History, request: &Request, moment: Moment, receipt: &Receipt, random: &mut dyn Random,
    secrets: &dyn Secrets,
) -> Result<(), String> {
    let known = TreeSize(moment.at.0);
    if receipt.size > history.size() {
        return Err(format!("its seal is for {} events of {}", receipt.size, history.size()));
    }
    for recorded in &receipt.events {
        let event = history.event(recorded.seq).ok_or_else(|| format!("event {} is not there", recorded.seq))?;
        let found = (event.hash, event.event.time, event.event.body.kind());
        if found != (recorded.hash, recorded.time, recorded.kind) {
            return Err(format!("event {} is another than was answered", recorded.seq));
        }
    }
    let first = receipt.events.first().map(|event| event.seq);
    let in_order = receipt.events.iter().zip(first.map_or(0, |seq| seq.0)..).all(|(event, seq)| event.seq == Seq(seq));
    if !in_order || (!receipt.replayed && first.is_some_and(|first| first != moment.at)) {
        return Err("its events do not stand where it was decided".to_owned());
    }
    // Time never runs backwards in the log, whatever the clock does.
    let before = known.last().and_then(|last| history.event(last)).map_or(moment.clock, |known| known.event.time);
    let then = history.at(known);
    let rehearsed = rehearse(&then.state(), request, moment.clock.max(before), random, secrets);
    let rehearsed = rehearsed.map_err(|error| format!("it cannot be decided anew: {error}"))?;
    compare(&rehearsed, receipt)?;
    let new = if receipt.replayed { 0 } else { receipt.events.len() as u64 };
    match &receipt.answer {
        Ok(output) => is_shown(output, &history.at(TreeSize(known.0 + new))),
        Err(_) => Ok(()),
    }
}

fn compare(rehearsed: &Rehearsed, receipt: &Receipt) -> Result<(), String> {
    let kinds: Vec<Kind> = receipt.events.iter().map(|event| event.kind).collect();
    let is_same = match (rehearsed, &receipt.answer) {
        (Rehearsed::Before(first), Ok(_)) => {
            receipt.replayed && receipt.events.first().is_some_and(|event| event.seq == *first)
        }
        (Rehearsed::Accepted(wanted), Ok(_)) => !receipt.replayed && *wanted == kinds,
        // What is too large to be stored is known only when it is written.
        (Rehearsed::Accepted(_), Err(Rejection::LimitReached { .. })) => kinds.is_empty(),
        (Rehearsed::Refused(wanted, facts), Err(rejection)) => wanted == rejection && *facts == kinds,
        _ => false,
    };
    if is_same {
        return Ok(());
    }
    let answer = match &receipt.answer {
        Ok(_) if receipt.replayed => "the answer to an earlier command".to_owned(),
        Ok(_) => "accepted".to_owned(),
        Err(rejection) => format!("refused ({rejection})"),
    };
    Err(format!("it was {answer} with {kinds:?}; on what the log says was known then, it is {rehearsed:?}"))
}

/// Whether an answer shows things as the views do after it.
fn is_shown(output: &Output, views: &AllAsOf<'_>) -> Result<(), String> {
    let wrong = |error: RowsError| error.to_string();
    let (identity, token, execution) =
        (views.view(View::Identity), views.view(View::Token), views.view(View::Execution));
    let is_so = match output {
        Output::Done
        | Output::ChallengeAnswered(_)
        | Output::ScopeCheck { .. }
        | Output::TrustEvaluated(_)
        | Output::Holds { .. }
        | Output::Policy { .. } => true,
        Output::Tenant { tenant, .. } => TENANTS.get(identity, tenant.tenant).map_err(wrong)?.as_ref() == Some(tenant),
        Output::Organisation(it) => ORGANISATIONS.get(identity, it.organisation).map_err(wrong)?.as_ref() == Some(it),
        Output::Registered(it) => {
            let slug = ORGANISATIONS.get(identity, it.agent.organisation).map_err(wrong)?.map(|it| it.slug);
            AGENTS.get(identity, it.agent.agent).map_err(wrong)?.as_ref() == Some(&it.agent)
                && CERTIFICATES.get(identity, it.agent.agent).map_err(wrong)? == it.certificate
                && slug.as_ref() == Some(&it.organisation_slug)
        }
        Output::Agent(it) => AGENTS.get(identity, it.agent).map_err(wrong)?.as_ref() == Some(&**it),
        Output::Challenge(it) => CHALLENGES.get(identity, it.challenge).map_err(wrong)?.as_ref() == Some(it),
        Output::Membership(it) => {
            MEMBERSHIPS.get(identity, (it.organisation, it.agent)).map_err(wrong)?.as_ref() == Some(it)
        }
        Output::Issuer(it) => ISSUERS.get(identity, it.issuer).map_err(wrong)?.as_ref() == Some(&**it),
        Output::IssuerRule(it) => ISSUER_RULES.get(identity, it.rule).map_err(wrong)?.as_ref() == Some(&**it),
        Output::AccessToken { token: it, key, .. } => {
            TOKENS.get(token, it.token).map_err(wrong)?.as_ref() == Some(&**it)
                && KEYS.get(identity, key.key).map_err(wrong)?.as_ref() == Some(&**key)
        }
        Output::ClientSecret { credential: it, .. }
        | Output::ApiKey { credential: it, .. }
        | Output::Credential(it) => CREDENTIALS.get(identity, it.credential).map_err(wrong)?.as_ref() == Some(it),
        Output::Delegation { token: it, .. } => TOKENS.get(token, it.token).map_err(wrong)?.as_ref() == Some(&**it),
        Output::Token(it) => TOKENS.get(token, it.token).map_err(wrong)?.as_ref() == Some(&**it),
        Output::Erasure(it) => ERASED.get(identity, it.subject).map_err(wrong)?.as_ref() == Some(&**it),
        Output::Mission(it) => MISSIONS.get(execution, it.mission).map_err(wrong)?.as_ref() == Some(it),
        Output::AuditChain(it) | Output::AuditChainClosed(it) => {
            audit_chain(execution, it.chain).map_err(wrong)?.map(|found| found.value).as_ref() == Some(it)
        }
        Output::Dispute(it) => DISPUTES.get(views.view(View::Trust), it.dispute).map_err(wrong)?.as_ref() == Some(it),
        Output::Transaction(it) => TRANSACTIONS.get(execution, it.transaction).map_err(wrong)?.as_ref() == Some(&**it),
        Output::AuditEntry { entry: it } => {
            ENTRIES.get(execution, (it.chain, it.sequence)).map_err(wrong)?.as_ref() == Some(it)
        }
        // Unchanged or new, it is what the view has of that log; which log that is, the answer does not say.
        Output::Witnessed(_) => true,
        Output::SigningKey(it) => KEYS.get(identity, it.key).map_err(wrong)?.as_ref() == Some(it),
        Output::Destination { destination: it, .. } => {
            DESTINATIONS.get(execution, it.destination).map_err(wrong)?.as_ref() == Some(&**it)
        }
        Output::Subscription { subscription: it, .. } => {
            SUBSCRIPTIONS.get(execution, it.subscription).map_err(wrong)?.as_ref() == Some(&**it)
        }
    };
    if is_so { Ok(()) } else { Err(format!("it shows what the views do not: {}", name(output))) }
}

/// Names what an answer shows, without what it shows once.
#[must_use]
pub const fn name(output: &Output) -> &'static str {
    match output {
        Output::Done => "done",
        Output::Tenant { .. } => "a tenant",
        Output::Organisation(_) => "an organisation",
        Output::Registered(_) => "a registered agent",
        Output::Agent(_) => "an agent",
        Output::Challenge(_) => "a challenge",
        Output::ChallengeAnswered(_) => "a challenge's answer",
        Output::Membership(_) => "a membership",
        Output::ClientSecret { .. } => "a client secret",
        Output::ApiKey { .. } => "an API key",
        Output::Credential(_) => "a credential",
        Output::Issuer(_) => "an issuer",
        Output::IssuerRule(_) => "a rule",
        Output::AccessToken { .. } => "an access token",
        Output::Delegation { .. } => "a delegation",
        Output::Token(_) => "a token",
        Output::ScopeCheck { .. } => "a scope check",
        Output::Mission(_) => "a mission",
        Output::AuditChain(_) => "an audit chain",
        Output::AuditEntry { .. } => "an audit entry",
        Output::AuditChainClosed(_) => "a closed audit chain",
        Output::TrustEvaluated(_) => "an evaluation",
        Output::Dispute(_) => "a dispute",
        Output::Policy { .. } => "a policy",
        Output::Transaction(_) => "a transaction",
        Output::SigningKey(_) => "a signing key",
        Output::Witnessed(_) => "a checkpoint of another log",
        Output::Destination { .. } => "a destination",
        Output::Subscription { .. } => "a subscription",
        Output::Erasure(_) => "what was erased",
        Output::Holds { .. } => "the holds on a thing",
    }
}

/// What was asked, as far as a retry must ask the same. The key of a rotation is no part of it.
#[must_use]
pub fn asked(command: &Command) -> String {
    let via = match command {
        Command::RegisterAgent(command) => command.via,
        _ => Via::Native,
    };
    format!("{} {}", via.name(), serde_json::to_string(command).unwrap_or_default())
}
