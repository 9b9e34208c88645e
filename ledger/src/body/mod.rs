//! Event bodies: what happened, one struct per kind, one file per domain (DOMAIN section 4).
//!
//! A stored body is a [`Prelude`] and then the kind's facts, through [`crate::codec`]. The header names kind and
//! version, so the bytes carry neither. A changed body is a new version; the old struct and its upcast stay beside it.

mod decimal;
pub mod delivery;
pub mod erasure;
pub mod evidence;
pub mod execution;
pub mod field;
pub mod identity;
pub mod issuer;
pub mod ledger;
pub mod signature;
pub mod timestamp;
pub mod token;
pub mod transaction;
pub mod trust;
pub mod view_roots;
pub mod witness;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::ids::{Subject, ThingId};
use crate::shred::Encrypted;
use crate::time::Micros;

/// Most subjects one event can have; a list beyond this is summarised by what it belongs to.
pub const SUBJECTS_MAX: usize = 64;

/// What every body starts with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prelude {
    /// Where the request came from (address and user agent), encrypted for the actor.
    pub origin: Option<Encrypted>,
    /// When the event fell due, for one that a deadline caused.
    pub due: Option<Micros>,
}

/// The things an event concerns, gathered in the order of its fields, each once, at most [`SUBJECTS_MAX`].
#[derive(Debug, Default)]
pub struct Subjects(Vec<Subject>);

impl Subjects {
    /// Adds a thing.
    pub fn add(&mut self, id: impl ThingId) -> &mut Self {
        self.push(id.subject());
        self
    }

    /// Adds a thing if there is one.
    pub fn maybe(&mut self, id: Option<impl ThingId>) -> &mut Self {
        if let Some(id) = id {
            self.push(id.subject());
        }
        self
    }

    /// Adds a thing whose kind is known only at run time.
    pub fn push(&mut self, subject: Subject) {
        if self.0.len() < SUBJECTS_MAX && !self.0.contains(&subject) {
            self.0.push(subject);
        }
    }

    /// The gathered things.
    #[must_use]
    pub fn into_vec(self) -> Vec<Subject> {
        self.0
    }
}

/// What each kind's facts can tell of themselves.
trait Facts: Serialize + DeserializeOwned {
    fn subjects(&self, into: &mut Subjects);
}

/// A body whose kind or version this program does not know, or whose bytes are not of that kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Written by a newer Chancery.
    #[error("event kind {kind} version {version} is not known to this version of Chancery; use a newer one")]
    Unknown {
        /// The kind's code.
        kind: u16,
        /// The body's version.
        version: u16,
    },
    /// The bytes are damaged.
    #[error("the body is malformed: {0}")]
    Codec(#[from] CodecError),
}

macro_rules! kinds {
    ($($code:literal version $version:literal $module:ident::$name:ident,)*) => {
        /// Every kind of event this version writes. The number is the kind's code in headers, for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Kind {
            $(#[doc = concat!("[`", stringify!($module), "::", stringify!($name), "`]")] $name = $code,)*
        }

        impl Kind {
            /// Every kind, in code order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kind's code in headers.
            #[must_use]
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// The version of the kind's body that this program writes.
            #[must_use]
            pub const fn version(self) -> u16 {
                match self {
                    $(Self::$name => $version,)*
                }
            }

            /// The kind's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The kind a code stands for; `None` for one this version does not know.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The kind of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        /// The facts of an event.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Body {
            $(#[doc = concat!("[`", stringify!($module), "::", stringify!($name), "`]")] $name($module::$name),)*
        }

        $(impl From<$module::$name> for Body {
            fn from(facts: $module::$name) -> Self {
                Self::$name(facts)
            }
        })*

        impl Body {
            /// The kind of event.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$name(_) => Kind::$name,)*
                }
            }

            /// What the event concerns, in the body's order.
            #[must_use]
            pub fn subjects(&self) -> Vec<Subject> {
                let mut subjects = Subjects::default();
                match self {
                    $(Self::$name(facts) => facts.subjects(&mut subjects),)*
                }
                subjects.into_vec()
            }

            /// Writes a body in its kind's newest version.
            ///
            /// # Errors
            /// [`CodecError::TooLarge`] when it is larger than a body may be.
            pub fn encode(&self, prelude: &Prelude) -> Result<Vec<u8>, CodecError> {
                match self {
                    $(Self::$name(facts) => codec::encode(&(prelude, facts)),)*
                }
            }

            /// Reads a body of any version ever written, as its newest.
            ///
            /// # Errors
            /// [`BodyError`] when kind or version are unknown or the bytes are not such a body.
            pub fn decode(kind: u16, version: u16, bytes: &[u8]) -> Result<(Prelude, Self), BodyError> {
                match (kind, version) {
                    $(($code, $version) => {
                        let (prelude, facts) = codec::decode::<(Prelude, $module::$name)>(bytes)?;
                        Ok((prelude, Self::$name(facts)))
                    })*
                    _ => Err(BodyError::Unknown { kind, version }),
                }
            }
        }
    };
}

