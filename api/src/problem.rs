//! What goes wrong at the HTTP edge, and how the native API says so: RFC 9457 problems with a stable code.
//!
//! A dialect maps every [`Problem`] to its vendor's shape instead; so does [`crate::dialect`].

use chancery_ledger::event::ReadError;
use chancery_ledger::ids::Seq;
use chancery_ledger::store::StoreError;
use chancery_projections::context::ContextError;
use chancery_projections::difference::DifferenceError;
use chancery_projections::event_view::EventViewError;
use chancery_projections::lane::agentidp::view::AuditError;
use chancery_projections::lane::alsorn::view::ChainError;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::RowsError;
use chancery_projections::sequencer::{Recorded, SubmitError};
use chancery_projections::view::{HoldError, ViewError};
use chancery_projections::view_receipt::receipt::MakeError;
use chancery_projections::view_receipt::roots::RootsError;
use chancery_projections::views::Lagging;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::request::{BadHeader, BodyError, RequestId};
use crate::response::{self, Response};

/// Seconds after which a caller may try again, where nothing better is known.
const RETRY_AFTER_SECS: u32 = 1;

/// Why a request is not answered with what it asks for.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No credential, or one that opens nothing here. Which of the many reasons it is, only the log says.
    #[error("a credential is missing or not accepted; send `Authorization: Bearer <API key>`")]
    Unauthenticated,
    /// A command, or a read, is refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A command is refused, and that is a fact in the log.
    #[error("{rejection}")]
    RejectedOnRecord {
        /// Why.
        rejection: Rejection,
        /// The facts.
        events: Vec<Recorded>,
    },
    /// A command was not taken.
    #[error("{}", submit_text(.0))]
    NotSubmitted(#[from] SubmitError),
    /// A view did not reach what the caller may already know.
    #[error("{0}")]
    Lagging(#[from] Lagging),
    /// What is kept could not be read.
    #[error("the daemon could not read what it keeps; its operator finds the reason under this request id")]
    Unreadable(#[from] Unreadable),
    /// The body did not come as it must.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A header field is malformed.
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// The body is of another type than the route takes.
    #[error("the body must be of the type {expected}")]
    MediaType {
        /// What the route takes.
        expected: &'static str,
    },
    /// The body is no JSON, or not of the shape the route takes.
    #[error("{why}")]
    Malformed {
        /// Where: a path into the JSON, empty for the whole.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A parameter of path, query or header is unknown or malformed.
    #[error("the parameter `{parameter}` {why}")]
    Parameter {
        /// Its name.
        parameter: String,
        /// What is wrong.
        why: String,
    },
    /// A moment is asked for that has not come.
    #[error("event {asked} is not in the log yet; it has {size} events, counted from 0")]
    Future {
        /// The event asked for.
        asked: Seq,
        /// How many there are.
        size: u64,
    },
    /// Nothing answers at this path.
    #[error("there is nothing at this path; GET /openapi.json lists what there is")]
    NoRoute,
    /// Something answers at this path, by other methods.
    #[error("this path takes {allow}")]
    MethodNotAllowed {
        /// By which: a list for the `Allow` field.
        allow: String,
    },
    /// As much of a kind is open as may be.
    #[error("{what} are all taken; try again")]
    Exhausted {
        /// What is used up.
        what: &'static str,
    },
    /// We have a bug.
    #[error("the daemon failed at this; its operator finds the reason under this request id")]
    Internal,
}

/// What is kept could not be read: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A view.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event.
    #[error(transparent)]
    Event(#[from] ReadError),
    /// An encrypted field.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Views, to publish their roots.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// A view, the tree over it and its root, to make a receipt of.
    #[error(transparent)]
    Receipt(#[from] MakeError),
}

impl From<RowsError> for Problem {
    fn from(error: RowsError) -> Self {
        Self::Unreadable(error.into())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error.into())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error.into())
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Rows(error) => error.into(),
            ViewError::Context(error) => error.into(),
            ViewError::Cursor => Self::Parameter {
                parameter: "cursor".to_owned(),
                why: "is not one that a page of this list in this order gave".to_owned(),
            },
        }
    }
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Lagging(lagging) => Self::Lagging(lagging),
            HoldError::Rows(error) => error.into(),
        }
    }
}

impl From<ChainError> for Problem {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Rows(error) => error.into(),
            ChainError::Store(error) => error.into(),
            ChainError::Read(error) => error.into(),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Rows(error) => error.into(),
            AuditError::Context(error) => error.into(),
            AuditError::Store(error) => error.into(),
            AuditError::Event(error) => error.into(),
        }
    }
}

