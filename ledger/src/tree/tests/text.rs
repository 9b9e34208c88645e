//! Seals, verifier keys and tlog-proofs as text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::Memory;
use crate::ids::{Seq, TreeSize};
use crate::keys::SigningKey;
use crate::tree::origin::{ORIGIN_BYTES_MAX, is_origin};
use crate::tree::proof::inclusion;
use crate::tree::seal::{Checkpoint, SEAL_BYTES_MAX, Seal, SealError};
use crate::tree::tlog_proof::{TlogProof, TlogProofError};
use crate::tree::verifier_key::{VerifierKey, VerifierKeyError};
use crate::tree::{NodeHash, leaf_hash};

/// The key pair in the documentation of golang.org/x/mod/sumdb/note, and the note it signs there.
const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_PRIVATE: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const NEUMANN_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NEUMANN_SIGNATURE: &str =
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

/// Go's checksum database: its key, and a tree head it signed. Its origin is not its key's name, so it is no seal.
const GO: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const GO_HEAD: &str = "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n";
const GO_SIGNATURE: &str =
    "Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=";

/// The key pair of transparency-dev's test log, and a checkpoint of that log.
const TEST_LOG: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
const TEST_LOG_PRIVATE: &str = "AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg";
const TEST_LOG_CHECKPOINT: &str = "example.com/log/testdata\n100270\nGRV1O0dCqmjjPvYi7CtOT79zb/fPwLNsMFWsynwU8Ac=\n\n\
    — example.com/log/testdata M9e0lkcvy5bAe7rrC8tCyAP+my+CLzswA91zOpBNWVU7qCojkUOHnfdQzDImoYeYH8G8PJSwOqsx0RkSa261OmKVwwM=\n";

/// Example of C2SP tlog-cosignature: a log's line and a witness's.
const COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

