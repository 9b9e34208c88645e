//! Tenants, organisations, API keys, the sealing key.

use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::ids::{CredentialId, TenantId};
use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`super::Command::CreateTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// 2 to 64 of `a-z0-9-`, starting with a letter; never reused.
    pub slug: String,
    /// Its name for people: 1 to 256 characters.
    pub name: String,
}

/// See [`super::Command::SuspendTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendTenant {
    /// Which.
    pub tenant: TenantId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::ResumeTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeTenant {
    /// Which.
    pub tenant: TenantId,
}

/// See [`super::Command::DeleteTenant`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteTenant {
    /// Which.
    pub tenant: TenantId,
    /// Why: up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
}

/// See [`super::Command::CreateOrganisation`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganisation {
    /// 2 to 64 of `a-z0-9-`, starting with a letter; unique in the tenant, never reused.
    pub slug: String,
    /// Its name for people: 1 to 256 characters.
    pub name: String,
}

/// See [`super::Command::CreateApiKey`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// Its name for people: 1 to 128 characters.
    pub name: String,
    /// What it allows; each must be held by the caller.
    pub scopes: Vec<String>,
    /// Which mounts it opens: `native`, or a dialect's name; at least one.
    #[serde(default = "native_only")]
    pub audience: Vec<String>,
    /// When it lapses; never, if absent.
    #[serde(default)]
    pub expires: Option<Micros>,
}

fn native_only() -> Vec<String> {
    vec!["native".to_owned()]
}

/// See [`super::Command::RevokeApiKey`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeApiKey {
    /// Which.
    pub credential: CredentialId,
    /// Why: up to 128 characters.
    #[serde(default = "requested")]
    pub cause: String,
}

fn requested() -> String {
    "requested".to_owned()
}

/// See [`super::Command::RotateSigningKey`]. The daemon makes the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKey {
    /// What the key signs: `seal`, `jwt_eddsa` or `jwt_rs256`.
    #[serde(default = "seal")]
    pub purpose: Purpose,
    /// The new key's public part, where its private part lies in the key directory; the API sets it.
    #[serde(skip)]
    pub public: Vec<u8>,
}

impl RotateSigningKey {
    /// Another sealing key, by its public part.
    #[must_use]
    pub fn seal(public: &[u8; 32]) -> Self {
        Self { purpose: Purpose::Seal, public: public.to_vec() }
    }
}

fn seal() -> Purpose {
    Purpose::Seal
}

/// See [`super::Command::ProvideTokenKey`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvideTokenKey {
    /// What the key signs: `jwt_eddsa` or `jwt_rs256`.
    pub purpose: Purpose,
    /// The public part of one whose private part lies in the key directory, if there is none yet.
    #[serde(skip)]
    pub public: Vec<u8>,
}

/// See [`super::Command::NoteAuthentication`]. Sent by the daemon alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteAuthentication {
    /// At which mount.
    pub mount: String,
    /// Whose credential it was, where that is known.
    pub credential: Option<CredentialId>,
    /// Why not: `unknown`, `revoked`, `expired`, `audience`, `tenant_suspended`.
    pub why: String,
    /// How many attempts.
    pub count: u32,
}
