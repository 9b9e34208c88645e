//! Access tokens for clients that prove who they are (OAuth 2.0 client credentials). In: a proof that the edge read, or
//! checked. Out: the token as a fact; its text is rendered from that, after the commit.
//!
//! Invariants: no token allows what its agent may not ask for; a proof that does not hold is a fact, durable before its
//! refusal is answered; no number of them locks anybody out.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::{AuthenticationFailed, CredentialKind};
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::token::{Grant, Profile, TokenIssued, TokenRefused};
use chancery_ledger::ids::{AgentId, KeyId, TenantId, TokenId};
use chancery_ledger::time::Micros;

use super::{delegate, vouched};
use crate::check::check_len;
use crate::command::{ClientProof, ExchangeToken};
use crate::context::Context;
use crate::credential::secret_hash;
use crate::decision::{Decided, State, Stop};
use crate::identity::decide::{agent, tenant};
use crate::identity::state::{
    AGENTS, Agent, AgentStatus, CREDENTIAL_HASHES, CREDENTIALS, GRANTS, SIGNING_KEYS, purpose_code,
};
use crate::rejection::Rejection;
use crate::rows::RowsError;
use crate::scope::AgentIdpScope;
use crate::tier::{self, TOKENS_PER_DAY, TOKENS_PER_MONTH};
use crate::token::usage::{self, Day};

/// How long an access token lives, in seconds (DOMAIN section 3.2).
pub const LIFE_SECS: i64 = 3600;
/// Most scopes of one access token.
const SCOPES_MAX: usize = 32;
/// Most parties an access token can be for.
const AUDIENCE_MAX: usize = 8;
/// Longest name of one, in characters.
const AUDIENCE_CHARS_MAX: usize = 255;
/// Longest claim of a client that is kept.
const CLAIM_CHARS_MAX: usize = 64;

/// Decides [`ExchangeToken`].
///
/// # Errors
/// In this order: [`Rejection::Invalid`], [`Rejection::ClientInvalid`], [`Rejection::AgentNotUsable`],
/// [`Rejection::ScopeUnknown`], [`Rejection::ScopeNotHeld`], [`Rejection::QuotaExhausted`]. All but the first are facts.
pub fn exchange(state: &State<'_>, command: &ExchangeToken, ctx: &mut Context<'_>) -> Result<Decided, Stop> {
    check(command)?;
    let tenant = ctx.tenant();
    if let ClientProof::Vouched(voucher) = &command.proof
        && command.client.is_empty()
    {
        return vouched::bootstrap(state, command, voucher, ctx);
    }
    let claimed: Option<AgentId> = command.client.parse().ok();
    let found = match claimed {
        Some(id) => AGENTS.get(state.identity, id)?.filter(|agent| agent.tenant == tenant),
        None => None,
    };
    if let (ClientProof::Vouched(voucher), agent) = (&command.proof, &found) {
        let is_let_in = match agent {
            Some(agent) => vouched::is_let_in(state, agent, voucher)?,
            None => false,
        };
        if !is_let_in {
            return Ok(vouched::unknown(command, voucher, ctx));
        }
    }
    let Some(agent) = found else {
        return Ok(failed(tenant, command, None, "unknown", Rejection::ClientInvalid));
    };
    if let Some(why) = proof_fails(state, &agent, &command.proof, ctx.now())? {
        return Ok(failed(tenant, command, Some(agent.agent), why, Rejection::ClientInvalid));
    }
    match agent::check_usable(state, &agent, ctx.now()) {
        Ok(()) => {}
        Err(Stop::Refused(Rejection::AgentNotUsable { why })) => {
            return Ok(failed(tenant, command, Some(agent.agent), why, Rejection::AgentNotUsable { why }));
        }
        Err(stop) => return Err(stop),
    }
    let refused = match &command.subject {
        // What another token allows is asked of that.
        Some(_) => None,
        None => scopes_refused(state, &agent, &command.scopes)?,
    };
    let refused = match refused {
        None => quota_refused(state, &agent, ctx.now())?,
        refused => refused,
    };
    match (refused, &command.subject) {
        (Some(why), _) => Ok(not_given(tenant, agent.agent, None, why)),
        (None, Some(subject)) => delegate::exchange(state, command, &agent, subject, ctx),
        (None, None) => Ok(Decided::facts(tenant, vec![issued(state, command, agent.agent, ctx)?])),
    }
}

