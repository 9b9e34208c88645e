//! What a verifier says: verdicts that are told apart, and findings that name the event.

use std::fmt;

use serde::Serialize;

use super::population::Population;
use crate::link::Hash;
use crate::time::Micros;

/// What is wrong, by the rule that found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The header is malformed.
    Header,
    /// An event is missing, repeated or out of order.
    Gap,
    /// The event does not name the hash of the one before.
    Link,
    /// Time ran backwards.
    Time,
    /// The body is not the one that was recorded.
    Body,
    /// The key history is broken, a key sealed that could not, or it is not the trusted log.
    Key,
    /// A node kept with an event is not the tree's.
    Tree,
    /// A seal is not a checkpoint of the events before it, or events have no seal.
    Checkpoint,
    /// A seal is not signed by the key in force.
    Signature,
    /// What an agent is said to have signed, it did not sign, or not so, or not then, or signed once and it stands twice.
    AgentSignature,
    /// A trusted witness did not make a cosignature that is recorded or shown as its own.
    Cosignature,
    /// What an authority is said to have said of the time, it did not say, or not of this log.
    Timestamp,
    /// The store holds something that is no record.
    Record,
    /// The export is damaged or cut short.
    Container,
    /// A head from elsewhere is not this log's.
    Head,
    /// The log is shorter than a head from elsewhere.
    Truncated,
    /// The log contradicts a head from elsewhere, or one that a trusted witness cosigned.
    Diverged,
    /// A bundle lacks what was asked for.
    Choice,
    /// Fewer witnesses cosigned than the reader's policy asks for.
    Unwitnessed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Gap => "gap",
            Self::Link => "link",
            Self::Time => "time",
            Self::Body => "body",
            Self::Key => "key",
            Self::Tree => "tree",
            Self::Checkpoint => "checkpoint",
            Self::Signature => "signature",
            Self::AgentSignature => "agent_signature",
            Self::Cosignature => "cosignature",
            Self::Timestamp => "timestamp",
            Self::Record => "record",
            Self::Container => "container",
            Self::Head => "head",
            Self::Truncated => "truncated",
            Self::Diverged => "diverged",
            Self::Choice => "choice",
            Self::Unwitnessed => "unwitnessed",
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// At which event.
    pub seq: u64,
    /// What.
    pub reason: Why,
    /// In a sentence.
    pub detail: String,
}

impl Finding {
    pub(super) fn new(seq: u64, reason: Why, detail: impl Into<String>) -> Self {
        Self { seq, reason, detail: detail.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}: {}: {}", self.seq, self.reason, self.detail)
    }
}

/// Where the trust in the log's key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The reader gave the key.
    Given,
    /// The reader kept it from an earlier verification.
    Pinned,
    /// From nowhere: the log names it itself. The log is consistent; whose it is, is not shown.
    #[default]
    #[serde(rename = "self")]
    SelfNamed,
}

/// A sealing key of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInForce {
    /// The first tree size it may seal.
    pub from_size: u64,
    /// As a verifier key (`docs/format.md`, section 5).
    pub verifier_key: String,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum YesNo {
    /// Nothing was found against it.
    Yes,
    /// Something was.
    No,
}

/// The verdicts, told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checks {
    /// Every event is what was recorded: header, body and seal.
    pub events_authentic: YesNo,
    /// No event is missing, repeated, moved or put in, and time never ran backwards.
    pub chain_whole: YesNo,
    /// Every seal is the root of the events before it.
    pub tree_consistent: YesNo,
    /// Every seal is by the key then in force, and the trusted key is among them.
    pub keys_consistent: YesNo,
}

/// What a witness of the reader's cosigned last of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CosignedBy {
    /// The witness, as a verifier key.
    pub witness: String,
    /// How many events; nothing, when it cosigned no checkpoint that is known here.
    pub size: Option<u64>,
    /// When, in seconds since the Unix epoch.
    pub time_secs: Option<u64>,
}

/// How many bodies stood how to their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BodyCounts {
    /// They have the header's hash.
    pub intact: u64,
    /// They are not there; the header's hash stands for them.
    pub withheld: u64,
    /// They have the header's hash, and are of a kind or version that this program does not know.
    pub unknown: u64,
}

