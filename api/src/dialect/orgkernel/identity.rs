//! Identities, their certificates, challenges, and the CA.

use chancery_ledger::ids::{AgentId, OrganisationId, render_typeid, uuid_v7};
use chancery_projections::command::{Command, RegisterAgent, ResumeAgent, SuspendAgent};
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::{self, AgentFilter, AgentView, PublicKeyView};
use chancery_projections::output::{Output, Registered};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::{Order, RowsError};
use chancery_projections::view::{NumberedPage, Page, Reading};

use super::call::{Call, ok, unexpected};
use super::error::Failure;
use super::from_wire;
use super::wire::{Certificate, Csr, IdentityOut, IssueResult, LegacyIssued, Status};
use super::{from_wire::identity as requests, to_wire};
use crate::problem::Problem;
use crate::response::Response;

const NO_AGENT: Rejection = Rejection::NotFound { thing: "agent" };
const NO_CERTIFICATE: Rejection = Rejection::NotFound { thing: "certificate" };

/// Checks that the name is free, and echoes: a submission keeps nothing.
pub(super) async fn submit_csr(mut call: Call<'_>) -> Result<Response, Failure> {
    let csr = read_csr(&mut call).await?;
    let held = call.hold().await?;
    let namespace = requests::handle_namespace(&csr.org_id);
    match view::agent_by_handle(&call.reading(&held), call.tenant(), &namespace, &csr.agent_name)? {
        Some(_) => Err(Rejection::HandleTaken { namespace }.into()),
        None => Ok(ok(&csr)),
    }
}

pub(super) async fn issue(mut call: Call<'_>) -> Result<Response, Failure> {
    let csr = read_csr(&mut call).await?;
    let (ca_fingerprint, command, registered) = register(&call, requests::register(csr)).await?;
    let identity = to_wire::registered(&registered, &command.profile, &ca_fingerprint);
    let certificate = to_wire::registered_certificate(&registered, &identity).ok_or_else(unexpected)?;
    let pem = registered.private_key_pem.as_ref().map(|pem| pem.as_str());
    Ok(ok(&IssueResult { identity, certificate, ca_fingerprint, agent_private_key_pem: pem, private_key_pem: pem }))
}

/// Issues the older way. The vendor's code loses the private key that its own comment promises; here it is shown
/// (contracts/orgkernel.md, D21), because nobody could use the identity without it.
pub(super) async fn issue_legacy(mut call: Call<'_>) -> Result<Response, Failure> {
    let command = requests::legacy(&call.body().await?)?;
    let (ca_fingerprint, command, registered) = register(&call, command).await?;
    let identity = to_wire::registered(&registered, &command.profile, &ca_fingerprint);
    let is_active = registered.agent.unusable(call.app.now()).is_none();
    let pem = registered.private_key_pem.as_ref().map(|pem| pem.as_str());
    let identity = IdentityOut { identity, is_active };
    Ok(ok(&LegacyIssued { identity, agent_private_key_pem: pem, private_key_pem: pem }))
}

async fn read_csr(call: &mut Call<'_>) -> Result<Csr, Failure> {
    let body = call.body().await?;
    let now = call.app.now();
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| Problem::Internal)?;
    let new_id = render_typeid("csr", uuid_v7(now.millis(), random));
    Ok(requests::csr(&body, new_id, now)?)
}

/// Registers an agent; gives the CA's fingerprint and the command too.
async fn register(call: &Call<'_>, command: RegisterAgent) -> Result<(String, RegisterAgent, Registered), Failure> {
    let held = call.hold().await?;
    let ca_fingerprint = org_ca(call, &call.reading(&held))?.fingerprint;
    match call.submit(command.clone()).await? {
        (Output::Registered(registered), _) => Ok((ca_fingerprint, command, *registered)),
        _ => Err(unexpected()),
    }
}

pub(super) async fn get(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let agent = find(&call, &reading, from_wire::agent(&call.argument))?;
    Ok(ok(&to_wire::identity_out(&agent, &org_ca(&call, &reading)?.fingerprint)))
}

pub(super) async fn certificate(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let agent = find(&call, &reading, from_wire::agent(&call.argument))?;
    Ok(ok(&certificate_of(&call, &reading, &agent)?))
}

pub(super) async fn verify(mut call: Call<'_>) -> Result<Response, Failure> {
    let agent_id = requests::verify(&call.body().await?)?;
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let agent = view::agent(&reading, call.tenant(), from_wire::agent(&agent_id))?;
    Ok(ok(&to_wire::verification(agent_id, agent.as_ref(), reading.now)))
}

pub(super) async fn request_challenge(call: Call<'_>) -> Result<Response, Failure> {
    let command = requests::challenge_request(&call.query())?;
    match call.submit(command).await? {
        (Output::Challenge(challenge), _) => Ok(ok(&to_wire::challenge(challenge))),
        _ => Err(unexpected()),
    }
}

