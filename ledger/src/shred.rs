//! Encrypted fields: per-subject data keys, whose destruction erases. This is `docs/format.md`, "Encrypted fields",
//! as code. Where data keys lie is `crate::keystore`'s business; nonces come from the caller.

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{Subject, TenantId};

/// BLAKE3 derive-key context of [`keyed_hash`].
pub const HASH_CONTEXT: &str = "chancery 2026 data key hash v1";
/// Bytes by which a ciphertext is longer than its plaintext: the Poly1305 tag behind it.
pub const TAG_BYTES: usize = 16;

/// An encrypted field of a body: XChaCha20-Poly1305 under the data key of a thing.
///
/// In JSON, nonce and ciphertext are hexadecimal; in a stored body they are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypted {
    /// Whose data key.
    pub key: Subject,
    /// The nonce: random, never used twice under one key.
    #[serde(with = "hex_in_text")]
    pub nonce: [u8; 24],
    /// Ciphertext and tag.
    #[serde(with = "hex_in_text")]
    pub ciphertext: Vec<u8>,
}

/// Where a field stands; bound into its ciphertext, so that it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct FieldContext<'a> {
    /// The event's tenant.
    pub tenant: TenantId,
    /// The event's kind.
    pub kind: u16,
    /// The body's version.
    pub version: u16,
    /// The field's name.
    pub field: &'a str,
}

impl FieldContext<'_> {
    /// The associated data: all parts but the last are of fixed length, so no two places share theirs.
    fn associated_data(&self, owner: Subject) -> Vec<u8> {
        let mut out = Vec::with_capacity(37 + self.field.len());
        out.extend_from_slice(self.tenant.0.as_bytes());
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.push(owner.kind.code());
        out.extend_from_slice(owner.id.as_bytes());
        out.extend_from_slice(self.field.as_bytes());
        out
    }
}

/// A field does not open under this key, in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext was altered or belongs elsewhere")]
pub struct ShredError;

/// Encrypts a field under the data key of `owner`. The nonce must be random.
#[must_use]
pub fn encrypt(key: &[u8; 32], owner: Subject, nonce: [u8; 24], place: &FieldContext<'_>, plain: &[u8]) -> Encrypted {
    // Room for the tag at once: growing would leave a copy of the plaintext behind.
    let mut ciphertext = Vec::with_capacity(plain.len() + TAG_BYTES);
    ciphertext.extend_from_slice(plain);
    let cipher = XChaCha20Poly1305::new(key.into());
    let sealed = cipher.encrypt_in_place_detached(&nonce.into(), &place.associated_data(owner), &mut ciphertext);
    let Ok(tag) = sealed else { unreachable!("XChaCha20-Poly1305 takes 256 GiB, not only {} bytes", plain.len()) };
    ciphertext.extend_from_slice(&tag);
    Encrypted { key: owner, nonce, ciphertext }
}

/// Decrypts a field. What it gives is zeroised when dropped.
///
/// # Errors
/// [`ShredError`] when key, place, nonce and ciphertext are not those of one encryption.
pub fn decrypt(key: &[u8; 32], place: &FieldContext<'_>, value: &Encrypted) -> Result<Zeroizing<Vec<u8>>, ShredError> {
    let (body, tag) = value.ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(ShredError)?;
    let mut plain = Zeroizing::new(body.to_vec());
    XChaCha20Poly1305::new(key.into())
        .decrypt_in_place_detached(&value.nonce.into(), &place.associated_data(value.key), &mut plain, tag.into())
        .map_err(|_| ShredError)?;
    Ok(plain)
}

/// Hashes a value under a data key: equal values have equal hashes, and without the key a hash tells nothing, also when
/// the values that it can stand for are few. Hashes of different purposes cannot be compared.
///
/// It is BLAKE3 in keyed mode over the value; its key is BLAKE3 in derive-key mode, context [`HASH_CONTEXT`], over the
/// data key's 32 bytes and the purpose.
#[must_use]
pub fn keyed_hash(key: &[u8; 32], purpose: &str, value: &[u8]) -> [u8; 32] {
    let mut derive = blake3::Hasher::new_derive_key(HASH_CONTEXT);
    let derived = Zeroizing::new(derive.update(key).update(purpose.as_bytes()).finalize().into());
    blake3::keyed_hash(&derived, value).into()
}

