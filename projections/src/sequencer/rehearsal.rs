//! What the sequencer would make of a command on rows of somebody else's choice. Nothing is written. A simulation holds
//! it against what the sequencer did on rows of its own.

use chancery_ledger::body::Kind;
use chancery_ledger::ids::Seq;
use chancery_ledger::keystore::Secrets;
use chancery_ledger::time::Micros;

use super::Request;
use super::admit::{Admitted, admit};
use crate::context::{Context, Random};
use crate::decide::decide;
use crate::decision::{Answer, State, Stop};
use crate::rejection::Rejection;

/// What a command would come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Rehearsed {
    /// It happened already, from this event on.
    Before(Seq),
    /// It is accepted with events of these kinds; none when it is so already.
    Accepted(Vec<Kind>),
    /// It is refused with events of these kinds.
    Refused(Rejection, Vec<Kind>),
}

/// Decides a command on some rows as the sequencer does on its own: ids and secrets are drawn anew, all else is the same.
///
/// # Errors
/// [`Stop::Rows`] and [`Stop::Context`]; a refusal is no error here.
pub fn rehearse(
    state: &State<'_>, request: &Request, now: Micros, random: &mut dyn Random, secrets: &dyn Secrets,
) -> Result<Rehearsed, Stop> {
    let decision = match admit(state, request, now) {
        Ok(Admitted::Before(first)) => return Ok(Rehearsed::Before(first)),
        Ok(Admitted::New(_)) => {
            let ctx = Context::new(now, request.tenant, &request.caller, random, secrets);
            request.on_record(decide(state, &request.command, ctx))
        }
        Err(stop) => Err(stop),
    };
    match decision {
        Ok(decision) => {
            let signed = request.signature.as_ref().map(|_| Kind::CommandSigned);
            let kinds = signed.into_iter().chain(decision.events.iter().map(|(_, body)| body.kind())).collect();
            Ok(match decision.answer {
                Answer::AsDecided(_) | Answer::Unchanged(_) => Rehearsed::Accepted(kinds),
                Answer::Refused(rejection) => Rehearsed::Refused(rejection, kinds),
            })
        }
        Err(Stop::Refused(rejection)) => Ok(Rehearsed::Refused(rejection, Vec::new())),
        Err(stop) => Err(stop),
    }
}