/// A signing key as golang.org/x/mod/sumdb/note writes it: the type's byte, then the seed.
fn published(private: &str) -> SigningKey {
    let bytes = BASE64_STANDARD.decode(private).unwrap();
    SigningKey::from_seed(Zeroizing::new(bytes[1..].try_into().unwrap()))
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn checkpoint(origin: &str) -> Checkpoint {
    Checkpoint { origin: origin.to_owned(), size: TreeSize(3), root: NodeHash([7; 32]) }
}

fn seal() -> Seal {
    Seal::sign(&checkpoint("example.org/ledger"), &key(1)).unwrap()
}

fn text(seal: &Seal) -> &str {
    std::str::from_utf8(seal.bytes()).unwrap()
}

#[test]
fn published_notes_verify_by_their_published_keys() {
    for (vkey, text, signature) in [(NEUMANN, NEUMANN_TEXT, NEUMANN_SIGNATURE), (GO, GO_HEAD, GO_SIGNATURE)] {
        let trusted: VerifierKey = vkey.parse().unwrap();
        assert_eq!(trusted.to_string(), vkey);
        let line = BASE64_STANDARD.decode(signature).unwrap();
        assert_eq!(hex::encode(&line[..4]), vkey.split('+').nth(1).unwrap());
        assert!(trusted.key.verify(text.as_bytes(), line[4..].try_into().unwrap()));
    }
    let signed = published(NEUMANN_PRIVATE).sign(NEUMANN_TEXT.as_bytes());
    assert_eq!(BASE64_STANDARD.decode(NEUMANN_SIGNATURE).unwrap()[4..], signed);
}

#[test]
fn a_published_checkpoint_is_read_verified_and_signed_again_byte_for_byte() {
    let trusted: VerifierKey = TEST_LOG.parse().unwrap();
    let seal = Seal::parse(TEST_LOG_CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(seal.checkpoint().origin, trusted.origin);
    assert_eq!(seal.checkpoint().size, TreeSize(100_270));
    assert_eq!(seal.checkpoint().root.to_string(), "GRV1O0dCqmjjPvYi7CtOT79zb/fPwLNsMFWsynwU8Ac=");
    seal.verify(&trusted.key).unwrap();
    let key = published(TEST_LOG_PRIVATE);
    assert_eq!(key.public(), trusted.key);
    assert_eq!(Seal::sign(seal.checkpoint(), &key).unwrap(), seal);
}

#[test]
fn a_cosigned_checkpoint_keeps_its_lines() {
    let seal = Seal::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!(text(&seal), COSIGNED);
    assert_eq!(seal.checkpoint().size, TreeSize(20_852_163));
}

#[test]
fn lines_of_others_count_for_nothing_and_a_bad_line_of_the_key_for_all() {
    let (mine, seal) = (key(1), seal());
    let others = [
        text(&Seal::sign(&checkpoint("witness.example/w1"), &mine).unwrap()).lines().last().unwrap().to_owned(),
        text(&Seal::sign(&checkpoint("example.org/ledger"), &key(2)).unwrap()).lines().last().unwrap().to_owned(),
    ];
    let own = text(&seal).lines().last().unwrap();
    let head = text(&seal).strip_suffix(&format!("{own}\n")).unwrap();
    for lines in [[own, &others[0], &others[1]], [&others[0], &others[1], own]] {
        let cosigned = Seal::parse(format!("{head}{}\n", lines.join("\n")).as_bytes()).unwrap();
        assert_eq!(cosigned.checkpoint(), seal.checkpoint());
        cosigned.verify(&mine.public()).unwrap();
    }
    let without = Seal::parse(format!("{head}{}\n{}\n", others[0], others[1]).as_bytes()).unwrap();
    assert_eq!(without.verify(&mine.public()), Err(SealError::Signature));

    let mut other = checkpoint("example.org/ledger");
    other.size = TreeSize(4);
    let bad = text(&Seal::sign(&other, &mine).unwrap()).lines().last().unwrap().to_owned();
    let twice = Seal::parse(format!("{head}{bad}\n{own}\n").as_bytes()).unwrap();
    assert_eq!(twice.verify(&mine.public()), Err(SealError::Signature));
}

#[test]
fn a_seal_with_any_byte_changed_is_refused() {
    let (key, seal) = (key(1), seal());
    seal.verify(&key.public()).unwrap();
    for at in 0..seal.bytes().len() {
        for mask in [1, 2, 0x20, 0x80] {
            let mut bytes = seal.bytes().to_vec();
            bytes[at] ^= mask;
            let read = Seal::parse(&bytes).and_then(|seal| seal.verify(&key.public()));
            assert!(read.is_err(), "byte {at} changed by {mask:#x}");
        }
        assert!(Seal::parse(&seal.bytes()[..at]).is_err(), "cut to {at} bytes");
    }
}

#[test]
fn what_differs_from_a_seal_in_form_is_malformed() {
    let good = text(&seal()).to_owned();
    let lines = good.lines().last().unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replacen(from, to, 1)
    };
    let cases = [
        ("nothing", String::new()),
        ("no signature", replaced(&format!("{lines}\n"), "")),
        ("an extension line", replaced("=\n\n", "=\nextension\n\n")),
        ("a leading zero", replaced("\n3\n", "\n03\n")),
        ("a sign", replaced("\n3\n", "\n+3\n")),
        ("a size beyond 64 bits", replaced("\n3\n", "\n18446744073709551616\n")),
        ("a short root", replaced("BwcH", "")),
        ("a root without padding", replaced("c=\n", "c\n")),
        ("a root with loose bits", replaced("c=\n", "d=\n")),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("no last line feed", good.trim_end().to_owned()),
        ("a line after the last", format!("{good}\n")),
        ("text before", format!("\n{good}")),
        ("a hyphen for the dash", replaced("— ", "- ")),
        ("an origin with a space", good.replace("example.org/ledger", "example.org ledger")),
        ("an origin with a plus", good.replace("example.org/ledger", "example.org+ledger")),
        ("an origin too long", good.replace("example.org/ledger", &"o".repeat(ORIGIN_BYTES_MAX + 1))),
        ("too many lines", format!("{good}{}", format!("{lines}\n").repeat(100))),
        ("too many bytes", format!("{good}— w {}\n", "A".repeat(SEAL_BYTES_MAX))),
    ];
    for (what, text) in cases {
        assert!(matches!(Seal::parse(text.as_bytes()), Err(SealError::Malformed(_))), "{what}: {text:.200}");
    }
    assert!(matches!(Seal::parse(&[0xff; 40]), Err(SealError::Malformed(_))));
}

#[test]
fn only_what_can_name_a_key_is_an_origin() {
    for good in ["o", "example.org/ledger", "localhost", "prüfung.example/1", &"o".repeat(ORIGIN_BYTES_MAX)] {
        assert!(is_origin(good));
        let seal = Seal::sign(&checkpoint(good), &key(1)).unwrap();
        assert_eq!(Seal::parse(seal.bytes()).unwrap(), seal);
    }
    for bad in ["", "a b", "a\u{a0}b", "a+b", "a\nb", "a\u{1}b", "a\u{7f}b", "a\u{85}b", &"o".repeat(256)] {
        assert!(!is_origin(bad), "{bad:?}");
        assert_eq!(Seal::sign(&checkpoint(bad), &key(1)), Err(SealError::Origin));
    }
}

#[test]
fn verifier_keys_have_one_spelling() {
    use VerifierKeyError::{Algorithm, Id, Key, Malformed};
    let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let of_small_order = [&[1, 1][..], &[0; 31]].concat();
    let cases = [
        (String::new(), Malformed),
        ("PeterNeumann".to_owned(), Malformed),
        ("PeterNeumann+c74f20a3".to_owned(), Malformed),
        ("PeterNeumann+c74f20a3+".to_owned(), Malformed),
        ("PeterNeumann+c74f20a3+not base64".to_owned(), Malformed),
        (NEUMANN.replace("PeterNeumann", "Peter Neumann"), Malformed),
        (format!("{NEUMANN}\n"), Malformed),
        (NEUMANN.replace("+ARpc", "+AhpC"), Algorithm { wanted: 1 }),
        (format!("PeterNeumann+c74f20a3+{}", encoded(&of_small_order)), Key),
        (format!("PeterNeumann+c74f20a3+{}", encoded(&[1; 32])), Key),
        (NEUMANN.replace("c74f20a3", "c74f20a4"), Id),
        (NEUMANN.replace("c74f20a3", "C74F20A3"), Id),
        (NEUMANN.replace("c74f20a3", "0c74f20a3"), Id),
        (NEUMANN.replace("PeterNeumann", "EnochRoot"), Id),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
    }
}

/// A log of so many events, and the proof of one of them.
fn proof(size: u64, index: u64) -> TlogProof {
    let tree = Memory::counting(size);
    let checkpoint = Checkpoint { origin: "example.org/ledger".to_owned(), size: tree.size(), root: tree.root(size) };
    TlogProof {
        extra: None,
        index: Seq(index),
        path: inclusion(Seq(index), tree.size(), &tree).unwrap(),
        seal: Seal::sign(&checkpoint, &key(1)).unwrap(),
    }
}

#[test]
fn every_event_of_a_log_is_proved_by_its_text() {
    for size in 1..20 {
        for index in 0..size {
            let text = proof(size, index).render();
            let read = TlogProof::parse(text.as_bytes()).unwrap();
            assert_eq!(read, proof(size, index));
            read.verify(index.to_string().as_bytes(), &key(1).public(), "example.org/ledger").unwrap();
        }
    }
}

#[test]
fn a_proof_has_the_form_c2sp_gives_it() {
    let mut of_one = proof(1, 0);
    let seal = text(&of_one.seal).to_owned();
    assert_eq!(of_one.render(), format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{seal}"));
    of_one.extra = Some(b"extra information".to_vec());
    let extra = "extra ZXh0cmEgaW5mb3JtYXRpb24=";
    assert_eq!(of_one.render(), format!("c2sp.org/tlog-proof@v1\n{extra}\nindex 0\n\n{seal}"));
    assert_eq!(TlogProof::parse(of_one.render().as_bytes()), Ok(of_one));
    let of_two = proof(2, 1);
    let (sibling, seal) = (leaf_hash(b"0"), text(&of_two.seal));
    assert_eq!(of_two.render(), format!("c2sp.org/tlog-proof@v1\nindex 1\n{sibling}\n\n{seal}"));
}

#[test]
fn a_proof_proves_one_event_of_one_log_by_one_key() {
    let (public, origin) = (key(1).public(), "example.org/ledger");
    let good = proof(7, 4);
    good.verify(b"4", &public, origin).unwrap();
    assert_eq!(good.verify(b"5", &public, origin), Err(TlogProofError::Path));
    assert_eq!(good.verify(b"4", &key(2).public(), origin), Err(SealError::Signature.into()));
    let found = origin.to_owned();
    assert_eq!(good.verify(b"4", &public, "example.org/other"), Err(TlogProofError::Origin { found }));
    for index in [0, 3, 5, 6, 7, u64::MAX] {
        let moved = TlogProof { index: Seq(index), ..good.clone() };
        assert_eq!(moved.verify(b"4", &public, origin), Err(TlogProofError::Path), "index {index}");
    }
    let elsewhere = TlogProof { seal: proof(6, 4).seal, ..good };
    assert_eq!(elsewhere.verify(b"4", &public, origin), Err(TlogProofError::Path));
}

#[test]
fn a_proof_with_any_byte_changed_is_refused() {
    let text = proof(7, 4).render();
    for at in 0..text.len() {
        for mask in [1, 2, 0x20, 0x80] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= mask;
            let accepted = TlogProof::parse(&bytes)
                .is_ok_and(|proof| proof.verify(b"4", &key(1).public(), "example.org/ledger").is_ok());
            assert!(!accepted, "byte {at} changed by {mask:#x}");
        }
    }
}

#[test]
fn what_differs_from_a_proof_in_form_is_malformed() {
    let good = proof(7, 4).render();
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replacen(from, to, 1)
    };
    let hash = leaf_hash(b"5");
    let cases = [
        ("nothing", String::new()),
        ("another version", replaced("@v1", "@v2")),
        ("a line before", format!("\n{good}")),
        ("no index", replaced("index 4\n", "")),
        ("index in two lines", replaced("index 4\n", "index 4\nindex 4\n")),
        ("a leading zero", replaced("index 4\n", "index 04\n")),
        ("a sign", replaced("index 4\n", "index +4\n")),
        ("two spaces", replaced("index 4\n", "index  4\n")),
        ("an index beyond 64 bits", replaced("index 4\n", "index 18446744073709551616\n")),
        ("extra data that is empty", replaced("index 4\n", "extra \nindex 4\n")),
        ("extra data twice", replaced("index 4\n", "extra QUJD\nextra QUJD\nindex 4\n")),
        ("extra data after the index", replaced("index 4\n", "index 4\nextra QUJD\n")),
        ("extra data that is not base64", replaced("index 4\n", "extra QUJ\nindex 4\n")),
        ("extra data too long", replaced("index 4\n", &format!("extra {}\nindex 4\n", "QUJD".repeat(22_000)))),
        ("a short hash", replaced(&hash.to_string(), "QUJD")),
        ("a path too long", replaced("index 4\n", &format!("index 4\n{}", format!("{hash}\n").repeat(65)))),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("no empty line", replaced("\n\n", "\n")),
        ("too many bytes", format!("{good}{}", "A".repeat(400_000))),
    ];
    for (what, text) in cases {
        assert!(TlogProof::parse(text.as_bytes()).is_err(), "{what}: {text:.300}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_read_back(origin in "[^\\s\\p{Cc}+]{1,60}", size in any::<u64>(), root in any::<[u8; 32]>(), seed in any::<u8>()) {
        let checkpoint = Checkpoint { origin, size: TreeSize(size), root: NodeHash(root) };
        let seal = Seal::sign(&checkpoint, &key(seed)).unwrap();
        prop_assert_eq!(seal.checkpoint(), &checkpoint);
        let read = Seal::parse(seal.bytes()).unwrap();
        prop_assert_eq!(&read, &seal);
        prop_assert_eq!(read.verify(&key(seed).public()), Ok(()));
        prop_assert_eq!(read.verify(&key(seed.wrapping_add(1)).public()), Err(SealError::Signature));
        let trusted = VerifierKey { origin: checkpoint.origin, key: key(seed).public() };
        prop_assert_eq!(trusted.to_string().parse(), Ok(trusted));
    }

    #[test]
    fn what_is_read_is_what_would_be_written(text in "c2sp.org/tlog-proof@v1\n(extra [A-D=]{0,8}\n)?index [0-9]{1,3}\n([A-D]{42}[AEIM]=\n){0,2}\nex\n[0-9]{1,2}\n[A-D]{42}[AEIM]=\n\n— ex [A-D]{8}\n") {
        if let Ok(proof) = TlogProof::parse(text.as_bytes()) {
            prop_assert_eq!(proof.render(), text);
        }
    }
}