/// Bytes that JSON shows in hexadecimal.
mod hex_in_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use crate::codec::StoredBytes;

    pub(super) fn serialize<T: AsRef<[u8]> + StoredBytes, S: Serializer>(bytes: &T, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_str(&hex::encode(bytes)) } else { bytes.store(to) }
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: TryFrom<Vec<u8>> + StoredBytes,
        D: Deserializer<'de>,
    {
        if !from.is_human_readable() {
            return T::load(from);
        }
        let bytes = hex::decode(String::deserialize(from)?).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("hexadecimal of another length"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::codec;
    use crate::ids::ThingKind;

    const KEY: [u8; 32] = [0x11; 32];
    const OWNER: Subject = Subject { kind: ThingKind::Agent, id: Uuid::from_bytes([0x22; 16]) };
    const PLACE: FieldContext<'_> =
        FieldContext { tenant: TenantId(Uuid::from_bytes([0x33; 16])), kind: 130, version: 1, field: "personal" };

    /// Made by libsodium's `crypto_aead_xchacha20poly1305_ietf_encrypt` from the bytes that `docs/format.md` names.
    #[test]
    fn golden_ciphertext() {
        let made = encrypt(&KEY, OWNER, [0x44; 24], &PLACE, b"Ada Lovelace");
        assert_eq!(hex::encode(&made.ciphertext), "9e76e038544db60cdbf7bdfa00ddbb60b6b4d35946f20418f73f58ee");
        assert_eq!(*decrypt(&KEY, &PLACE, &made).unwrap(), b"Ada Lovelace");
    }

    /// Made by the reference implementation of BLAKE3.
    #[test]
    fn golden_keyed_hash() {
        assert_eq!(
            hex::encode(keyed_hash(&KEY, "email", b"ada@example.org")),
            "09156ac8205c658b666b974a5fa5941fc1e4c5d935091bb637efc7e219765b82"
        );
    }

    #[test]
    fn hashes_differ_by_key_purpose_and_value() {
        let hash = keyed_hash(&KEY, "email", b"ada@example.org");
        assert_ne!(hash, keyed_hash(&[0x12; 32], "email", b"ada@example.org"));
        assert_ne!(hash, keyed_hash(&KEY, "emai", b"lada@example.org"));
        assert_ne!(hash, keyed_hash(&KEY, "email", b"ada@example.com"));
    }

    #[test]
    fn a_field_opens_in_no_other_place() {
        let made = encrypt(&KEY, OWNER, [0x44; 24], &PLACE, b"Ada Lovelace");
        let others = [
            FieldContext { tenant: TenantId(Uuid::nil()), ..PLACE },
            FieldContext { kind: 131, ..PLACE },
            FieldContext { version: 2, ..PLACE },
            FieldContext { field: "persona", ..PLACE },
        ];
        for place in others {
            assert_eq!(decrypt(&KEY, &place, &made), Err(ShredError), "{place:?}");
        }
        for key in [Subject { kind: ThingKind::Member, ..OWNER }, Subject { id: Uuid::nil(), ..OWNER }] {
            assert_eq!(decrypt(&KEY, &PLACE, &Encrypted { key, ..made.clone() }), Err(ShredError), "{key:?}");
        }
        assert_eq!(decrypt(&[0x12; 32], &PLACE, &made), Err(ShredError));
        assert_eq!(decrypt(&KEY, &PLACE, &Encrypted { nonce: [0x45; 24], ..made }), Err(ShredError));
    }

    #[test]
    fn stored_it_is_bytes_and_shown_it_is_text() {
        let value = Encrypted { key: OWNER, nonce: [0x44; 24], ciphertext: vec![0xab; 17] };
        let bytes = codec::encode(&value).unwrap();
        // Subject: index of the kind, id. Then the nonce as it is, and the ciphertext behind its length.
        let expected = ["04", &"22".repeat(16), &"44".repeat(24), "11", &"ab".repeat(17)].concat();
        assert_eq!(hex::encode(&bytes), expected);
        assert_eq!(codec::decode::<Encrypted>(&bytes).unwrap(), value);
        let json = serde_json::to_value(&value).unwrap();
        assert_eq!(json["nonce"], "44".repeat(24));
        assert_eq!(json["ciphertext"], "ab".repeat(17));
        assert_eq!(serde_json::from_value::<Encrypted>(json.clone()).unwrap(), value);
        for (field, wrong) in [("nonce", "44"), ("ciphertext", "0g"), ("ciphertext", "abc")] {
            let mut json = json.clone();
            json[field] = wrong.into();
            assert!(serde_json::from_value::<Encrypted>(json).is_err(), "{field} {wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encrypted_opens_and_nothing_altered_does(
            key in any::<[u8; 32]>(), nonce in any::<[u8; 24]>(), field in "[a-z_]{1,20}",
            plain in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let place = FieldContext { field: &field, ..PLACE };
            let mut value = encrypt(&key, OWNER, nonce, &place, &plain);
            prop_assert_eq!(value.ciphertext.len(), plain.len() + TAG_BYTES);
            prop_assert_eq!(&*decrypt(&key, &place, &value).unwrap(), &plain);
            let at = at.index(value.ciphertext.len());
            let cut = Encrypted { ciphertext: value.ciphertext[..at].to_vec(), ..value.clone() };
            prop_assert_eq!(decrypt(&key, &place, &cut), Err(ShredError));
            value.ciphertext[at] ^= 1 << bit;
            prop_assert_eq!(decrypt(&key, &place, &value), Err(ShredError));
        }
    }
}
