//! What an agent signs when it signs a request: a signature base of RFC 9421, section 2.5, as far as every verifier must
//! understand it. Requests and their header fields are not known here: the edge writes the text, and what is kept is the text.
//!
//! A base is taken when it says enough to hold its signer to it: the method, the target, a digest of the content (RFC 9530),
//! when it was signed, with which key, and a nonce that names it among all that were signed with that key. It covers nothing
//! that would be a secret in the log.

use sfv::{BareItem, Dictionary, FieldType as _, InnerList, List, ListEntry, Parser};
use sha2::{Digest as _, Sha256, Sha512};

use crate::body::signature::CommandSigned;
use crate::ids::{KeyId, ThingId as _, parse_uuid};
use crate::keys::PublicKey;
use crate::time::Micros;

/// Longest base, in bytes: a tenth of it is usual.
pub const BASE_BYTES_MAX: usize = 8 * 1024;
/// Longest nonce, in characters; shortest, so that none is used again by chance.
pub const NONCE_CHARS: std::ops::RangeInclusive<usize> = 16..=128;
/// How long a signature is good after it was made, in seconds. So long its nonce is remembered.
pub const LIFE_SECS: i64 = 300;
/// How far a signer's clock may be before the ledger's, in seconds.
pub const CLOCK_SKEW_SECS: i64 = 60;
/// What a base may cover: what tells which command is asked for, and no field that can hold a credential.
pub const COMPONENTS: [&str; 14] = [
    "@method",
    "@target-uri",
    "@authority",
    "@scheme",
    "@request-target",
    "@path",
    "@query",
    "content-digest",
    "content-type",
    "content-length",
    "date",
    "idempotency-key",
    "if-match",
    "chancery-tenant",
];
/// The last line's name.
const LAST_LINE: &str = "@signature-params";
/// What it can say of the signature.
const PARAMETERS: [&str; 6] = ["created", "expires", "nonce", "alg", "keyid", "tag"];

/// A text is no signature base that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseFault {
    /// It is too long.
    #[error("the signature base is longer than {BASE_BYTES_MAX} bytes")]
    TooLong,
    /// It is not built as RFC 9421 has it.
    #[error("the signature base is malformed: {0}")]
    Malformed(&'static str),
    /// It covers what is not taken.
    #[error("the signature covers {0}, which is none of: {list}", list = COMPONENTS.join(", "))]
    Component(String),
    /// It does not cover what it must.
    #[error("the signature does not cover {0}")]
    Uncovered(&'static str),
    /// A parameter is missing, or is not as it must be.
    #[error("the signature's `{name}` {why}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The event says something else beside it.
    #[error("the signature base has another `{0}` than stands beside it")]
    Contradicted(&'static str),
}

/// A signature is not good at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    /// It was made later.
    #[error("the signature was made at {0}, which has not come yet; is the clock right?")]
    Early(Micros),
    /// It has lapsed.
    #[error("the signature was good until {0}; sign again")]
    Lapsed(Micros),
}

/// A signature base, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureBase {
    text: String,
    covered: Vec<String>,
    digests: Vec<ContentDigest>,
    parameters: Parameters,
}

