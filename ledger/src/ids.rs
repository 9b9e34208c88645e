//! Ids: one 128-bit UUID per thing, one type per kind of thing, two texts that both decode back.
//!
//! Things are UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, 74 bits of randomness, both from the caller, so
//! that the same inputs always give the same id. Texts are `uuid` (36 lower-case characters) and `typeid` (prefix,
//! `_`, 26 characters; TypeID 0.3). Which prefix a dialect shows is the dialect's business, not this module's.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid, Variant};

use crate::codec::StoredBytes as _;

/// Characters of a TypeID suffix, in value order (Crockford's base 32, lower case).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five, the first group holding only three.
const SUFFIX_CHARS: usize = 26;

/// A text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed id")]
pub struct MalformedId;

/// Position of an event in the log, counted from 0 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// Number of events in a log or of leaves in its tree; one more than the last [`Seq`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TreeSize(pub u64);

impl Seq {
    /// The size of a tree whose last leaf is this event.
    #[must_use]
    pub const fn tree_size(self) -> TreeSize {
        TreeSize(self.0 + 1)
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl TreeSize {
    /// The last event of a log of this size; `None` when it is empty.
    #[must_use]
    pub const fn last(self) -> Option<Seq> {
        match self.0 {
            0 => None,
            n => Some(Seq(n - 1)),
        }
    }

    /// The position the next event will have.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes a UUIDv7 from Unix milliseconds and ten random bytes (74 of their 80 bits are used).
#[must_use]
pub fn uuid_v7(millis: u64, random: [u8; 10]) -> Uuid {
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Reads 36 lower-case characters with hyphens: the canonical text of a UUIDv7 or UUIDv8, and no other spelling.
///
/// # Errors
/// [`MalformedId`] when length, case, version or variant are not those of an id.
pub fn parse_uuid(text: &str) -> Result<Uuid, MalformedId> {
    if text.len() != 36 || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(MalformedId);
    }
    checked(Uuid::try_parse(text).map_err(|_| MalformedId)?)
}

/// Renders `prefix_` and 26 characters.
#[must_use]
pub fn render_typeid(prefix: &str, id: Uuid) -> String {
    let mut text = String::with_capacity(prefix.len() + 1 + SUFFIX_CHARS);
    text.push_str(prefix);
    text.push('_');
    let value = id.as_u128();
    for group in (0..SUFFIX_CHARS).rev() {
        let index = (value >> (5 * group)) & 31;
        text.push(ALPHABET[index as usize] as char);
    }
    text
}

/// Reads what [`render_typeid`] writes, and nothing else.
///
/// # Errors
/// [`MalformedId`] when prefix, length, alphabet, first character, version or variant are not those of such an id.
pub fn parse_typeid(prefix: &str, text: &str) -> Result<Uuid, MalformedId> {
    let suffix = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(MalformedId)?;
    if suffix.len() != SUFFIX_CHARS || suffix.as_bytes()[0] > b'7' {
        return Err(MalformedId);
    }
    let mut value = 0u128;
    for byte in suffix.bytes() {
        let digit = ALPHABET.iter().position(|c| *c == byte).ok_or(MalformedId)?;
        value = (value << 5) | digit as u128;
    }
    checked(Uuid::from_u128(value))
}

/// Reads an id in any spelling a thing of this kind has: `uuid`, or `typeid` with one of [`ThingKind::prefixes`].
///
/// # Errors
/// [`MalformedId`] when it is none of them.
pub fn parse_any(kind: ThingKind, text: &str) -> Result<Uuid, MalformedId> {
    parse_uuid(text)
        .or_else(|_| kind.prefixes().iter().find_map(|prefix| parse_typeid(prefix, text).ok()).ok_or(MalformedId))
}

/// JSON shows the 36 characters; stored bodies hold the 16 bytes.
fn serialize_uuid<S: serde::Serializer>(id: Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.collect_str(&id) } else { id.as_bytes().store(serializer) }
}

fn deserialize_uuid<'de, D: serde::Deserializer<'de>>(kind: ThingKind, deserializer: D) -> Result<Uuid, D::Error> {
    if deserializer.is_human_readable() {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        parse_any(kind, &text)
            .map_err(|_| serde::de::Error::custom(format_args!("`{text}` is not the id of a {}", kind.name())))
    } else {
        <[u8; 16]>::load(deserializer).map(Uuid::from_bytes)
    }
}

fn checked(id: Uuid) -> Result<Uuid, MalformedId> {
    match (id.get_version_num(), id.get_variant()) {
        (7 | 8, Variant::RFC4122) => Ok(id),
        _ => Err(MalformedId),
    }
}

/// What kind of thing an id names; its code is part of every event's header (`docs/format.md`, "Subjects").
///
/// In JSON it is its name; in a stored body one byte, its code less 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum ThingKind {
    /// The ledger itself.
    Ledger = 1,
    /// An isolation boundary: keys, quotas, lanes.
    Tenant = 2,
    /// A group of agents in a tenant.
    Organisation = 3,
    /// A person.
    Member = 4,
    /// An agent.
    Agent = 5,
    /// An OAuth client that is no agent.
    Client = 6,
    /// A client secret or API key.
    Credential = 7,
    /// A public key of an agent, of a tenant's Org CA, or of the ledger.
    Key = 8,
    /// A challenge an agent answers to prove possession of its key.
    Challenge = 9,
    /// A right of limited scope and life, of any profile.
    Token = 10,
    /// A tree of tokens.
    Session = 11,
    /// Why something is done.
    Mission = 12,
    /// One run of an agent, a skill or a workflow.
    Execution = 13,
    /// One use of a right.
    Action = 14,
    /// A person's yes or no.
    Approval = 15,
    /// An audit chain kept for a mission.
    AuditChain = 16,
    /// One entry of an audit chain.
    AuditEntry = 17,
    /// An address outside, to which events are told.
    Destination = 18,
    /// Which events are told to which destinations.
    Subscription = 19,
    /// Somebody else whose tokens are believed.
    Issuer = 20,
    /// Who of an issuer's may log in as which agent.
    IssuerRule = 21,
    /// An agent's role in an organisation.
    Membership = 25,
    /// A movement of money or the like between two parties, or its reversal.
    Transaction = 30,
    /// A complaint about an agent.
    Dispute = 31,
    /// Rules that somebody set: how scores are computed, for example.
    Policy = 32,
}

impl ThingKind {
    /// Every kind, in code order.
    pub const ALL: [Self; 25] = [
        Self::Ledger,
        Self::Tenant,
        Self::Organisation,
        Self::Member,
        Self::Agent,
        Self::Client,
        Self::Credential,
        Self::Key,
        Self::Challenge,
        Self::Token,
        Self::Session,
        Self::Mission,
        Self::Execution,
        Self::Action,
        Self::Approval,
        Self::AuditChain,
        Self::AuditEntry,
        Self::Destination,
        Self::Subscription,
        Self::Issuer,
        Self::IssuerRule,
        Self::Membership,
        Self::Transaction,
        Self::Dispute,
        Self::Policy,
    ];

