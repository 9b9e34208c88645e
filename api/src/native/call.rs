//! A call of an operation: who asks, with which parameters, checked as the operation declares them.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use chancery_ledger::body::field::Decimal;
use chancery_ledger::event::{ReadError, peek};
use chancery_ledger::ids::{Seq, Subject, TenantId, ThingKind, parse_any};
use chancery_ledger::store::{StoreError, last_at_or_before};
use chancery_ledger::time::Micros;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::view::{Held, Paging};

use super::operation::{Form, Parameter, Place};
use crate::app::App;
use crate::auth::Principal;
use crate::limits::QUERY_BYTES_MAX;
use crate::problem::Problem;
use crate::request::Request;

/// A call.
pub struct Call {
    /// The application.
    pub app: Arc<App>,
    /// The request.
    pub request: Request,
    principal: Option<Principal>,
    parameters: Parameters,
}

/// A moment to read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The last event that is seen; `None` is the newest.
    pub seq: Option<Seq>,
    /// The time from which what depends on time is computed.
    pub now: Micros,
}

impl Call {
    /// A call whose access was checked.
    #[must_use]
    pub const fn new(app: Arc<App>, request: Request, principal: Option<Principal>, parameters: Parameters) -> Self {
        Self { app, request, principal, parameters }
    }

    /// Who asks.
    ///
    /// # Errors
    /// [`Problem::Unauthenticated`] in an operation that is open to everybody, which has none.
    pub fn principal(&self) -> Result<&Principal, Problem> {
        self.principal.as_ref().ok_or(Problem::Unauthenticated)
    }

    /// The tenant it is about.
    ///
    /// # Errors
    /// As [`principal`](Self::principal).
    pub fn tenant(&self) -> Result<TenantId, Problem> {
        Ok(self.principal()?.tenant())
    }

    /// The text of a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)
    }

    /// The number of a parameter.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// The flag of a parameter.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "true")
    }

    /// The id of a parameter of the query.
    #[must_use]
    pub fn id<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// The id in the path. What is no id is an id of nothing.
    ///
    /// # Errors
    /// [`Rejection::NotFound`].
    pub fn path_id<T: FromStr>(&self, name: &'static str) -> Result<T, Problem> {
        self.id(name).ok_or_else(|| Rejection::NotFound { thing: name }.into())
    }

    /// The subject of a parameter.
    #[must_use]
    pub fn subject(&self, name: &str) -> Option<Subject> {
        self.text(name).and_then(parse_subject)
    }

    /// The time of a parameter.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<Micros> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// The text of a document of JSON that was sent.
    ///
    /// # Errors
    /// [`Problem::MediaType`] and [`Problem::Malformed`] when it is none; those of reading the body.
    pub async fn document(&mut self, bytes_max: usize) -> Result<String, Problem> {
        if !self.request.content_is("application/json") {
            return Err(Problem::MediaType { expected: "application/json" });
        }
        let time = self.app.config().body_timeout();
        let body = self.request.body(bytes_max, time).await?;
        String::from_utf8(body.into())
            .map_err(|error| Problem::Malformed { path: String::new(), why: format!("it is not UTF-8: {error}") })
    }

    /// Which part of a list is asked for.
    ///
    /// # Errors
    /// [`Problem::Parameter`] when the cursor is none.
    pub fn paging(&self) -> Result<Paging, Problem> {
        let order = match self.text("order") {
            Some("ascending") => Order::Ascending,
            _ => Order::Descending,
        };
        let limit = self.number("limit").and_then(|limit| usize::try_from(limit).ok());
        Ok(Paging::new(order, self.text("cursor"), limit)?)
    }

    /// The moment that is asked for.
    ///
    /// # Errors
    /// [`Problem::Future`] and [`Problem::Parameter`] when it has not come; those of reading the log.
    pub fn moment(&self) -> Result<Moment, Problem> {
        Ok(self.moment_of("as_of")?.unwrap_or_else(|| Moment { seq: None, now: self.app.now() }))
    }

    /// The moment of a parameter, if it is given.
    ///
    /// # Errors
    /// As [`moment`](Self::moment).
    pub fn moment_of(&self, name: &str) -> Result<Option<Moment>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if let Ok(seq) = text.parse() {
            return Ok(Some(self.moment_at(Seq(seq))?));
        }
        let now = self.app.now();
        let time = text
            .parse()
            .ok()
            .filter(|time| *time <= now)
            .ok_or_else(|| Problem::Parameter { parameter: name.to_owned(), why: "is in the future".to_owned() })?;
        // Before the first event there was nothing, as there was right after it, as far as tenants can see.
        let seq = last_at_or_before(&*self.app.engine().log(), time)?.unwrap_or(Seq(0));
        Ok(Some(Moment { seq: Some(seq), now: time }))
    }

    /// The moment right after an event, at its own time.
    ///
    /// # Errors
    /// [`Problem::Future`] when there is no such event yet; those of reading the log.
    pub fn moment_at(&self, seq: Seq) -> Result<Moment, Problem> {
        let size = self.app.sequencer().acknowledged();
        if seq >= size.next() {
            return Err(Problem::Future { asked: seq, size: size.0 });
        }
        let record = self.app.engine().log().record(seq)?.ok_or(StoreError::Missing { seq })?;
        let (_, time, _) = peek(&record.header).map_err(ReadError::from)?;
        Ok(Moment { seq: Some(seq), now: time })
    }

    /// The views at the moment that is asked for.
    ///
    /// # Errors
    /// Those of [`moment`](Self::moment), and of waiting for the views.
    pub async fn held(&self) -> Result<(Held, Micros), Problem> {
        let moment = self.moment()?;
        Ok((self.app.held(moment.seq).await?, moment.now))
    }
}

