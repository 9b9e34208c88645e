//! Tokens and what is held against them.

use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::token::Bound;
use chancery_ledger::ids::{AgentId, KeyId, TokenId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::agent::Via;
use super::execution::MissionRef;

/// See [`super::Command::IssueToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueToken {
    /// For which agent.
    pub agent: AgentId,
    /// For which mission.
    pub mission: MissionRef,
    /// What it allows: 1 to 256 distinct texts of 1 to 128 characters.
    pub scopes: Vec<String>,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// Parameters that must be exactly these: a JSON object.
    #[serde(default = "JsonText::object")]
    pub immutable: JsonText,
    /// Parameters that must lie within these.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    /// The caller's name for these limits: up to 32 characters.
    #[serde(default)]
    pub snapshot: Option<String>,
}

/// See [`super::Command::ExchangeToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeToken {
    /// Who asks, as it says: an agent's id.
    pub client: String,
    /// How it proves that.
    pub proof: ClientProof,
    /// What the token is to allow: 1 to 32 scopes of access tokens, such as `agents:read`, each once.
    pub scopes: Vec<String>,
    /// Whom it is for, if not for this ledger's own API: absolute URIs, up to 8 (RFC 8707).
    #[serde(default)]
    pub audience: Vec<String>,
    /// SHA-256 thumbprint (RFC 7638) of the key that it is bound to, if it is bound to one.
    #[serde(default)]
    pub cnf: Option<Hash>,
    /// The token of which this is to be the exchange (RFC 8693), and whose right the new one is: with it, no scope stands
    /// for all of its scopes.
    #[serde(default)]
    pub subject: Option<SubjectToken>,
    /// What signs it; the API sets it.
    #[serde(skip, default = "eddsa")]
    pub signer: Purpose,
    /// Through which mount it was asked for.
    #[serde(skip)]
    pub via: Via,
}

fn eddsa() -> Purpose {
    Purpose::JwtEddsa
}

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientProof {
    /// By its secret.
    Secret(SecretText),
    /// By an assertion signed with its own key (RFC 7523), which the API has checked; nobody else can say so.
    #[serde(skip_deserializing)]
    Assertion {
        /// The key.
        key: KeyId,
    },
    /// By what an issuer says of it, which the API has verified.
    #[serde(skip)]
    Vouched(Voucher),
}

/// What an issuer says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// Which issuer, by the name of its sort.
    pub provider: String,
    /// Its own name.
    pub iss: String,
    /// Whom it vouches for, in its words.
    pub subject: String,
    /// Of which repository they are.
    pub repository: String,
    /// Of which branch.
    pub branch: Option<String>,
}

/// The token that an access token is exchanged for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubjectToken {
    /// A delegation to the client, by its text.
    Delegation(SecretText),
    /// An access token, whose text the API has verified; nobody else can say so.
    #[serde(skip)]
    Access(TokenId),
}

/// See [`super::Command::DelegateToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateToken {
    /// By which token: an access token of the agent that lends.
    pub parent: TokenId,
    /// To which agent.
    pub delegatee: AgentId,
    /// What it may do: 1 to 32 of the token's scopes, each once.
    pub scopes: Vec<String>,
    /// For how long: 60 to 86,400 seconds.
    pub ttl_secs: u64,
}

/// A secret as it comes in: overwritten when it is dropped, and shown by no trace.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(pub Zeroizing<String>);

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// See [`super::Command::UseToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseToken {
    /// Which.
    pub token: TokenId,
}

/// See [`super::Command::RevokeToken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeToken {
    /// Which.
    pub token: TokenId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::CheckScope`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckScope {
    /// Which token; one that does not exist is denied, not refused.
    pub token: TokenId,
    /// What is to be used: 1 to 128 characters.
    pub tool: String,
    /// With which parameters: a JSON object.
    #[serde(default = "JsonText::object")]
    pub params: JsonText,
    /// Who wants to use it, in the caller's words; compared with the token's agent when given.
    #[serde(default)]
    pub agent: Option<String>,
}
