//! Which entries of the audit log an event has, and the hash that chains them.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::CredentialKind;
use chancery_ledger::body::token::{Introspection, Profile};
use chancery_ledger::event::Event;
use chancery_ledger::event_ref::{EventRef, Lane};
use chancery_ledger::ids::{OrganisationId, ThingId};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What an entry says was done. Rows count actions by their places here, so new ones go to the end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The vendor's word.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// An agent was registered.
    AgentCreated = "agent.created",
    /// An agent's attributes changed.
    AgentUpdated = "agent.updated",
    /// An agent is unusable until resumed.
    AgentSuspended = "agent.suspended",
    /// A suspended agent is usable again.
    AgentReactivated = "agent.reactivated",
    /// An agent is unusable for good.
    AgentDecommissioned = "agent.decommissioned",
    /// An agent has a client secret.
    CredentialGenerated = "credential.generated",
    /// A client secret was replaced.
    CredentialRotated = "credential.rotated",
    /// A client secret lets nobody in any more.
    CredentialRevoked = "credential.revoked",
    /// An agent has an access token.
    TokenIssued = "token.issued",
    /// A token was looked at.
    TokenIntrospected = "token.introspected",
    /// A token is dead.
    TokenRevoked = "token.revoked",
    /// Somebody was not let in.
    AuthFailed = "auth.failed",
    /// An organisation exists.
    OrgCreated = "org.created",
    /// An organisation's attributes changed.
    OrgUpdated = "org.updated",
    /// An organisation is gone.
    OrgDeleted = "org.deleted",
    /// An organisation has another member.
    OrgMemberAdded = "org.member_added",
}

impl Action {
    /// The action of that word.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.text() == text)
    }

    /// How what it says ended: all succeeded but one, which is a failure by what it is.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::AuthFailed => Outcome::Failure,
            _ => Outcome::Success,
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Not well.
    Failure,
}

impl Outcome {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Success, Self::Failure];

    /// The vendor's word.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// An entry, as far as the event alone says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What was done.
    pub action: Action,
    /// The agent that it was done to, or, of tokens looked at and revoked, by; nil when there is none. Of a refused log-in
    /// it is what was claimed, so it need not be an agent of the tenant, or of any.
    pub agent: Uuid,
    /// Which organisation it belongs to.
    pub organisation: Belongs,
}

/// Which organisation an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belongs {
    /// The one that its agent is of.
    ToItsAgents,
    /// This one.
    To(OrganisationId),
}

impl Entry {
    const fn of_agent(action: Action, agent: Uuid) -> Option<Self> {
        Some(Self { action, agent, organisation: Belongs::ToItsAgents })
    }
}

/// The entries of an event, in order. Those of a revoked token count only if the token is one that this dialect knows,
/// which the event does not say ([`super::rows`]).
pub fn entries(event: &Event) -> impl Iterator<Item = Entry> {
    let looks = match &event.body {
        Body::TokensIntrospected(it) => it.items.as_slice(),
        _ => &[],
    };
    let look = |look: &Introspection| {
        let agent = if let Principal::Agent(agent) = &look.caller { agent.uuid() } else { Uuid::nil() };
        Entry { action: Action::TokenIntrospected, agent, organisation: Belongs::ToItsAgents }
    };
    single(event).into_iter().chain(looks.iter().map(look))
}

