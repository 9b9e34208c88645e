//! The closed set of native commands: what can be asked of a tenant. A dialect translates to these and adds nothing.
//!
//! In JSON a command is `{"command": "SuspendAgent", "params": {…}}`; `docs/` and `/openapi.json` show each schema.
//! Numbers in brackets are the commands' numbers in DOMAIN section 3.

mod administration;
mod agent;
mod delivery;
mod erasure;
mod execution;
mod issuer;
mod token;
mod trust;
mod witness;

use chancery_ledger::ids::{Subject, ThingId};
use serde::{Deserialize as _, Serialize};

pub use administration::*;
pub use agent::*;
pub use delivery::*;
pub use erasure::*;
pub use execution::*;
pub use issuer::*;
pub use token::*;
pub use trust::*;
pub use witness::*;

use crate::identity::state::AgentStatus;
use crate::scope::Scope;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident needs $scope:ident about $about:expr;)*) => {
        /// A native command.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "command", content = "params")]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        impl Command {
            /// The names of all commands.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// Whether only the daemon itself sends the command of that name.
            #[must_use]
            pub fn is_internal(name: &str) -> bool {
                match name {
                    $(stringify!($name) => matches!(Scope::$scope, Scope::Internal),)*
                    _ => false,
                }
            }

            /// The command's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Reads a command of that name from its parameters' JSON; `None` when there is no such command.
            ///
            /// # Errors
            /// serde_json's, when the parameters are not those of the command.
            #[must_use]
            pub fn parse(name: &str, params: &str) -> Option<Result<Self, serde_json::Error>> {
                let mut params = serde_json::Deserializer::from_str(params);
                let read = Self::read(name, &mut params)?;
                Some(read.and_then(|command| params.end().map(|()| command)))
            }

            /// Reads a command of that name from its parameters in any format; `None` when there is no such command.
            ///
            /// # Errors
            /// The format's, when the parameters are not those of the command.
            #[must_use]
            pub fn read<'de, D: serde::Deserializer<'de>>(name: &str, params: D) -> Option<Result<Self, D::Error>> {
                match name {
                    $(stringify!($name) => Some($name::deserialize(params).map(Self::$name)),)*
                    _ => None,
                }
            }

            /// The JSON Schema of every command's parameters, by the command's name.
            pub fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![$((stringify!($name), generator.subschema_for::<$name>()),)*]
            }

            /// The scope a credential needs to send it.
            #[must_use]
            pub const fn scope(&self) -> Scope {
                match self {
                    $(Self::$name(_) => Scope::$scope,)*
                }
            }

            /// The scope that the command of a name needs; `None` when there is no such command.
            #[must_use]
            pub fn scope_of(name: &str) -> Option<Scope> {
                match name {
                    $(stringify!($name) => Some(Scope::$scope),)*
                    _ => None,
                }
            }

            /// The thing it would change, whose version `If-Match` is compared with; `None` for what makes a new one.
            #[must_use]
            pub fn about(&self) -> Option<Subject> {
                match self {
                    $(Self::$name(command) => {
                        let about: fn(&$name) -> Option<Subject> = $about;
                        about(command)
                    })*
                }
            }
        }

        impl Command {
            /// The scope it needs beside [`scope`](Self::scope), for what another command does alone.
            #[must_use]
            pub const fn also_needs(&self) -> Option<Scope> {
                match self {
                    Self::UpdateAgent(UpdateAgent { status: Some(AgentStatus::Decommissioned), .. }) => {
                        Some(Scope::AgentsDecommission)
                    }
                    Self::UpdateAgent(UpdateAgent { status: Some(_), .. }) => Some(Scope::AgentsSuspend),
                    _ => None,
                }
            }
        }

        $(impl From<$name> for Command {
            fn from(command: $name) -> Self {
                Self::$name(command)
            }
        })*
    };
}

