//! What a request sent, by name: members of a JSON object or parameters of a query. What is wrong is gathered, field by
//! field, so that a caller learns all of it at once.

use chancery_ledger::body::field::Decimal;
use chancery_ledger::time::Micros;
use chancery_projections::json::{Json, Members};

use super::error::Failure;
use crate::limits::QUERY_BYTES_MAX;

/// A field is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Fault {
    /// Something is wrong with a field.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// What a request sent, and what is wrong with it so far. A member that is `null` is as one that was not sent, but for
/// [`is_null`](Self::is_null).
#[derive(Debug, Default)]
pub struct Fields {
    members: Members,
    /// Whether these are parameters, which are all texts.
    is_query: bool,
    faults: Vec<Fault>,
}

impl Fields {
    /// The members of a JSON object; an empty body has none, whatever its type says.
    ///
    /// # Errors
    /// [`Fault`] of `body` when it is no JSON object.
    pub fn json(body: &[u8]) -> Result<Self, Fault> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let text = std::str::from_utf8(body).map_err(|_| Fault::new("body", "must be UTF-8"))?;
        let members =
            Json::parse_members(text).map_err(|error| Fault::new("body", format!("must be a JSON object: {error}")))?;
        Ok(Self { members, ..Self::default() })
    }

    /// The parameters of a query; of one that stands twice the last counts.
    ///
    /// # Errors
    /// [`Fault`] when the query is too long.
    pub fn query(query: &str) -> Result<Self, Fault> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(Fault::new("query", format!("must have at most {QUERY_BYTES_MAX} bytes")));
        }
        let pairs = form_urlencoded::parse(query.as_bytes());
        let members = pairs.map(|(name, text)| (name.into_owned(), Json::Text(text.into_owned()))).collect();
        Ok(Self { members, is_query: true, faults: Vec::new() })
    }

    /// The names that were sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Whether a field was sent, `null` or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Whether a field was sent as `null`.
    #[must_use]
    pub fn is_null(&self, name: &str) -> bool {
        self.members.get(name) == Some(&Json::Null)
    }

    /// Notes what is wrong with a field.
    pub fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(field, message));
    }

    /// Takes one name for another (contract section 5): both may be sent if they say the same.
    pub fn alias(&mut self, alias: &str, name: &str) {
        let Some(value) = self.members.remove(alias).filter(|value| *value != Json::Null) else { return };
        match self.members.get(name).filter(|value| **value != Json::Null) {
            Some(other) if *other != value => {
                self.wrong(name, format!("differs from `{alias}`, which means the same"));
            }
            _ => drop(self.members.insert(name.to_owned(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.members.get(name).filter(|value| **value != Json::Null)
    }

    /// A text of so many characters.
    pub fn text(&mut self, name: &str, min: usize, max: usize) -> Option<String> {
        let found = match self.get(name)? {
            Json::Text(text) if (min..=max).contains(&text.chars().count()) => Ok(text.clone()),
            Json::Text(_) if min == 0 => Err(format!("must have at most {max} characters")),
            Json::Text(_) => Err(format!("must have {min} to {max} characters")),
            _ => Err("must be a string".to_owned()),
        };
        self.note(name, found)
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &str, min: usize, max: usize) -> String {
        self.must(name);
        self.text(name, min, max).unwrap_or_default()
    }

    /// Insists on a field.
    pub fn must(&mut self, name: &str) {
        if self.get(name).is_none() {
            self.wrong(name, "is required");
        }
    }

    /// One of some words, which stand for values.
    pub fn one_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.get(name)?.as_text();
        let found = words.iter().find(|(word, _)| text == Some(word)).map(|(_, value)| *value);
        let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        self.note(name, found.ok_or_else(|| format!("must be one of {all}")))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let found = match self.get(name)? {
            Json::Bool(flag) => Ok(*flag),
            _ => Err("must be true or false".to_owned()),
        };
        self.note(name, found)
    }

    /// A whole number in a range.
    pub fn number(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let found = match self.get(name)? {
            Json::Number(number) => number.token().parse().ok(),
            Json::Text(text) if self.is_query && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let found = found.filter(|number| (min..=max).contains(number));
        self.note(name, found.ok_or_else(|| format!("must be a whole number from {min} to {max}")))
    }

    /// An amount of money: a JSON number, or in a query its text.
    pub fn amount(&mut self, name: &str) -> Option<Decimal> {
        let found = match self.get(name)? {
            Json::Number(number) => number.token().parse::<Decimal>().map_err(|error| error.to_string()),
            Json::Text(text) if self.is_query => text.parse::<Decimal>().map_err(|error| error.to_string()),
            _ => Err("must be a number".to_owned()),
        };
        let found =
            found.and_then(
                |amount| {
                    if amount < Decimal::ZERO { Err("must not be negative".to_owned()) } else { Ok(amount) }
                },
            );
        self.note(name, found)
    }

    /// The code of a currency.
    pub fn currency(&mut self, name: &str) -> Option<String> {
        let found = match self.get(name)? {
            Json::Text(text) if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Ok(text.clone())
            }
            _ => Err("must be three upper-case letters, for example USD".to_owned()),
        };
        self.note(name, found)
    }

    /// A list of at least one text of 1 to so many characters, each once, in the order in which they first stand.
    pub fn texts(&mut self, name: &str, max: usize) -> Option<Vec<String>> {
        let found = match self.get(name)? {
            Json::Array(items) if items.is_empty() => Err("must have at least one".to_owned()),
            Json::Array(items) => {
                let texts = items.iter().map(|item| item.as_text().filter(|text| is_bounded(text, max)));
                let mut seen = std::collections::HashSet::new();
                let texts: Option<Vec<&str>> = texts.collect();
                texts
                    .map(|texts| texts.into_iter().filter(|text| seen.insert(*text)).map(str::to_owned).collect())
                    .ok_or_else(|| format!("must be strings of 1 to {max} characters"))
            }
            _ => Err("must be an array of strings".to_owned()),
        };
        self.note(name, found)
    }

    /// A list of texts as they are, duplicates among them.
    pub fn list(&mut self, name: &str, most: usize) -> Option<Vec<String>> {
        let found = match self.get(name)? {
            Json::Array(items) if (1..=most).contains(&items.len()) => items
                .iter()
                .map(|item| item.as_text().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| "must be an array of strings".to_owned()),
            Json::Array(_) => Err(format!("must have 1 to {most} items")),
            _ => Err("must be an array of strings".to_owned()),
        };
        self.note(name, found)
    }

    /// A moment: ISO 8601; without an offset it is UTC. Of a date alone, the day's first instant, or its last.
    pub fn time(&mut self, name: &str, is_end: bool) -> Option<Micros> {
        let found = self.get(name)?.as_text().and_then(|text| parse_time(text, is_end));
        self.note(name, found.ok_or_else(|| "must be an ISO 8601 date or time, for example 2026-03-31".to_owned()))
    }

    fn note<T>(&mut self, name: &str, found: Result<T, String>) -> Option<T> {
        match found {
            Ok(value) => Some(value),
            Err(message) => {
                self.wrong(name, message);
                None
            }
        }
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    /// [`Failure::Fields`] with everything that is.
    pub fn done(self) -> Result<(), Failure> {
        if self.faults.is_empty() { Ok(()) } else { Err(Failure::Fields(self.faults)) }
    }
}

fn is_bounded(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().count())
}

fn parse_time(text: &str, is_end: bool) -> Option<Micros> {
    const DAY_MICROS: i64 = 86_400 * 1_000_000;
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if text.len() == "2026-03-31".len() {
        let first: Micros = format!("{text}T00:00:00Z").parse().ok()?;
        return Some(if is_end { Micros(first.0 + DAY_MICROS - 1) } else { first });
    }
    // Local time without an offset; a space may stand for the `T`.
    format!("{}Z", text.replacen(' ', "T", 1)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_callers_write_them() {
        let time = |text, is_end| parse_time(text, is_end).map(|time| time.to_string());
        assert_eq!(time("2026-03-31", false).as_deref(), Some("2026-03-31T00:00:00.000000Z"));
        assert_eq!(time("2026-03-31", true).as_deref(), Some("2026-03-31T23:59:59.999999Z"));
        assert_eq!(time("2026-03-31T12:00:00", true).as_deref(), Some("2026-03-31T12:00:00.000000Z"));
        assert_eq!(time("2026-03-31T12:00:00+02:00", true).as_deref(), Some("2026-03-31T10:00:00.000000Z"));
        for text in ["", "yesterday", "2026-13-01", "2026-03-31T25:00:00"] {
            assert_eq!(time(text, false), None, "{text}");
        }
    }

    #[test]
    fn a_text_is_a_number_only_in_a_query() {
        let mut query = Fields::query("amount=5&page=2").unwrap();
        assert_eq!((query.amount("amount"), query.number("page", 1, 9)), (Some(Decimal::whole(5)), Some(2)));
        query.done().unwrap();
        let mut body = Fields::json(br#"{"amount":"5","page":"2"}"#).unwrap();
        assert_eq!((body.amount("amount"), body.number("page", 1, 9)), (None, None));
        assert!(matches!(body.done(), Err(Failure::Fields(faults)) if faults.len() == 2));
    }

    #[test]
    fn both_spellings_may_say_the_same() {
        let mut fields = Fields::json(br#"{"memo":"a","notes":"a","from_agent":"x"}"#).unwrap();
        fields.alias("memo", "notes");
        fields.alias("from_agent", "agent_id");
        assert_eq!((fields.text("notes", 0, 9), fields.text("agent_id", 0, 9)), (Some("a".into()), Some("x".into())));
        fields.done().unwrap();
        let mut fields = Fields::json(br#"{"memo":"a","notes":"b"}"#).unwrap();
        fields.alias("memo", "notes");
        assert!(matches!(fields.done(), Err(Failure::Fields(faults)) if faults[0].field == "notes"));
    }
}