/// The entry of an event that has at most one. No `_` arm: a new kind does not compile until it is decided what its entry
/// is.
fn single(event: &Event) -> Option<Entry> {
    match &event.body {
        Body::AgentRegistered(it) => Entry::of_agent(Action::AgentCreated, it.agent.uuid()),
        Body::AgentUpdated(it) => Entry::of_agent(Action::AgentUpdated, it.agent.uuid()),
        Body::AgentReachChanged(it) => Entry::of_agent(Action::AgentUpdated, it.agent.uuid()),
        Body::AgentSuspended(it) => Entry::of_agent(Action::AgentSuspended, it.agent.uuid()),
        Body::AgentResumed(it) => Entry::of_agent(Action::AgentReactivated, it.agent.uuid()),
        Body::AgentDecommissioned(it) => Entry::of_agent(Action::AgentDecommissioned, it.agent.uuid()),
        Body::CredentialCreated(it) if it.kind == CredentialKind::ClientSecret => {
            of_credential(Action::CredentialGenerated, &it.principal)
        }
        Body::CredentialRotated(it) => of_credential(Action::CredentialRotated, &it.principal),
        Body::CredentialRevoked(it) => of_credential(Action::CredentialRevoked, &it.principal),
        Body::TokenIssued(it) => {
            let agent = it.agent.filter(|_| it.profile == Profile::Access)?;
            Entry::of_agent(Action::TokenIssued, agent.uuid())
        }
        Body::TokenRevoked(_) => Entry::of_agent(Action::TokenRevoked, caller(event)),
        Body::AuthenticationFailed(it) => {
            let claimed = it.claimed.as_deref().filter(|text| text.len() == 36);
            let agent = claimed.and_then(|text| Uuid::try_parse(text).ok());
            Entry::of_agent(Action::AuthFailed, agent.unwrap_or(Uuid::nil()))
        }
        Body::OrganisationCreated(it) => of_organisation(Action::OrgCreated, Uuid::nil(), it.organisation),
        Body::OrganisationUpdated(it) => of_organisation(Action::OrgUpdated, Uuid::nil(), it.organisation),
        Body::OrganisationDeleted(it) => of_organisation(Action::OrgDeleted, Uuid::nil(), it.organisation),
        Body::OrganisationMemberAdded(it) => of_organisation(Action::OrgMemberAdded, it.agent.uuid(), it.organisation),
        Body::CredentialCreated(_)
        | Body::LedgerCreated(_)
        | Body::SigningKeyAdded(_)
        | Body::SigningKeyRetired(_)
        | Body::TailLost(_)
        | Body::EvidenceExported(_)
        | Body::ViewRootsPublished(_)
        | Body::CommandSigned(_)
        | Body::SubjectErased(_)
        | Body::HoldPlaced(_)
        | Body::HoldLifted(_)
        | Body::KeyDestroyed(_)
        | Body::CheckpointTimestamped(_)
        | Body::TenantCreated(_)
        | Body::TenantUpdated(_)
        | Body::TenantSuspended(_)
        | Body::TenantResumed(_)
        | Body::TenantDeleted(_)
        | Body::MemberInvited(_)
        | Body::MemberJoined(_)
        | Body::HandleClaimed(_)
        | Body::HandleReleased(_)
        | Body::AgentKeyAdded(_)
        | Body::AgentKeyRevoked(_)
        | Body::CertificateIssued(_)
        | Body::ScopesGranted(_)
        | Body::CredentialsUsed(_)
        | Body::ChallengeIssued(_)
        | Body::ChallengeAnswered(_)
        | Body::IssuerTrusted(_)
        | Body::IssuerUpdated(_)
        | Body::IssuerRemoved(_)
        | Body::IssuerRuleAdded(_)
        | Body::IssuerRuleRemoved(_)
        | Body::TokenRefused(_)
        | Body::TokenUsed(_)
        | Body::ScopeChecked(_)
        | Body::TokensIntrospected(_)
        | Body::MissionOpened(_)
        | Body::MissionCompleted(_)
        | Body::MissionRevoked(_)
        | Body::AuditChainOpened(_)
        | Body::AuditEntryAppended(_)
        | Body::AuditChainClosed(_)
        | Body::OrganisationVerified(_)
        | Body::TrustEvaluated(_)
        | Body::DisputeFiled(_)
        | Body::DisputeResolved(_)
        | Body::PolicyChanged(_)
        | Body::PolicyReset(_)
        | Body::TransactionCompleted(_)
        | Body::TransactionFailed(_)
        | Body::TransactionReversed(_)
        | Body::DestinationAdded(_)
        | Body::DestinationVerified(_)
        | Body::DestinationSecretRotated(_)
        | Body::DestinationRemoved(_)
        | Body::SubscriptionCreated(_)
        | Body::SubscriptionChanged(_)
        | Body::SubscriptionEnded(_)
        | Body::DeliveriesRecorded(_)
        | Body::CheckpointCosigned(_)
        | Body::WitnessedCheckpoint(_) => None,
    }
}