impl From<EventViewError> for Problem {
    fn from(error: EventViewError) -> Self {
        match error {
            EventViewError::Read(error) => error.into(),
            EventViewError::Context(error) => error.into(),
            EventViewError::Json(error) => {
                tracing::error!(%error, "an event cannot be rendered");
                Self::Internal
            }
        }
    }
}

impl From<DifferenceError> for Problem {
    fn from(error: DifferenceError) -> Self {
        match error {
            DifferenceError::View(error) => error.into(),
            DifferenceError::Store(error) => error.into(),
            DifferenceError::Event { source, .. } => source.into(),
        }
    }
}

impl From<ContextError> for Problem {
    fn from(error: ContextError) -> Self {
        Self::Unreadable(error.into())
    }
}

/// What the caller may know of a command that was not taken; the causes go to the trace.
fn submit_text(error: &SubmitError) -> &'static str {
    match error {
        SubmitError::Busy { .. } => "more commands wait than the daemon holds; try again",
        SubmitError::Stopped { why } => stopped_text(why),
        SubmitError::Unavailable { .. } => "the daemon could not decide this command now; try again",
    }
}

/// Why no commands are taken, as far as everybody may know: what the system said about the disk, without where.
fn stopped_text(why: &str) -> &'static str {
    let said = |words: &str| why.contains(words);
    if said("No space left on device") || said("Disk quota exceeded") {
        "the daemon takes no more commands, because its disk is full; reads go on. Its operator frees space and restarts it"
    } else if said("Input/output error") {
        "the daemon takes no more commands, because its disk failed; reads go on. Its operator finds out more in its log"
    } else {
        "the daemon takes no more commands; its operator finds the reason in its log"
    }
}

