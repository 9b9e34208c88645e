//! What handlers share: who asks, the body, commands, views.

use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::ids::{OrganisationId, TenantId, ThingId, parse_uuid};
use chancery_projections::command::Command;
use chancery_projections::identity::view::tenant;
use chancery_projections::output::Output;
use chancery_projections::view::{Held, PageNumber, Reading};
use hyper::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::error::Failure;
use super::fields::Fields;
use super::rate::Rate;
use crate::app::App;
use crate::auth::Principal;
use crate::delivery;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{self, Response};

/// A request to a route.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) principal: Option<Principal>,
    pub(super) request: Request,
    /// What stands in place of the route's `{…}`, by name.
    pub(super) arguments: Vec<(String, String)>,
    /// How often the caller asked.
    pub(super) rate: Rate,
}

impl Call {
    /// Who asks; a route that is open to everybody has nobody.
    pub(super) fn principal(&self) -> Result<&Principal, Failure> {
        self.principal.as_ref().ok_or_else(|| Problem::Unauthenticated.into())
    }

    pub(super) fn tenant(&self) -> Result<TenantId, Failure> {
        Ok(self.principal()?.tenant())
    }

    /// The id in place of a `{…}`. A text that is no id becomes the id that no thing has, so that what does not exist
    /// and what cannot exist are answered alike, by each route in its own words.
    pub(super) fn id<T: ThingId>(&self, name: &str) -> T {
        T::from_uuid(parse_uuid(self.argument(name)).unwrap_or(Uuid::nil()))
    }

    /// The text in place of a `{…}`.
    pub(super) fn argument(&self, name: &str) -> &str {
        self.arguments.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }

    async fn bytes(&mut self) -> Result<bytes::Bytes, Failure> {
        let config = self.app.config();
        let time = Duration::from_secs(config.body_timeout_secs);
        Ok(self.request.body(config.body_bytes_max, time).await?)
    }

    /// The members of a JSON body; no body has none.
    pub(super) async fn json(&mut self) -> Result<Fields, Failure> {
        Ok(Fields::json(&self.bytes().await?)?)
    }

    /// The fields of a form.
    pub(super) async fn form(&mut self) -> Result<Fields, Failure> {
        if !self.request.content_is("application/x-www-form-urlencoded") {
            return Err(Problem::MediaType { expected: "application/x-www-form-urlencoded" }.into());
        }
        Ok(Fields::form(&self.bytes().await?)?)
    }

    pub(super) fn query(&self) -> Result<Fields, Failure> {
        Ok(Fields::query(self.request.query().unwrap_or_default())?)
    }

    /// Sends a command, and gives what it gave back once it is durable.
    pub(super) async fn submit(&self, command: impl Into<Command>) -> Result<Output, Failure> {
        let (principal, command) = (self.principal()?, command.into());
        principal.require(command.scope()).map_err(Problem::from)?;
        command.also_needs().map_or(Ok(()), |scope| principal.require(scope)).map_err(Problem::from)?;
        self.submit_own(command).await
    }

    /// The same for what whoever holds a token may do with it, whatever its scopes.
    pub(super) async fn submit_own(&self, command: impl Into<Command>) -> Result<Output, Failure> {
        let (principal, command) = (self.principal()?, command.into());
        delivery::check(&self.app, principal.tenant(), &command)?;
        let receipt = self.app.submit(principal, command, self.app.options(&self.request)?).map_err(Problem::from)?;
        let receipt = receipt.await.map_err(Problem::from)?;
        match receipt.answer {
            Ok(output) => Ok(output),
            Err(rejection) if receipt.events.is_empty() => Err(rejection.into()),
            Err(rejection) => Err(Problem::RejectedOnRecord { rejection, events: receipt.events }.into()),
        }
    }

    /// The views, held still where they reflect whatever the caller may know.
    pub(super) async fn hold(&self) -> Result<Held, Failure> {
        self.app.sequencer().introspections_recorded().await;
        Ok(self.app.held(None).await?)
    }

    /// The organisation that the vendor shows as none.
    pub(super) fn default_organisation(&self, reading: &Reading<'_>) -> Result<Option<OrganisationId>, Failure> {
        Ok(tenant(reading, self.tenant()?)?.and_then(|tenant| tenant.default_organisation))
    }

    /// The host, and the port if it needs one, under which agents have their identifiers.
    pub(super) fn host(&self) -> String {
        let (_, rest) = self.app.issuer().split_once("://").unwrap_or_default();
        rest.split('/').next().unwrap_or_default().to_owned()
    }

    pub(super) fn reading<'a>(&'a self, held: &'a Held) -> Reading<'a> {
        held.reading(self.app.opener(), self.app.now())
    }
}

/// `page` and `limit` of a query (contract section 4).
pub(super) fn page(query: &Fields, limit_default: u64, limit_max: u64) -> Result<PageNumber, Failure> {
    let number = query.number("page", 1, u64::from(u32::MAX))?.unwrap_or(1);
    let size = query.number("limit", 1, limit_max)?.unwrap_or(limit_default);
    Ok(PageNumber { number, size: usize::try_from(size).unwrap_or(usize::MAX) })
}

pub(super) fn ok(value: &impl Serialize) -> Response {
    response::json(StatusCode::OK, value)
}

pub(super) fn created(value: &impl Serialize) -> Response {
    response::json(StatusCode::CREATED, value)
}

pub(super) fn no_content() -> Response {
    response::empty(StatusCode::NO_CONTENT)
}

/// What the sequencer gives back is what the command asks for; anything else is our bug.
pub(super) fn unexpected() -> Failure {
    Problem::Internal.into()
}
