//! What a command answers with: its receipt, and the thing as it left it. The answer is made from what was decided, so
//! it waits for no view; what depends on other things too (may the agent act? how many agents are there?) is in the
//! views, which by then reflect the command.

use std::collections::BTreeMap;

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::body::execution::{AuditLayer, ExternalKey, MissionEnd, MissionTerms};
use chancery_ledger::body::field::{JsonText, Signature};
use chancery_ledger::body::identity::{
    AgentPersonal, ChallengePurpose, CredentialKind, Disclosure, EndCause, Environment, Handle, Visibility,
};
use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::body::token::{Bound, Profile, TokenTerms};
use chancery_ledger::ids::{
    AgentId, AuditChainId, AuditEntryId, ChallengeId, CredentialId, KeyId, MissionId, OrganisationId, Seq, TenantId,
    TokenId, TreeSize,
};
use chancery_ledger::link::Hash;
use chancery_ledger::shred::Encrypted;
use chancery_ledger::time::Micros;
use chancery_projections::context::{ContextError, Opener};
use chancery_projections::execution::state::{AuditChain, AuditEntry, Mission, MissionState};
use chancery_projections::identity::state::{
    Agent, AgentStatus, Certificate, Challenge, Credential, Organisation, Standing, Tenant,
};
use chancery_projections::output::{Output, ShownOnce};
use chancery_projections::sequencer::{Receipt, Recorded};
use chancery_projections::token::state::Token;
use chancery_projections::view::Hex;
use schemars::JsonSchema;
use serde::Serialize;

/// What an accepted command is answered with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CommandAnswer {
    /// What was recorded.
    pub receipt: ReceiptView,
    /// The thing as the command left it.
    pub result: CommandResult,
}

/// What was recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceiptView {
    /// The events, in order; none when nothing had to change.
    pub events: Vec<RecordedView>,
    /// The size of the log that their commit's seal signs.
    pub size: TreeSize,
    /// Whether this is the answer to an earlier command under the same idempotency key. The thing is then as it is
    /// today, and what was shown once is gone.
    pub replayed: bool,
    /// When asked for: the `tlog-proof` of each event against its commit's seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proofs: Option<Vec<String>>,
}

/// A recorded event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordedView {
    /// Its position.
    pub seq: Seq,
    /// When it was decided.
    pub time: Micros,
    /// What happened.
    pub kind: &'static str,
    /// Its hash.
    pub hash: Hash,
}

impl From<&Recorded> for RecordedView {
    fn from(event: &Recorded) -> Self {
        Self { seq: event.seq, time: event.time, kind: event.kind.name(), hash: event.hash }
    }
}

impl ReceiptView {
    /// The receipt as it is shown.
    #[must_use]
    pub fn of(receipt: &Receipt, proofs: Option<Vec<String>>) -> Self {
        let events = receipt.events.iter().map(RecordedView::from).collect();
        Self { events, size: receipt.size, replayed: receipt.replayed, proofs }
    }
}

macro_rules! results {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty,)*) => {
        /// The thing as a command left it, under the name of its kind.
        #[derive(Debug, Default, Serialize, JsonSchema)]
        pub struct CommandResult {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)*
        }
    };
}

results! {
    /// A tenant.
    tenant: TenantResult,
    /// An organisation.
    organisation: OrganisationResult,
    /// An agent.
    agent: AgentResult,
    /// A certificate.
    certificate: CertificateResult,
    /// A challenge.
    challenge: ChallengeResult,
    /// What an answer to a challenge proved.
    verdict: VerdictResult,
    /// A credential.
    credential: CredentialResult,
    /// A token.
    token: TokenResult,
    /// What a scope check found.
    scope_check: ScopeCheckResult,
    /// A mission.
    mission: MissionResult,
    /// An audit chain.
    audit_chain: AuditChainResult,
    /// An audit entry.
    audit_entry: AuditEntryResult,
    /// The sealing key that was put in place.
    sealing_key: KeyResult,
    /// Secrets, by name, shown this once; `null` when the command is a replay.
    shown_once: BTreeMap<&'static str, Option<String>>,
}

/// A tenant.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TenantResult {
    /// Its id.
    pub id: TenantId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its quotas.
    pub limits: BTreeMap<String, u64>,
    /// Where it stands.
    pub standing: Standing,
    /// Its default organisation.
    pub default_organisation: Option<OrganisationId>,
    /// Since when.
    pub created: Micros,
}