/// Answers what the answer proved; a challenge that is not there to be answered proves nothing.
pub(super) async fn answer_challenge(mut call: Call<'_>) -> Result<Response, Failure> {
    let response = requests::challenge_response(&call.body().await?)?;
    let verdict = match call.submit(response.command).await {
        Ok((Output::ChallengeAnswered(verdict), _)) => Some(verdict),
        Ok(_) => return Err(unexpected()),
        Err(Failure::Problem(Problem::Rejected(Rejection::ChallengeDead))) => None,
        Err(failure) => return Err(failure),
    };
    Ok(ok(&to_wire::challenge_result(response.challenge_id, response.agent_id, verdict, call.app.now())))
}

pub(super) async fn suspend(call: Call<'_>) -> Result<Response, Failure> {
    let agent = from_wire::agent(&call.argument);
    change(&call, agent, SuspendAgent { agent, reason: None }, None).await
}

pub(super) async fn reactivate(call: Call<'_>) -> Result<Response, Failure> {
    let agent = from_wire::agent(&call.argument);
    change(&call, agent, ResumeAgent { agent, reason: None }, None).await
}

pub(super) async fn revoke(mut call: Call<'_>) -> Result<Response, Failure> {
    let agent = from_wire::agent(&call.argument);
    let command = requests::revoke(agent, &call.body().await?)?;
    let said = (command.by.clone(), command.reason.clone());
    change(&call, agent, command, Some(said)).await
}

/// Changes an agent's status and shows the agent as that left it; `said` is who ends it and why, if that is the change.
async fn change(
    call: &Call<'_>, id: AgentId, command: impl Into<Command>, said: Option<(Option<String>, Option<String>)>,
) -> Result<Response, Failure> {
    let (before, ca_fingerprint) = {
        let held = call.hold().await?;
        let reading = call.reading(&held);
        (view::agent(&reading, call.tenant(), id)?, org_ca(call, &reading)?.fingerprint)
    };
    let (Output::Agent(left), _) = call.submit(command).await? else { return Err(unexpected()) };
    // Only what a view showed can be named, so what the command found was there.
    let shown = to_wire::identity_out(&before.ok_or(NO_AGENT)?, &ca_fingerprint);
    Ok(ok(&to_wire::changed(shown, &left, said, call.app.now())))
}

pub(super) async fn list(call: Call<'_>) -> Result<Response, Failure> {
    let status = requests::status(&call.query())?;
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let Some((organisation, status)) = listed(&call, &reading, status)? else { return Ok(ok(&[(); 0])) };
    let ca_fingerprint = org_ca(&call, &reading)?.fingerprint;
    let tenant = call.tenant();
    let filter = AgentFilter { organisation: Some(organisation), status };
    call.whole_list(held, Order::Descending, b"[".to_vec(), "]", move |reading, paging| {
        let found = view::agents(reading, tenant, filter, paging)?;
        let items = found.items.iter().map(|agent| to_wire::identity_out(agent, &ca_fingerprint)).collect();
        Ok(Page { items, next: found.next })
    })
}

pub(super) async fn page(call: Call<'_>) -> Result<Response, Failure> {
    let (status, asked) = requests::status_and_page(&call.query())?;
    let held = call.hold().await?;
    let reading = call.reading(&held);
    let found = match listed(&call, &reading, status)? {
        Some((organisation, status)) => {
            view::agents_page(&reading, call.tenant(), organisation, status, asked.number())?
        }
        None => NumberedPage { items: Vec::new(), total: 0 },
    };
    let ca_fingerprint = org_ca(&call, &reading)?.fingerprint;
    Ok(ok(&to_wire::page(asked, found, |agent| to_wire::identity_out(&agent, &ca_fingerprint))))
}

pub(super) async fn ca(call: Call<'_>) -> Result<Response, Failure> {
    let held = call.hold().await?;
    Ok(ok(&to_wire::ca(&org_ca(&call, &call.reading(&held))?)))
}

/// The organisation and stored status that a path and a filter stand for; `None` when nothing can have them.
fn listed(
    call: &Call<'_>, reading: &Reading<'_>, status: Option<Status>,
) -> Result<Option<(OrganisationId, Option<AgentStatus>)>, Failure> {
    let status = match status.map(to_wire::stored_status) {
        Some(None) => return Ok(None),
        Some(stored) => stored,
        None => None,
    };
    let organisation = view::organisation_by_slug(reading, call.tenant(), &call.argument)?;
    Ok(organisation.map(|organisation| (organisation.id, status)))
}

fn find(call: &Call<'_>, reading: &Reading<'_>, id: AgentId) -> Result<AgentView, Failure> {
    Ok(view::agent(reading, call.tenant(), id)?.ok_or(NO_AGENT)?)
}

fn certificate_of(call: &Call<'_>, reading: &Reading<'_>, agent: &AgentView) -> Result<Certificate, Failure> {
    let found = view::certificate(reading, call.tenant(), agent.id)?;
    Ok(found.and_then(|found| to_wire::certificate(&found, agent.status)).ok_or(NO_CERTIFICATE)?)
}

/// The tenant's CA, which every tenant has from its beginning.
fn org_ca(call: &Call<'_>, reading: &Reading<'_>) -> Result<PublicKeyView, Failure> {
    Ok(view::org_ca(reading, call.tenant())?.ok_or(RowsError::Missing("the tenant's CA"))?)
}