    /// The byte that stands for this kind in a header.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind a header's byte stands for; `None` for one this version does not know.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The prefixes under which the dialects show ids of this kind (one thing, several spellings).
    #[must_use]
    pub const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Ledger => &["ldg"],
            Self::Tenant => &["op"],
            Self::Organisation => &["org"],
            Self::Member => &["user", "mem"],
            Self::Agent => &["aid", "agent", "agt"],
            Self::Challenge => &["chal"],
            Self::Token => &["tok", "pp"],
            Self::Session => &["ses"],
            Self::Mission => &["msn", "ms"],
            Self::Execution => &["sinv"],
            Self::Approval => &["iap", "gap"],
            Self::AuditChain => &["ac"],
            Self::AuditEntry => &["aue"],
            Self::Destination => &["ndst"],
            Self::Subscription => &["wh", "nch"],
            Self::Transaction => &["tx"],
            Self::Dispute => &["disp"],
            Self::Client
            | Self::Credential
            | Self::Key
            | Self::Action
            | Self::Issuer
            | Self::IssuerRule
            | Self::Membership
            | Self::Policy => &[],
        }
    }

    /// The kind's name as the native API spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Tenant => "tenant",
            Self::Organisation => "organisation",
            Self::Member => "member",
            Self::Agent => "agent",
            Self::Client => "client",
            Self::Credential => "credential",
            Self::Key => "key",
            Self::Challenge => "challenge",
            Self::Token => "token",
            Self::Session => "session",
            Self::Mission => "mission",
            Self::Execution => "execution",
            Self::Action => "action",
            Self::Approval => "approval",
            Self::AuditChain => "audit_chain",
            Self::AuditEntry => "audit_entry",
            Self::Destination => "destination",
            Self::Subscription => "subscription",
            Self::Issuer => "issuer",
            Self::IssuerRule => "issuer_rule",
            Self::Transaction => "transaction",
            Self::Dispute => "dispute",
            Self::Policy => "policy",
            Self::Membership => "membership",
        }
    }
}

impl Serialize for ThingKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.name().serialize(serializer)
        } else {
            (self.code() - 1).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ThingKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = if deserializer.is_human_readable() {
            let name = String::deserialize(deserializer)?;
            Self::ALL.into_iter().find(|kind| kind.name() == name)
        } else {
            Self::from_code(u8::deserialize(deserializer)?.wrapping_add(1))
        };
        found.ok_or_else(|| serde::de::Error::custom("no thing is of that kind"))
    }
}

/// A thing an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// What the id names.
    pub kind: ThingKind,
    /// The thing.
    #[serde(serialize_with = "serialize_id", deserialize_with = "deserialize_id")]
    pub id: Uuid,
}

