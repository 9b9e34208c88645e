//! What goes wrong, as AgentIdP says it: a status, and `code`, `message` and perhaps `details`; or OAuth 2.0's own shape.
//!
//! # Source
//! contracts/agentidp.md section 2; RFC 6749 section 5.2.

use std::time::Duration;

use chancery_projections::rejection::Rejection;
use chancery_projections::tier::AGENTS;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

use super::fields::Fault;
use crate::problem::Problem;
use crate::rates::Refused;
use crate::request::{BodyError, RequestId};
use crate::response::{self, Response};

/// Why a route does not answer with what it is asked for.
#[derive(Debug)]
pub enum Failure {
    /// A field is missing or wrong: 400.
    Field(Fault),
    /// The vendor's own refusal.
    Coded {
        /// The status.
        status: StatusCode,
        /// The vendor's code.
        code: &'static str,
        /// What happened, for people.
        message: String,
        /// What else is known.
        details: Option<Value>,
    },
    /// The caller asks too often: 429.
    TooOften(Refused),
    /// The caller's tenant has used up its day: 429.
    Quota {
        /// How many calls it may have.
        max: u64,
        /// When the next day begins.
        retry_after_secs: u64,
    },
    /// OAuth 2.0's refusal.
    OAuth(OAuthError),
    /// Anything else.
    Problem(Problem),
}

/// A refusal in OAuth 2.0's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    /// The status.
    pub status: StatusCode,
    /// The code of RFC 6749 section 5.2, or of an extension.
    pub error: &'static str,
    /// What happened, for people.
    pub description: String,
    /// What `WWW-Authenticate` says, for a client that tried that way.
    pub challenge: Option<&'static str>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Field(fault)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::TooOften(refused)
    }
}

impl From<OAuthError> for Failure {
    fn from(error: OAuthError) -> Self {
        Self::OAuth(error)
    }
}

impl<T: Into<Problem>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

#[derive(Debug, Serialize)]
struct Envelope<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
}

impl Failure {
    /// A refusal with a code of the vendor's.
    pub fn coded(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Coded { status, code, message: message.into(), details: None }
    }

