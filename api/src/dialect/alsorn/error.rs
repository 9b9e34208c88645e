//! What goes wrong, as Alsorn says it: one object `error` with `code`, `message`, `request_id` and perhaps `details`.
//!
//! # Source
//! contracts/alsorn.md section 6. Of a 403 its SDK keeps the message alone, so that names the cause.

use chancery_ledger::body::field::Decimal;
use chancery_projections::rejection::Rejection;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde_json::{Value, json};

use super::fields::Fault;
use crate::problem::Problem;
use crate::rates::by_key::Rate;
use crate::request::{BodyError, RequestId};
use crate::response::{self, Response};

/// Why a route does not answer with what it is asked for.
#[derive(Debug)]
pub enum Failure {
    /// Fields are missing or wrong: 422.
    Fields(Vec<Fault>),
    /// The vendor's own refusal.
    Coded(StatusCode, &'static str, String),
    /// The key asks too often: 429.
    TooOften(Rate),
    /// Anything else.
    Problem(Problem),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fields(vec![fault])
    }
}

impl<T: Into<Problem>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

impl Failure {
    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::Coded(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    /// Tells the operator what the caller is not told.
    pub fn trace(&self, request: &RequestId) {
        if let Self::Problem(problem) = self {
            problem.trace(request);
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self, request: &RequestId) -> Response {
        match self {
            Self::Fields(faults) => fields(faults, request),
            Self::Coded(status, code, message) => envelope(*status, code, message, None, request),
            Self::TooOften(rate) => {
                let message = format!("Rate limit of {} requests per hour exceeded", rate.limit);
                let mut response =
                    envelope(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", &message, None, request);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(rate.reset_secs));
                response
            }
            Self::Problem(problem) => of_problem(problem, request),
        }
    }
}

fn fields(faults: &[Fault], request: &RequestId) -> Response {
    let details: Vec<Value> =
        faults.iter().map(|fault| json!({ "field": fault.field, "message": fault.message })).collect();
    let message = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect::<Vec<_>>();
    let message = format!("Validation failed: {}", message.join("; "));
    envelope(StatusCode::UNPROCESSABLE_ENTITY, "validation_error", &message, Some(details), request)
}

fn envelope(
    status: StatusCode, code: &str, message: &str, details: Option<Vec<Value>>, request: &RequestId,
) -> Response {
    let mut error = json!({ "code": code, "message": message, "request_id": request.to_string() });
    if let (Some(details), Some(error)) = (details, error.as_object_mut()) {
        error.insert("details".to_owned(), Value::Array(details));
    }
    response::json(status, &json!({ "error": error }))
}

fn of_problem(problem: &Problem, request: &RequestId) -> Response {
    let (Problem::Rejected(rejection) | Problem::RejectedOnRecord { rejection, .. }) = problem else {
        let (status, code) = match problem {
            Problem::Unauthenticated => (StatusCode::UNAUTHORIZED, "invalid_api_key"),
            Problem::NoRoute => (StatusCode::NOT_FOUND, "not_found"),
            Problem::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Problem::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Problem::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Problem::NotSubmitted(_) | Problem::Lagging(_) | Problem::Unreadable(_) | Problem::Exhausted { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable")
            }
            other => (other.status(), other.code()),
        };
        let message = match problem {
            Problem::Unauthenticated => "The API key is not valid".to_owned(),
            Problem::NoRoute => "There is nothing at this path".to_owned(),
            other => other.to_string(),
        };
        let mut response = envelope(status, code, &message, None, request);
        if let Some(secs) = problem.retry_after_secs() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if let Problem::MethodNotAllowed { allow } = problem
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        return response;
    };
    match of_rejection(rejection) {
        Ok((status, code)) => envelope(status, code, &message(rejection), None, request),
        Err(fault) => fields(&[fault], request),
    }
}

/// Status and code of a refusal; or the field that is wrong.
fn of_rejection(rejection: &Rejection) -> Result<(StatusCode, &'static str), Fault> {
    use StatusCode as Status;
    Ok(match rejection {
        Rejection::Invalid { field, why } => return Err(Fault::new(vendor_field(field), why.clone())),
        Rejection::CurrencyMismatch { .. } => return Err(Fault::new("currency", rejection.to_string())),
        Rejection::TransactionUnrelated => return Err(Fault::new("transaction_id", rejection.to_string())),
        Rejection::TargetForbidden { .. } => return Err(Fault::new("url", rejection.to_string())),
        Rejection::EventUnknown { .. } => return Err(Fault::new("events", rejection.to_string())),
        Rejection::NotFound { .. } => (Status::NOT_FOUND, "not_found"),
        Rejection::AgentNotUsable { .. } => (Status::FORBIDDEN, "agent_suspended"),
        Rejection::CounterpartyNotUsable { .. } => (Status::FORBIDDEN, "counterparty_suspended"),
        Rejection::ActionNotAuthorised { .. } => (Status::FORBIDDEN, "action_not_authorized"),
        Rejection::SpendingLimitExceeded { .. } => (Status::FORBIDDEN, "spending_limit_exceeded"),
        Rejection::LimitReached { .. } | Rejection::QuotaExhausted { .. } => (Status::FORBIDDEN, "plan_limit_exceeded"),
        Rejection::NotReversible { .. } => (Status::CONFLICT, "transaction_not_reversible"),
        Rejection::ScopeMissing { .. }
        | Rejection::TenantSuspended
        | Rejection::NotRoot
        | Rejection::NotOwner { .. }
        | Rejection::ScopeNotHeld { .. } => (Status::FORBIDDEN, "forbidden"),
        other => (crate::problem::rejection_status(other), other.code()),
    })
}

/// A field of a command, by the vendor's name.
fn vendor_field(field: &str) -> &str {
    match field {
        "actions" => "authorized_actions",
        "limit.amount" => "spending_limit",
        "limit.currency" => "currency",
        "profile.description" => "description",
        "counterparty" => "counterparty_id",
        "action" => "action_type",
        "key" => "idempotency_key",
        other => other,
    }
}

/// What happened, in the vendor's words: of a 403 nothing else is kept.
pub(super) fn message(rejection: &Rejection) -> String {
    match rejection {
        Rejection::NotFound { thing } => format!("{} not found", capitalised(thing)),
        Rejection::AgentNotUsable { why } => format!("Agent is {}", standing(why)),
        Rejection::CounterpartyNotUsable { why } => format!("Counterparty agent is {}", standing(why)),
        Rejection::ActionNotAuthorised { action } => {
            format!("Agent is not authorized for the action '{action}'; see its authorized_actions")
        }
        Rejection::SpendingLimitExceeded { limit, amount, currency, hours } => {
            let within = hours.map_or_else(String::new, |hours| format!(" within {hours} hours"));
            format!(
                "Amount {} exceeds the spending limit of {}{within}",
                money(amount, currency),
                money(limit, currency)
            )
        }
        Rejection::CurrencyMismatch { limit, asked } => {
            format!("Currency {asked} does not match the agent's currency {limit}")
        }
        Rejection::NotReversible { status } => format!("Transaction is {status} and cannot be reversed"),
        Rejection::ScopeMissing { .. } => "This API key does not have permission for this operation".to_owned(),
        other => capitalised(&other.to_string()),
    }
}

fn money(amount: &Decimal, currency: &str) -> String {
    format!("{amount} {currency}")
}

fn standing(why: &str) -> &str {
    match why {
        "decommissioned" => "deleted",
        "expired" => "suspended (expired)",
        "tenant_not_active" | "organisation_not_active" => "suspended (its organization is)",
        _ => "suspended",
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
