//! HTTP Message Signatures (RFC 9421) under requests: what an agent says that it signed, built from the request as it came.
//! Whose key it is and whether that made the signature is asked elsewhere.
//!
//! sfv reads and writes the structured fields. The `httpsig` crate is not used: it writes a signature's parameters in an order
//! of its own where the RFC keeps the signer's, so that most signers' signatures do not hold with it.

use chancery_ledger::body::field::Signature;
use chancery_ledger::signature_base::{BASE_BYTES_MAX, BaseFault, SignatureBase};
use hyper::{HeaderMap, Method, header};
use sfv::{Dictionary, FieldType as _, InnerList, List, ListEntry, Parser};

/// Fields that change what is asked for, so that a signature must cover those that are there.
const MUST_COVER: [&str; 3] = ["idempotency-key", "if-match", "chancery-tenant"];

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// Its method.
    pub method: &'a Method,
    /// `http` or `https`, as clients reach the daemon.
    pub scheme: &'a str,
    /// The host, and the port if it is not the scheme's.
    pub authority: &'a str,
    /// Its path, as sent.
    pub path: &'a str,
    /// What stands behind the `?`, as sent.
    pub query: Option<&'a str>,
    /// Its header fields.
    pub headers: &'a HeaderMap,
}

/// A signature that a request presents.
#[derive(Debug)]
pub struct Presented {
    /// What it is over.
    pub base: SignatureBase,
    /// The signature.
    pub signature: Signature,
}

/// A request's signature cannot be looked into, or would not say enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is a credential beside it.
    #[error("send a credential or a signature, not both")]
    Beside,
    /// The fields are not as they must be.
    #[error(
        "`Signature-Input` and `Signature` must hold one signature under one label, of 64 bytes (RFC 9421 section 4)"
    )]
    Fields,
    /// It covers what is not there.
    #[error("the signature covers `{0}`, which the request does not have")]
    Absent(String),
    /// It leaves out what changes the meaning.
    #[error("the signature does not cover {0}, which the request has")]
    Uncovered(&'static str),
    /// It does not say what a signature must say here.
    #[error(transparent)]
    Base(#[from] BaseFault),
    /// The content is not the one that was signed.
    #[error("the content does not have the signed digest; was it altered on its way?")]
    Content,
    /// The key is nobody's.
    #[error("no agent has the identity key that `keyid` names")]
    UnknownKey,
    /// The key did not make it.
    #[error("the agent's key did not make this signature of this request; was it altered on its way?")]
    Forged,
}

/// Whether a request says that it is signed.
#[must_use]
pub fn is_presented(headers: &HeaderMap) -> bool {
    headers.contains_key("signature-input")
}

/// The signature that a request presents.
///
/// # Errors
/// [`SignatureFault`].
pub fn presented(request: Signable<'_>) -> Result<Presented, SignatureFault> {
    let headers = request.headers;
    if headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key") {
        return Err(SignatureFault::Beside);
    }
    let (input, label) = only_member(headers, "signature-input")?;
    let (signature, other_label) = only_member(headers, "signature")?;
    let (ListEntry::InnerList(list), ListEntry::Item(signature)) = (input, signature) else {
        return Err(SignatureFault::Fields);
    };
    let bytes = signature.bare_item.as_byte_sequence().and_then(|bytes| bytes.try_into().ok());
    let signature = bytes.filter(|_| label == other_label).map(Signature).ok_or(SignatureFault::Fields)?;
    let base = SignatureBase::parse(&text(request, list)?)?;
    for name in MUST_COVER {
        if headers.contains_key(name) && !base.covers(name) {
            return Err(SignatureFault::Uncovered(name));
        }
    }
    let covers_query = ["@target-uri", "@request-target", "@query"].into_iter().any(|name| base.covers(name));
    if request.query.is_some() && !covers_query {
        return Err(SignatureFault::Uncovered("@query"));
    }
    Ok(Presented { base, signature })
}

