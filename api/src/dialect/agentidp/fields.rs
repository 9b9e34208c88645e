//! What a request sent, by name: members of a JSON object, fields of a form, parameters of a query. Each reader names what
//! is wrong with a field, in the vendor's spelling.

use std::ops::RangeInclusive;

use chancery_ledger::ids::{ThingId, parse_uuid};
use chancery_ledger::time::Micros;
use chancery_projections::json::{Json, Members};

use crate::limits::QUERY_BYTES_MAX;

/// A field is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub field: String,
    /// What is wrong with it, after its name.
    pub reason: String,
}

impl Fault {
    /// Something is wrong with a field.
    pub fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into() }
    }

    /// A field is missing.
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::new(field, "is required")
    }
}

/// What a request sent. A member that is `null` is as one that was not sent.
#[derive(Debug, Default)]
pub struct Fields(Members);

impl Fields {
    /// The members of a JSON object; an empty body has none.
    ///
    /// # Errors
    /// [`Fault`] when it is no JSON object, or a member stands twice.
    pub fn json(body: &[u8]) -> Result<Self, Fault> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let text = std::str::from_utf8(body).map_err(|_| Fault::new("body", "must be UTF-8"))?;
        Json::parse_members(text)
            .map(Self)
            .map_err(|error| Fault::new("body", format!("must be a JSON object: {error}")))
    }

    /// The fields of a form. None may stand twice (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// [`Fault`] when one does.
    pub fn form(body: &[u8]) -> Result<Self, Fault> {
        let mut fields = Members::new();
        for (name, text) in form_urlencoded::parse(body) {
            if fields.insert(name.to_string(), Json::Text(text.into_owned())).is_some() {
                return Err(Fault::new(&name, "must stand once"));
            }
        }
        Ok(Self(fields))
    }

    /// The parameters of a query.
    ///
    /// # Errors
    /// [`Fault`] when one stands twice, or the query is too long.
    pub fn query(query: &str) -> Result<Self, Fault> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(Fault::new("query", format!("must have at most {QUERY_BYTES_MAX} bytes")));
        }
        Self::form(query.as_bytes())
    }

    /// The names that were sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A field as it was sent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name).filter(|value| **value != Json::Null)
    }

    /// A text of so many characters.
    ///
    /// # Errors
    /// [`Fault`] when it is no text, or of another length.
    pub fn text(&self, name: &str, length: RangeInclusive<usize>) -> Result<Option<&str>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_text().ok_or_else(|| Fault::new(name, "must be a string"))?;
        check_length(name, text, length)?;
        Ok(Some(text))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// As [`text`](Self::text); [`Fault`] when it is missing.
    pub fn required(&self, name: &str, length: RangeInclusive<usize>) -> Result<&str, Fault> {
        self.text(name, length)?.ok_or_else(|| Fault::missing(name))
    }

    /// One of some words, which stand for values.
    ///
    /// # Errors
    /// [`Fault`] when it is none of them.
    pub fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| value.as_text() == Some(word));
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map(|(_, value)| Some(*value)).ok_or_else(|| Fault::new(name, format!("must be one of {}", all())))
    }

    /// A whole number in a range.
    ///
    /// # Errors
    /// [`Fault`] when it is none.
    pub fn number(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Json::Number(number) => number.token().parse().ok(),
            Json::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let fault = || Fault::new(name, format!("must be a whole number from {min} to {max}"));
        number.filter(|number| (min..=max).contains(number)).map(Some).ok_or_else(fault)
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`Fault`] when it is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(Fault::new(name, "must be true or false")),
        }
    }

    /// A time.
    ///
    /// # Errors
    /// [`Fault`] when it is none.
    pub fn time(&self, name: &str) -> Result<Option<Micros>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let time = value.as_text().and_then(|text| text.parse().ok());
        time.map(Some).ok_or_else(|| Fault::new(name, "must be a date-time, for example 2026-03-31T23:59:59Z"))
    }

    /// An id.
    ///
    /// # Errors
    /// [`Fault`] when it is no UUID.
    pub fn id<T: ThingId>(&self, name: &str) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let id = value.as_text().and_then(|text| parse_uuid(text).ok());
        id.map(|id| Some(T::from_uuid(id))).ok_or_else(|| Fault::new(name, "must be a UUID as this server gives them"))
    }

    /// A list of so many texts of so many characters.
    ///
    /// # Errors
    /// [`Fault`] when it is none.
    pub fn texts(
        &self, name: &str, count: RangeInclusive<usize>, length: RangeInclusive<usize>,
    ) -> Result<Option<Vec<String>>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Json::Array(items) = value else { return Err(Fault::new(name, "must be an array of strings")) };
        if !count.contains(&items.len()) {
            return Err(Fault::new(name, format!("must have {} to {} items", count.start(), count.end())));
        }
        let text = |item: &Json| {
            let text = item.as_text().ok_or_else(|| Fault::new(name, "must be an array of strings"))?;
            check_length(name, text, length.clone())?;
            Ok(text.to_owned())
        };
        items.iter().map(text).collect::<Result<_, _>>().map(Some)
    }
}

fn check_length(name: &str, text: &str, length: RangeInclusive<usize>) -> Result<(), Fault> {
    if length.contains(&text.chars().count()) {
        return Ok(());
    }
    Err(Fault::new(name, format!("must have {} to {} characters", length.start(), length.end())))
}