/// An organisation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrganisationResult {
    /// Its id.
    pub id: OrganisationId,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub standing: Standing,
    /// Since when.
    pub created: Micros,
}

/// An agent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AgentResult {
    /// Its id.
    pub id: AgentId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its name.
    pub name: String,
    /// Names it holds alone.
    pub handles: Vec<Handle>,
    /// What sort of agent it is.
    pub kind: Option<String>,
    /// Its version, as its maker counts.
    pub semver: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Where it runs.
    pub environment: Environment,
    /// When it stops being usable.
    pub valid_until: Option<Micros>,
    /// Who may use it.
    pub visibility: Visibility,
    /// Who may read its public profile.
    pub disclosure: Disclosure,
    /// What of it can concern a person; `null` when erased.
    pub profile: Option<AgentPersonal>,
    /// The public part of its identity key.
    pub public_key: Option<Hex>,
    /// Its stored status.
    pub status: AgentStatus,
    /// In which words it ended, if it did.
    pub end: Option<EndCause>,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// A certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CertificateResult {
    /// Its certified key.
    pub key: KeyId,
    /// The CA's key.
    pub ca_key: KeyId,
    /// The name certified.
    pub agent_name: String,
    /// The organisation certified.
    pub organisation_slug: String,
    /// From when.
    pub issued: Micros,
    /// Until when.
    pub valid_until: Option<Micros>,
    /// The CA's signature.
    pub signature: Signature,
}

/// A challenge.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChallengeResult {
    /// Its id.
    pub id: ChallengeId,
    /// What the answer proves.
    pub purpose: ChallengePurpose,
    /// Who is to answer.
    pub about: AgentId,
    /// What is to be signed: the bytes of this text.
    pub nonce: String,
    /// Since when.
    pub created: Micros,
    /// The last instant at which an answer counts.
    pub expires: Micros,
}

/// What an answer to a challenge proved.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerdictResult {
    /// The signature answers the challenge.
    pub passed: bool,
    /// The certificate is the agent's, and the agent is usable.
    pub certificate_valid: bool,
    /// Why not, if not.
    pub why: Option<String>,
    /// When it was checked.
    pub at: Micros,
}

/// A credential; never its secret, nor a hash of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CredentialResult {
    /// Its id.
    pub id: CredentialId,
    /// Whom it lets in.
    pub principal: Principal,
    /// Which sort of secret.
    pub kind: CredentialKind,
    /// Its name.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Which mounts it opens.
    pub audience: Vec<String>,
    /// When it lapses.
    pub expires: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// Since when.
    pub created: Micros,
}

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenResult {
    /// Its id.
    pub id: TokenId,
    /// Its sort.
    pub profile: Profile,
    /// Its agent.
    pub agent: Option<AgentId>,
    /// Its mission.
    pub mission: Option<MissionId>,
    /// What it allows, in the order asked.
    pub scopes: Vec<String>,
    /// Parameters that must be exactly these; `null` when erased.
    pub immutable: Option<JsonText>,
    /// Parameters that must lie within these; `null` when erased.
    pub bounds: Option<Vec<Bound>>,
    /// The caller's name for these limits.
    pub snapshot: Option<String>,
    /// Since when.
    pub issued: Micros,
    /// The last instant at which it is live.
    pub expires: Micros,
    /// Whether it was marked used.
    pub used: bool,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// The key that signed it.
    pub key: Option<KeyId>,
    /// Its signature.
    pub signature: Option<Signature>,
}

/// What a scope check found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScopeCheckResult {
    /// Whether it passed.
    pub passed: bool,
    /// Why not, in the order of checking.
    pub violations: Vec<String>,
}

/// A mission.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MissionResult {
    /// Its id.
    pub id: MissionId,
    /// The agent it is for.
    pub agent: Option<AgentId>,
    /// The caller's own name for it.
    pub key: Option<ExternalKey>,
    /// What is to be done; `null` when nobody said, or it was erased.
    pub intent: Option<String>,
    /// Which services it may use.
    pub services: Vec<String>,
    /// Its caps.
    pub limits: BTreeMap<String, u64>,
    /// Where it stands.
    pub state: MissionState,
    /// Since when.
    pub opened: Micros,
    /// When it ended.
    pub ended: Option<Micros>,
    /// What came out; `null` when nobody said, or it was erased.
    pub output: Option<String>,
    /// Why it was called off, likewise.
    pub notes: Option<String>,
}

