//! Tokens that `openssl ts` made for the checkpoint of `docs/format.md`, section 14, with certificates of two CAs of these
//! tests; see `tests/tsa.py` for how they are made.

use std::path::Path;

use super::*;
use crate::ids::TreeSize;
use crate::time::Micros;
use crate::tree::NodeHash;

/// What the requests had.
const NONCE: Nonce = Nonce::new([0x0B; 8]);

fn checkpoint() -> Checkpoint {
    let root = hex::decode("c1a7bf56cb5cae26f5ecdf449fa0b28d9b1aaa437354dc92e1e8dd26517e75d4").unwrap();
    let root = NodeHash(root.try_into().unwrap());
    Checkpoint { origin: "chancery.example/vectors".to_owned(), size: TreeSize(3), root }
}

fn imprint() -> Imprint {
    Imprint::of(&checkpoint())
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/timestamp").join(name)).unwrap()
}

fn authorities(name: &str) -> Authorities {
    Authorities::from_pem(&golden(name)).unwrap()
}

fn token(name: &str) -> Token {
    Token::of_response(&golden(name), imprint(), NONCE).unwrap()
}

const ALL: [&str; 2] = ["ecdsa.tsr", "rsa-sha512-ess-sha1.tsr"];

#[test]
fn tokens_of_another_implementation_hold() {
    for name in ALL {
        let token = token(name);
        assert_eq!(token.verify(imprint(), &authorities("ca.pem")), Ok(()), "{name}");
        let kept = Token::parse(token.as_bytes()).unwrap();
        assert_eq!(kept.verify(imprint(), &authorities("ca.pem")), Ok(()), "{name}");
        // 2026, by the authority's clock.
        assert!((1_767_225_600..1_798_761_600).contains(&(token.time().0 / 1_000_000)), "{name}");
        assert_eq!(token.time(), Micros(token.time().0 / 1_000_000 * 1_000_000), "tokens have whole seconds");
    }
}

#[test]
fn a_token_is_over_one_checkpoint_and_answers_one_request() {
    let response = golden("ecdsa.tsr");
    let other = Imprint::of(&Checkpoint { size: TreeSize(4), ..checkpoint() });
    assert_eq!(Token::of_response(&response, other, NONCE), Err(TimestampError::OtherImprint));
    assert_eq!(token("ecdsa.tsr").verify(other, &authorities("ca.pem")), Err(TimestampError::OtherImprint));
    let another = Nonce::new([0x0C; 8]);
    assert_eq!(Token::of_response(&response, imprint(), another), Err(TimestampError::OtherNonce));
}

#[test]
fn whom_nobody_vouches_for_is_not_believed() {
    let untrusted = token("ecdsa.tsr").verify(imprint(), &authorities("another-ca.pem"));
    assert!(matches!(untrusted, Err(TimestampError::Untrusted(_))), "{untrusted:?}");
}

#[test]
fn a_changed_byte_of_a_token_is_noticed() {
    for name in ALL {
        let good = token(name);
        let mut noticed = 0;
        for at in 0..good.as_bytes().len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(changed) = Token::parse(&bytes) else { continue };
            noticed += 1;
            let found = changed.verify(imprint(), &authorities("ca.pem"));
            // What is not signed: the version of the structure, the list of algorithms, the order of certificates.
            assert!(found.is_err() || changed.time() == good.time(), "{name} at {at}");
        }
        assert!(noticed > 100, "{name}");
    }
}

#[test]
fn what_is_no_token_is_told_so() {
    for bytes in [&b""[..], b"0", b"0\x80", &[0xFF; 64], &golden("ca.pem")] {
        assert!(Token::parse(bytes).is_err());
        assert!(Token::of_response(bytes, imprint(), NONCE).is_err());
    }
    let long = vec![0; TOKEN_BYTES_MAX + 1];
    assert_eq!(Token::parse(&long), Err(TimestampError::TooLong));
    // An answer that refuses: status 2 and no token.
    let refused = [0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02];
    let refused = Token::of_response(&refused, imprint(), NONCE);
    assert!(matches!(refused, Err(TimestampError::Refused(_))), "{refused:?}");
}

#[test]
fn authorities_are_certificates() {
    assert_eq!(Authorities::from_pem(b"").unwrap_err(), AuthoritiesError::Count);
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Authorities::from_pem(broken), Err(AuthoritiesError::Certificate(_))));
    let both = [golden("another-ca.pem"), golden("ca.pem")].concat();
    let both = Authorities::from_pem(&both).unwrap();
    assert_eq!(token("ecdsa.tsr").verify(imprint(), &both), Ok(()));
}

#[test]
fn a_request_asks_for_what_is_needed_to_check_the_answer() {
    use der::Decode as _;

    let request = TimeStampReq::from_der(&imprint().request(NONCE).unwrap()).unwrap();
    assert!(request.cert_req);
    assert_eq!(request.message_imprint.hashed_message.as_bytes(), imprint().0);
    for random in [[0; 8], [0xFF; 8], [0x80, 0, 0, 0, 0, 0, 0, 0]] {
        let request = imprint().request(Nonce::new(random)).unwrap();
        assert_eq!(TimeStampReq::from_der(&request).unwrap().nonce, Some(Nonce::new(random).int().unwrap()));
    }
}
