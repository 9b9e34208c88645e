//! Field types that bodies share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::StoredBytes as _;

pub use super::decimal::{Decimal, DecimalError};

/// Changed fields and their new values: `null` is a value that was taken away.
pub type Changes = std::collections::BTreeMap<String, JsonText>;

/// JSON kept as the text that was received, number spelling included.
///
/// In JSON it is the value itself; in a stored body it is the text.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "serde_json::Value")]
pub struct JsonText(pub String);

impl JsonText {
    /// The JSON of a text, a list, a map of texts or numbers, or a unit enum: what always has some.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_string(value).map_or_else(|_| Self::null(), Self)
    }

    /// The JSON value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    /// The empty object.
    #[must_use]
    pub fn object() -> Self {
        Self("{}".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let raw: &serde_json::value::RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
            raw.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
            Ok(Self(raw.get().to_owned()))
        } else {
            String::deserialize(deserializer).map(Self)
        }
    }
}

/// 64 bytes of an Ed25519 signature (RFC 8032).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&hex::encode(self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            hex::decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?
        } else {
            Vec::<u8>::load(deserializer)?
        };
        let bytes = bytes.try_into().map_err(|_| serde::de::Error::custom("a signature has 64 bytes"))?;
        Ok(Self(bytes))
    }
}

impl JsonSchema for Signature {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signature".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{128}$" })
    }
}

/// Bytes that JSON shows as hexadecimal digits; stored bodies hold them as they are.
pub mod hex_bytes {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::codec::StoredBytes;

    /// Writes the bytes.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: AsRef<[u8]> + StoredBytes, S: Serializer>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&hex::encode(bytes))
        } else {
            bytes.store(serializer)
        }
    }

    /// Reads what [`serialize`] writes.
    ///
    /// # Errors
    /// The deserializer's; and when the text is not the digits of so many bytes.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: StoredBytes + TryFrom<Vec<u8>>,
        D: Deserializer<'de>,
    {
        if !deserializer.is_human_readable() {
            return T::load(deserializer);
        }
        let bytes = hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        T::try_from(bytes).map_err(|_| D::Error::custom("wrong number of bytes"))
    }

    /// The same for bytes that can be missing.
    pub mod option {
        use super::{Deserialize, Deserializer, Serialize, Serializer};

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Hex(#[serde(with = "super")] Vec<u8>);

        /// Writes the bytes.
        ///
        /// # Errors
        /// The serializer's.
        pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
            bytes.clone().map(Hex).serialize(serializer)
        }

        /// Reads what [`serialize`] writes.
        ///
        /// # Errors
        /// As [`super::deserialize`].
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
            Ok(Option::<Hex>::deserialize(deserializer)?.map(|hex| hex.0))
        }
    }
}