/// An audit chain.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditChainResult {
    /// Its id.
    pub id: AuditChainId,
    /// Its mission.
    pub mission: MissionId,
    /// The agent, in the caller's words.
    pub agent_text: String,
    /// The mission, in the caller's words.
    pub mission_text: String,
    /// Since when.
    pub opened: Micros,
    /// When it was closed.
    pub closed: Option<Micros>,
    /// How many entries it has.
    pub entries: u64,
    /// SHA-256 of the last.
    pub head: Hash,
}

/// An audit entry.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditEntryResult {
    /// Its id.
    pub id: AuditEntryId,
    /// Its chain.
    pub chain: AuditChainId,
    /// Its place, from 0 without gaps.
    pub sequence: u64,
    /// Its layer.
    pub layer: AuditLayer,
    /// What is recorded.
    pub event: String,
    /// When.
    pub at: Micros,
    /// SHA-256 of the entry before.
    pub prev: Hash,
    /// SHA-256 of this entry.
    pub entry_hash: Hash,
}

/// A public key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyResult {
    /// Its id.
    pub id: KeyId,
    /// What it signs.
    pub purpose: Purpose,
    /// How.
    pub algorithm: Algorithm,
    /// Its public part.
    pub public: Hex,
}

/// The result that an output stands for.
///
/// # Errors
/// [`ContextError`] when an encrypted field cannot be opened.
pub fn render(output: Output, opener: &Opener<'_>) -> Result<CommandResult, ContextError> {
    let none = CommandResult::default();
    Ok(match output {
        Output::Done => none,
        Output::Tenant { tenant: row, api_key } => CommandResult {
            // Only a new tenant comes with a key; a change of an old one shows nothing.
            shown_once: api_key.is_some().then(|| shown("api_key", api_key)),
            tenant: Some(tenant(row)),
            ..none
        },
        Output::Organisation(row) => CommandResult { organisation: Some(organisation(row)), ..none },
        Output::Registered(registered) => {
            let pem = registered.private_key_pem;
            CommandResult {
                agent: Some(agent(registered.agent, opener)?),
                certificate: registered.certificate.map(certificate),
                // An agent that brought its key, or has none, has nothing to be shown.
                shown_once: pem.is_some().then(|| shown("private_key_pem", pem)),
                ..none
            }
        }
        Output::Agent(row) => CommandResult { agent: Some(agent(*row, opener)?), ..none },
        Output::Challenge(row) => CommandResult { challenge: Some(challenge(row)), ..none },
        Output::ChallengeAnswered(verdict) => CommandResult {
            verdict: Some(VerdictResult {
                passed: verdict.passed,
                certificate_valid: verdict.certificate_valid,
                why: verdict.why,
                at: verdict.at,
            }),
            ..none
        },
        Output::ApiKey { credential: row, secret } => {
            CommandResult { credential: Some(credential(row)), shown_once: Some(shown("api_key", secret)), ..none }
        }
        Output::Credential(row) => CommandResult { credential: Some(credential(row)), ..none },
        Output::Token(row) => CommandResult { token: Some(token(*row, opener)?), ..none },
        Output::ScopeCheck { passed, violations } => {
            CommandResult { scope_check: Some(ScopeCheckResult { passed, violations }), ..none }
        }
        Output::Mission(row) => CommandResult { mission: Some(mission(row, opener)?), ..none },
        Output::AuditChain(row) | Output::AuditChainClosed(row) => {
            CommandResult { audit_chain: Some(audit_chain(row)), ..none }
        }
        Output::AuditEntry { entry } => CommandResult { audit_entry: Some(audit_entry(entry)), ..none },
        Output::SigningKey(row) => CommandResult {
            sealing_key: Some(KeyResult {
                id: row.key,
                purpose: row.purpose,
                algorithm: row.algorithm,
                public: Hex(row.public),
            }),
            ..none
        },
    })
}

