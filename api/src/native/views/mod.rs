//! Reads of the views, now and as of a past moment. Another tenant's thing is as one that does not exist.

use chancery_ledger::ids::Seq;
use chancery_projections::rejection::Rejection;
use chancery_projections::view::Page;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde::Serialize;

use crate::problem::Problem;
use crate::response::{self, Response};

pub mod audit_log;
pub mod delivery;
pub mod erasure;
pub mod execution;
pub mod identity;
pub mod issuers;
pub mod scope_checks;
pub mod token;
pub mod transactions;
pub mod trust;

/// A page of a list.
fn page<T: Serialize>(page: &Page<T>) -> Response {
    response::json(StatusCode::OK, page)
}

/// One thing, if there is one.
fn one<T: Serialize>(found: Option<T>, thing: &'static str) -> Result<Response, Problem> {
    let found = found.ok_or(Rejection::NotFound { thing })?;
    Ok(response::json(StatusCode::OK, &found))
}

/// One thing with a version, which is its entity tag: what `If-Match` takes.
fn versioned<T: Serialize>(
    found: Option<T>, thing: &'static str, version: impl FnOnce(&T) -> Seq,
) -> Result<Response, Problem> {
    let tag = found.as_ref().map(version);
    let mut response = one(found, thing)?;
    if let Some(Ok(tag)) = tag.map(|seq| HeaderValue::from_str(&format!("\"{seq}\""))) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// An operation that reads a list: scope, parameters beside those of every list, item type, function.
macro_rules! list {
    ($id:literal, $summary:literal, $scope:ident, [$($parameter:expr),*], $item:ty, $handler:ident) => {
        $crate::native::operation::Operation {
            id: $id,
            summary: $summary,
            access: $crate::native::operation::Access::Scope(chancery_projections::scope::Scope::$scope),
            parameters: &[
                $($parameter,)*
                $crate::native::operation::LIMIT,
                $crate::native::operation::CURSOR,
                $crate::native::operation::ORDER,
                $crate::native::operation::AS_OF,
            ],
            bodies: &[],
            answers: &[$crate::native::operation::Content::json::<chancery_projections::view::Page<$item>>()],
            problems: &[],
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// An operation that reads one thing: scope, parameters beside `as_of`, its type, function.
macro_rules! get {
    ($id:literal, $summary:literal, $scope:ident, [$($parameter:expr),*], $item:ty, $handler:ident) => {
        $crate::native::operation::Operation {
            id: $id,
            summary: $summary,
            access: $crate::native::operation::Access::Scope(chancery_projections::scope::Scope::$scope),
            parameters: &[$($parameter,)* $crate::native::operation::AS_OF],
            bodies: &[],
            answers: &[$crate::native::operation::Content::json::<$item>()],
            problems: &[404],
            handler: |call| Box::pin($handler(call)),
        }
    };
}

use {get, list};
