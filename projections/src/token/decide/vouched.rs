//! Access tokens for those whom an issuer vouches for: as the agent that a rule names, or, where none is named yet, as
//! themselves and for registering agents alone. The edge has verified what the issuer says.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::identity::AuthenticationFailed;
use chancery_ledger::body::token::{Grant, Profile, TokenIssued};
use chancery_ledger::ids::{IssuerRuleId, TokenId};

use super::exchange::{LIFE_SECS, expiry, signing_key};
use crate::command::{ExchangeToken, Voucher};
use crate::context::Context;
use crate::decision::{Decided, State, Stop};
use crate::identity::state::{Agent, ISSUER_RULES, IssuerRule, RULES_OF_AGENT, RULES_OF_REPOSITORY, repository_key};
use crate::rejection::Rejection;
use crate::rows::RowsError;

/// What whoever has no agent yet may do.
const BOOTSTRAP_SCOPE: &str = "agents:write";

/// Whether a rule lets in as an agent whom an issuer vouches for.
pub(super) fn is_let_in(state: &State<'_>, agent: &Agent, voucher: &Voucher) -> Result<bool, RowsError> {
    let rules = RULES_OF_AGENT.get(state.identity, agent.agent)?.unwrap_or_default();
    Ok(covering(state, &rules, voucher)?.is_some())
}

/// Lets in, for registering agents, whom an issuer vouches for and any rule of the tenant is about.
///
/// # Errors
/// [`Rejection::NoRuleMatches`], which is a fact.
pub(super) fn bootstrap(
    state: &State<'_>, command: &ExchangeToken, voucher: &Voucher, ctx: &mut Context<'_>,
) -> Result<Decided, Stop> {
    let repository = repository_key(&voucher.repository);
    let key = (ctx.tenant(), voucher.provider.as_str(), repository.as_str());
    let rules = RULES_OF_REPOSITORY.get(state.identity, key)?.unwrap_or_default();
    if covering(state, &rules, voucher)?.is_none() {
        return Ok(unknown(command, voucher, ctx));
    }
    let token: TokenId = ctx.id()?;
    let issued = TokenIssued {
        token,
        profile: Profile::Access,
        grant: Grant::Exchange,
        principal: voucher.principal(),
        agent: None,
        mission: None,
        execution: None,
        session: None,
        parent: None,
        root: token,
        depth: 0,
        replaces: None,
        audience: Vec::new(),
        scopes: vec![BOOTSTRAP_SCOPE.to_owned()],
        services: Vec::new(),
        terms: None,
        interval: None,
        accountability: None,
        expires: expiry(ctx.now(), LIFE_SECS),
        max_uses: None,
        hash: None,
        cnf: None,
        key: Some(signing_key(state, command.signer)?),
        signature: None,
        snapshot: None,
    };
    Ok(Decided::facts(ctx.tenant(), vec![issued.into()]))
}

/// The refusal of whom no rule lets in.
pub(super) fn unknown(command: &ExchangeToken, voucher: &Voucher, ctx: &Context<'_>) -> Decided {
    let fact = AuthenticationFailed {
        mount: command.via.name().to_owned(),
        claimed: super::exchange::harmless(&command.client).map(str::to_owned),
        principal: Some(voucher.principal()),
        why: "no_rule".to_owned(),
        count: 1,
    };
    Decided::refused(ctx.tenant(), vec![fact.into()], Rejection::NoRuleMatches)
}

fn covering(state: &State<'_>, rules: &[IssuerRuleId], voucher: &Voucher) -> Result<Option<IssuerRule>, RowsError> {
    for id in rules {
        let rule = ISSUER_RULES.get(state.identity, *id)?.ok_or(RowsError::Missing("a rule"))?;
        let is_about = rule.provider == voucher.provider
            && repository_key(&rule.repository) == repository_key(&voucher.repository)
            && rule.covers(voucher.branch.as_deref());
        if is_about {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

impl Voucher {
    /// Whoever the issuer vouches for, as events name them.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::Subject(format!("{}\n{}", self.iss, self.subject))
    }
}