/// The refusal of an access token to an agent, which is a fact.
pub(super) fn not_given(tenant: TenantId, agent: AgentId, parent: Option<TokenId>, why: Rejection) -> Decided {
    let (agent, code) = (Some(agent), why.code().to_owned());
    let fact = TokenRefused { profile: Profile::Access, agent, mission: None, parent, why: code };
    Decided::refused(tenant, vec![fact.into()], why)
}

/// Why a proof does not hold; `None` when it does. The look-up is by a hash of 256 random bits, so that its time tells
/// nothing of the secret.
fn proof_fails(
    state: &State<'_>, agent: &Agent, proof: &ClientProof, now: Micros,
) -> Result<Option<&'static str>, RowsError> {
    let digest = match proof {
        ClientProof::Secret(secret) => secret_hash(&secret.0),
        ClientProof::Assertion { key } => {
            let keys = [&agent.identity_key, &agent.did_key];
            let is_held = keys.into_iter().flatten().any(|held| held.key == *key);
            return Ok((!is_held).then_some("key_revoked"));
        }
        // A rule lets it in, which was looked at before.
        ClientProof::Vouched(_) => return Ok(None),
    };
    let Some(id) = CREDENTIAL_HASHES.get(state.identity, digest)? else { return Ok(Some("unknown")) };
    let credential = CREDENTIALS.get(state.identity, id)?.ok_or(RowsError::Missing("a credential"))?;
    // BLAKE3's own comparison takes the same time wherever two hashes differ.
    let is_its = credential.principal == Principal::Agent(agent.agent)
        && blake3::Hash::from(credential.hash.0) == blake3::Hash::from(digest.0);
    if !is_its || credential.kind != CredentialKind::ClientSecret {
        return Ok(Some("unknown"));
    }
    // Decommissioning revoked its secrets: who knows one is told what became of the agent, and gets nothing by it.
    let is_over = agent.status == AgentStatus::Decommissioned;
    Ok(credential.dead(now).filter(|_| !is_over))
}

/// Why the scopes asked for are not given: the first that there is not, else the first that the agent was not granted.
pub(super) fn scopes_refused(
    state: &State<'_>, agent: &Agent, scopes: &[String],
) -> Result<Option<Rejection>, RowsError> {
    let mut beyond = Vec::new();
    for text in scopes {
        match AgentIdpScope::find(text) {
            None => return Ok(Some(Rejection::ScopeUnknown { scope: text.clone() })),
            Some(scope) if !scope.is_core => beyond.push(text),
            Some(_) => {}
        }
    }
    if beyond.is_empty() {
        return Ok(None);
    }
    let granted = GRANTS.get(state.identity, agent.agent)?.map(|granted| granted.scopes).unwrap_or_default();
    let missing = beyond.into_iter().find(|text| !granted.contains(text));
    Ok(missing.map(|text| Rejection::ScopeNotHeld { scope: text.clone() }))
}

/// Why an agent is given no more tokens now: its tenant or its organisation has a quota, and it is used up.
fn quota_refused(state: &State<'_>, agent: &Agent, now: Micros) -> Result<Option<Rejection>, Stop> {
    let home = tenant::find(state, agent.tenant)?;
    let organisation = tenant::find_organisation(state, agent.tenant, agent.organisation)?;
    let quota = |of: &str| {
        let own = tier::quota(organisation.tier.as_deref().unwrap_or_default(), &organisation.limits, of);
        [tier::quota(&home.tier, &home.limits, of), own].into_iter().flatten().min()
    };
    if let Some(max) = quota(TOKENS_PER_MONTH)
        && usage::issued_in_month(state.token, agent.agent, now)? >= max
    {
        return Ok(Some(Rejection::QuotaExhausted { quota: "tokens a month", max }));
    }
    if let Some(max) = quota(TOKENS_PER_DAY)
        && usage::issued_on(state.token, agent.organisation, Day::of(now))? >= max
    {
        return Ok(Some(Rejection::QuotaExhausted { quota: "tokens a day", max }));
    }
    Ok(None)
}