impl Kind {
    /// Whether such an event only says something of earlier ones. Where nothing else happened, nothing is to be attested: a
    /// checkpoint, or roots, for its sake would bring forth the next.
    #[must_use]
    pub const fn is_attestation(self) -> bool {
        matches!(
            self,
            Self::ViewRootsPublished
                | Self::CheckpointCosigned
                | Self::CheckpointTimestamped
                | Self::WitnessedCheckpoint
        )
    }
}

kinds! {
    1 version 1 ledger::LedgerCreated,
    2 version 1 ledger::SigningKeyAdded,
    3 version 1 ledger::SigningKeyRetired,
    4 version 1 ledger::TailLost,
    10 version 1 erasure::SubjectErased,
    11 version 1 erasure::HoldPlaced,
    12 version 1 erasure::HoldLifted,
    13 version 1 erasure::KeyDestroyed,
    14 version 1 evidence::EvidenceExported,
    15 version 1 view_roots::ViewRootsPublished,
    16 version 1 signature::CommandSigned,
    100 version 1 identity::TenantCreated,
    101 version 1 identity::TenantUpdated,
    102 version 1 identity::TenantSuspended,
    103 version 1 identity::TenantResumed,
    104 version 1 identity::TenantDeleted,
    110 version 1 identity::OrganisationCreated,
    111 version 1 identity::OrganisationUpdated,
    112 version 1 identity::OrganisationDeleted,
    113 version 1 identity::OrganisationMemberAdded,
    114 version 1 identity::OrganisationVerified,
    120 version 1 identity::MemberInvited,
    121 version 1 identity::MemberJoined,
    130 version 1 identity::AgentRegistered,
    131 version 1 identity::AgentUpdated,
    132 version 1 identity::AgentSuspended,
    133 version 1 identity::AgentResumed,
    134 version 1 identity::AgentDecommissioned,
    135 version 1 identity::AgentReachChanged,
    136 version 1 identity::HandleClaimed,
    137 version 1 identity::HandleReleased,
    140 version 1 identity::AgentKeyAdded,
    141 version 1 identity::AgentKeyRevoked,
    142 version 1 identity::CertificateIssued,
    150 version 1 identity::CredentialCreated,
    151 version 1 identity::CredentialRevoked,
    152 version 1 identity::CredentialsUsed,
    153 version 1 identity::AuthenticationFailed,
    154 version 1 identity::CredentialRotated,
    155 version 1 identity::ScopesGranted,
    160 version 1 identity::ChallengeIssued,
    161 version 1 identity::ChallengeAnswered,
    170 version 1 issuer::IssuerTrusted,
    171 version 1 issuer::IssuerUpdated,
    172 version 1 issuer::IssuerRemoved,
    173 version 1 issuer::IssuerRuleAdded,
    174 version 1 issuer::IssuerRuleRemoved,
    200 version 1 token::TokenIssued,
    201 version 1 token::TokenRefused,
    202 version 1 token::TokenUsed,
    203 version 1 token::TokenRevoked,
    204 version 1 token::ScopeChecked,
    205 version 1 token::TokensIntrospected,
    300 version 1 trust::TrustEvaluated,
    301 version 1 trust::DisputeFiled,
    302 version 1 trust::DisputeResolved,
    310 version 1 trust::PolicyChanged,
    311 version 1 trust::PolicyReset,
    400 version 1 execution::MissionOpened,
    401 version 1 execution::MissionCompleted,
    402 version 1 execution::MissionRevoked,
    410 version 1 execution::AuditChainOpened,
    411 version 1 execution::AuditEntryAppended,
    412 version 1 execution::AuditChainClosed,
    460 version 1 transaction::TransactionCompleted,
    461 version 1 transaction::TransactionFailed,
    462 version 1 transaction::TransactionReversed,
    500 version 1 delivery::DestinationAdded,
    501 version 1 delivery::DestinationVerified,
    502 version 1 delivery::DestinationSecretRotated,
    503 version 1 delivery::DestinationRemoved,
    510 version 1 delivery::SubscriptionCreated,
    511 version 1 delivery::SubscriptionChanged,
    512 version 1 delivery::SubscriptionEnded,
    520 version 1 delivery::DeliveriesRecorded,
    610 version 1 witness::CheckpointCosigned,
    611 version 1 timestamp::CheckpointTimestamped,
    612 version 1 witness::WitnessedCheckpoint,
}

#[cfg(test)]
mod tests;
