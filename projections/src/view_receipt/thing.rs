//! Things that have receipts: in which view the row of each stands, under which key, and whose it is.

use std::fmt;
use std::str::FromStr;

use chancery_ledger::ids::{TenantId, ThingId as _, ThingKind, parse_any};
use serde_json::Value;
use uuid::Uuid;

use crate::execution::delivery::state::{DESTINATIONS, SUBSCRIPTIONS};
use crate::execution::state::{CHAINS, MISSIONS};
use crate::execution::transaction::TRANSACTIONS;
use crate::identity::state::{
    AGENTS, CHALLENGES, CREDENTIALS, GRANTS, ISSUER_RULES, ISSUERS, MEMBERS, ORGANISATIONS, TENANTS,
};
use crate::rows::RowsError;
use crate::scope::Scope;
use crate::token::state::TOKENS;
use crate::trust::state::{DISPUTES, RECORDS};
use crate::views::View;

/// A text names no thing that has receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sort of thing that has receipts, a colon and an id, such as `token:01932c07-…`")]
pub struct NoSuchThing;

macro_rules! sorts {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal: id of $kind:ident, $view:ident $table:ident, owner at $owner:literal, needs $scope:ident;)*) => {
        /// A sort of thing that has receipts. The key of its row is the table's id and the thing's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Sort {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Sort {
            /// Every sort.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What its ids are ids of.
            #[must_use]
            pub const fn kind(self) -> ThingKind {
                match self { $(Self::$name => ThingKind::$kind,)* }
            }

            /// The view that holds its rows.
            #[must_use]
            pub const fn view(self) -> View {
                match self { $(Self::$name => View::$view,)* }
            }

            /// The id of the table that its rows stand in.
            #[must_use]
            pub const fn table(self) -> u8 {
                match self { $(Self::$name => $table.id(),)* }
            }

            /// Where in a row's value its owner's id begins.
            const fn owner_at(self) -> usize {
                match self { $(Self::$name => $owner,)* }
            }

            /// The scope that reading one needs, beside that of proofs.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)* }
            }

            /// What a row says, as JSON; encrypted fields stay so.
            ///
            /// # Errors
            /// [`RowsError::Malformed`] when it is no such row.
            pub fn show(self, value: &[u8]) -> Result<Value, RowsError> {
                match self { $(Self::$name => $table.show(value),)* }
            }
        }
    };
}

sorts! {
    /// A tenant; it is its own.
    Tenant "tenant": id of Tenant, Identity TENANTS, owner at 0, needs TenantsList;
    /// An organisation.
    Organisation "organisation": id of Organisation, Identity ORGANISATIONS, owner at 16, needs OrganisationsRead;
    /// A member.
    Member "member": id of Member, Identity MEMBERS, owner at 16, needs MembersRead;
    /// An agent.
    Agent "agent": id of Agent, Identity AGENTS, owner at 16, needs AgentsRead;
    /// What an agent may ask for beyond what every agent may; nothing, when there is no row.
    Grants "grants": id of Agent, Identity GRANTS, owner at 16, needs AgentsRead;
    /// A credential.
    Credential "credential": id of Credential, Identity CREDENTIALS, owner at 16, needs ApiKeysList;
    /// A challenge.
    Challenge "challenge": id of Challenge, Identity CHALLENGES, owner at 16, needs AgentsRead;
    /// An issuer.
    Issuer "issuer": id of Issuer, Identity ISSUERS, owner at 16, needs IssuersRead;
    /// A rule of an issuer.
    IssuerRule "issuer_rule": id of IssuerRule, Identity ISSUER_RULES, owner at 16, needs CredentialsList;
    /// A token.
    Token "token": id of Token, Token TOKENS, owner at 16, needs TokensIntrospect;
    /// How far an agent is trusted.
    Trust "trust": id of Agent, Trust RECORDS, owner at 16, needs TrustRead;
    /// A dispute.
    Dispute "dispute": id of Dispute, Trust DISPUTES, owner at 16, needs TrustRead;
    /// A mission.
    Mission "mission": id of Mission, Execution MISSIONS, owner at 16, needs MissionsRead;
    /// An audit chain.
    AuditChain "audit_chain": id of AuditChain, Execution CHAINS, owner at 0, needs AuditRead;
    /// A transaction.
    Transaction "transaction": id of Transaction, Execution TRANSACTIONS, owner at 16, needs TransactionsRead;
    /// A destination.
    Destination "destination": id of Destination, Execution DESTINATIONS, owner at 16, needs DeliveryRead;
    /// A subscription.
    Subscription "subscription": id of Subscription, Execution SUBSCRIPTIONS, owner at 16, needs DeliveryRead;
}

/// A thing that has receipts, whether it exists or not. Shown as its sort, a colon, and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing {
    /// What sort.
    pub sort: Sort,
    /// Which.
    pub id: Uuid,
}

impl Thing {
    /// The key of its row.
    #[must_use]
    pub fn key(self) -> Vec<u8> {
        [&[self.sort.table()], self.id.as_bytes().as_slice()].concat()
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sort.name(), self.id)
    }
}

impl FromStr for Thing {
    type Err = NoSuchThing;

    fn from_str(text: &str) -> Result<Self, NoSuchThing> {
        let (name, id) = text.split_once(':').ok_or(NoSuchThing)?;
        let sort = Sort::ALL.iter().find(|sort| sort.name() == name).ok_or(NoSuchThing)?;
        Ok(Self { sort: *sort, id: parse_any(sort.kind(), id).map_err(|_| NoSuchThing)? })
    }
}

/// Whose a row is: the tenant whose thing it is, or the ledger for a row that is no thing's own.
#[must_use]
pub fn owner_of(view: View, key: &[u8], value: &[u8]) -> TenantId {
    let sort = Sort::ALL.iter().find(|sort| sort.view() == view && key.first() == Some(&sort.table()));
    sort.and_then(|sort| owner_in(*sort, value)).unwrap_or(TenantId::LEDGER)
}

/// Whose a thing is, by its row.
#[must_use]
pub fn owner_in(sort: Sort, value: &[u8]) -> Option<TenantId> {
    let id = value.get(sort.owner_at()..)?.first_chunk()?;
    Some(TenantId::from_uuid(Uuid::from_bytes(*id)))
}