/// A problem as the native API shows it (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemBody {
    /// The status, again.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What sort of problem it is: stable, for programs.
    pub code: String,
    /// What to do about it, for people.
    pub detail: String,
    /// Names the request in the daemon's own log.
    pub request_id: String,
    /// What else is known of it, by the code: `field`, `scope`, `expected` and `actual`, `events` and so on.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Problem {
    /// The status that says so in HTTP.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Rejected(rejection) | Self::RejectedOnRecord { rejection, .. } => rejection_status(rejection),
            Self::NotSubmitted(_) | Self::Lagging(_) | Self::Unreadable(_) | Self::Exhausted { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Body(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::BrokenOff)
            | Self::Header(_)
            | Self::Malformed { .. }
            | Self::Parameter { .. }
            | Self::Future { .. } => StatusCode::BAD_REQUEST,
            Self::MediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Rejected(rejection) | Self::RejectedOnRecord { rejection, .. } => rejection.code(),
            Self::NotSubmitted(SubmitError::Busy { .. }) => "busy",
            Self::NotSubmitted(SubmitError::Stopped { .. }) => "stopped",
            Self::NotSubmitted(SubmitError::Unavailable { .. }) => "unavailable",
            Self::Lagging(_) => "view_behind",
            Self::Unreadable(_) => "unreadable",
            Self::Body(BodyError::TooLarge { .. }) => "body_too_large",
            Self::Body(BodyError::TooSlow) => "body_too_slow",
            Self::Body(BodyError::BrokenOff) => "body_broken_off",
            Self::Header(_) => "header_malformed",
            Self::MediaType { .. } => "media_type_unsupported",
            Self::Malformed { .. } => "malformed",
            Self::Parameter { .. } => "parameter_invalid",
            Self::Future { .. } => "as_of_future",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Exhausted { .. } => "exhausted",
            Self::Internal => "internal",
        }
    }

    /// After how many seconds the caller may try again, where that can help.
    #[must_use]
    pub const fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::NotSubmitted(SubmitError::Busy { retry_after_secs }) => Some(*retry_after_secs),
            // An operator has to act first; the caller may look again in a minute.
            Self::NotSubmitted(SubmitError::Stopped { .. }) => Some(60),
            Self::NotSubmitted(SubmitError::Unavailable { .. })
            | Self::Lagging(_)
            | Self::Unreadable(_)
            | Self::Exhausted { .. } => Some(RETRY_AFTER_SECS),
            Self::Unauthenticated
            | Self::Rejected(_)
            | Self::RejectedOnRecord { .. }
            | Self::Body(_)
            | Self::Header(_)
            | Self::MediaType { .. }
            | Self::Malformed { .. }
            | Self::Parameter { .. }
            | Self::Future { .. }
            | Self::NoRoute
            | Self::MethodNotAllowed { .. }
            | Self::Internal => None,
        }
    }

    /// Tells the operator what the caller is not told, under the id that the caller is told.
    pub fn trace(&self, request: &RequestId) {
        match self {
            Self::NotSubmitted(SubmitError::Stopped { why } | SubmitError::Unavailable { why }) => {
                tracing::error!(%request, why, "a command was not taken");
            }
            Self::Unreadable(cause) => tracing::error!(%request, %cause, "what is kept could not be read"),
            Self::Lagging(lagging) => tracing::warn!(%request, %lagging, "a read gave up waiting"),
            Self::NotSubmitted(SubmitError::Busy { .. }) | Self::Exhausted { .. } => {
                tracing::warn!(%request, problem = %self);
            }
            _ => tracing::debug!(%request, problem = %self, code = self.code()),
        }
    }

    /// The problem as the native API shows it.
    #[must_use]
    pub fn body(&self, id: &RequestId) -> ProblemBody {
        let status = self.status();
        ProblemBody {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            code: self.code().to_owned(),
            detail: self.to_string(),
            request_id: id.to_string(),
            fields: self.fields(),
        }
    }

    /// The native answer.
    #[must_use]
    pub fn response(&self, id: &RequestId) -> Response {
        let mut response = response::json_as(self.status(), "application/problem+json", &self.body(id));
        self.add_headers(response.headers_mut());
        response
    }

    /// Adds the header fields that the status calls for.
    pub fn add_headers(&self, headers: &mut hyper::HeaderMap) {
        if let Some(secs) = self.retry_after_secs() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        match self {
            Self::Unauthenticated
            | Self::Rejected(Rejection::SignatureInvalid { .. } | Rejection::SignatureReplayed) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"chancery\""));
            }
            Self::MethodNotAllowed { allow } => {
                if let Ok(value) = HeaderValue::from_str(allow) {
                    headers.insert(header::ALLOW, value);
                }
            }
            _ => {}
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = match self {
            Self::Rejected(rejection) | Self::RejectedOnRecord { rejection, .. } => rejection_fields(rejection),
            Self::Malformed { path, .. } => object([("path", Value::from(path.clone()))]),
            Self::Parameter { parameter, .. } => object([("parameter", Value::from(parameter.clone()))]),
            Self::Header(BadHeader(name)) => object([("parameter", Value::from(*name))]),
            Self::Future { asked, size } => object([("asked", asked.0.into()), ("size", (*size).into())]),
            Self::Body(BodyError::TooLarge { max }) => object([("max_bytes", (*max as u64).into())]),
            _ => Map::new(),
        };
        if let Self::RejectedOnRecord { events, .. } = self {
            let seqs: Vec<Value> = events.iter().map(|event| event.seq.0.into()).collect();
            fields.insert("events".to_owned(), seqs.into());
        }
        fields
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The status of a refusal.
#[must_use]
pub const fn rejection_status(rejection: &Rejection) -> StatusCode {
    match rejection {
        Rejection::Invalid { .. }
        | Rejection::ScopeUnknown { .. }
        | Rejection::IdempotencyConflict { .. }
        | Rejection::TargetForbidden { .. }
        | Rejection::EventUnknown { .. }
        | Rejection::SelfDelegation
        | Rejection::TtlOutOfRange { .. }
        | Rejection::CodeWrong
        | Rejection::CurrencyMismatch { .. }
        | Rejection::TransactionUnrelated
        | Rejection::PolicyInvalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Rejection::NotFound { .. } => StatusCode::NOT_FOUND,
        Rejection::SignatureInvalid { .. } | Rejection::SignatureReplayed => StatusCode::UNAUTHORIZED,
        Rejection::ScopeMissing { .. }
        | Rejection::TenantSuspended
        | Rejection::NotRoot
        | Rejection::NotOwner { .. }
        | Rejection::ClientInvalid
        | Rejection::GrantInvalid
        | Rejection::NoRuleMatches
        | Rejection::ScopeNotHeld { .. }
        | Rejection::ActionNotAuthorised { .. }
        | Rejection::SpendingLimitExceeded { .. } => StatusCode::FORBIDDEN,
        Rejection::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
        Rejection::SlugTaken
        | Rejection::HandleTaken { .. }
        | Rejection::AgentDecommissioned
        | Rejection::AgentNotUsable { .. }
        | Rejection::MissionEnded { .. }
        | Rejection::MissionOtherAgent
        | Rejection::ChallengeDead
        | Rejection::MissionExists
        | Rejection::ChainExists
        | Rejection::ChainClosed
        | Rejection::FieldImmutable { .. }
        | Rejection::OrganisationDeleted
        | Rejection::OrganisationHasAgents
        | Rejection::DefaultOrganisation
        | Rejection::AlreadyMember
        | Rejection::CredentialRevoked
        | Rejection::RootTenant
        | Rejection::CounterpartyNotUsable { .. }
        | Rejection::NotReversible { .. }
        | Rejection::AlreadyDecided { .. }
        | Rejection::LimitReached { .. }
        | Rejection::IssuerKnown
        | Rejection::DepthExceeded { .. }
        | Rejection::TokenDead
        | Rejection::KeyInUse
        | Rejection::Unverified
        | Rejection::DestinationInUse
        | Rejection::OnHold { .. }
        | Rejection::Erased { .. }
        | Rejection::StillInUse { .. }
        | Rejection::QuotaExhausted { .. } => StatusCode::CONFLICT,
        Rejection::NotConfigured { .. } => StatusCode::NOT_IMPLEMENTED,
    }
}