fn shown(name: &'static str, secret: ShownOnce) -> BTreeMap<&'static str, Option<String>> {
    BTreeMap::from([(name, secret.map(|secret| secret.to_string()))])
}

fn tenant(row: Tenant) -> TenantResult {
    TenantResult {
        id: row.tenant,
        slug: row.slug,
        name: row.name,
        tier: row.tier,
        limits: row.limits,
        standing: row.standing,
        default_organisation: row.default_organisation,
        created: row.created,
    }
}

fn organisation(row: Organisation) -> OrganisationResult {
    OrganisationResult {
        id: row.organisation,
        slug: row.slug,
        name: row.name,
        standing: row.standing,
        created: row.created,
    }
}

fn agent(row: Agent, opener: &Opener<'_>) -> Result<AgentResult, ContextError> {
    let written_by = if row.personal_updated { Kind::AgentUpdated } else { Kind::AgentRegistered };
    Ok(AgentResult {
        profile: opener.open(row.tenant, written_by, "personal", &row.personal)?,
        id: row.agent,
        organisation: row.organisation,
        name: row.name,
        handles: row.handles,
        kind: row.kind,
        semver: row.semver,
        capabilities: row.capabilities,
        environment: row.environment,
        valid_until: row.valid_until,
        visibility: row.visibility,
        disclosure: row.disclosure,
        public_key: row.identity_key.map(|key| Hex(key.public)),
        status: row.status,
        end: row.end.map(|end| end.cause),
        created: row.created,
        updated: row.updated,
    })
}

fn certificate(row: Certificate) -> CertificateResult {
    CertificateResult {
        key: row.key,
        ca_key: row.ca_key,
        agent_name: row.agent_name,
        organisation_slug: row.organisation_slug,
        issued: row.issued,
        valid_until: row.valid_until,
        signature: row.signature,
    }
}

fn challenge(row: Challenge) -> ChallengeResult {
    ChallengeResult {
        id: row.challenge,
        purpose: row.purpose,
        about: row.about,
        nonce: row.nonce,
        created: row.created,
        expires: row.expires,
    }
}

fn credential(row: Credential) -> CredentialResult {
    CredentialResult {
        id: row.credential,
        principal: row.principal,
        kind: row.kind,
        name: row.name,
        scopes: row.scopes,
        audience: row.audience,
        expires: row.expires,
        revoked: row.revoked,
        created: row.created,
    }
}

fn token(row: Token, opener: &Opener<'_>) -> Result<TokenResult, ContextError> {
    let terms: Option<TokenTerms> = open(row.terms.as_ref(), opener, row.tenant, Kind::TokenIssued, "terms")?;
    let (immutable, bounds) = terms.map_or((None, None), |terms| (Some(terms.immutable), Some(terms.bounds)));
    Ok(TokenResult {
        id: row.token,
        profile: row.profile,
        agent: row.agent,
        mission: row.mission,
        scopes: row.scopes,
        immutable,
        bounds,
        snapshot: row.snapshot,
        issued: row.issued,
        expires: row.expires,
        used: row.used,
        revoked: row.revoked.map(|revoked| revoked.at),
        key: row.key,
        signature: row.signature,
    })
}

fn mission(row: Mission, opener: &Opener<'_>) -> Result<MissionResult, ContextError> {
    let terms: Option<MissionTerms> = open(row.terms.as_ref(), opener, row.tenant, Kind::MissionOpened, "terms")?;
    let ended_by = match row.state {
        MissionState::Open | MissionState::Completed => Kind::MissionCompleted,
        MissionState::Revoked => Kind::MissionRevoked,
    };
    let end: Option<MissionEnd> = open(row.end.as_ref(), opener, row.tenant, ended_by, "end")?;
    let end = end.unwrap_or_default();
    Ok(MissionResult {
        id: row.mission,
        agent: row.agent,
        key: row.key,
        intent: terms.and_then(|terms| terms.intent),
        services: row.services,
        limits: row.limits,
        state: row.state,
        opened: row.opened,
        ended: row.ended,
        output: end.output,
        notes: end.notes,
    })
}

fn open<T: serde::de::DeserializeOwned>(
    value: Option<&Encrypted>, opener: &Opener<'_>, tenant: TenantId, kind: Kind, field: &str,
) -> Result<Option<T>, ContextError> {
    value.map_or(Ok(None), |value| opener.open(tenant, kind, field, value))
}

fn audit_chain(row: AuditChain) -> AuditChainResult {
    AuditChainResult {
        id: row.chain,
        mission: row.mission,
        agent_text: row.agent_text,
        mission_text: row.mission_text,
        opened: row.opened,
        closed: row.closed,
        entries: row.entries,
        head: row.head,
    }
}

fn audit_entry(row: AuditEntry) -> AuditEntryResult {
    AuditEntryResult {
        id: row.entry,
        chain: row.chain,
        sequence: row.sequence,
        layer: row.layer,
        event: row.event,
        at: row.at,
        prev: row.prev,
        entry_hash: row.entry_hash,
    }
}
