//! Challenges: proof that an agent holds its key (contracts/orgkernel.md section 5).

use chancery_ledger::body::identity::{ChallengeAnswered, ChallengeIssued};
use chancery_ledger::ids::AgentId;

use super::agent;
use crate::b64u;
use crate::check::check_len;
use crate::command::{AnswerChallenge, IssueChallenge};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{AGENTS, CHALLENGES, Challenge};
use crate::rejection::Rejection;

/// Decides [`IssueChallenge`]. An agent that is suspended or gone can be asked too; only the answer will not count.
///
/// # Errors
/// [`Rejection::NotFound`], [`Rejection::Invalid`].
pub fn issue(state: &State<'_>, command: &IssueChallenge, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check_len("issued_by", &command.issued_by, 1, 64)?;
    if !(1..=3600).contains(&command.ttl_secs) {
        return Err(Rejection::Invalid { field: "ttl_secs", why: "must be 1 to 3600".into() }.into());
    }
    let nonce = match &command.nonce {
        Some(nonce) => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'=' | b'-');
            if !(16..=64).contains(&nonce.len()) || !nonce.bytes().all(allowed) {
                let why = "must have 16 to 64 of A-Z, a-z, 0-9, _, = and -".into();
                return Err(Rejection::Invalid { field: "nonce", why }.into());
            }
            nonce.clone()
        }
        None => b64u::render(&ctx.random::<32>()?),
    };
    let about = agent::find(state, ctx.tenant(), command.agent)?;
    let event = ChallengeIssued {
        challenge: ctx.id()?,
        purpose: command.purpose,
        about: about.agent,
        nonce,
        issued_by: command.issued_by.clone(),
        expires: ctx.now().plus_secs(i64::from(command.ttl_secs)),
        tries: 1,
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// Decides [`AnswerChallenge`]. The first answer to a live challenge uses it up, right or wrong.
///
/// # Errors
/// [`Rejection::ChallengeDead`] when it is unknown, expired or answered: one and the same to the caller.
pub fn answer(state: &State<'_>, command: &AnswerChallenge, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    let challenge = CHALLENGES
        .get(state.identity, command.challenge)?
        .filter(|it| it.tenant == ctx.tenant() && it.answered.is_none() && ctx.now() <= it.expires)
        .ok_or(Rejection::ChallengeDead)?;
    let signature = hex::decode(&command.signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let why = fault(state, command, &challenge, signature.as_ref(), ctx)?;
    let event = ChallengeAnswered {
        challenge: challenge.challenge,
        about: challenge.about,
        passed: why.is_none(),
        why: why.map(str::to_owned),
        evidence: signature.map(|signature| signature.to_vec()),
    };
    Ok(Decided::facts(ctx.tenant(), vec![event.into()]))
}

/// What is wrong with an answer, in the order of contracts/orgkernel.md section 5.
fn fault(
    state: &State<'_>, command: &AnswerChallenge, challenge: &Challenge, signature: Option<&[u8; 64]>,
    ctx: &Context<'_>,
) -> Result<Option<&'static str>, Stop> {
    if command.agent != challenge.about {
        return Ok(Some("agent_mismatch"));
    }
    if command.nonce != challenge.nonce {
        return Ok(Some("nonce_mismatch"));
    }
    let Ok(public) = agent::parse_public("public_key", &command.public_key) else {
        return Ok(Some("signature_wrong"));
    };
    let Some(signature) = signature else { return Ok(Some("signature_wrong")) };
    if !public.verify(challenge.nonce.as_bytes(), signature) {
        return Ok(Some("signature_wrong"));
    }
    if command.certificate.is_some_and(|certificate: AgentId| certificate != command.agent) {
        return Ok(Some("certificate_mismatch"));
    }
    let Some(agent) = AGENTS.get(state.identity, command.agent)? else { return Ok(Some("key_mismatch")) };
    if agent.identity_key.as_ref().is_none_or(|key| key.public != public.as_bytes()) {
        return Ok(Some("key_mismatch"));
    }
    match agent::check_usable(state, &agent, ctx.now()) {
        Ok(()) => Ok(None),
        Err(Stop::Refused(_)) => Ok(Some(AGENT_NOT_USABLE)),
        Err(stop) => Err(stop),
    }
}

/// The one fault in which the signature does answer the challenge.
pub const AGENT_NOT_USABLE: &str = "agent_not_usable";
