//! JSON whose numbers keep their spelling: what callers send as parameters, data and metadata.
//!
//! Others hash such documents, so `1` must not become `1.0`, nor 2^64 a double. The text is the caller's; this tree
//! is what we compare, render and hash. Bytes are bounded by whoever reads the text, nesting here.

mod interop;
mod number;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

pub use number::{Number, NumberValue};

/// How many arrays and objects may lie inside one another; every walk over a parsed tree recurses as deep as this.
pub const DEPTH_MAX: usize = 64;

/// An object's members, by key in code point order. The order in which they were sent has no meaning and is not kept.
pub type Members = BTreeMap<String, Json>;

/// A JSON value. `==` tells spellings of numbers apart; [`Json::same_value`] does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was spelled.
    Number(Number),
    /// A string.
    Text(String),
    /// Values in order.
    Array(Vec<Self>),
    /// Members by key.
    Object(Members),
}

/// Why a text is not a JSON value that can be kept.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text breaks the grammar (RFC 8259).
    #[error("the text is not JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A string holds half of a surrogate pair, which no Unicode text can hold.
    #[error("a JSON string holds an unpaired surrogate; write both halves of the pair")]
    UnpairedSurrogate,
    /// Arrays and objects lie deeper than [`DEPTH_MAX`].
    #[error("the JSON is nested more than {DEPTH_MAX} levels deep; flatten it")]
    TooDeep,
    /// A number that is not finite as an IEEE double.
    #[error("a JSON number is too large for a double; send it as an integer or as text")]
    NotFinite,
    /// An object was wanted.
    #[error("the JSON is not an object")]
    NotAnObject,
}

impl Json {
    /// Reads a text. Of members with the same key the last counts. Linear in the text times its nesting.
    ///
    /// # Errors
    /// [`JsonError`], by what is wrong with the text; never [`JsonError::NotAnObject`].
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        // Raw values show the tokens that serde_json's own numbers would round away.
        Self::from_raw(serde_json::from_str(text).map_err(JsonError::Syntax)?, 0)
    }

    /// Reads a text that must be an object.
    ///
    /// # Errors
    /// As [`Json::parse`]; [`JsonError::NotAnObject`] for any other value.
    pub fn parse_members(text: &str) -> Result<Members, JsonError> {
        match Self::parse(text)? {
            Self::Object(members) => Ok(members),
            _ => Err(JsonError::NotAnObject),
        }
    }

    /// A double, spelled so that it reads back as one.
    ///
    /// # Errors
    /// [`JsonError::NotFinite`] for NaN and the infinities.
    pub fn double(value: f64) -> Result<Self, JsonError> {
        Number::double(value).map(Self::Number)
    }

    /// Compact text: numbers as they were spelled, non-ASCII characters as they are, members in code point order.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, &Style { escape: Escape::Least, number: |out, number| out.push_str(number.token()) });
        out
    }

    /// Whether both are the same value: numbers by value (`1` is `1.0`), booleans not as numbers, all levels deep.
    #[must_use]
    pub fn same_value(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.same_value(b),
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_value(b)),
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((ka, a), (kb, b))| ka == kb && a.same_value(b))
            }
            _ => self == other,
        }
    }

    /// The members, if this is an object.
    #[must_use]
    pub const fn as_members(&self) -> Option<&Members> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn from_raw(raw: &RawValue, depth: usize) -> Result<Self, JsonError> {
        // The grammar of the whole text has been checked, surrogates have not.
        let surrogate = |_| JsonError::UnpairedSurrogate;
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => return Err(JsonError::TooDeep),
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(surrogate)?;
                let members = members.into_iter().map(|(key, raw)| Ok((key, Self::from_raw(raw, depth + 1)?)));
                Self::Object(members.collect::<Result<_, JsonError>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(surrogate)?;
                Self::Array(items.into_iter().map(|raw| Self::from_raw(raw, depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(surrogate)?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(Number::of_token(text)?),
        })
    }

    pub(crate) fn write(&self, out: &mut String, style: &Style) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => (style.number)(out, number),
            Self::Text(text) => write_text(out, text, style.escape),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, style);
                }
                out.push(']');
            }
            Self::Object(members) => write_members(out, members, style),
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

/// How a tree is written; the structure is always the same: no spaces, members in code point order.
pub(crate) struct Style {
    pub(crate) escape: Escape,
    pub(crate) number: fn(&mut String, &Number),
}

#[derive(Clone, Copy)]
pub(crate) enum Escape {
    /// What RFC 8259 requires.
    Least,
    /// That, U+007F and everything above: the text is then printable ASCII.
    ToAscii,
}

pub(crate) fn write_members(out: &mut String, members: &Members, style: &Style) {
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, key, style.escape);
        out.push(':');
        value.write(out, style);
    }
    out.push('}');
}

pub(crate) fn write_text(out: &mut String, text: &str, escape: Escape) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            '\u{7f}'.. if matches!(escape, Escape::Least) => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
pub(crate) mod tests;
