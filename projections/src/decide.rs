//! Deciding: state, command and context to a decision, each command by the decider of its domain. Pure: what deciding may
//! know of the world is in [`Context`].

use chancery_ledger::ids::{Seq, TenantId, ThingKind};

use crate::command::Command;
use crate::context::Context;
use crate::decision::{Decision, State, Stop};
use crate::execution::delivery::decide as delivery;
use crate::rows::RowsError;
use crate::{execution, identity, token, trust};

/// Decides one command.
///
/// # Errors
/// [`Stop::Refused`] when it is refused without a fact; the others when it could not be decided at all.
pub fn decide(state: &State<'_>, command: &Command, mut ctx: Context<'_>) -> Result<Decision, Stop> {
    let c = &mut ctx;
    let decided = match command {
        Command::CreateTenant(command) => identity::decide::tenant::create(state, command, c),
        Command::UpdateTenant(command) => identity::decide::tenant::update(state, command, c),
        Command::SuspendTenant(command) => identity::decide::tenant::suspend(state, command, c),
        Command::ResumeTenant(command) => identity::decide::tenant::resume(state, command, c),
        Command::DeleteTenant(command) => identity::decide::tenant::delete(state, command, c),
        Command::CreateOrganisation(command) => identity::decide::tenant::create_organisation(state, command, c),
        Command::UpdateOrganisation(command) => identity::decide::tenant::update_organisation(state, command, c),
        Command::DeleteOrganisation(command) => identity::decide::tenant::delete_organisation(state, command, c),
        Command::AddOrganisationMember(command) => identity::decide::tenant::add_organisation_member(state, command, c),
        Command::RegisterAgent(command) => identity::decide::agent::register(state, command, c),
        Command::UpdateAgent(command) => identity::decide::agent::update(state, command, c),
        Command::SetAgentReach(command) => identity::decide::agent::set_reach(state, command, c),
        Command::ClaimHandle(command) => identity::decide::handle::claim(state, command, c),
        Command::ReleaseHandle(command) => identity::decide::handle::release(state, command, c),
        Command::SuspendAgent(command) => identity::decide::agent::suspend(state, command, c),
        Command::ResumeAgent(command) => identity::decide::agent::resume(state, command, c),
        Command::DecommissionAgent(command) => identity::decide::agent::decommission(state, command, c),
        Command::IssueChallenge(command) => identity::decide::challenge::issue(state, command, c),
        Command::AnswerChallenge(command) => identity::decide::challenge::answer(state, command, c),
        Command::CreateCredential(command) => identity::decide::credential::create(state, command, c),
        Command::RotateCredential(command) => identity::decide::credential::rotate(state, command, c),
        Command::RevokeCredential(command) => identity::decide::credential::revoke(state, command, c),
        Command::GrantScopes(command) => identity::decide::credential::grant(state, command, c),
        Command::CreateApiKey(command) => identity::decide::credential::create_api_key(state, command, c),
        Command::RevokeApiKey(command) => identity::decide::credential::revoke_api_key(state, command, c),
        Command::TrustIssuer(command) => identity::decide::issuer::trust(state, command, c),
        Command::UpdateIssuer(command) => identity::decide::issuer::update(state, command, c),
        Command::RemoveIssuer(command) => identity::decide::issuer::remove(state, command, c),
        Command::AddIssuerRule(command) => identity::decide::issuer::add_rule(state, command, c),
        Command::RemoveIssuerRule(command) => identity::decide::issuer::remove_rule(state, command, c),
        Command::NoteAuthentication(command) => identity::decide::credential::note(state, command, c),
        Command::VerifyOrganisation(command) => identity::decide::tenant::verify_organisation(state, command, c),
        Command::EvaluateTrust(command) => trust::decide::evaluate(state, command, c),
        Command::FileDispute(command) => trust::decide::file_dispute(state, command, c),
        Command::ResolveDispute(command) => trust::decide::resolve_dispute(state, command, c),
        Command::SetPolicy(command) => trust::decide::set_policy(state, command, c),
        Command::ResetPolicy(command) => trust::decide::reset_policy(state, command, c),
        Command::ExecuteTransaction(command) => execution::decide::transaction::execute(state, command, c),
        Command::ReverseTransaction(command) => execution::decide::transaction::reverse(state, command, c),
        Command::EraseSubject(command) => identity::decide::erasure::erase(state, command, c),
        Command::PlaceHold(command) => identity::decide::erasure::place_hold(state, command, c),
        Command::LiftHold(command) => identity::decide::erasure::lift_hold(state, command, c),
        Command::ReportShredded(command) => identity::decide::erasure::report_shredded(state, command, c),
        Command::ApplyRetention(command) => identity::decide::erasure::apply_retention(state, command, c),
        Command::ExportEvidence(command) => identity::decide::ledger::export_evidence(command, c),
        Command::RotateSigningKey(command) => identity::decide::ledger::rotate(state, command, c),
        Command::ProvideTokenKey(command) => identity::decide::ledger::provide_token_key(state, command, c),
        Command::PublishViewRoots(command) => identity::decide::ledger::publish_view_roots(state, command, c),
        Command::ProvideWitnessKey(_) => identity::decide::ledger::provide_witness_key(state, c),
        Command::RecordCosignature(command) => identity::decide::witness::record_cosignature(state, command, c),
        Command::WitnessCheckpoint(command) => identity::decide::witness::witness(state, command, c),
        Command::RecordTimestamp(command) => identity::decide::timestamp::record(state, command, c),
        Command::IssueToken(command) => token::decide::issue(state, command, c),
        Command::ExchangeToken(command) => token::decide::exchange::exchange(state, command, c),
        Command::DelegateToken(command) => token::decide::delegate::delegate(state, command, c),
        Command::UseToken(command) => token::decide::mark_used(state, command, c),
        Command::RevokeToken(command) => token::decide::revoke(state, command, c),
        Command::CheckScope(command) => token::decide::check_scope(state, command, c),
        Command::OpenMission(command) => execution::decide::mission::open(state, command, c),
        Command::CompleteMission(command) => execution::decide::mission::complete(state, command, c),
        Command::RevokeMission(command) => execution::decide::mission::revoke(state, command, c),
        Command::OpenAuditChain(command) => execution::decide::audit::open(state, command, c),
        Command::AppendAuditEntry(command) => execution::decide::audit::append(state, command, c),
        Command::CloseAuditChain(command) => execution::decide::audit::close(state, command, c),
        Command::AddDestination(command) => delivery::add_destination(state, command, c),
        Command::VerifyDestination(command) => delivery::verify(state, command, c),
        Command::RotateDestinationSecret(command) => delivery::rotate_secret(state, command, c),
        Command::RemoveDestination(command) => delivery::remove_destination(state, command, c),
        Command::Subscribe(command) => delivery::subscribe(state, command, c),
        Command::ChangeSubscription(command) => delivery::change(state, command, c),
        Command::EndSubscription(command) => delivery::end(state, command, c),
        Command::Redeliver(command) => delivery::redeliver(state, command, c),
        Command::RecordDeliveries(command) => delivery::record(state, command, c),
    }?;
    Ok(Decision { events: decided.events, answer: decided.answer, keys: ctx.into_new_secrets() })
}

