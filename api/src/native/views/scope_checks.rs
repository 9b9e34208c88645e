//! `/v1/trust/policies/scope/dry-run`: which past scope checks would have ended otherwise under other rules.

use std::ops::ControlFlow;

use chancery_ledger::ids::{Seq, ThingKind};
use chancery_projections::scope::Scope;
use chancery_projections::token::dry_run::{CheckDryRun, DryRunError, Past, Under};
use chancery_projections::trust::decide::{DOCUMENT_BYTES_MAX, parse_scope_rules};
use chancery_projections::trust::scope_rules::ScopeRules;
use chancery_projections::view::{LIMIT_DEFAULT, Page};
use chancery_projections::views::View;

use super::page;
use crate::limits::{DRY_RUN_EXAMINED_MAX, EVENTS_EXAMINED_MAX};
use crate::native::call::Call;
use crate::native::operation::{AS_OF, Access, Content, Form, LIMIT, Operation, Parameter, SEQ_MAX, query};
use crate::problem::Problem;
use crate::response::Response;

const PARAMETERS: &[Parameter] = &[
    query("from", Form::Moment, "Only checks after this event, or this time."),
    query("to", Form::Moment, "Only checks up to this event, or this time."),
    query("agent", Form::Id(ThingKind::Agent), "Only those of this agent's tokens."),
    query("all", Form::Flag, "Those too that would end as they did."),
    LIMIT,
    query("cursor", Form::Number { min: 0, max: SEQ_MAX }, "Where the page begins: `next` of the page before."),
    AS_OF,
];

/// `GET /v1/trust/policies/scope/dry-run`.
pub const IN_FORCE: Operation = Operation {
    id: "tryScopeInForce",
    summary: "Past scope checks that would have ended otherwise under the rules that are in force, oldest first.",
    access: Access::Scope(Scope::PoliciesRead),
    parameters: PARAMETERS,
    bodies: &[],
    answers: &[Content::json::<Page<CheckDryRun>>()],
    problems: &[],
    handler: |call| Box::pin(in_force(call)),
};

/// `POST /v1/trust/policies/scope/dry-run`.
pub const GIVEN: Operation = Operation {
    id: "tryScope",
    summary: "Past scope checks that would have ended otherwise under the rules in the body, oldest first.",
    bodies: &[Content::json::<ScopeRules>()],
    problems: &[422],
    handler: |call| Box::pin(given(call)),
    ..IN_FORCE
};

async fn in_force(call: Call) -> Result<Response, Problem> {
    dry_run(&call, None).await
}

async fn given(mut call: Call) -> Result<Response, Problem> {
    let rules = parse_scope_rules(&call.document(DOCUMENT_BYTES_MAX).await?)?;
    dry_run(&call, Some(&rules)).await
}

async fn dry_run(call: &Call, rules: Option<&ScopeRules>) -> Result<Response, Problem> {
    let moment = call.moment()?;
    let (from, to) = (call.moment_of("from")?, call.moment_of("to")?);
    let tenant = call.tenant()?;
    let journal = call.app.view(View::Journal).await?;
    let (then, before) = (call.app.held(moment.seq).await?, call.app.held(moment.seq).await?);
    let seen = then.size().last().unwrap_or(Seq(0));
    let last = to.and_then(|to| to.seq).map_or(seen, |to| to.min(seen));
    let first = from.and_then(|from| from.seq).map_or(Seq(0), Seq::next).max(Seq(call.number("cursor").unwrap_or(0)));
    let limit = call.number("limit").map_or(LIMIT_DEFAULT, |limit| limit as usize);
    let all = call.flag("all") == Some(true);
    let found = tokio::task::block_in_place(|| -> Result<_, Problem> {
        let reading = then.reading(call.app.opener(), moment.now);
        let past = Past {
            log: &*call.app.engine().log(),
            journal: &journal,
            opener: call.app.opener(),
            tenant,
            agent: call.id("agent"),
            under: rules.map_or(Under::InForce(reading.trust), Under::Given),
        };
        let (mut items, mut looked_at, mut asked_again, mut next) = (Vec::new(), 0, 0, None);
        past.each(before, first, last, |seq, check| {
            looked_at += 1;
            asked_again += usize::from(check.is_some());
            items.extend(check.filter(|check| all || check.differs()));
            let is_full =
                items.len() == limit || looked_at == EVENTS_EXAMINED_MAX || asked_again == DRY_RUN_EXAMINED_MAX;
            if !is_full {
                return ControlFlow::Continue(());
            }
            next = (seq < last).then(|| seq.next().to_string());
            ControlFlow::Break(())
        })?;
        Ok(Page { items, next })
    })?;
    Ok(page(&found))
}

impl From<DryRunError> for Problem {
    fn from(error: DryRunError) -> Self {
        match error {
            DryRunError::Store(error) => error.into(),
            DryRunError::Rows(error) => error.into(),
            DryRunError::Event { source, .. } => source.into(),
            DryRunError::Stopped { .. } => {
                tracing::error!(%error, "a scope check cannot be asked again");
                Self::Internal
            }
        }
    }
}
