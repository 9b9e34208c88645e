//! What goes wrong, as OrgKernel says it: a status and `{"detail": …}`.
//!
//! # Source
//! contracts/orgkernel.md, section 1 (error bodies) and section 2 (refusals of each route).

use chancery_projections::rejection::Rejection;
use hyper::StatusCode;
use serde::Serialize;

use super::from_wire::fields::{Fault, Part};
use crate::problem::Problem;
use crate::request::{BodyError, RequestId};
use crate::response::{self, Response};

/// Why a route does not answer with what it is asked for.
#[derive(Debug)]
pub enum Failure {
    /// Fields are missing or wrong: 422.
    Fields(Vec<Fault>),
    /// Anything else.
    Problem(Problem),
}

impl From<Vec<Fault>> for Failure {
    fn from(faults: Vec<Fault>) -> Self {
        Self::Fields(faults)
    }
}

impl<T: Into<Problem>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

/// The error body.
#[derive(Debug, Serialize)]
struct Detail<T> {
    detail: T,
}

impl Failure {
    /// Tells the operator what the caller is not told.
    pub fn trace(&self, request: &RequestId) {
        if let Self::Problem(problem) = self {
            problem.trace(request);
        }
    }

    /// The answer. `part` is where the route's own fields stand, for what only the decider found wrong with one.
    #[must_use]
    pub fn response(&self, part: Part) -> Response {
        match self {
            Self::Fields(faults) => unprocessable(faults),
            Self::Problem(problem) => {
                let mut response = of_problem(problem, part);
                problem.add_headers(response.headers_mut());
                response
            }
        }
    }
}

fn unprocessable(faults: &[Fault]) -> Response {
    response::json(StatusCode::UNPROCESSABLE_ENTITY, &Detail { detail: faults })
}

fn of_problem(problem: &Problem, part: Part) -> Response {
    let (status, detail) = match problem {
        Problem::Rejected(Rejection::Invalid { field, why })
        | Problem::RejectedOnRecord { rejection: Rejection::Invalid { field, why }, .. } => {
            return unprocessable(&[Fault::of_field(
                part,
                vendor_field(field),
                "value_error",
                format!("Value error, {why}"),
            )]);
        }
        Problem::Malformed { why, .. } => {
            return unprocessable(&[Fault::of_part(Part::Body, "value_error", format!("Value error, {why}"))]);
        }
        Problem::Parameter { parameter: _, why } => {
            return unprocessable(&[Fault::of_part(Part::Query, "value_error", format!("Value error, {why}"))]);
        }
        Problem::Rejected(rejection) | Problem::RejectedOnRecord { rejection, .. } => of_rejection(rejection),
        Problem::NoRoute => (StatusCode::NOT_FOUND, "Not Found".to_owned()),
        Problem::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()),
        Problem::Unauthenticated => (StatusCode::UNAUTHORIZED, problem.to_string()),
        Problem::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, problem.to_string()),
        Problem::Body(BodyError::TooSlow) => (StatusCode::REQUEST_TIMEOUT, problem.to_string()),
        Problem::Body(BodyError::BrokenOff) | Problem::Header(_) | Problem::Future { .. } => {
            (StatusCode::BAD_REQUEST, problem.to_string())
        }
        Problem::MediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, problem.to_string()),
        Problem::NotSubmitted(_) | Problem::Lagging(_) | Problem::Unreadable(_) | Problem::Exhausted { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, problem.to_string())
        }
        Problem::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error".to_owned()),
    };
    response::json(status, &Detail { detail })
}

