//! [`Json`] as a field of serde types and in schemas. Only `serde_json` reading text keeps a number's spelling, so
//! such fields must not lie behind `flatten`, `untagged` or a `serde_json::Value`: there reading and writing fail.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Json;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_raw(&raw, 0).map_err(D::Error::custom)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.render()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AnyJson".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Request {
        name: String,
        params: Json,
    }

    #[test]
    fn a_field_keeps_the_spelling_of_its_numbers() {
        let text = r#"{"name":"x","params":{"a":[1,1.0,1e2,18446744073709551616]}}"#;
        let request: Request = serde_json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
    }

    #[test]
    fn a_field_that_cannot_be_kept_is_refused() {
        for params in [r#""\ud800""#, "1e999", &"[".repeat(65), &format!("{}{}", "[".repeat(65), "]".repeat(65))] {
            let text = format!(r#"{{"name":"x","params":{params}}}"#);
            assert!(serde_json::from_str::<Request>(&text).is_err(), "{params}");
        }
    }
}