fn rejection_fields(rejection: &Rejection) -> Map<String, Value> {
    match rejection {
        Rejection::Invalid { field, .. } | Rejection::FieldImmutable { field } => object([("field", (*field).into())]),
        Rejection::NotFound { thing }
        | Rejection::NotOwner { thing }
        | Rejection::OnHold { thing }
        | Rejection::Erased { thing }
        | Rejection::StillInUse { thing, .. } => object([("thing", (*thing).into())]),
        Rejection::NotConfigured { what } => object([("what", (*what).into())]),
        Rejection::QuotaExhausted { quota, max } => object([("quota", (*quota).into()), ("max", (*max).into())]),
        Rejection::TtlOutOfRange { min, max } => object([("min", (*min).into()), ("max", (*max).into())]),
        Rejection::DepthExceeded { max } => object([("max", (*max).into())]),
        Rejection::ScopeMissing { scope } => object([("scope", (*scope).into())]),
        Rejection::ScopeNotHeld { scope } | Rejection::ScopeUnknown { scope } => {
            object([("scope", scope.clone().into())])
        }
        Rejection::Conflict { expected, actual } => {
            object([("expected", expected.0.into()), ("actual", actual.0.into())])
        }
        Rejection::IdempotencyConflict { original } => object([("original", original.0.into())]),
        Rejection::LimitReached { limit, max } => object([("limit", (*limit).into()), ("max", (*max).into())]),
        Rejection::HandleTaken { namespace } => object([("namespace", namespace.clone().into())]),
        Rejection::TargetForbidden { why } | Rejection::SignatureInvalid { why } => {
            object([("why", why.clone().into())])
        }
        Rejection::EventUnknown { event } => object([("event", event.clone().into())]),
        Rejection::AgentNotUsable { why } | Rejection::CounterpartyNotUsable { why } => {
            object([("why", (*why).into())])
        }
        Rejection::ActionNotAuthorised { action } => object([("action", action.clone().into())]),
        Rejection::CurrencyMismatch { limit, asked } => {
            object([("limit", limit.clone().into()), ("asked", asked.clone().into())])
        }
        Rejection::SpendingLimitExceeded { limit, amount, currency, hours } => object([
            ("limit", limit.to_string().into()),
            ("amount", amount.to_string().into()),
            ("currency", currency.clone().into()),
            ("hours", (*hours).into()),
        ]),
        Rejection::NotReversible { status } => object([("status", (*status).into())]),
        Rejection::AlreadyDecided { outcome } => object([("outcome", (*outcome).into())]),
        Rejection::PolicyInvalid { path, .. } => object([("path", path.clone().into())]),
        Rejection::MissionEnded { state } => object([("state", (*state).into())]),
        Rejection::TenantSuspended
        | Rejection::NotRoot
        | Rejection::OrganisationHasAgents
        | Rejection::DefaultOrganisation
        | Rejection::AlreadyMember
        | Rejection::SlugTaken
        | Rejection::AgentDecommissioned
        | Rejection::MissionOtherAgent
        | Rejection::ChallengeDead
        | Rejection::MissionExists
        | Rejection::ChainExists
        | Rejection::ChainClosed
        | Rejection::OrganisationDeleted
        | Rejection::CredentialRevoked
        | Rejection::RootTenant
        | Rejection::SelfDelegation
        | Rejection::TokenDead
        | Rejection::GrantInvalid
        | Rejection::NoRuleMatches
        | Rejection::IssuerKnown
        | Rejection::KeyInUse
        | Rejection::Unverified
        | Rejection::CodeWrong
        | Rejection::DestinationInUse
        | Rejection::TransactionUnrelated
        | Rejection::SignatureReplayed
        | Rejection::ClientInvalid => Map::new(),
    }
}