/// The event that last changed what a command of a tenant is about, for `If-Match`; `None` when the tenant has no such
/// thing. Tenants themselves are the root tenant's to see.
///
/// # Errors
/// [`RowsError`] when views cannot be read.
pub fn version_of(state: &State<'_>, tenant: TenantId, command: &Command) -> Result<Option<Seq>, RowsError> {
    use chancery_ledger::ids::{
        AgentId, AuditChainId, ChallengeId, CredentialId, DestinationId, DisputeId, IssuerId, IssuerRuleId, MissionId,
        OrganisationId, SubscriptionId, TokenId, TransactionId,
    };

    use crate::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
    use crate::execution::state::{MISSIONS, audit_chain};
    use crate::execution::transaction::TRANSACTIONS;
    use crate::identity::state::{AGENTS, CHALLENGES, CREDENTIALS, ISSUER_RULES, ISSUERS, ORGANISATIONS, TENANTS};
    use crate::token::state::TOKENS;
    use crate::trust::state::DISPUTES;

    let Some(about) = command.about() else { return Ok(None) };
    let id = about.id;
    let owned = |owner: TenantId, seq: Seq| (owner == tenant).then_some(seq);
    let State { identity, token, trust, execution, .. } = *state;
    Ok(match about.kind {
        ThingKind::Tenant => {
            let root = TENANTS.get(identity, tenant)?.is_some_and(|tenant| tenant.root);
            TENANTS.get_versioned(identity, TenantId(id))?.filter(|_| root).map(|row| row.seq)
        }
        ThingKind::Organisation => {
            ORGANISATIONS.get_versioned(identity, OrganisationId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Agent => AGENTS.get_versioned(identity, AgentId(id))?.and_then(|it| owned(it.value.tenant, it.seq)),
        ThingKind::Challenge => {
            CHALLENGES.get_versioned(identity, ChallengeId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Credential => {
            CREDENTIALS.get_versioned(identity, CredentialId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Issuer => {
            ISSUERS.get_versioned(identity, IssuerId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::IssuerRule => {
            ISSUER_RULES.get_versioned(identity, IssuerRuleId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Token => TOKENS.get_versioned(token, TokenId(id))?.and_then(|it| owned(it.value.tenant, it.seq)),
        ThingKind::Mission => {
            MISSIONS.get_versioned(execution, MissionId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Dispute => {
            DISPUTES.get_versioned(trust, DisputeId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Transaction => {
            TRANSACTIONS.get_versioned(execution, TransactionId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::AuditChain => {
            audit_chain(execution, AuditChainId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Destination => {
            DESTINATIONS.get_versioned(execution, DestinationId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        ThingKind::Subscription => {
            SUBSCRIPTIONS.get_versioned(execution, SubscriptionId(id))?.and_then(|it| owned(it.value.tenant, it.seq))
        }
        _ => None,
    })
}