// The uuid crate would put a length before the bytes.
fn serialize_id<S: serde::Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_uuid(*id, serializer)
}

fn deserialize_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    if deserializer.is_human_readable() {
        Uuid::deserialize(deserializer)
    } else {
        <[u8; 16]>::load(deserializer).map(Uuid::from_bytes)
    }
}

/// What every id type can do.
pub trait ThingId: Copy + Eq + Ord + std::hash::Hash + fmt::Debug + fmt::Display + 'static {
    /// The kind of thing named.
    const KIND: ThingKind;

    /// The id's 128 bits.
    fn uuid(self) -> Uuid;

    /// Wraps 128 bits known to name a thing of this kind.
    fn from_uuid(id: Uuid) -> Self;

    /// The id with its kind, as an event's subject.
    fn subject(self) -> Subject {
        Subject { kind: Self::KIND, id: self.uuid() }
    }
}

macro_rules! thing_ids {
    ($($(#[$doc:meta])* $name:ident = $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
        #[schemars(transparent)]
        pub struct $name(pub Uuid);

        impl ThingId for $name {
            const KIND: ThingKind = ThingKind::$kind;

            fn uuid(self) -> Uuid {
                self.0
            }

            fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse_any(Self::KIND, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_uuid(self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_uuid(Self::KIND, deserializer).map(Self)
            }
        }
    )*};
}

thing_ids! {
    /// The ledger.
    LedgerId = Ledger;
    /// A tenant; the nil UUID stands for the ledger's own events.
    TenantId = Tenant;
    /// An organisation.
    OrganisationId = Organisation;
    /// A member.
    MemberId = Member;
    /// An agent.
    AgentId = Agent;
    /// An OAuth client.
    ClientId = Client;
    /// A credential.
    CredentialId = Credential;
    /// A public key.
    KeyId = Key;
    /// A challenge.
    ChallengeId = Challenge;
    /// A token.
    TokenId = Token;
    /// A session.
    SessionId = Session;
    /// A mission.
    MissionId = Mission;
    /// An execution.
    ExecutionId = Execution;
    /// An approval.
    ApprovalId = Approval;
    /// An audit chain.
    AuditChainId = AuditChain;
    /// An audit entry.
    AuditEntryId = AuditEntry;
    /// A destination.
    DestinationId = Destination;
    /// A subscription.
    SubscriptionId = Subscription;
    /// An issuer.
    IssuerId = Issuer;
    /// A rule of an issuer.
    IssuerRuleId = IssuerRule;
    /// A transaction, or the reversal of one.
    TransactionId = Transaction;
    /// A dispute.
    DisputeId = Dispute;
    /// A policy.
    PolicyId = Policy;
    /// An agent's membership of an organisation.
    MembershipId = Membership;
}

impl TenantId {
    /// Whose events belong to no tenant: the ledger's own.
    pub const LEDGER: Self = Self(Uuid::nil());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of DOMAIN section 1.
    #[test]
    fn documented_example_reads_in_every_spelling() {
        let id = parse_uuid("01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b").unwrap();
        assert_eq!(render_typeid("aid", id), "aid_01jcp0e84wfgx9y7jvdnz8z6gb");
        assert_eq!(parse_typeid("aid", "aid_01jcp0e84wfgx9y7jvdnz8z6gb"), Ok(id));
        assert_eq!(parse_typeid("agt", "aid_01jcp0e84wfgx9y7jvdnz8z6gb"), Err(MalformedId));
    }

    #[test]
    fn other_spellings_are_no_ids() {
        for text in [
            "01932C07-209C-7C3A-9F1E-5B6D7E8F9A0B",
            "01932c07209c7c3a9f1e5b6d7e8f9a0b",
            "{01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b}",
            "01932c07-209c-4c3a-9f1e-5b6d7e8f9a0b",
            "01932c07-209c-7c3a-1f1e-5b6d7e8f9a0b",
            "",
        ] {
            assert_eq!(parse_uuid(text), Err(MalformedId), "{text}");
        }
        for text in
            ["aid_81jcp0e84wfgx9y7jvdnz8z6gb", "aid_01jcp0e84wfgx9y7jvdnz8z6gl", "aid_01JCP0E84WFGX9Y7JVDNZ8Z6GB"]
        {
            assert_eq!(parse_typeid("aid", text), Err(MalformedId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_texts_are_two_way_and_sort_like_the_bytes(
            a in (0u64..1 << 48, any::<[u8; 10]>()), b in (0u64..1 << 48, any::<[u8; 10]>())
        ) {
            let (a, b) = (uuid_v7(a.0, a.1), uuid_v7(b.0, b.1));
            prop_assert_eq!(parse_uuid(&a.to_string()), Ok(a));
            prop_assert_eq!(parse_typeid("tok", &render_typeid("tok", a)), Ok(a));
            prop_assert_eq!(a.cmp(&b), render_typeid("tok", a).cmp(&render_typeid("tok", b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