    /// 403 `FORBIDDEN`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::coded(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// 404 with the code of what is not there.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::coded(StatusCode::NOT_FOUND, code, message)
    }

    /// Tells the operator what the caller is not told.
    pub fn trace(&self, request: &RequestId) {
        if let Self::Problem(problem) = self {
            problem.trace(request);
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response {
        match self {
            Self::Field(fault) => {
                let details = json!({ "field": fault.field, "reason": fault.reason });
                let message = format!("`{}` {}", fault.field, fault.reason);
                envelope(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", &message, Some(&details))
            }
            Self::Coded { status, code, message, details } => envelope(*status, code, message, details.as_ref()),
            Self::TooOften(refused) => {
                let (limit, secs) = (refused.limit, refused.window.as_secs_f64());
                let message = format!("at most {limit} of these requests are taken in {secs} seconds");
                let mut response = envelope(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", &message, None);
                let retry_after = HeaderValue::from(whole_secs(refused.retry_after).max(1));
                response.headers_mut().insert(header::RETRY_AFTER, retry_after);
                response
            }
            Self::Quota { max, retry_after_secs } => {
                let message = format!("the quota of {max} calls a day is used up");
                let details = json!({ "limit": max });
                let mut response =
                    envelope(StatusCode::TOO_MANY_REQUESTS, "TIER_LIMIT_EXCEEDED", &message, Some(&details));
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_secs));
                response
            }
            Self::OAuth(error) => error.response(),
            Self::Problem(problem) => {
                let mut response = of_problem(problem);
                problem.add_headers(response.headers_mut());
                if matches!(problem, Problem::Unauthenticated) {
                    // RFC 9449 section 7.1: the other way to present a token.
                    let dpop = HeaderValue::from_static("DPoP algs=\"ES256 EdDSA PS256 RS256\"");
                    response.headers_mut().append(header::WWW_AUTHENTICATE, dpop);
                }
                response
            }
        }
    }
}

impl OAuthError {
    fn response(&self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut response = response::json(self.status, &body);
        response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Seconds, rounded up.
pub(super) const fn whole_secs(time: Duration) -> u64 {
    time.as_secs() + (time.subsec_nanos() > 0) as u64
}

fn envelope(status: StatusCode, code: &str, message: &str, details: Option<&Value>) -> Response {
    response::json(status, &Envelope { code, message, details })
}

fn of_problem(problem: &Problem) -> Response {
    let (status, code) = match problem {
        Problem::Rejected(rejection) | Problem::RejectedOnRecord { rejection, .. } => {
            let details = match rejection {
                Rejection::LimitReached { limit: AGENTS, max } => Some(json!({ "limit": max })),
                Rejection::FieldImmutable { field } => {
                    Some(json!({ "field": vendor_field(field), "reason": "cannot be changed" }))
                }
                Rejection::Invalid { field, why } => Some(json!({ "field": vendor_field(field), "reason": why })),
                Rejection::SelfDelegation => {
                    Some(json!({ "field": "delegateeAgentId", "reason": rejection.to_string() }))
                }
                Rejection::TargetForbidden { why } => Some(json!({ "field": "url", "reason": why })),
                Rejection::EventUnknown { event } => {
                    Some(json!({ "field": "events", "reason": format!("has no event `{event}`") }))
                }
                _ => None,
            };
            let (status, code) = of_rejection(rejection);
            return envelope(status, code, &rejection.to_string(), details.as_ref());
        }
        Problem::Malformed { .. } | Problem::Parameter { .. } | Problem::Header(_) | Problem::Future { .. } => {
            (StatusCode::BAD_REQUEST, "VALIDATION_ERROR")
        }
        Problem::Body(BodyError::BrokenOff) => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        Problem::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "VALIDATION_ERROR"),
        Problem::Body(BodyError::TooSlow) => (StatusCode::REQUEST_TIMEOUT, "VALIDATION_ERROR"),
        Problem::MediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "VALIDATION_ERROR"),
        Problem::NoRoute => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Problem::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        Problem::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        Problem::NotSubmitted(_) | Problem::Lagging(_) | Problem::Unreadable(_) | Problem::Exhausted { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE")
        }
        Problem::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    };
    envelope(status, code, &problem.to_string(), None)
}

/// The vendor's name of a native command's field.
fn vendor_field(native: &'static str) -> &'static str {
    match native {
        "kind" => "agentType",
        "semver" => "version",
        "environment" => "deploymentEnv",
        "expires" => "expiresAt",
        "iss" => "issuer",
        "jwks_uri" => "jwksUri",
        "organisations" => "allowedOrganizations",
        "agent" => "agentId",
        "profile.email" => "email",
        "profile.owner" => "owner",
        "organisation" => "organization_id",
        "tier" => "planTier",
        other => other,
    }
}

/// Status and code of a refusal.
fn of_rejection(rejection: &Rejection) -> (StatusCode, &'static str) {
    use StatusCode as Status;
    match rejection {
        Rejection::Invalid { .. }
        | Rejection::ScopeUnknown { .. }
        | Rejection::TargetForbidden { .. }
        | Rejection::EventUnknown { .. }
        | Rejection::CodeWrong => (Status::BAD_REQUEST, "VALIDATION_ERROR"),
        Rejection::NotFound { thing } => (Status::NOT_FOUND, not_found_code(thing)),
        Rejection::SignatureInvalid { .. } | Rejection::SignatureReplayed => (Status::UNAUTHORIZED, "UNAUTHORIZED"),
        Rejection::ScopeMissing { .. }
        | Rejection::NotRoot
        | Rejection::NotOwner { .. }
        | Rejection::TenantSuspended => (Status::FORBIDDEN, "FORBIDDEN"),
        Rejection::ScopeNotHeld { .. } => (Status::BAD_REQUEST, "INVALID_SCOPES"),
        Rejection::AgentNotUsable { .. } => (Status::FORBIDDEN, "AGENT_NOT_ACTIVE"),
        Rejection::HandleTaken { .. } => (Status::CONFLICT, "AGENT_ALREADY_EXISTS"),
        Rejection::AgentDecommissioned => (Status::CONFLICT, "AGENT_ALREADY_DECOMMISSIONED"),
        Rejection::CredentialRevoked => (Status::CONFLICT, "CREDENTIAL_ALREADY_REVOKED"),
        Rejection::LimitReached { limit: AGENTS, .. } => (Status::FORBIDDEN, "FREE_TIER_LIMIT_EXCEEDED"),
        Rejection::LimitReached { .. } => (Status::BAD_REQUEST, "VALIDATION_ERROR"),
        Rejection::ClientInvalid => (Status::UNAUTHORIZED, "UNAUTHORIZED"),
        Rejection::NotConfigured { .. } => (Status::NOT_IMPLEMENTED, "NOT_IMPLEMENTED"),
        Rejection::QuotaExhausted { .. } => (Status::TOO_MANY_REQUESTS, "TIER_LIMIT_EXCEEDED"),
        Rejection::SlugTaken => (Status::CONFLICT, "ORG_ALREADY_EXISTS"),
        Rejection::SelfDelegation | Rejection::GrantInvalid => (Status::BAD_REQUEST, "VALIDATION_ERROR"),
        Rejection::TtlOutOfRange { .. } => (Status::BAD_REQUEST, "INVALID_TTL"),
        Rejection::DepthExceeded { .. } | Rejection::NoRuleMatches => (Status::FORBIDDEN, "FORBIDDEN"),
        Rejection::TokenDead => (Status::UNAUTHORIZED, "UNAUTHORIZED"),
        Rejection::IssuerKnown => (Status::CONFLICT, "PARTNER_ALREADY_EXISTS"),
        Rejection::Conflict { .. } | Rejection::IdempotencyConflict { .. } => (Status::CONFLICT, "CONFLICT"),
        Rejection::FieldImmutable { .. } => (Status::BAD_REQUEST, "VALIDATION_ERROR"),
        Rejection::OrganisationHasAgents | Rejection::DefaultOrganisation => {
            (Status::CONFLICT, "ORG_HAS_ACTIVE_AGENTS")
        }
        Rejection::AlreadyMember => (Status::CONFLICT, "ALREADY_MEMBER"),
        Rejection::OrganisationDeleted => (Status::NOT_FOUND, "ORG_NOT_FOUND"),
        Rejection::MissionEnded { .. }
        | Rejection::MissionOtherAgent
        | Rejection::ChallengeDead
        | Rejection::MissionExists
        | Rejection::ChainExists
        | Rejection::ChainClosed
        | Rejection::RootTenant
        | Rejection::KeyInUse
        | Rejection::Unverified
        | Rejection::DestinationInUse
        | Rejection::OnHold { .. }
        | Rejection::Erased { .. }
        | Rejection::StillInUse { .. }
        | Rejection::CounterpartyNotUsable { .. }
        | Rejection::ActionNotAuthorised { .. }
        | Rejection::CurrencyMismatch { .. }
        | Rejection::SpendingLimitExceeded { .. }
        | Rejection::NotReversible { .. }
        | Rejection::TransactionUnrelated
        | Rejection::PolicyInvalid { .. }
        | Rejection::AlreadyDecided { .. } => (Status::CONFLICT, "CONFLICT"),
    }
}

fn not_found_code(thing: &str) -> &'static str {
    match thing {
        "agent" => "AGENT_NOT_FOUND",
        "credential" => "CREDENTIAL_NOT_FOUND",
        "organisation" => "ORG_NOT_FOUND",
        "event" => "AUDIT_EVENT_NOT_FOUND",
        "issuer" => "PARTNER_NOT_FOUND",
        "rule" => "TRUST_POLICY_NOT_FOUND",
        "subscription" => "WEBHOOK_NOT_FOUND",
        "token" => "DELEGATION_NOT_FOUND",
        _ => "NOT_FOUND",
    }
}
