//! Reading fields of a body or a query, and naming everything that is wrong with them in the vendor's way.
//!
//! A fault has pydantic's `type`, `loc` and `msg`. What was sent is never repeated: it can be long, and it can be secret.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use chancery_ledger::time::Micros;
use chancery_projections::json::{Json, JsonError, Members, NumberValue};
use chancery_projections::lane::orgkernel::time::{TimestampError, parse_timestamp};
use serde::Serialize;

/// Most faults told at once; a list of ten thousand wrong items needs no ten thousand sentences.
const FAULTS_MAX: usize = 32;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Pydantic's name for it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where: `body`, `query` or `path`, then names and positions.
    pub loc: Vec<Loc>,
    /// What is right.
    pub msg: Cow<'static, str>,
}

/// One step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// A name.
    Name(Cow<'static, str>),
    /// A position in a list.
    Item(usize),
}

impl Fault {
    /// A fault of a part of the request as a whole.
    pub fn of_part(part: Part, kind: &'static str, msg: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, loc: vec![Loc::Name(part.name().into())], msg: msg.into() }
    }

    /// A fault of one field.
    pub fn of_field(part: Part, field: &'static str, kind: &'static str, msg: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, loc: vec![Loc::Name(part.name().into()), Loc::Name(field.into())], msg: msg.into() }
    }
}

/// A part of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The JSON body.
    Body,
    /// The query.
    Query,
}

impl Part {
    /// Its name in `loc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Query => "query",
        }
    }
}

/// What a text must be like. Lengths count characters.
#[derive(Debug, Clone, Copy)]
pub struct TextRule {
    /// Fewest characters.
    pub min: usize,
    /// Most characters.
    pub max: usize,
    /// Its shape, as the contract writes it.
    pub pattern: Option<Pattern>,
}

impl TextRule {
    /// Any text of a length.
    #[must_use]
    pub const fn length(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None }
    }

    /// Any text.
    pub const ANY: Self = Self::length(0, usize::MAX);
}

/// A shape: how the contract writes it, and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    /// The regular expression; it holds for the whole text.
    pub written: &'static str,
    /// Characters the text begins with.
    pub prefix: &'static str,
    /// The first character behind the prefix; as the rest, if absent.
    pub first: Option<fn(u8) -> bool>,
    /// Every character behind that; with no `first`, there is at least one.
    pub rest: fn(u8) -> bool,
}

impl Pattern {
    fn holds(&self, text: &str) -> bool {
        let Some(text) = text.strip_prefix(self.prefix) else { return false };
        let mut bytes = text.bytes();
        bytes.next().is_some_and(self.first.unwrap_or(self.rest)) && bytes.all(self.rest)
    }
}

/// The fields of a body, a query, or an object inside a body. Reading collects faults; [`Fields::done`] gives them.
pub struct Fields<'a> {
    members: &'a Members,
    at: Vec<Loc>,
    faults: Vec<Fault>,
}

/// Reads a body that must be a JSON object.
///
/// # Errors
/// One fault of the body as a whole.
pub fn parse_body(bytes: &[u8]) -> Result<Members, Vec<Fault>> {
    let fault = |kind, msg: Cow<'static, str>| vec![Fault::of_part(Part::Body, kind, msg)];
    if bytes.is_empty() {
        return Err(fault("missing", "Field required".into()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| fault("json_invalid", "JSON decode error: not UTF-8".into()))?;
    Json::parse_members(text).map_err(|error| match error {
        JsonError::NotAnObject => {
            fault("model_attributes_type", "Input should be a valid dictionary or object to extract fields from".into())
        }
        JsonError::Syntax(_) | JsonError::UnpairedSurrogate | JsonError::TooDeep | JsonError::NotFinite => {
            fault("json_invalid", format!("JSON decode error: {error}").into())
        }
    })
}

/// Reads a query; of fields with the same name the last counts.
#[must_use]
pub fn parse_query(query: Option<&str>) -> Members {
    let query = query.unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(name, true), Json::Text(percent_decode(value, true)))
    });
    pairs.collect()
}