fn issued(state: &State<'_>, command: &ExchangeToken, agent: AgentId, ctx: &mut Context<'_>) -> Result<Body, Stop> {
    let key = signing_key(state, command.signer)?;
    let token: TokenId = ctx.id()?;
    let issued = TokenIssued {
        token,
        profile: Profile::Access,
        grant: if matches!(command.proof, ClientProof::Vouched(_)) { Grant::Exchange } else { Grant::Client },
        principal: Principal::Agent(agent),
        agent: Some(agent),
        mission: None,
        execution: None,
        session: None,
        parent: None,
        root: token,
        depth: 0,
        replaces: None,
        audience: command.audience.clone(),
        scopes: command.scopes.clone(),
        services: Vec::new(),
        terms: None,
        interval: None,
        accountability: None,
        expires: expiry(ctx.now(), LIFE_SECS),
        max_uses: None,
        hash: None,
        cnf: command.cnf,
        key: Some(key),
        signature: None,
        snapshot: None,
    };
    Ok(issued.into())
}

/// The key that access tokens are signed with.
///
/// # Errors
/// [`Rejection::NotConfigured`] when there is none.
pub(super) fn signing_key(state: &State<'_>, signer: Purpose) -> Result<KeyId, Stop> {
    let key = SIGNING_KEYS.get(state.identity, purpose_code(signer))?;
    Ok(key.ok_or(Rejection::NotConfigured { what: "key to sign tokens with" })?.key)
}

/// When a token ends that is issued now: at a whole second, since its text says it in seconds.
#[must_use]
pub const fn expiry(now: Micros, life_secs: i64) -> Micros {
    Micros((now.0.div_euclid(1_000_000) + life_secs) * 1_000_000)
}

fn failed(
    tenant: TenantId, command: &ExchangeToken, agent: Option<AgentId>, why: &str, rejection: Rejection,
) -> Decided {
    let fact = AuthenticationFailed {
        mount: command.via.name().to_owned(),
        claimed: harmless(&command.client).map(str::to_owned),
        principal: agent.map(Principal::Agent),
        why: why.to_owned(),
        count: 1,
    };
    Decided::refused(tenant, vec![fact.into()], rejection)
}

/// A client's claim of who it is, where nothing can be hidden in it.
#[must_use]
pub fn harmless(claim: &str) -> Option<&str> {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    ((1..=CLAIM_CHARS_MAX).contains(&claim.len()) && claim.bytes().all(is_harmless)).then_some(claim)
}

fn check(command: &ExchangeToken) -> Result<(), Rejection> {
    let distinct = |texts: &[String]| texts.iter().enumerate().all(|(at, text)| !texts[..at].contains(text));
    // What is derived from another token allows as much as that, if nothing is asked.
    let least = usize::from(command.subject.is_none());
    if !(least..=SCOPES_MAX).contains(&command.scopes.len()) || !distinct(&command.scopes) {
        let why = format!("must be 1 to {SCOPES_MAX} distinct texts");
        return Err(Rejection::Invalid { field: "scopes", why });
    }
    if command.audience.len() > AUDIENCE_MAX || !distinct(&command.audience) {
        let why = format!("must be at most {AUDIENCE_MAX} distinct texts");
        return Err(Rejection::Invalid { field: "audience", why });
    }
    command.audience.iter().try_for_each(|text| check_len("audience", text, 1, AUDIENCE_CHARS_MAX))
}