/// The only member of a field that is a dictionary, and its name.
fn only_member(headers: &HeaderMap, name: &str) -> Result<(ListEntry, String), SignatureFault> {
    let text = field(headers, name).filter(|text| text.len() <= BASE_BYTES_MAX).ok_or(SignatureFault::Fields)?;
    let members: Dictionary = Parser::new(&text).parse().map_err(|_| SignatureFault::Fields)?;
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some((label, member)), None) => Ok((member, label.as_str().to_owned())),
        _ => Err(SignatureFault::Fields),
    }
}

/// The text that is signed (RFC 9421 section 2.5): a line for each component, as it is here, and one for the list itself.
fn text(request: Signable<'_>, list: InnerList) -> Result<String, SignatureFault> {
    let mut text = String::new();
    for item in &list.items {
        // What a parameter asks for is not taken, which reading the text says.
        let name = item.bare_item.as_string().map_or("", |name| name.as_str());
        let value = value(request, name).ok_or_else(|| SignatureFault::Absent(name.chars().take(64).collect()))?;
        text.extend([item.serialize().as_str(), ": ", &value, "\n"]);
        if text.len() > BASE_BYTES_MAX {
            return Err(BaseFault::TooLong.into());
        }
    }
    let list: List = vec![list.into()];
    text.extend(["\"@signature-params\": ", list.serialize().as_deref().unwrap_or_default()]);
    Ok(text)
}

/// The value of a component (RFC 9421 sections 2.1 and 2.2).
fn value(request: Signable<'_>, name: &str) -> Option<String> {
    let Signable { method, scheme, path, query, headers, .. } = request;
    let authority = authority(scheme, request.authority);
    let target = || query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    Some(match name {
        "@method" => method.as_str().to_owned(),
        "@scheme" => scheme.to_owned(),
        "@authority" => authority,
        "@target-uri" => format!("{scheme}://{authority}{}", target()),
        "@request-target" => target(),
        "@path" => path.to_owned(),
        "@query" => format!("?{}", query.unwrap_or_default()),
        name => field(headers, name)?,
    })
}

/// An authority as it is signed: in lower case, without the scheme's own port (RFC 9421 section 2.2.3).
fn authority(scheme: &str, authority: &str) -> String {
    let default = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.to_ascii_lowercase();
    authority.strip_suffix(default).map_or_else(|| authority.clone(), str::to_owned)
}