commands! {
    /// (1) A new tenant, with a default organisation and a first API key.
    CreateTenant needs TenantsManage about |_| None;
    /// (1) Change a tenant's name, tier or quotas.
    UpdateTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// (1) Refuse every call of a tenant until it is resumed.
    SuspendTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// (1) Let a suspended tenant work again.
    ResumeTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// (1) End a tenant for good.
    DeleteTenant needs TenantsManage about |c| Some(c.tenant.subject());
    /// (2) A new organisation.
    CreateOrganisation needs OrganisationsWrite about |_| None;
    /// (2) Change an organisation's name, tier or quotas, or whether its agents may act.
    UpdateOrganisation needs OrganisationsWrite about |c| Some(c.organisation.subject());
    /// (2) End an organisation that has no active agents for good.
    DeleteOrganisation needs OrganisationsWrite about |c| Some(c.organisation.subject());
    /// (2) Give an agent a role in an organisation.
    AddOrganisationMember needs OrganisationsWrite about |c| Some(c.organisation.subject());
    /// (4) A new agent; with a key, also its certificate.
    RegisterAgent needs AgentsRegister about |_| None;
    /// (5) Change an agent's attributes.
    UpdateAgent needs AgentsUpdate about |c| Some(c.agent.subject());
    /// (5) Change who may use an agent, or who may read its public profile.
    SetAgentReach needs AgentsUpdate about |c| Some(c.agent.subject());
    /// (5) Give an agent a name that it holds alone.
    ClaimHandle needs AgentsUpdate about |c| Some(c.agent.subject());
    /// (5) Take such a name away, where names are ever free again.
    ReleaseHandle needs AgentsUpdate about |c| Some(c.agent.subject());
    /// (7) Make an agent unusable until it is resumed.
    SuspendAgent needs AgentsSuspend about |c| Some(c.agent.subject());
    /// (7) Make a suspended agent usable again.
    ResumeAgent needs AgentsSuspend about |c| Some(c.agent.subject());
    /// (8) End an agent for good.
    DecommissionAgent needs AgentsDecommission about |c| Some(c.agent.subject());
    /// (11) Ask an agent to prove that it holds its key.
    IssueChallenge needs AgentsRead about |_| None;
    /// (11) Answer a challenge, which uses it up, right or wrong.
    AnswerChallenge needs AgentsRead about |c| Some(c.challenge.subject());
    /// (12) A new client secret of an agent.
    CreateCredential needs CredentialsWrite about |_| None;
    /// (12) Another secret for a credential; the one before is dead at once.
    RotateCredential needs CredentialsWrite about |c| Some(c.credential.subject());
    /// (12) End a client secret.
    RevokeCredential needs CredentialsWrite about |c| Some(c.credential.subject());
    /// (14) Let an agent ask for more than every agent may.
    GrantScopes needs ApiKeysCreate about |c| Some(c.agent.subject());
    /// (13) A new API key for the caller's own principal.
    CreateApiKey needs ApiKeysCreate about |_| None;
    /// (13) End an API key.
    RevokeApiKey needs ApiKeysRevoke about |c| Some(c.credential.subject());
    /// (15) Believe what an issuer's tokens say.
    TrustIssuer needs IssuersWrite about |_| None;
    /// (15) Change what is known of an issuer, or believe it no longer until further notice.
    UpdateIssuer needs IssuersWrite about |c| Some(c.issuer.subject());
    /// (15) Believe an issuer no longer, for good.
    RemoveIssuer needs IssuersWrite about |c| Some(c.issuer.subject());
    /// (15) Let whoever an issuer vouches for in as an agent.
    AddIssuerRule needs CredentialsWrite about |_| None;
    /// (15) Let nobody in by a rule any more.
    RemoveIssuerRule needs CredentialsWrite about |c| Some(c.rule.subject());
    /// (20) A new token; opens its mission when there is none of that name.
    IssueToken needs TokensIssue about |_| None;
    /// (21) A new access token, for a client that proves itself.
    ExchangeToken needs TokensIssue about |_| None;
    /// (23) Lend another agent what a token allows, or less.
    DelegateToken needs TokensDelegate about |_| None;
    /// (24) Mark a token used.
    UseToken needs TokensIssue about |c| Some(c.token.subject());
    /// (25) End a token, and those derived from it.
    RevokeToken needs TokensRevoke about |c| Some(c.token.subject());
    /// (28) Hold a use against a token's scope; consumes nothing.
    CheckScope needs TokensIntrospect about |_| None;
    /// (50) A new mission.
    OpenMission needs MissionsWrite about |_| None;
    /// (51) End a mission that was carried out.
    CompleteMission needs MissionsWrite about |c| Some(c.mission.subject());
    /// (51) Call a mission off.
    RevokeMission needs MissionsWrite about |c| Some(c.mission.subject());
    /// (54) Start the audit chain of a mission; opens the mission when there is none of that name.
    OpenAuditChain needs AuditAppend about |_| None;
    /// (55) Append an entry to an audit chain.
    AppendAuditEntry needs AuditAppend about |c| Some(c.chain.subject());
    /// (56) Append the last entry to an audit chain.
    CloseAuditChain needs AuditAppend about |c| Some(c.chain.subject());
    /// (80) A new address outside, to which events can be told.
    AddDestination needs DeliveryWrite about |_| None;
    /// (80) Name the code that was sent to a destination.
    VerifyDestination needs DeliveryWrite about |c| Some(c.destination.subject());
    /// (80) Sign what is sent to a destination with another secret, at once.
    RotateDestinationSecret needs DeliveryWrite about |c| Some(c.destination.subject());
    /// (80) Use a destination no more.
    RemoveDestination needs DeliveryWrite about |c| Some(c.destination.subject());
    /// (81) Have events told to the outside from now on.
    Subscribe needs DeliveryWrite about |_| None;
    /// (82) Change which events are told, where to, or whether they are.
    ChangeSubscription needs DeliveryWrite about |c| Some(c.subscription.subject());
    /// (82) Have no more events told.
    EndSubscription needs DeliveryWrite about |c| Some(c.subscription.subject());
    /// (82) Tell an event once more.
    Redeliver needs DeliveryWrite about |c| Some(c.subscription.subject());
    /// (82) What came of telling events, noted by the daemon itself.
    RecordDeliveries needs Internal about |_| None;
    /// (2) Vouch for an organisation, or no longer. For principals of the root tenant that entered its tenant.
    VerifyOrganisation needs TenantsManage about |c| Some(c.organisation.subject());
    /// (40) Ask whether an agent is trusted with something; its tenant's question scores it anew.
    EvaluateTrust needs TrustEvaluate about |_| None;
    /// (41) Complain of an agent, which counts at once.
    FileDispute needs TrustReport about |_| None;
    /// (41) Decide a dispute that the tenant filed: dismissed, it counts no more.
    ResolveDispute needs TrustResolve about |c| Some(c.dispute.subject());
    /// (44) Set rules of the tenant's.
    SetPolicy needs PoliciesWrite about |_| None;
    /// (44) Return to the rules that nobody set.
    ResetPolicy needs PoliciesWrite about |_| None;
    /// (70) Do something with another party, if the agent may.
    ExecuteTransaction needs TransactionsExecute about |_| None;
    /// (71) Take a transaction back, for good.
    ReverseTransaction needs TransactionsReverse about |c| Some(c.transaction.subject());
    /// (91) Destroy what is encrypted for a thing, for good.
    EraseSubject needs ErasuresWrite about |_| None;
    /// (91) See that a thing, and what belongs to it, is not erased.
    PlaceHold needs HoldsWrite about |_| None;
    /// (91) Let it be erased again.
    LiftHold needs HoldsWrite about |_| None;
    /// (91) Whose keys are gone, noted by the daemon itself.
    ReportShredded needs Internal about |_| None;
    /// (91) Erase what was kept for long enough, sent by the daemon itself.
    ApplyRetention needs Internal about |_| None;
    /// (90) Have it on record that an evidence bundle is made; `POST /v1/ledger/bundle` makes it.
    ExportEvidence needs LedgerProve about |_| None;
    /// (92) Seal what follows, or sign later tokens, with another key.
    RotateSigningKey needs LedgerAdminister about |_| None;
    /// (92) See that there is a key to sign tokens with.
    ProvideTokenKey needs Internal about |_| None;
    /// (92) Publish what the rows of the views come to.
    PublishViewRoots needs Internal about |_| None;
    /// (92) See that there is a key to cosign other logs' checkpoints with.
    ProvideWitnessKey needs Internal about |_| None;
    /// (92) What a witness said of a checkpoint of this log.
    RecordCosignature needs Internal about |_| None;
    /// (92) Cosign another log's checkpoint, if it continues the newest one cosigned.
    WitnessCheckpoint needs Internal about |_| None;
    /// (92) What an authority said of the time of a checkpoint, noted by the daemon itself.
    RecordTimestamp needs Internal about |_| None;
    /// (18) Refused log-ins, noted by the daemon itself.
    NoteAuthentication needs Internal about |_| None;
}