fn parse_subject(text: &str) -> Option<Subject> {
    let (kind, id) = text.split_once(':')?;
    let kind = ThingKind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some(Subject { kind, id: parse_any(kind, id).ok()? })
}

impl Form {
    /// Why a text is not of this form, if it is not.
    fn fault(&self, place: Place, text: &str) -> Option<String> {
        let ok = match self {
            Self::Number { min, max } => {
                text.parse().is_ok_and(|number| (*min..=*max).contains(&number)) && is_plain(text)
            }
            // In the path it names nothing there is, which the handler says.
            Self::Id(kind) => place == Place::Path || parse_any(*kind, text).is_ok(),
            Self::Subject => place == Place::Path || parse_subject(text).is_some(),
            Self::OneOf(words) => place == Place::Path || words().contains(&text),
            Self::Time => text.parse::<Micros>().is_ok(),
            Self::Moment => is_plain(text) && text.parse::<u64>().is_ok() || text.parse::<Micros>().is_ok(),
            Self::Flag => matches!(text, "true" | "false"),
            Self::Amount => text.parse::<Decimal>().is_ok(),
            Self::Text { max } => (1..=*max).contains(&text.chars().count()),
            // The application reads header fields itself.
            Self::Tag => true,
        };
        if ok { None } else { Some(self.wanted()) }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Number { min, max } => format!("must be a whole number from {min} to {max}"),
            Self::Id(kind) => format!("must be the id of a {}", kind.name()),
            Self::Subject => "must be a kind of thing, a colon and an id, for example `agent:01932c07-…`".to_owned(),
            Self::OneOf(words) => format!("must be one of {}", words().join(", ")),
            Self::Time => "must be a time in RFC 3339, for example `2026-01-31T12:00:00Z`".to_owned(),
            Self::Moment => "must be the sequence number of an event, or a time in RFC 3339".to_owned(),
            Self::Flag => "must be `true` or `false`".to_owned(),
            Self::Amount => "must be a decimal number of at most 28 digits, for example `12.5`".to_owned(),
            Self::Text { max } => format!("must have 1 to {max} characters"),
            Self::Tag => "must be a quoted entity tag".to_owned(),
        }
    }
}

/// Digits alone: Rust's own parsing takes a `+` too.
fn is_plain(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit())
}

/// A request's parameters.
#[derive(Debug)]
pub struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// Reads what an operation declares: from the path as the router took it apart, from header and query.
    ///
    /// # Errors
    /// [`Problem::Parameter`] and [`Problem::Header`] when one is unknown, stands twice, or is malformed.
    pub fn read(
        request: &Request, declared: &'static [Parameter], path: &matchit::Params<'_, '_>,
    ) -> Result<Self, Problem> {
        let mut read = Self(Vec::new());
        let at = |place: Place| declared.iter().filter(move |parameter| parameter.place == place);
        for parameter in at(Place::Path) {
            let text = path.get(parameter.name).unwrap_or_default();
            read.take(parameter, decode(text, false).unwrap_or_default().into_owned())?;
        }
        for parameter in at(Place::Header) {
            if let Some(text) = request.header(parameter.name)? {
                read.take(parameter, text.to_owned())?;
            }
        }
        let query = request.query().unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            return Err(invalid("?", format!("must have at most {QUERY_BYTES_MAX} bytes in all")));
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(text)) = (decode(name, true), decode(text, true)) else {
                return Err(invalid(name, "is not percent-encoded UTF-8".to_owned()));
            };
            let Some(parameter) = at(Place::Query).find(|parameter| parameter.name == name) else {
                let known: Vec<_> = at(Place::Query).map(|parameter| parameter.name).collect();
                return Err(invalid(&name, format!("is unknown here; known are: {}", known.join(", "))));
            };
            if read.get(parameter.name).is_some() {
                return Err(invalid(parameter.name, "stands twice".to_owned()));
            }
            read.take(parameter, text.into_owned())?;
        }
        Ok(read)
    }

    fn take(&mut self, parameter: &Parameter, text: String) -> Result<(), Problem> {
        if let Some(why) = parameter.form.fault(parameter.place, &text) {
            return Err(invalid(parameter.name, why));
        }
        self.0.push((parameter.name, text));
        Ok(())
    }
}

fn invalid(parameter: &str, why: String) -> Problem {
    let shown: String = parameter.chars().take(64).collect();
    Problem::Parameter { parameter: shown, why }
}

/// Undoes percent-encoding, and in queries `+` for a space; `None` when what comes out is no UTF-8 text.
fn decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(text.into());
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        out.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                rest = tail;
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).ok()?;
                decoded[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_strictly() {
        assert_eq!(decode("a%20b+c", true).as_deref(), Some("a b c"));
        assert_eq!(decode("a+b", false).as_deref(), Some("a+b"));
        assert_eq!(decode("%c3%A9", true).as_deref(), Some("é"));
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(bad, true), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_positions_or_rfc_3339() {
        let ok = |text| Form::Moment.fault(Place::Query, text).is_none();
        for good in ["0", "18446744073709551615", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+01:00"] {
            assert!(ok(good), "{good}");
        }
        for bad in ["", "+1", "-1", "1.0", "2026-01-31", "2026-01-31T12:00:00Z[UTC]", "now"] {
            assert!(!ok(bad), "{bad}");
        }
    }

    #[test]
    fn subjects_name_kind_and_id() {
        let subject = parse_subject("agent:aid_01jcp0e84wfgx9y7jvdnz8z6gb").unwrap();
        assert_eq!(subject, parse_subject("agent:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b").unwrap());
        for bad in
            ["agent", "agent:", "robot:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b", "token:aid_01jcp0e84wfgx9y7jvdnz8z6gb"]
        {
            assert_eq!(parse_subject(bad), None, "{bad}");
        }
    }
}