const fn of_organisation(action: Action, agent: Uuid, organisation: OrganisationId) -> Option<Entry> {
    Some(Entry { action, agent, organisation: Belongs::To(organisation) })
}

/// The client secrets that the dialect tells of are agents'; their API keys, if they ever have any, are not among them.
fn of_credential(action: Action, principal: &Principal) -> Option<Entry> {
    match principal {
        Principal::Agent(agent) => Entry::of_agent(action, agent.uuid()),
        _ => None,
    }
}

/// The agent that asked; nil when another did.
fn caller(event: &Event) -> Uuid {
    match &event.actor.principal {
        Principal::Agent(agent) => agent.uuid(),
        _ => Uuid::nil(),
    }
}

/// Whether tokens of a profile are ones that this dialect knows, so that it tells of their end.
#[must_use]
pub const fn knows(profile: Profile) -> bool {
    matches!(profile, Profile::Access | Profile::Delegation)
}

/// The id of an entry of an event.
#[must_use]
pub fn reference(event: &Event, index: usize) -> EventRef {
    EventRef::new(event.time, event.seq, Lane::AgentIdp, u16::try_from(index).unwrap_or(u16::MAX))
}

/// The hash of an entry: SHA-256 of its id, time, action, outcome, agent, organisation and the hash of the entry before
/// it, one after another without anything between them.
#[must_use]
pub fn hash(
    reference: EventRef, time: Micros, entry: &Entry, organisation: Option<OrganisationId>, previous: Option<Hash>,
) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(uuid_text(&mut [0; 36], reference.uuid()));
    hasher.update(time_text(time));
    hasher.update(entry.action.text());
    hasher.update(entry.action.outcome().text());
    hasher.update(uuid_text(&mut [0; 36], entry.agent));
    match organisation {
        Some(organisation) => hasher.update(uuid_text(&mut [0; 36], organisation.uuid())),
        None => hasher.update(DEFAULT_ORGANISATION),
    }
    if let Some(previous) = previous {
        let mut digits = [0; 64];
        // Thirty-two bytes always fit.
        let _ = hex::encode_to_slice(previous.0, &mut digits);
        hasher.update(digits);
    }
    Hash(hasher.finalize().into())
}

/// What stands for the tenant's default organisation.
pub const DEFAULT_ORGANISATION: &str = "org_system";

fn uuid_text(buffer: &mut [u8; 36], id: Uuid) -> &[u8] {
    id.hyphenated().encode_lower(buffer).as_bytes()
}

/// A time as the dialect shows it: UTC, with milliseconds and `Z`.
#[must_use]
pub fn time_text(time: Micros) -> String {
    let mut text = time.to_string();
    // The text has six digits of a second's fraction, and then `Z`.
    text.truncate(text.len() - "000Z".len());
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use chancery_ledger::ids::Seq;

    use super::*;

    /// Computed with another program: `printf '019b7ca9-8f2e-8000-8000-00000499c8002026-01-02T03:04:05.678Zagent.created…'`
    /// into sha256sum.
    #[test]
    fn documented_preimage() {
        let time = Micros(1_767_323_045_678_999);
        let id = EventRef::new(time, Seq(4711), Lane::AgentIdp, 0);
        let agent = Uuid::try_parse("01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b").unwrap();
        let entry = Entry { action: Action::AgentCreated, agent, organisation: Belongs::ToItsAgents };
        let first = hash(id, time, &entry, None, None);
        assert_eq!(first.to_string(), "360aa64b0827fe0c08eac2255a5c4128b6a0a0dd5515cf301f40f412cc10d708");
        let organisation = OrganisationId(Uuid::try_parse("01932c07-209c-7c3a-9f1e-5b6d7e8f9a0c").unwrap());
        let failed = Entry { action: Action::AuthFailed, agent: Uuid::nil(), organisation: Belongs::ToItsAgents };
        let second = hash(id, time, &failed, Some(organisation), Some(first));
        assert_eq!(second.to_string(), "8863916317288e8870239e76b3d73187e09e83429ffa178a91520448ce063c93");
    }

    #[test]
    fn words_are_two_way() {
        for action in Action::ALL {
            assert_eq!(Action::find(action.text()), Some(*action));
        }
        assert_eq!(Action::find("agent.exploded"), None);
    }
}