/// How many signatures of agents there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AgentSignatures {
    /// They were checked; those that do not hold are findings.
    pub checked: u64,
    /// They could not be: their bodies, or those with the keys, are withheld or unknown.
    pub unchecked: u64,
}

/// What authorities said of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Timestamps {
    /// The reader's authorities vouch for them, and the log had the roots that they are over.
    pub verified: u64,
    /// The reader trusts no authority that vouches for them, or they are of checkpoints too long ago to compare with.
    pub unverified: u64,
    /// The newest that was verified.
    pub newest: Option<NewestTimestamp>,
}

/// A timestamp: the log had this root before this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NewestTimestamp {
    /// How many events the checkpoint signs.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// When, by the authority's clock.
    pub at: Micros,
}

/// What verifying a log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing was found.
    pub whole: bool,
    /// The log's origin, as its first event names it.
    pub origin: Option<String>,
    /// Events read.
    pub events: u64,
    /// Seals read.
    pub seals: u64,
    /// The size that the last seal signs.
    pub size: u64,
    /// The root of that size; none once a header was broken.
    pub root: Option<Hash>,
    /// Where the trust in the key comes from.
    pub trust: Trust,
    /// The sealing keys, in order.
    pub keys: Vec<KeyInForce>,
    /// The verdicts.
    pub checks: Checks,
    /// The bodies.
    pub bodies: BodyCounts,
    /// What agents signed.
    pub agent_signatures: AgentSignatures,
    /// What authorities said of the time.
    pub timestamps: Timestamps,
    /// Up to which size the reader's heads exclude that the tail was cut off; beyond it, nothing in a log can.
    pub truncation_excluded_to: Option<u64>,
    /// How many of the reader's witnesses cosigned the log up to [`witnessed_size`](Self::witnessed_size), or
    /// `unwitnessed`.
    pub witnesses: String,
    /// The greatest size up to which enough of the reader's witnesses cosigned the log.
    pub witnessed_size: Option<u64>,
    /// What each of the reader's witnesses cosigned last.
    pub cosigned_by: Vec<CosignedBy>,
    /// Whether a signed head contradicts the log.
    pub diverged: bool,
    /// The first broken event.
    pub first_broken: Option<Finding>,
    /// The first findings, at most [`Report::FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub findings_total: u64,
    /// What a bundle says of what was asked for; none of a whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Population>,
    /// The last seal, for the reader to keep as a head.
    #[serde(skip)]
    pub last_seal: Option<bytes::Bytes>,
}

impl Report {
    /// How many findings are kept.
    pub const FINDINGS_MAX: usize = 100;
}

/// Which findings speak against which verdict.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Against {
    authentic: bool,
    whole: bool,
    tree: bool,
    keys: bool,
    pub diverged: bool,
}

impl Against {
    pub(super) const fn note(&mut self, why: Why) {
        match why {
            Why::Header | Why::Record => (self.authentic, self.whole, self.tree) = (true, true, true),
            Why::Gap | Why::Link | Why::Time | Why::Truncated | Why::Container => self.whole = true,
            Why::Body | Why::AgentSignature | Why::Timestamp => self.authentic = true,
            Why::Key | Why::Head => (self.authentic, self.keys) = (true, true),
            Why::Tree => self.tree = true,
            Why::Checkpoint => (self.authentic, self.tree) = (true, true),
            Why::Signature => (self.authentic, self.keys) = (true, true),
            Why::Cosignature => self.keys = true,
            // Nothing is wrong with the log; it is not what the reader asks for.
            Why::Unwitnessed => {}
            Why::Diverged => (self.tree, self.diverged) = (true, true),
            // What is there is still what it is.
            Why::Choice => {}
        }
    }

    pub(super) const fn checks(self) -> Checks {
        const fn yes_unless(against: bool) -> YesNo {
            if against { YesNo::No } else { YesNo::Yes }
        }
        Checks {
            events_authentic: yes_unless(self.authentic),
            chain_whole: yes_unless(self.whole),
            tree_consistent: yes_unless(self.tree),
            keys_consistent: yes_unless(self.keys),
        }
    }
}