/// The parameters of a signature (RFC 9421 section 2.3) that are understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The key: `keyid`.
    pub key: KeyId,
    /// Names the signature among all of that key.
    pub nonce: String,
    /// When it was made.
    pub created: Micros,
    /// When it lapses, if it says so.
    pub expires: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ContentDigest {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl SignatureBase {
    /// Reads a base.
    ///
    /// # Errors
    /// [`BaseFault`] when it is none that is taken.
    pub fn parse(text: &str) -> Result<Self, BaseFault> {
        if text.len() > BASE_BYTES_MAX {
            return Err(BaseFault::TooLong);
        }
        if !text.bytes().all(|byte| byte == b'\n' || byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(BaseFault::Malformed("it is not printable ASCII"));
        }
        let mut lines: Vec<_> = text.split('\n').map(line).collect::<Option<_>>().ok_or(NOT_LINES)?;
        let Some((LAST_LINE, last)) = lines.pop() else { return Err(NOT_LINES) };
        let list = inner_list(last)?;
        let covered = covered(&list)?;
        if !covered.iter().eq(lines.iter().map(|(name, _)| name)) {
            return Err(BaseFault::Malformed("its lines are not those that its last line names"));
        }
        let covers = |name: &str| covered.iter().any(|held| held == name);
        if !covers("@method") {
            return Err(BaseFault::Uncovered("`@method`"));
        }
        if !(covers("@target-uri") || covers("@authority") && covers("@path")) {
            return Err(BaseFault::Uncovered("`@target-uri`, nor `@authority` and `@path`"));
        }
        let digest = lines.iter().find(|(name, _)| *name == "content-digest");
        let (_, digest) = digest.ok_or(BaseFault::Uncovered("`content-digest`"))?;
        let digests = content_digests(digest)?;
        let parameters = parameters(&list)?;
        Ok(Self { text: text.to_owned(), covered, digests, parameters })
    }

    /// The base that an event holds, once it says what stands beside it there.
    ///
    /// # Errors
    /// [`BaseFault`].
    pub fn of(signed: &CommandSigned) -> Result<Self, BaseFault> {
        let base = Self::parse(&signed.base)?;
        let Parameters { key, nonce, created, expires } = base.parameters();
        let same = [
            ("keyid", *key == signed.key),
            ("nonce", *nonce == signed.nonce),
            ("created", *created == signed.created),
            ("expires", *expires == signed.expires),
        ];
        match same.into_iter().find(|(_, is_same)| !is_same) {
            Some((name, _)) => Err(BaseFault::Contradicted(name)),
            None => Ok(base),
        }
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What its parameters say.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Whether it covers a component, by its name in lower case.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.covered.iter().any(|held| held == name)
    }

    /// Whether this content has the digests that it holds: each of those whose algorithm is known, of which there is one.
    #[must_use]
    pub fn is_of(&self, content: &[u8]) -> bool {
        self.digests.iter().all(|digest| match digest {
            ContentDigest::Sha256(bytes) => Sha256::digest(content)[..] == bytes[..],
            ContentDigest::Sha512(bytes) => Sha512::digest(content)[..] == bytes[..],
        })
    }

    /// Whether a key made this signature of it.
    #[must_use]
    pub fn is_signed(&self, key: &PublicKey, signature: &[u8; 64]) -> bool {
        key.verify(self.text.as_bytes(), signature)
    }
}

impl Parameters {
    /// The last instant at which the signature is good.
    #[must_use]
    pub fn until(&self) -> Micros {
        let latest = self.created.plus_secs(LIFE_SECS);
        self.expires.map_or(latest, |expires| expires.min(latest))
    }

    /// Checks that the signature is good at a time.
    ///
    /// # Errors
    /// [`TimeFault`].
    pub fn check_time(&self, now: Micros) -> Result<(), TimeFault> {
        if self.created > now.plus_secs(CLOCK_SKEW_SECS) {
            return Err(TimeFault::Early(self.created));
        }
        if now > self.until() {
            return Err(TimeFault::Lapsed(self.until()));
        }
        Ok(())
    }
}

const NOT_LINES: BaseFault = BaseFault::Malformed("it is not lines of names and values, the last `@signature-params`");

/// A line's name and value: `"<name>": <value>`.
fn line(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once("\": ")
}

/// The list of the last line, which stands there in its one canonical spelling (RFC 9421 section 2.3).
fn inner_list(text: &str) -> Result<InnerList, BaseFault> {
    let fault = BaseFault::Malformed("its last line is no list with parameters in canonical spelling");
    let Ok(list) = Parser::new(text).parse::<List>() else { return Err(fault) };
    if list.serialize().as_deref() != Some(text) {
        return Err(fault);
    }
    match <[ListEntry; 1]>::try_from(list) {
        Ok([ListEntry::InnerList(list)]) => Ok(list),
        _ => Err(fault),
    }
}

/// The names that a list of components holds.
fn covered(list: &InnerList) -> Result<Vec<String>, BaseFault> {
    let mut names: Vec<String> = Vec::new();
    for item in &list.items {
        let name = item.bare_item.as_string().map(|name| name.as_str());
        let name = name.filter(|name| COMPONENTS.contains(name) && item.params.is_empty());
        let Some(name) = name else { return Err(BaseFault::Component(shown(item))) };
        if names.iter().any(|held| held == name) {
            return Err(BaseFault::Malformed("it covers a component twice"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn shown(item: &sfv::Item) -> String {
    item.serialize().chars().take(64).collect()
}

/// The digests of the content that are of algorithms known here (RFC 9530 section 2).
fn content_digests(text: &str) -> Result<Vec<ContentDigest>, BaseFault> {
    let fault = BaseFault::Malformed("its `content-digest` is none with sha-256 or sha-512");
    let Ok(all) = Parser::new(text).parse::<Dictionary>() else { return Err(fault) };
    let mut digests = Vec::new();
    for (name, member) in all {
        let bytes = match &member {
            ListEntry::Item(item) if item.params.is_empty() => item.bare_item.as_byte_sequence(),
            _ => None,
        };
        match (name.as_str(), bytes) {
            (_, None) => return Err(fault),
            ("sha-256", Some(bytes)) => {
                digests.push(ContentDigest::Sha256(bytes.try_into().map_err(|_| fault.clone())?))
            }
            ("sha-512", Some(bytes)) => {
                digests.push(ContentDigest::Sha512(bytes.try_into().map_err(|_| fault.clone())?))
            }
            _ => {}
        }
    }
    if digests.is_empty() { Err(fault) } else { Ok(digests) }
}

fn parameters(list: &InnerList) -> Result<Parameters, BaseFault> {
    let fault = |name, why| BaseFault::Parameter { name, why };
    if !list.params.keys().all(|name| PARAMETERS.contains(&name.as_str())) {
        return Err(BaseFault::Malformed("it has a parameter that RFC 9421 does not know"));
    }
    let text = |name: &'static str| match list.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(fault(name, "must be a text in quotes")),
    };
    let seconds = |name: &'static str| match list.params.get(name) {
        None => Ok(None),
        // sfv's integers have at most 15 digits, so that in microseconds they may be beyond the range of times.
        Some(BareItem::Integer(secs)) if (0..=LATEST_SECS).contains(&i64::from(*secs)) => {
            Ok(Some(Micros(i64::from(*secs) * 1_000_000)))
        }
        Some(_) => Err(fault(name, "must be a Unix time in whole seconds")),
    };
    text("tag")?;
    if text("alg")?.is_some_and(|alg| alg != "ed25519") {
        return Err(fault("alg", "must be \"ed25519\""));
    }
    let key = text("keyid")?.and_then(|text| parse_uuid(text).ok()).map(KeyId::from_uuid);
    let key = key.ok_or(fault("keyid", "must be the id of an agent's identity key"))?;
    let nonce = text("nonce")?.filter(|nonce| NONCE_CHARS.contains(&nonce.len()));
    let nonce = nonce.ok_or(fault("nonce", "must have 16 to 128 characters"))?.to_owned();
    let created = seconds("created")?.ok_or(fault("created", "must be there"))?;
    let expires = seconds("expires")?;
    if expires.is_some_and(|expires| expires < created) {
        return Err(fault("expires", "must not be before `created`"));
    }
    Ok(Parameters { key, nonce, created, expires })
}

/// The last second of the year 9999.
const LATEST_SECS: i64 = 253_402_300_799;

#[cfg(test)]
mod tests;