/// A field's value: of several lines, all, with commas between.
fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(name).iter().map(|value| value.to_str().ok().map(str::trim));
    let lines = lines.collect::<Option<Vec<_>>>()?;
    (!lines.is_empty()).then(|| lines.join(", "))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use chancery_ledger::keys::{PublicKey, SigningKey};
    use hyper::header::{HeaderName, HeaderValue};
    use zeroize::Zeroizing;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
            headers
        })
    }

    fn list(text: &str) -> InnerList {
        let list: List = Parser::new(text).parse().unwrap();
        let Ok([ListEntry::InnerList(list)]) = <[ListEntry; 1]>::try_from(list) else { panic!("no list") };
        list
    }

    #[test]
    fn the_signature_of_rfc_9421_b_2_6_holds() {
        let headers = headers(&[
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            (
                "content-digest",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
            ("content-length", "18"),
        ]);
        let request = Signable {
            method: &Method::POST,
            scheme: "https",
            authority: "example.com",
            path: "/foo",
            query: Some("param=Value&Pet=dog"),
            headers: &headers,
        };
        let covered = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
            ;created=1618884473;keyid=\"test-key-ed25519\"";
        let text = text(request, list(covered)).unwrap();
        assert_eq!(
            text,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
             \"@method\": POST\n\
             \"@path\": /foo\n\
             \"@authority\": example.com\n\
             \"content-type\": application/json\n\
             \"content-length\": 18\n\
             \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
             ;created=1618884473;keyid=\"test-key-ed25519\""
        );
        let key = STANDARD.decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
        let signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
        let signature = STANDARD.decode(signature).unwrap().try_into().unwrap();
        assert!(PublicKey::from_slice(&key).unwrap().verify(text.as_bytes(), &signature));
    }

    const INPUT: &str = "sig=(\"@method\" \"@target-uri\" \"content-digest\")\
        ;nonce=\"0123456789abcdef\";keyid=\"01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b\";alg=\"ed25519\";created=1790000000";

    fn signature() -> String {
        format!("sig=:{}:", STANDARD.encode([7; 64]))
    }

    fn read(fields: &[(&'static str, &str)], query: Option<&str>) -> Result<Presented, SignatureFault> {
        let mut all = vec![("content-digest", "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:")];
        all.extend(fields);
        let headers = headers(&all);
        presented(Signable {
            method: &Method::POST,
            scheme: "http",
            authority: "LocalHost:80",
            path: "/v1/commands",
            query,
            headers: &headers,
        })
    }

    #[test]
    fn parameters_stay_in_the_order_in_which_they_came() {
        let signature = signature();
        let base = read(&[("signature-input", INPUT), ("signature", &signature)], None).unwrap().base;
        assert!(base.text().ends_with(INPUT.strip_prefix("sig=").unwrap()), "{}", base.text());
        assert!(base.text().contains("\"@target-uri\": http://localhost/v1/commands\n"), "{}", base.text());
        let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
        assert!(base.is_signed(&key.public(), &key.sign(base.text().as_bytes())));
    }

    #[test]
    fn a_signature_is_one_in_its_place_with_nothing_beside_it() {
        let signature = signature();
        let fault = |fields: &[(&'static str, &str)]| read(fields, None).unwrap_err();
        let two = format!("{signature}, b=:AAAA:");
        assert_eq!(fault(&[("signature-input", INPUT), ("signature", &two)]), SignatureFault::Fields);
        assert_eq!(fault(&[("signature-input", INPUT), ("signature", "sig=:AAAA:")]), SignatureFault::Fields);
        assert_eq!(fault(&[("signature-input", INPUT)]), SignatureFault::Fields);
        let other = signature.replacen("sig", "gis", 1);
        assert_eq!(fault(&[("signature-input", INPUT), ("signature", &other)]), SignatureFault::Fields);
        let beside = [("signature-input", INPUT), ("signature", &*signature), ("authorization", "Bearer chy_x")];
        assert_eq!(fault(&beside), SignatureFault::Beside);
        let absent = INPUT.replace("\"@method\"", "\"@method\" \"date\"");
        let absent = fault(&[("signature-input", &absent), ("signature", &signature)]);
        assert_eq!(absent, SignatureFault::Absent("date".to_owned()));
    }

    #[test]
    fn what_changes_the_meaning_is_covered() {
        let signature = signature();
        for name in MUST_COVER {
            let fields = [("signature-input", INPUT), ("signature", &*signature), (name, "\"1\"")];
            assert_eq!(read(&fields, None).unwrap_err(), SignatureFault::Uncovered(name));
            let covered = INPUT.replace("\"@method\"", &format!("\"@method\" \"{name}\""));
            let fields = [("signature-input", &*covered), ("signature", &signature), (name, "\"1\"")];
            assert!(read(&fields, None).is_ok());
        }
        let by_path = INPUT.replace("\"@target-uri\"", "\"@authority\" \"@path\"");
        let fields = [("signature-input", &*by_path), ("signature", &signature)];
        assert!(read(&fields, None).is_ok());
        assert_eq!(read(&fields, Some("proof=true")).unwrap_err(), SignatureFault::Uncovered("@query"));
        assert!(read(&[("signature-input", INPUT), ("signature", &signature)], Some("proof=true")).is_ok());
    }
}
