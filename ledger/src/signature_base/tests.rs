//! Which texts are taken, and what they hold their signer to.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::body::field::Signature;
use crate::ids::{AgentId, Subject, ThingKind};
use crate::keys::SigningKey;
use crate::shred::Encrypted;

const KEY: &str = "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b";
const CREATED: i64 = 1_790_000_000;
/// SHA-256 of `{}`.
const DIGEST: &str = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:";

/// The usual parameters.
fn usual() -> String {
    format!(";created={CREATED};keyid=\"{KEY}\";nonce=\"0123456789abcdef\"")
}

/// A base of lines, with these parameters.
fn base(lines: &[(&str, &str)], parameters: &str) -> String {
    let names: Vec<_> = lines.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let lines: String = lines.iter().map(|(name, value)| format!("\"{name}\": {value}\n")).collect();
    format!("{lines}\"@signature-params\": ({}){parameters}", names.join(" "))
}

const METHOD: (&str, &str) = ("@method", "POST");
const TARGET: (&str, &str) = ("@target-uri", "http://127.0.0.1:8420/v1/commands");
const CONTENT: (&str, &str) = ("content-digest", DIGEST);

fn good() -> String {
    base(&[METHOD, TARGET, CONTENT], &usual())
}

#[test]
fn a_base_tells_what_its_signer_is_held_to() {
    let base = SignatureBase::parse(&good()).unwrap();
    let Parameters { key, nonce, created, expires } = base.parameters();
    assert_eq!((key.to_string().as_str(), nonce.as_str()), (KEY, "0123456789abcdef"));
    assert_eq!((created.0, *expires), (CREATED * 1_000_000, None));
    assert!(base.covers("@method") && !base.covers("@path"));
    assert!(base.is_of(b"{}") && !base.is_of(b"{ }"));
    assert_eq!(base.text(), good());
}

#[test]
fn what_says_too_little_is_not_taken() {
    let fault = |lines: &[_], parameters: &str| SignatureBase::parse(&base(lines, parameters)).unwrap_err();
    assert_eq!(fault(&[TARGET, CONTENT], &usual()), BaseFault::Uncovered("`@method`"));
    assert_eq!(fault(&[METHOD, TARGET], &usual()), BaseFault::Uncovered("`content-digest`"));
    let authority = ("@authority", "127.0.0.1:8420");
    assert!(matches!(fault(&[METHOD, authority, CONTENT], &usual()), BaseFault::Uncovered(_)));
    let path = ("@path", "/v1/commands");
    assert!(SignatureBase::parse(&base(&[METHOD, authority, path, CONTENT], &usual())).is_ok());
    for gone in ["created", "keyid", "nonce"] {
        let rest: String = usual().split_inclusive(';').filter(|part| !part.starts_with(gone)).collect();
        let rest = rest.trim_end_matches(';');
        let found = fault(&[METHOD, TARGET, CONTENT], rest);
        assert!(matches!(found, BaseFault::Parameter { name, .. } if name == gone), "{rest}: {found}");
    }
}

#[test]
fn what_is_not_understood_is_not_taken() {
    let fault = |text: &str| SignatureBase::parse(text).unwrap_err();
    let secret = base(&[METHOD, TARGET, CONTENT, ("authorization", "Bearer chy_x")], &usual());
    assert!(matches!(fault(&secret), BaseFault::Component(name) if name == "\"authorization\""));
    let parameterised = good().replace("(\"@method\"", "(\"@method\";req");
    assert!(matches!(fault(&parameterised), BaseFault::Component(name) if name == "\"@method\";req"));
    for (change, to) in [
        ("POST\n", "POST\n\n"),
        ("POST\n", ""),
        ("\"@method\": ", "\"@path\": "),
        ("\"@method\": ", "@method: "),
        ("@signature-params", "@signature"),
        ("sha-256=", "md5="),
        ("sha-256=:", "sha-256="),
        ("created=", "created=\""),
        ("(\"@method\"", "(\"@method\" \"@method\""),
        ("(\"@method\"", "( \"@method\""),
        (";created=", ";created=0"),
        (";created=", ";x;created="),
        ("POST", "PÖST"),
        ("POST", "PO\rST"),
    ] {
        let changed = good().replacen(change, to, 1);
        assert_ne!(changed, good(), "{change}");
        assert!(SignatureBase::parse(&changed).is_err(), "{changed}");
    }
    for (name, parameter) in [
        ("alg", ";alg=\"rsa-v1_5-sha256\""),
        ("expires", ";expires=1"),
        ("expires", ";expires=999999999999999"),
        ("expires", ";expires=1.5"),
    ] {
        let found = fault(&base(&[METHOD, TARGET, CONTENT], &(usual() + parameter)));
        assert!(matches!(found, BaseFault::Parameter { name: found, .. } if found == name), "{parameter}: {found}");
    }
    assert!(SignatureBase::parse(&(good() + ";alg=\"ed25519\";tag=\"a \\\" b\"")).is_ok());
    assert_eq!(fault(&"x".repeat(BASE_BYTES_MAX + 1)), BaseFault::TooLong);
}

