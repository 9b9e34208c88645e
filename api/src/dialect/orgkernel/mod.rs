//! OrgKernel.

use hyper::StatusCode;

use crate::app::App;
use crate::request::Request;
use crate::response::{self, Response};

/// What the mount's paths start with.
pub const PREFIX: &str = "/orgkernel";

/// Answers a request below [`PREFIX`].
pub async fn handle(_app: &App, _request: Request) -> Response {
    response::empty(StatusCode::NOT_FOUND)
}
