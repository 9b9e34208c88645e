//! Cosignatures.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::{key, seal, witness};
use crate::tree::seal::{Seal, SealError};
use crate::tree::verifier_key::{CosignerKey, VerifierKey, VerifierKeyError};
use crate::witness::cosignature::{Cosignature, CosignatureError};

fn cosigned(by: &[(&str, u8)]) -> Seal {
    let seal = seal();
    let lines: Vec<u8> = by
        .iter()
        .flat_map(|(name, seed)| {
            let it = Cosignature::sign(seal.text(), &key(*seed), 1_679_315_147);
            it.line(&witness(name, *seed)).unwrap()
        })
        .collect();
    seal.with_lines(&lines).unwrap()
}

#[test]
fn the_message_and_the_line_are_those_of_c2sp() {
    let seal = seal();
    let it = Cosignature::sign(seal.text(), &key(2), 1_679_315_147);
    let message = "cosignature/v1\ntime 1679315147\nexample.org/ledger\n3\n\
                   BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
    assert!(key(2).public().verify(message.as_bytes(), &it.signature));
    let line = String::from_utf8(it.line(&witness("witness.example/w1", 2)).unwrap()).unwrap();
    let encoded = line.strip_prefix("\u{2014} witness.example/w1 ").and_then(|rest| rest.strip_suffix('\n')).unwrap();
    let raw = BASE64_STANDARD.decode(encoded).unwrap();
    // The key's id, big-endian seconds, the signature.
    assert_eq!(raw.len(), 4 + 8 + 64);
    assert_eq!(raw[4..12], 1_679_315_147_u64.to_be_bytes());
    assert_eq!(raw[12..], it.signature);
}

#[test]
fn a_line_is_found_by_name_and_key_and_says_when() {
    let seal = cosigned(&[("w.example/1", 2), ("w.example/2", 3)]);
    for (name, seed) in [("w.example/1", 2), ("w.example/2", 3)] {
        let found = Cosignature::of(&seal, &witness(name, seed)).unwrap().unwrap();
        assert_eq!(found.time_secs, 1_679_315_147);
        found.verify(seal.text(), &witness(name, seed)).unwrap();
        found.verify_checkpoint(seal.checkpoint(), &witness(name, seed)).unwrap();
        assert_eq!(Cosignature::from_bytes(&found.to_bytes()), Ok(found));
    }
    // Another name or another key is another witness.
    assert_eq!(Cosignature::of(&seal, &witness("w.example/1", 3)), Ok(None));
    assert_eq!(Cosignature::of(&seal, &witness("w.example/3", 2)), Ok(None));
    // The log's own line stays what it was.
    seal.verify(&key(1).public()).unwrap();
    assert_eq!(seal.of_log_alone(&key(1).public()).unwrap(), super::seal());
}

#[test]
fn a_witnesses_line_that_is_not_its_signature_is_not_overlooked() {
    let seal = seal();
    let mut it = Cosignature::sign(seal.text(), &key(2), 7);
    it.time_secs = 8;
    let seal = seal.with_lines(&it.line(&witness("w.example", 2)).unwrap()).unwrap();
    assert_eq!(Cosignature::of(&seal, &witness("w.example", 2)), Err(CosignatureError::Signature));
}

#[test]
fn a_time_of_nothing_and_other_lengths_are_no_cosignatures() {
    let good = Cosignature::sign(b"x\n", &key(2), 7).to_bytes();
    let mut timeless = good;
    timeless[..8].fill(0);
    let mut endless = good;
    endless[0] = 0x80;
    for bad in [&good[..71], &good[..7], &[], &timeless, &endless, &[&good[..], &[0]].concat()] {
        assert_eq!(Cosignature::from_bytes(bad), Err(CosignatureError::Malformed));
    }
}

#[test]
fn a_witnesss_key_is_no_logs_key() {
    let text = witness("witness.example/w1", 2).to_string();
    assert_eq!(text.parse(), Ok(witness("witness.example/w1", 2)));
    assert_eq!(text.parse::<VerifierKey>(), Err(VerifierKeyError::Algorithm { wanted: 1 }));
    let log = VerifierKey { origin: "witness.example/w1".to_owned(), key: key(2).public() };
    assert_eq!(log.to_string().parse::<CosignerKey>(), Err(VerifierKeyError::Algorithm { wanted: 4 }));
    assert_eq!(text.replace("/w1", "/w2").parse::<CosignerKey>(), Err(VerifierKeyError::Id));
}

#[test]
fn another_logs_checkpoint_may_have_extension_lines_and_they_are_cosigned() {
    let text = "example.org/other\n3\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\nmore of it\n";
    let signature = key(1).sign(text.as_bytes());
    let log = VerifierKey { origin: "example.org/other".to_owned(), key: key(1).public() };
    let id = u32::from_str_radix(log.to_string().split('+').nth(1).unwrap(), 16).unwrap();
    let raw = BASE64_STANDARD.encode([&id.to_be_bytes()[..], &signature].concat());
    let note = format!("{text}\n\u{2014} example.org/other {raw}\n");
    assert!(matches!(Seal::parse(note.as_bytes()), Err(SealError::Malformed(_))));
    let seal = Seal::parse_foreign(note.as_bytes()).unwrap();
    seal.verify(&key(1).public()).unwrap();
    assert_eq!(seal.text(), text.as_bytes());
    let it = Cosignature::sign(seal.text(), &key(2), 7);
    let seal = seal.with_lines(&it.line(&witness("w.example", 2)).unwrap()).unwrap();
    assert_eq!(Cosignature::of(&seal, &witness("w.example", 2)), Ok(Some(it)));
    assert_eq!(it.verify_checkpoint(seal.checkpoint(), &witness("w.example", 2)), Err(CosignatureError::Signature));
}

proptest! {
    #[test]
    fn no_other_byte_verifies(at in 0..72_usize, bit in 0..8_u8) {
        let seal = seal();
        let mut bytes = Cosignature::sign(seal.text(), &key(2), 1_679_315_147).to_bytes();
        bytes[at] ^= 1 << bit;
        let holds = Cosignature::from_bytes(&bytes).is_ok_and(|it| it.verify(seal.text(), &witness("w", 2)).is_ok());
        prop_assert!(!holds);
    }

    #[test]
    fn no_other_checkpoint_verifies(size in any::<u64>(), root in any::<[u8; 32]>()) {
        let seal = seal();
        let it = Cosignature::sign(seal.text(), &key(2), 7);
        let mut other = seal.checkpoint().clone();
        (other.size.0, other.root.0) = (size, root);
        prop_assume!(other != *seal.checkpoint());
        prop_assert!(it.verify_checkpoint(&other, &witness("w", 2)).is_err());
    }
}

#[test]
fn the_example_of_c2sp_has_the_shape() {
    // It names no key. That others take what is made here, and this what others make, is tried from outside: by a witness
    // of another make and by Go's library.
    let line =
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    let raw = BASE64_STANDARD.decode(line).unwrap();
    assert_eq!(Cosignature::from_bytes(&raw[4..]).unwrap().time_secs, 1_679_315_147);
}