#[test]
fn a_signature_is_good_for_five_minutes_and_no_longer_than_it_says() {
    let at = |secs: i64| Micros((CREATED + secs) * 1_000_000);
    let parameters = |more: &str| {
        let base = SignatureBase::parse(&(good() + more)).unwrap();
        base.parameters().clone()
    };
    let usual = parameters("");
    assert_eq!(usual.check_time(at(-61)), Err(TimeFault::Early(at(0))));
    assert_eq!(usual.check_time(at(-60)), Ok(()));
    assert_eq!(usual.check_time(at(300)), Ok(()));
    assert_eq!(usual.check_time(at(301)), Err(TimeFault::Lapsed(at(300))));
    let short = parameters(&format!(";expires={}", CREATED + 10));
    assert_eq!(short.check_time(at(10)), Ok(()));
    assert_eq!(short.check_time(at(11)), Err(TimeFault::Lapsed(at(10))));
    assert_eq!(parameters(&format!(";expires={}", CREATED + 9_999)).until(), at(300));
}

#[test]
fn every_digest_that_is_known_must_fit() {
    let sha_512 = "sha-512=:J8dGcK23nXXw2cXU5MZYGwbVAb6YW6xMjz9ZOBz2pKPZ6sHkwPvB4nx+V7PKcLwNwYxWGjX7rGZCe1H0s0vTQQ==:";
    let with =
        |digest: &str| SignatureBase::parse(&base(&[METHOD, TARGET, ("content-digest", digest)], &usual())).unwrap();
    assert!(with(DIGEST).is_of(b"{}"));
    assert!(!with(&format!("{DIGEST}, {sha_512}")).is_of(b"{}"), "one of two is of other content");
    assert!(with(&format!("md5=:AAAA:, {DIGEST}")).is_of(b"{}"), "what is not known says nothing");
}

fn signed() -> CommandSigned {
    CommandSigned {
        agent: AgentId(parse_uuid(KEY).unwrap()),
        key: KeyId::from_uuid(parse_uuid(KEY).unwrap()),
        base: good(),
        signature: Signature([0; 64]),
        nonce: "0123456789abcdef".into(),
        created: Micros(CREATED * 1_000_000),
        expires: None,
        content: Encrypted {
            key: Subject { kind: ThingKind::Agent, id: parse_uuid(KEY).unwrap() },
            nonce: [0; 24],
            ciphertext: Vec::new(),
        },
    }
}

#[test]
fn an_event_says_what_its_base_says() {
    assert!(SignatureBase::of(&signed()).is_ok());
    let contradicted = |change: fn(&mut CommandSigned)| {
        let mut it = signed();
        change(&mut it);
        SignatureBase::of(&it).unwrap_err()
    };
    assert_eq!(contradicted(|it| it.nonce.push('0')), BaseFault::Contradicted("nonce"));
    assert_eq!(contradicted(|it| it.created.0 += 1), BaseFault::Contradicted("created"));
    assert_eq!(contradicted(|it| it.expires = Some(Micros::MAX)), BaseFault::Contradicted("expires"));
    assert_eq!(contradicted(|it| it.key = KeyId::from_uuid(uuid::Uuid::max())), BaseFault::Contradicted("keyid"));
}

proptest! {
    #[test]
    fn no_text_is_read_that_does_not_say_its_own_names(text in "\\PC{0,200}") {
        prop_assert!(SignatureBase::parse(&text).is_err());
    }

    #[test]
    fn a_changed_byte_is_not_signed(place in 0..good().len(), byte in 0u8..128) {
        let key = SigningKey::from_seed(Zeroizing::new([7; 32]));
        let signature = key.sign(good().as_bytes());
        let mut bytes = good().into_bytes();
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        if let Ok(base) = SignatureBase::parse(&String::from_utf8(bytes).unwrap()) {
            prop_assert!(!base.is_signed(&key.public(), &signature));
        }
        prop_assert!(SignatureBase::parse(&good()).unwrap().is_signed(&key.public(), &signature));
    }
}
