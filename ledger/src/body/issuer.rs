//! Events of foreign trust: issuers whose tokens are believed, and rules that let their subjects in as agents (DOMAIN
//! sections 3.1 and 4).

use serde::{Deserialize, Serialize};

use super::field::Changes;
use super::{Facts, Subjects};
use crate::ids::{AgentId, IssuerId, IssuerRuleId};
use crate::time::Micros;

/// A tenant believes what an issuer's tokens say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerTrusted {
    /// The issuer.
    pub issuer: IssuerId,
    /// Its name for people.
    pub name: String,
    /// What its tokens say as `iss`.
    pub iss: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Of which organisations its tokens may be, in its own words; empty for any.
    pub organisations: Vec<String>,
    /// When it is believed no longer.
    pub expires: Option<Micros>,
}

/// What is known of an issuer changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerUpdated {
    /// The issuer.
    pub issuer: IssuerId,
    /// `name`, `jwks_uri`, `organisations`, `expires`, `suspended`.
    pub changes: Changes,
}

/// An issuer is believed no longer, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRemoved {
    /// The issuer.
    pub issuer: IssuerId,
}

/// Whoever an issuer vouches for by these claims may log in as an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRuleAdded {
    /// The rule.
    pub rule: IssuerRuleId,
    /// Which issuer, by the name of its sort: `github`.
    pub provider: String,
    /// The repository that the token must be of.
    pub repository: String,
    /// The branch that it must be of; any, if none is named.
    pub branch: Option<String>,
    /// As which agent.
    pub agent: AgentId,
}

/// A rule lets nobody in any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRuleRemoved {
    /// The rule.
    pub rule: IssuerRuleId,
    /// As which agent it let in.
    pub agent: AgentId,
}

macro_rules! concerns {
    ($($name:ident: $($field:ident),+;)*) => {$(
        impl Facts for $name {
            fn subjects(&self, into: &mut Subjects) {
                $(into.add(self.$field);)+
            }
        }
    )*};
}

concerns! {
    IssuerTrusted: issuer;
    IssuerUpdated: issuer;
    IssuerRemoved: issuer;
    IssuerRuleAdded: rule, agent;
    IssuerRuleRemoved: rule, agent;
}