/// Status and sentence of a refusal.
fn of_rejection(rejection: &Rejection) -> (StatusCode, String) {
    let status = match rejection {
        Rejection::Invalid { .. }
        | Rejection::ScopeUnknown { .. }
        | Rejection::TargetForbidden { .. }
        | Rejection::EventUnknown { .. }
        | Rejection::CodeWrong => StatusCode::UNPROCESSABLE_ENTITY,
        Rejection::NotFound { .. } => StatusCode::NOT_FOUND,
        Rejection::SignatureInvalid { .. } | Rejection::SignatureReplayed => StatusCode::UNAUTHORIZED,
        Rejection::ScopeMissing { .. }
        | Rejection::TenantSuspended
        | Rejection::NotRoot
        | Rejection::NotOwner { .. }
        | Rejection::GrantInvalid
        | Rejection::NoRuleMatches
        | Rejection::ClientInvalid
        | Rejection::ScopeNotHeld { .. } => StatusCode::FORBIDDEN,
        Rejection::AgentDecommissioned
        | Rejection::FieldImmutable { .. }
        | Rejection::ChainClosed
        | Rejection::ChallengeDead
        | Rejection::CredentialRevoked
        | Rejection::RootTenant => StatusCode::BAD_REQUEST,
        Rejection::HandleTaken { .. }
        | Rejection::SlugTaken
        | Rejection::AgentNotUsable { .. }
        | Rejection::MissionEnded { .. }
        | Rejection::MissionOtherAgent
        | Rejection::MissionExists
        | Rejection::ChainExists
        | Rejection::OrganisationDeleted
        | Rejection::OrganisationHasAgents
        | Rejection::DefaultOrganisation
        | Rejection::AlreadyMember
        | Rejection::LimitReached { .. }
        | Rejection::QuotaExhausted { .. }
        | Rejection::NotConfigured { .. }
        | Rejection::Conflict { .. }
        | Rejection::IdempotencyConflict { .. }
        | Rejection::IssuerKnown
        | Rejection::SelfDelegation
        | Rejection::DepthExceeded { .. }
        | Rejection::TtlOutOfRange { .. }
        | Rejection::TokenDead
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
        | Rejection::AlreadyDecided { .. } => StatusCode::CONFLICT,
    };
    let detail = match rejection {
        Rejection::NotFound { thing } => format!("{} not found", vendor_thing(thing)),
        Rejection::HandleTaken { namespace } => {
            let org_id = namespace.rsplit('/').next().unwrap_or_default();
            format!("the agent_name is taken in org '{org_id}'; choose another")
        }
        Rejection::AgentDecommissioned => "the AgentIdentity is REVOKED, which is for good; issue a new one".to_owned(),
        Rejection::AgentNotUsable { why } => format!("the AgentIdentity is not active: {why}"),
        Rejection::ChainClosed => "the AuditChain is closed".to_owned(),
        Rejection::ChainExists => "the mission has an AuditChain already".to_owned(),
        Rejection::Invalid { .. }
        | Rejection::ScopeUnknown { .. }
        | Rejection::ScopeMissing { .. }
        | Rejection::TenantSuspended
        | Rejection::NotRoot
        | Rejection::ScopeNotHeld { .. }
        | Rejection::ChallengeDead
        | Rejection::CredentialRevoked
        | Rejection::CounterpartyNotUsable { .. }
        | Rejection::ActionNotAuthorised { .. }
        | Rejection::CurrencyMismatch { .. }
        | Rejection::SpendingLimitExceeded { .. }
        | Rejection::NotReversible { .. }
        | Rejection::TransactionUnrelated
        | Rejection::PolicyInvalid { .. }
        | Rejection::AlreadyDecided { .. }
        | Rejection::RootTenant
        | Rejection::SlugTaken
        | Rejection::MissionEnded { .. }
        | Rejection::MissionOtherAgent
        | Rejection::MissionExists
        | Rejection::OrganisationDeleted
        | Rejection::OrganisationHasAgents
        | Rejection::DefaultOrganisation
        | Rejection::AlreadyMember
        | Rejection::FieldImmutable { .. }
        | Rejection::LimitReached { .. }
        | Rejection::Conflict { .. }
        | Rejection::IdempotencyConflict { .. }
        | Rejection::SelfDelegation
        | Rejection::DepthExceeded { .. }
        | Rejection::TtlOutOfRange { .. }
        | Rejection::TokenDead
        | Rejection::GrantInvalid
        | Rejection::NoRuleMatches
        | Rejection::IssuerKnown
        | Rejection::NotOwner { .. }
        | Rejection::KeyInUse
        | Rejection::TargetForbidden { .. }
        | Rejection::EventUnknown { .. }
        | Rejection::Unverified
        | Rejection::CodeWrong
        | Rejection::DestinationInUse
        | Rejection::SignatureInvalid { .. }
        | Rejection::SignatureReplayed
        | Rejection::OnHold { .. }
        | Rejection::Erased { .. }
        | Rejection::StillInUse { .. }
        | Rejection::ClientInvalid
        | Rejection::QuotaExhausted { .. }
        | Rejection::NotConfigured { .. } => rejection.to_string(),
    };
    (status, detail)
}

/// What the vendor calls a thing.
fn vendor_thing(thing: &'static str) -> &'static str {
    match thing {
        "agent" => "AgentIdentity",
        "certificate" => "AgentCertificate",
        "token" => "ExecutionToken",
        "audit chain" => "AuditChain",
        // Missions and organisations are the same in both vocabularies.
        other => other,
    }
}

/// What the vendor calls a field of a native command.
fn vendor_field(field: &'static str) -> &'static str {
    match field {
        "name" | "handles.value" => "agent_name",
        "organisation" | "handles.namespace" => "org_id",
        "profile.issued_by" => "issued_by",
        "profile.purpose" => "purpose",
        "profile.metadata" => "metadata",
        "valid_days" => "requested_validity_days",
        "by" => "revoked_by",
        "ttl_secs" => "ttl_seconds",
        "scopes" => "execution_scope",
        "expires" => "expires_at",
        "immutable" => "immutable_params",
        "bounds" | "bounds.name" | "bounds.unit" => "bounded_params",
        "snapshot" => "boundary_snapshot_id",
        "tool" => "tool_name",
        "agent_text" => "agent_id",
        "mission_text" | "key.text" => "mission_id",
        "token_text" => "token_id",
        // The rest has one name in both: nonce, reason, event, data, params, valid_until, issued_by.
        other => other,
    }
}
