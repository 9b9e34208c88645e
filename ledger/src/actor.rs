//! Who asked: the principal of an event and how it authenticated.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::ids::{AgentId, ClientId, CredentialId, ExecutionId, MemberId, Subject, TenantId, ThingId};

/// Who acted.
///
/// In JSON it is `{"kind": …, "id": …}`; in a stored body its [code](Self::code), then its id or text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Principal {
    /// The daemon itself: its first start, its ticker, its process managers.
    System,
    /// Nobody who proved an identity.
    Anonymous,
    /// A key that stands for a tenant as a whole.
    Tenant(TenantId),
    /// A person.
    Member(MemberId),
    /// An agent, by its own key or secret.
    Agent(AgentId),
    /// An OAuth client that is no agent.
    Client(ClientId),
    /// A running execution, by its workload session.
    Execution(ExecutionId),
    /// Somebody a trusted issuer vouches for: its `iss` and `sub`, separated by a line feed.
    Subject(String),
}

impl Principal {
    /// The byte that stands for this kind of principal in a header (`docs/format.md`, "Actor").
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::System => 0,
            Self::Anonymous => 1,
            Self::Tenant(_) => 2,
            Self::Member(_) => 3,
            Self::Agent(_) => 4,
            Self::Client(_) => 5,
            Self::Execution(_) => 6,
            Self::Subject(_) => 7,
        }
    }

    /// The principal as a thing that events can concern; `None` for one without an id.
    #[must_use]
    pub fn thing(&self) -> Option<Subject> {
        match self {
            Self::System | Self::Anonymous | Self::Subject(_) => None,
            Self::Tenant(id) => Some(id.subject()),
            Self::Member(id) => Some(id.subject()),
            Self::Agent(id) => Some(id.subject()),
            Self::Client(id) => Some(id.subject()),
            Self::Execution(id) => Some(id.subject()),
        }
    }

    /// The principal's id; nil for one that has none.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::System | Self::Anonymous | Self::Subject(_) => Uuid::nil(),
            Self::Tenant(id) => id.uuid(),
            Self::Member(id) => id.uuid(),
            Self::Agent(id) => id.uuid(),
            Self::Client(id) => id.uuid(),
            Self::Execution(id) => id.uuid(),
        }
    }

    /// The text a principal has instead of an id; empty for all but [`Principal::Subject`].
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Subject(text) => text,
            _ => "",
        }
    }

    /// Whether code, id and text of a header stand for a principal.
    #[must_use]
    pub fn has_shape(code: u8, id: Uuid, text: &str) -> bool {
        match code {
            0 | 1 => id.is_nil() && text.is_empty(),
            2..=6 => text.is_empty(),
            7 => id.is_nil(),
            _ => false,
        }
    }

    /// The principal that code, id and text of a header stand for; `None` when no principal [has that
    /// shape](Self::has_shape).
    #[must_use]
    pub fn from_parts(code: u8, id: Uuid, text: &str) -> Option<Self> {
        let principal = match code {
            0 => Self::System,
            1 => Self::Anonymous,
            2 => Self::Tenant(TenantId(id)),
            3 => Self::Member(MemberId(id)),
            4 => Self::Agent(AgentId(id)),
            5 => Self::Client(ClientId(id)),
            6 => Self::Execution(ExecutionId(id)),
            7 => Self::Subject(text.to_owned()),
            _ => return None,
        };
        Self::has_shape(code, id, text).then_some(principal)
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            InJson::serialize(self, serializer)
        } else {
            InBody::serialize(self, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            InJson::deserialize(deserializer)
        } else {
            InBody::deserialize(deserializer)
        }
    }
}

/// The two spellings of a principal. bincode has no names, so it cannot read the one that JSON has.
macro_rules! spellings {
    ($($(#[$attribute:meta])* $name:ident;)*) => {$(
        #[derive(Serialize, Deserialize)]
        $(#[$attribute])*
        #[serde(remote = "Principal", rename_all = "snake_case")]
        enum $name {
            System,
            Anonymous,
            Tenant(TenantId),
            Member(MemberId),
            Agent(AgentId),
            Client(ClientId),
            Execution(ExecutionId),
            Subject(String),
        }
    )*};
}

spellings! {
    #[serde(tag = "kind", content = "id")]
    InJson;
    InBody;
}

/// How the principal proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Method {
    /// It did not, or did not need to.
    None = 0,
    /// A bearer API key.
    ApiKey = 1,
    /// A client secret.
    ClientSecret = 2,
    /// A signed token: access token, session, or an issuer's JWT.
    Token = 3,
    /// A signature with the agent's own key.
    Signature = 4,
}

impl Method {
    /// The method a header's byte stands for.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::ApiKey),
            2 => Some(Self::ClientSecret),
            3 => Some(Self::Token),
            4 => Some(Self::Signature),
            _ => None,
        }
    }
}

/// Who asked for an event, and by what right.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// Who acted.
    pub principal: Principal,
    /// How it authenticated.
    pub method: Method,
    /// With which credential.
    pub credential: Option<CredentialId>,
    /// The tenant a principal of the root tenant entered to act in it.
    pub acting_in: Option<TenantId>,
}

impl Actor {
    /// The daemon itself.
    #[must_use]
    pub const fn system() -> Self {
        Self { principal: Principal::System, method: Method::None, credential: None, acting_in: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_principal_is_tagged_in_json_and_an_index_in_bodies() {
        let id = crate::ids::uuid_v7(1_767_323_045_678, [7; 10]);
        let principals = [
            Principal::System,
            Principal::Anonymous,
            Principal::Tenant(TenantId(id)),
            Principal::Member(MemberId(id)),
            Principal::Agent(AgentId(id)),
            Principal::Client(ClientId(id)),
            Principal::Execution(ExecutionId(id)),
            Principal::Subject("https://issuer.example\nada".to_owned()),
        ];
        for principal in principals {
            let body = codec::encode(&principal).unwrap();
            assert_eq!(body[0], principal.code(), "{principal:?}");
            assert_eq!(codec::decode::<Principal>(&body).unwrap(), principal);
            let json = serde_json::to_string(&principal).unwrap();
            assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), principal);
        }
        let member = serde_json::to_value(Principal::Member(MemberId(id))).unwrap();
        assert_eq!(member, serde_json::json!({ "kind": "member", "id": id.to_string() }));
        assert_eq!(codec::encode(&Principal::Member(MemberId(id))).unwrap().len(), 17);
    }
}
