//! OAuth 2.0 clients and how they say who they are at the token routes (RFC 6749 section 2.3): by HTTP Basic, or in the
//! form. What they say is held against the ledger elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{HeaderMap, header};
use zeroize::Zeroizing;

use crate::limits::CREDENTIAL_BYTES_MAX;

/// What a client says of itself.
#[derive(Debug)]
pub struct Claim {
    /// Who it says it is.
    pub client: String,
    /// What it says to prove that.
    pub proof: Proof,
    /// Whether it said so by HTTP Basic.
    pub is_basic: bool,
}

/// What a client says to prove who it is.
pub enum Proof {
    /// Its secret.
    Secret(Zeroizing<String>),
    /// An assertion that it signed (RFC 7523).
    Assertion(String),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Assertion(_) => f.write_str("Assertion"),
        }
    }
}

/// What a client says by HTTP Basic: `None` when there is no such field, an error when it is none that can be read. Both
/// parts are encoded as forms encode (RFC 6749 section 2.3.1).
///
/// # Errors
/// [`Malformed`].
pub fn basic(headers: &HeaderMap) -> Result<Option<Claim>, Malformed> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Malformed)?;
    let Some((scheme, encoded)) = text.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    if values.next().is_some() || encoded.len() > 4 * CREDENTIAL_BYTES_MAX {
        return Err(Malformed);
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_matches(' ')).map_err(|_| Malformed)?);
    let text = std::str::from_utf8(&decoded).map_err(|_| Malformed)?;
    let (client, secret) = text.split_once(':').ok_or(Malformed)?;
    Ok(Some(Claim {
        client: unescaped(client),
        proof: Proof::Secret(Zeroizing::new(unescaped(secret))),
        is_basic: true,
    }))
}

/// `Authorization: Basic` holds nothing that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// One value as forms encode it.
fn unescaped(text: &str) -> String {
    // A pair's name ends at `=` and a pair at `&`; within a value both are ordinary here.
    let escaped = text.replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(escaped.as_bytes()).next().map_or_else(String::new, |(value, _)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(value: &str) -> Result<Option<(String, String)>, Malformed> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        Ok(basic(&headers)?.map(|claim| {
            let Proof::Secret(secret) = claim.proof else { panic!("another proof") };
            (claim.client, secret.to_string())
        }))
    }

    #[test]
    fn basic_is_read_as_rfc_6749_has_it() {
        let basic = |text: &str| read(&format!("Basic {}", STANDARD.encode(text)));
        let pair = |a: &str, b: &str| Ok(Some((a.to_owned(), b.to_owned())));
        assert_eq!(basic("ada:secret"), pair("ada", "secret"));
        assert_eq!(basic("a%3Ada:sec%25ret+x"), pair("a:da", "sec%ret x"));
        assert_eq!(basic("ada:s=e&c:r"), pair("ada", "s=e&c:r"));
        assert_eq!(basic(":"), pair("", ""));
        assert_eq!(basic("ada"), Err(Malformed));
        assert_eq!(read("Basic ***"), Err(Malformed));
        assert_eq!(read("Bearer x"), Ok(None));
        assert_eq!(read("x"), Ok(None));
    }
}
