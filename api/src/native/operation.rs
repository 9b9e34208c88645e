//! What an operation of the native API is: for the router, which checks and calls it, and for `/openapi.json`, which
//! describes it. Both read the same constants, so neither can know of an operation what the other does not.

use std::pin::Pin;

use chancery_ledger::ids::ThingKind;
use chancery_projections::scope::Scope;
use schemars::{Schema, SchemaGenerator};

use super::call::Call;
use crate::problem::Problem;
use crate::response::Response;

/// An operation.
pub struct Operation {
    /// Its name for client generators.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What a caller needs.
    pub access: Access,
    /// Parameters of path, query and header.
    pub parameters: &'static [Parameter],
    /// The bodies it takes; none takes none.
    pub bodies: &'static [Content],
    /// The bodies it answers with when all is well.
    pub answers: &'static [Content],
    /// The problems it can answer with, beside those that access, parameters and bodies bring.
    pub problems: &'static [u16],
    /// What answers.
    pub handler: Handler,
}

/// What answers.
pub type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: health.
    Open,
    /// Any credential of this mount; what else it needs depends on what is sent.
    Credential,
    /// The same, or the signature of an agent, into which the operation looks itself: it covers the body.
    CredentialOrSignature,
    /// A credential with a scope.
    Scope(Scope),
    /// The scope to read the ledger; nothing, where the operator lets anybody read the tree.
    Tree,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What it can be.
    pub form: Form,
    /// What it means.
    pub doc: &'static str,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path; it must be there.
    Path,
    /// Behind the `?`.
    Query,
    /// In the request's head.
    Header,
}

/// What a parameter can be.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// A whole number in a range.
    Number {
        /// The smallest.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// An id, in any spelling of its kind.
    Id(ThingKind),
    /// A kind of thing, a colon, and an id: `agent:01932c07-…`.
    Subject,
    /// One of some words.
    OneOf(fn() -> Vec<&'static str>),
    /// A moment: RFC 3339.
    Time,
    /// A moment: a position in the log or RFC 3339.
    Moment,
    /// `true` or `false`.
    Flag,
    /// A decimal number.
    Amount,
    /// A text of up to so many characters.
    Text {
        /// Most characters.
        max: usize,
    },
    /// A quoted entity tag.
    Tag,
}

/// A body of some media type.
#[derive(Clone, Copy)]
pub struct Content {
    /// The media type.
    pub media_type: &'static str,
    /// What it looks like; `None` is text, described by the media type alone.
    pub schema: Option<fn(&mut SchemaGenerator) -> Schema>,
}

impl Content {
    /// JSON of a type.
    #[must_use]
    pub const fn json<T: schemars::JsonSchema>() -> Self {
        Self { media_type: "application/json", schema: Some(|generator| generator.subschema_for::<T>()) }
    }

    /// Text.
    #[must_use]
    pub const fn text(media_type: &'static str) -> Self {
        Self { media_type, schema: None }
    }
}

/// The greatest position a parameter can name: what JSON readers with signed integers can hold.
pub const SEQ_MAX: u64 = i64::MAX as u64;

/// A parameter of the query.
#[must_use]
pub const fn query(name: &'static str, form: Form, doc: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, form, doc }
}

/// A parameter of the path.
#[must_use]
pub const fn path(name: &'static str, form: Form, doc: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, form, doc }
}

/// A header field.
#[must_use]
pub const fn header(name: &'static str, form: Form, doc: &'static str) -> Parameter {
    Parameter { name, place: Place::Header, form, doc }
}

/// `as_of`, of every read.
pub const AS_OF: Parameter = query(
    "as_of",
    Form::Moment,
    "Answer as of this event (its sequence number) or this time (RFC 3339) instead of now.",
);
/// `limit`, of every list.
pub const LIMIT: Parameter = query(
    "limit",
    Form::Number { min: 1, max: chancery_projections::view::LIMIT_MAX as u64 },
    "Most items of the page.",
);
/// `cursor`, of every list.
pub const CURSOR: Parameter =
    query("cursor", Form::Text { max: 64 }, "Where the page begins: `next` of the page before.");
/// `order`, of every list.
pub const ORDER: Parameter = query(
    "order",
    Form::OneOf(|| vec!["ascending", "descending"]),
    "By when the items came: the oldest first, or the newest first, which is the default.",
);
