//! Requests to native commands and queries, with OrgKernel's rules and defaults. Deciders check again what they need.
//!
//! A text that is no id in the vendor's spelling becomes the id that no thing has ([`agent`], [`token`] and so on), so
//! that what does not exist and what cannot exist are answered alike, each by its route.

pub mod audit;
pub mod fields;
pub mod identity;
pub mod token;

#[cfg(test)]
mod tests;

use chancery_ledger::body::field::JsonText;
use chancery_ledger::ids::{AgentId, AuditChainId, ChallengeId, ThingId, TokenId};
use chancery_projections::command::{MissionKey, MissionRef};
use chancery_projections::json::{Json, Members};
use chancery_projections::lane::orgkernel::ids::{NAMESPACE, parse_agent, parse_chain, parse_challenge, parse_token};
use chancery_projections::view::PageNumber;
use uuid::Uuid;

use self::fields::{Fault, Fields, Part, Pattern, TextRule};

const fn small(byte: u8) -> bool {
    byte.is_ascii_lowercase()
}

const fn small_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

const fn base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// An agent's id.
const AGENT_ID: TextRule = TextRule {
    min: 10,
    max: 32,
    pattern: Some(Pattern { written: "^aid_[a-z0-9]+$", prefix: "aid_", first: None, rest: small_or_digit }),
};

const MISSION_PATTERN: Pattern =
    Pattern { written: "^msn_[a-z0-9]+$", prefix: "msn_", first: None, rest: small_or_digit };

/// A page asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// From 1.
    pub page_no: u32,
    /// 1 to 100.
    pub page_size: u32,
}

impl PageQuery {
    /// As views page.
    #[must_use]
    pub fn number(self) -> PageNumber {
        PageNumber { number: u64::from(self.page_no), size: self.page_size as usize }
    }
}

/// Reads `page_no` and `page_size`.
///
/// # Errors
/// What is wrong with them.
pub fn page(query: &Members) -> Result<PageQuery, Vec<Fault>> {
    let mut read = Fields::new(Part::Query, query);
    let page = read_page(&mut read);
    read.done(page)
}

fn read_page(read: &mut Fields<'_>) -> PageQuery {
    PageQuery {
        page_no: read.integer_if_sent("page_no", 1, u32::MAX).unwrap_or(1),
        page_size: read.integer_if_sent("page_size", 1, 100).unwrap_or(20),
    }
}

pub(super) fn or_nothing<T: ThingId>(id: Option<T>) -> T {
    id.unwrap_or_else(|| T::from_uuid(Uuid::nil()))
}

/// The agent of an `aid_…`.
#[must_use]
pub fn agent(text: &str) -> AgentId {
    or_nothing(parse_agent(text))
}

/// The token of a `tok_…`.
#[must_use]
pub fn token_id(text: &str) -> TokenId {
    or_nothing(parse_token(text))
}

/// The chain of an `ac_…`.
#[must_use]
pub fn chain(text: &str) -> AuditChainId {
    or_nothing(parse_chain(text))
}

fn challenge(text: &str) -> ChallengeId {
    or_nothing(parse_challenge(text))
}

/// The mission that a caller's text names.
#[must_use]
pub fn mission(text: &str) -> MissionRef {
    MissionRef::Key(MissionKey { namespace: NAMESPACE.to_owned(), text: text.to_owned() })
}

fn json_text(members: Members) -> JsonText {
    JsonText(Json::Object(members).render())
}
