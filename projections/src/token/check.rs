//! Whether a token permits a use: decided when it is asked, and asked again of a past moment, under other rules.

use chancery_ledger::body::Kind;
use chancery_ledger::body::token::{Bound, Profile, TokenTerms};
use chancery_ledger::ids::AgentId;
use chancery_ledger::keys::PublicKey;
use chancery_ledger::time::Micros;

use super::scope::{self, Terms};
use super::state::Token;
use crate::context::Opener;
use crate::decision::{State, Stop};
use crate::execution::decide::mission_ref;
use crate::execution::state::MissionState;
use crate::identity::decide::agent;
use crate::identity::state::ORG_CAS;
use crate::json::{Json, Members};
use crate::lane::orgkernel;
use crate::lane::orgkernel::token_preimage::TokenPreimage;
use crate::trust::scope_rules::ScopeRules;

/// What is said of a token that cannot be used at all.
pub const DEAD: &str = "token_invalid_or_expired";
/// What is said when whoever would use a token is not whom it is bound to.
pub const MISMATCH: &str = "agent_mismatch";

/// A use of a token.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// Which token.
    pub token: &'a Token,
    /// Which tool.
    pub tool: &'a str,
    /// With which parameters.
    pub params: &'a Members,
    /// Who would use it, in the caller's words, if it says so.
    pub claimed: Option<&'a str>,
}

impl Use<'_> {
    /// Everything that speaks against it at a time, in the order of contracts/orgkernel.md section 6, and then what the
    /// tenant's rules refuse; empty if nothing does.
    ///
    /// # Errors
    /// [`Stop::Rows`] and [`Stop::Context`] when views or keys cannot be read.
    pub fn violations(
        &self, state: &State<'_>, opener: &Opener<'_>, now: Micros, rules: Option<&ScopeRules>,
    ) -> Result<Vec<String>, Stop> {
        let dead = || vec![DEAD.to_owned()];
        if !self.is_live(state, opener, now)? {
            return Ok(dead());
        }
        if let Some(id) = self.token.agent {
            let agent = agent::find(state, self.token.tenant, id)?;
            match agent::check_usable(state, &agent, now) {
                Ok(()) => {}
                Err(Stop::Refused(_)) => return Ok(vec!["agent_not_active".to_owned()]),
                Err(stop) => return Err(stop),
            }
            let claimed = self.claimed.map(|text| text.parse::<AgentId>().ok());
            if claimed.is_some_and(|claimed| claimed != Some(id)) {
                return Ok(vec![format!("{MISMATCH}: the token is another agent's")]);
            }
        }
        let Some(terms) = terms(self.token, opener)? else { return Ok(dead()) };
        let Ok(immutable) = Json::parse_members(terms.immutable.as_str()) else { return Ok(dead()) };
        let bounds: Vec<scope::Bound<'_>> = terms.bounds.iter().map(scope::Bound::of).collect();
        let terms = Terms { tools: &self.token.scopes, immutable: &immutable, bounds: &bounds };
        let mut violations = terms.violations(self.tool, self.params);
        violations.extend(rules.map(|rules| rules.violations(self.tool, self.params)).unwrap_or_default());
        Ok(violations)
    }

    /// Whether the token can be used as far as token, mission and signature go.
    fn is_live(&self, state: &State<'_>, opener: &Opener<'_>, now: Micros) -> Result<bool, Stop> {
        if !self.token.is_live(now) {
            return Ok(false);
        }
        if let Some(mission) = self.token.mission
            && mission_ref::find(state, self.token.tenant, mission)?.state != MissionState::Open
        {
            return Ok(false);
        }
        signature_holds(state, self.token, opener)
    }
}

/// Whether the stored token is the one that the tenant's CA signed: no field was grafted from another.
fn signature_holds(state: &State<'_>, token: &Token, opener: &Opener<'_>) -> Result<bool, Stop> {
    let (Some(agent), Some(mission), Some(signature)) = (token.agent, token.mission, token.signature) else {
        return Ok(token.profile != Profile::Execution);
    };
    let Some(terms) = terms(token, opener)? else { return Ok(false) };
    let Ok(immutable) = Json::parse_members(terms.immutable.as_str()) else { return Ok(false) };
    let bounds: Vec<scope::Bound<'_>> = terms.bounds.iter().map(scope::Bound::of).collect();
    let mission = mission_ref::find(state, token.tenant, mission)?;
    let preimage = TokenPreimage {
        token_id: &orgkernel::ids::render_token(token.token),
        agent_id: &orgkernel::ids::render_agent(agent),
        mission_id: &orgkernel::ids::mission_text(&mission),
        execution_scope: &token.scopes,
        immutable_params: &immutable,
        bounded_params: &bounds,
        issued_at: token.issued,
        expires_at: token.expires,
        boundary_snapshot_id: token.snapshot.as_deref(),
    }
    .canonical();
    let ca = ORG_CAS.get(state.identity, token.tenant)?.and_then(|ca| PublicKey::from_slice(&ca.public));
    Ok(ca.is_some_and(|ca| ca.verify(preimage.as_bytes(), &signature.0)))
}

/// A token's terms; `None` when they were erased, and then nothing is allowed.
fn terms(token: &Token, opener: &Opener<'_>) -> Result<Option<TokenTerms>, Stop> {
    match &token.terms {
        Some(terms) => Ok(opener.open(token.tenant, Kind::TokenIssued, "terms", terms)?),
        None => Ok(None),
    }
}

impl<'a> scope::Bound<'a> {
    /// As it stands in an event.
    #[must_use]
    pub fn of(bound: &'a Bound) -> Self {
        Self { name: &bound.name, lower: bound.lower, upper: bound.upper, unit: bound.unit.as_deref() }
    }
}