/// Undoes percent-encoding; what is not UTF-8 then becomes U+FFFD, and a `%` that encodes nothing stays.
#[must_use]
pub fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index).copied() {
        let hex = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(index + 1).zip(hex(index + 2))) {
            (b'%', Some((high, low))) => {
                out.push((high * 16 + low) as u8);
                index += 2;
            }
            (b'+', _) if plus_is_space => out.push(b' '),
            _ => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl<'a> Fields<'a> {
    /// The fields of a part.
    #[must_use]
    pub fn new(part: Part, members: &'a Members) -> Self {
        Self { members, at: vec![Loc::Name(part.name().into())], faults: Vec::new() }
    }

    /// What was read, unless something was wrong.
    ///
    /// # Errors
    /// All that was wrong, in the order of reading.
    pub fn done<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    /// Notes a fault of a field.
    pub fn fault(&mut self, field: &'static str, kind: &'static str, msg: impl Into<Cow<'static, str>>) {
        self.fault_at([Loc::Name(field.into())], kind, msg.into());
    }

    /// Whether a field was sent, `null` included.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.members.contains_key(field)
    }

    /// A text. With a fault: empty.
    pub fn text(&mut self, field: &'static str, rule: &TextRule) -> String {
        match self.required(field) {
            Some(value) => self.as_text([Loc::Name(field.into())], value, rule).unwrap_or_default(),
            None => String::new(),
        }
    }

    /// A text that may be absent but not `null`.
    pub fn text_if_sent(&mut self, field: &'static str, rule: &TextRule) -> Option<String> {
        let value = self.members.get(field)?;
        self.as_text([Loc::Name(field.into())], value, rule)
    }

    /// A text that may be absent or `null`.
    pub fn text_or_null(&mut self, field: &'static str, rule: &TextRule) -> Option<String> {
        let value = self.present(field)?;
        self.as_text([Loc::Name(field.into())], value, rule)
    }

    /// One of a few words. With a fault: nothing.
    pub fn one_of<T: Copy>(&mut self, field: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.required(field)?;
        self.as_word(field, value, words)
    }

    /// One of a few words, or nothing when absent.
    pub fn one_of_if_sent<T: Copy>(&mut self, field: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.members.get(field)?;
        self.as_word(field, value, words)
    }

    /// A whole number that may be absent.
    pub fn integer_if_sent(&mut self, field: &'static str, min: u32, max: u32) -> Option<u32> {
        let value = self.members.get(field)?;
        self.as_integer(field, value, min, max)
    }

    /// A whole number that may be absent or `null`.
    pub fn integer_or_null(&mut self, field: &'static str, min: u32, max: u32) -> Option<u32> {
        let value = self.present(field)?;
        self.as_integer(field, value, min, max)
    }

    /// A point in time later than now. With a fault: the epoch.
    pub fn later_time(&mut self, field: &'static str, now: Micros) -> Micros {
        let time = self.required(field).and_then(|value| self.as_time(field, value));
        if time.is_some_and(|time| time <= now) {
            self.fault(field, "value_error", "Value error, must be in the future");
        }
        time.unwrap_or_default()
    }

    /// A point in time that may be absent but not `null`.
    pub fn time_if_sent(&mut self, field: &'static str) -> Option<Micros> {
        let value = self.members.get(field)?;
        self.as_time(field, value)
    }

    /// A point in time that may be absent or `null`.
    pub fn time_or_null(&mut self, field: &'static str) -> Option<Micros> {
        let value = self.present(field)?;
        self.as_time(field, value)
    }

    /// An object; empty when absent, and with a fault.
    pub fn object(&mut self, field: &'static str) -> Members {
        match self.members.get(field) {
            None => Members::new(),
            Some(value) => self.as_object(field, value),
        }
    }

    /// An object; empty when absent or `null`, and with a fault.
    pub fn object_or_null(&mut self, field: &'static str) -> Members {
        match self.present(field) {
            None => Members::new(),
            Some(value) => self.as_object(field, value),
        }
    }

    /// An object of texts; empty when absent, and with a fault.
    pub fn texts_by_key(&mut self, field: &'static str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in self.object(field) {
            let loc = [Loc::Name(field.into()), Loc::Name(key.clone().into())];
            if let Some(text) = self.as_text(loc, &value, &TextRule::ANY) {
                texts.insert(key, text);
            }
        }
        texts
    }

    /// A list of distinct texts, at least one. With a fault: what is right of it.
    pub fn distinct_texts(&mut self, field: &'static str, rule: &TextRule) -> Vec<String> {
        let Some(value) = self.required(field) else { return Vec::new() };
        let Some(items) = self.as_list(field, value) else { return Vec::new() };
        if items.is_empty() {
            self.fault(field, "too_short", "List should have at least 1 item after validation, not 0");
        }
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            texts.extend(self.as_text([Loc::Name(field.into()), Loc::Item(index)], item, rule));
        }
        if texts.iter().collect::<HashSet<_>>().len() < texts.len() {
            self.fault(field, "value_error", "Value error, identifiers must be unique");
        }
        texts
    }

    /// A list of objects, each read by `read`; empty when absent, and with a fault.
    pub fn objects<T>(&mut self, field: &'static str, mut read: impl FnMut(&mut Fields<'_>) -> T) -> Vec<T> {
        let Some(list) = self.members.get(field).and_then(|value| self.as_list(field, value)) else {
            return Vec::new();
        };
        let mut items = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let loc = [Loc::Name(field.into()), Loc::Item(index)];
            let Json::Object(members) = item else {
                let msg = "Input should be a valid dictionary or object to extract fields from";
                self.fault_at(loc, "model_attributes_type", msg.into());
                continue;
            };
            let at = self.at.iter().cloned().chain(loc).collect();
            let mut inner = Fields { members, at, faults: Vec::new() };
            items.push(read(&mut inner));
            let room = FAULTS_MAX - self.faults.len();
            self.faults.extend(inner.faults.into_iter().take(room));
        }
        items
    }

    /// A number that may be absent or `null`, as a double.
    pub fn double_or_null(&mut self, field: &'static str) -> Option<f64> {
        let Json::Number(number) = self.present(field)? else {
            self.fault(field, "float_type", "Input should be a valid number");
            return None;
        };
        let double = number.to_f64();
        if double.is_none() {
            self.fault(field, "finite_number", "Input should be a finite number");
        }
        double
    }

    /// A fault of the object itself.
    pub fn fault_of_all(&mut self, kind: &'static str, msg: &'static str) {
        self.fault_at([], kind, msg.into());
    }

    fn fault_at(&mut self, loc: impl IntoIterator<Item = Loc>, kind: &'static str, msg: Cow<'static, str>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { kind, loc: self.at.iter().cloned().chain(loc).collect(), msg });
        }
    }

    fn required(&mut self, field: &'static str) -> Option<&'a Json> {
        let value = self.members.get(field);
        if value.is_none() {
            self.fault(field, "missing", "Field required");
        }
        value
    }

    fn present(&self, field: &str) -> Option<&'a Json> {
        self.members.get(field).filter(|value| **value != Json::Null)
    }

    fn as_text(&mut self, loc: impl IntoIterator<Item = Loc>, value: &Json, rule: &TextRule) -> Option<String> {
        let Some(text) = value.as_text() else {
            self.fault_at(loc, "string_type", "Input should be a valid string".into());
            return None;
        };
        let plural = |count| if count == 1 { "" } else { "s" };
        let chars = text.chars().count();
        let TextRule { min, max, pattern } = *rule;
        if chars < min {
            let msg = format!("String should have at least {min} character{}", plural(min));
            self.fault_at(loc, "string_too_short", msg.into());
        } else if chars > max {
            let msg = format!("String should have at most {max} character{}", plural(max));
            self.fault_at(loc, "string_too_long", msg.into());
        } else if let Some(pattern) = pattern.filter(|pattern| !pattern.holds(text)) {
            let msg = format!("String should match pattern '{}'", pattern.written);
            self.fault_at(loc, "string_pattern_mismatch", msg.into());
        } else {
            return Some(text.to_owned());
        }
        None
    }

    fn as_word<T: Copy>(&mut self, field: &'static str, value: &Json, words: &[(&str, T)]) -> Option<T> {
        let found = value.as_text().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let quoted: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            let listed = match quoted.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => quoted.concat(),
            };
            self.fault(field, "enum", format!("Input should be {listed}"));
        }
        found.map(|(_, meaning)| *meaning)
    }

    fn as_integer(&mut self, field: &'static str, value: &Json, min: u32, max: u32) -> Option<u32> {
        let integer = match value {
            Json::Text(text) => text.trim().parse::<i128>().ok(),
            Json::Number(number) => match number.value() {
                NumberValue::Integer(digits) => digits.parse().ok(),
                NumberValue::Double(double) if double.fract() != 0.0 => {
                    self.fault(
                        field,
                        "int_from_float",
                        "Input should be a valid integer, got a number with a fraction",
                    );
                    return None;
                }
                // As pydantic does, `30.0` counts as 30. The cast holds what is too large at the end of the range.
                NumberValue::Double(double) => Some(double as i128),
            },
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                self.fault(field, "int_type", "Input should be a valid integer");
                return None;
            }
        };
        let Some(integer) = integer else {
            self.fault(field, "int_parsing", "Input should be a valid integer, unable to parse string as an integer");
            return None;
        };
        if integer < i128::from(min) {
            self.fault(field, "greater_than_equal", format!("Input should be greater than or equal to {min}"));
        } else if integer > i128::from(max) {
            self.fault(field, "less_than_equal", format!("Input should be less than or equal to {max}"));
        }
        u32::try_from(integer).ok().filter(|integer| (min..=max).contains(integer))
    }

    fn as_time(&mut self, field: &'static str, value: &Json) -> Option<Micros> {
        let Some(text) = value.as_text() else {
            self.fault(field, "datetime_type", "Input should be a valid datetime");
            return None;
        };
        match parse_timestamp(text) {
            Ok(time) => return Some(time),
            Err(TimestampError::NoOffset) => {
                self.fault(field, "timezone_aware", "Input should have timezone info: end it with Z or ±hh:mm");
            }
            Err(error @ (TimestampError::NotRfc3339 | TimestampError::OutOfRange)) => {
                self.fault(field, "datetime_parsing", format!("Input should be a valid datetime: {error}"));
            }
        }
        None
    }

    fn as_object(&mut self, field: &'static str, value: &Json) -> Members {
        let Json::Object(members) = value else {
            self.fault(field, "dict_type", "Input should be a valid dictionary");
            return Members::new();
        };
        members.clone()
    }

    fn as_list(&mut self, field: &'static str, value: &'a Json) -> Option<&'a [Json]> {
        let Json::Array(items) = value else {
            self.fault(field, "list_type", "Input should be a valid list");
            return None;
        };
        Some(items)
    }
}
