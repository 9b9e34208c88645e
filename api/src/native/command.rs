//! One command: how it is read, what it is in OpenAPI, what must be done before it can be decided, how it is answered.

use std::borrow::Cow;

use chancery_ledger::body::ledger::Purpose;
use chancery_projections::command::{
    AddDestination, Command, KeyChoice, RegisterAgent, RotateDestinationSecret, Subscribe,
};
use chancery_projections::output::Output;
use chancery_projections::scope::Scope;
use chancery_projections::sequencer::{Receipt, SubmitError};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::proofs;
use super::result::{CommandAnswer, ReceiptView, render};
use crate::app::App;
use crate::auth::Principal;
use crate::delivery;
use crate::jose;
use crate::limits::JSON_DEPTH_MAX;
use crate::problem::Problem;

/// A command as it came.
#[derive(Debug)]
pub struct Parsed {
    /// The command.
    pub command: Command,
    /// In a batch: the line's own wish to happen once.
    pub idempotency_key: Option<String>,
    /// In a batch: the version that what it changes must have.
    pub if_match: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    command: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    idempotency_key: Option<String>,
    if_match: Option<u64>,
}

/// Reads a command, strictly: a field that is not known is refused, with its path.
///
/// # Errors
/// [`Problem::Malformed`].
pub fn parse(json: &[u8]) -> Result<Parsed, Problem> {
    let whole = |why: String| Problem::Malformed { path: String::new(), why };
    let text = std::str::from_utf8(json).map_err(|error| whole(format!("it is not UTF-8: {error}")))?;
    check_depth(text).map_err(|why| whole(why.to_owned()))?;
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| Problem::Malformed {
        path: place_of_fault(text, |json| Envelope::deserialize(json).map(drop)).unwrap_or_default(),
        why: error.to_string(),
    })?;
    let params = envelope.params.map_or("{}", RawValue::get);
    match Command::parse(&envelope.command, params) {
        Some(Ok(command)) if command.scope() != Scope::Internal => {
            Ok(Parsed { command, idempotency_key: envelope.idempotency_key, if_match: envelope.if_match })
        }
        Some(Err(error)) => {
            let place = place_of_fault(params, |json| {
                Command::read(&envelope.command, json).map_or(Ok(()), |read| read.map(drop))
            });
            let path = place.map_or_else(|| "params".to_owned(), |place| format!("params.{place}"));
            Err(Problem::Malformed { path, why: error.to_string() })
        }
        Some(Ok(_)) | None => Err(Problem::Malformed {
            path: "command".to_owned(),
            why: "there is no such command; GET /openapi.json lists them".to_owned(),
        }),
    }
}

/// A reader of JSON that keeps track of where it is.
type Tracked<'a, 'b, 'de> =
    serde_path_to_error::Deserializer<'a, 'b, &'b mut serde_json::Deserializer<serde_json::de::StrRead<'de>>>;

/// Where in a text that cannot be read the fault lies: a path into the JSON, `None` for the whole. The text is read a
/// second time for it, because keeping track of the place costs more than the reading.
fn place_of_fault<'de>(
    text: &'de str, read: impl FnOnce(Tracked<'_, '_, 'de>) -> Result<(), serde_json::Error>,
) -> Option<String> {
    let (mut json, mut track) = (serde_json::Deserializer::from_str(text), serde_path_to_error::Track::new());
    read(serde_path_to_error::Deserializer::new(&mut json, &mut track)).err()?;
    let path = track.path();
    path.iter().next().map(|_| path.to_string())
}

/// Refuses JSON that nests deeper than is read anywhere, before any part of it is.
fn check_depth(text: &str) -> Result<(), &'static str> {
    // Most texts have not even as many brackets, wherever they stand.
    if text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= JSON_DEPTH_MAX {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err("it nests deeper than 64 levels");
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Checks that the principal may send a command, and does what must be done before it can be decided.
///
/// # Errors
/// [`Problem::Rejected`] when the scope is missing; [`Problem::NotSubmitted`] when a new key cannot be made.
pub fn prepared(app: &App, principal: &Principal, mut command: Command) -> Result<Command, Problem> {
    principal.require(command.scope())?;
    command.also_needs().map_or(Ok(()), |scope| principal.require(scope))?;
    match &mut command {
        Command::CreateCredential(it) => it.as_administrator = principal.manages_all_agents(),
        Command::RotateCredential(it) => it.as_administrator = principal.manages_all_agents(),
        Command::RevokeCredential(it) => it.as_administrator = principal.manages_all_agents(),
        Command::AddIssuerRule(it) => it.as_administrator = principal.manages_all_agents(),
        Command::RemoveIssuerRule(it) => it.as_administrator = principal.manages_all_agents(),
        _ => {}
    }
    delivery::check(app, principal.tenant(), &command)?;
    if let Command::RotateSigningKey(rotate) = &mut command {
        // A key file that no event names in the end is an unused key, which harms nobody.
        rotate.public = match rotate.purpose {
            Purpose::Seal => {
                let made = tokio::task::block_in_place(|| app.engine().new_sealing_key());
                made.map_err(|error| no_key(&error))?.as_bytes().to_vec()
            }
            Purpose::JwtRs256 => {
                let made = tokio::task::block_in_place(|| jose::new_rsa_key(&app.config().data_dir));
                made.map_err(|error| no_key(&error))?
            }
            // The decider makes the one, and refuses the other.
            Purpose::JwtEddsa | Purpose::Witness | Purpose::OrgCa => Vec::new(),
        };
    }
    if let Command::ExchangeToken(exchange) = &mut command {
        exchange.signer = app.token_signer();
    }
    Ok(command)
}

fn no_key(error: &dyn std::error::Error) -> SubmitError {
    SubmitError::Unavailable { why: format!("no new key could be made: {error}") }
}

/// The secret that a command shows once, by its name in [`super::result::CommandResult::shown_once`].
#[must_use]
pub const fn shown_once(command: &Command) -> Option<&'static str> {
    match command {
        Command::RegisterAgent(RegisterAgent { key: KeyChoice::Make, .. }) => Some("private_key_pem"),
        Command::CreateCredential(_) | Command::RotateCredential(_) => Some("client_secret"),
        Command::CreateTenant(_) | Command::CreateApiKey(_) => Some("api_key"),
        Command::AddDestination(AddDestination { secret: None, .. })
        | Command::RotateDestinationSecret(RotateDestinationSecret { secret: None, .. })
        | Command::Subscribe(Subscribe { url: Some(_), secret: None, .. }) => Some("secret"),
        Command::ExchangeToken(_) => Some("access_token"),
        Command::DelegateToken(_) => Some("delegation_token"),
        _ => None,
    }
}

/// What a receipt is answered with. A secret that was shown before reads `null`.
///
/// # Errors
/// [`Problem::Rejected`] when the command was refused; those of opening fields and making proofs.
pub fn answer(
    app: &App, receipt: Receipt, shown_once: Option<&'static str>, with_proof: bool,
) -> Result<CommandAnswer, Problem> {
    let proofs = with_proof.then(|| proofs::of_receipt(app, &receipt)).transpose()?;
    let view = ReceiptView::of(&receipt, proofs);
    match receipt.answer {
        Ok(output) => {
            let text = match &output {
                Output::AccessToken { token, actors, organisation, key } if !receipt.replayed => {
                    Some(app.render_access_token(token, actors, *organisation, key)?)
                }
                _ => None,
            };
            let mut result = render(output, &app.opener())?;
            if let Some(text) = text {
                result.shown_once.get_or_insert_default().insert("access_token", Some(text));
            }
            if let Some(name) = shown_once {
                result.shown_once.get_or_insert_default().entry(name).or_default();
            }
            Ok(CommandAnswer { receipt: view, result })
        }
        Err(rejection) if receipt.events.is_empty() => Err(rejection.into()),
        Err(rejection) => Err(Problem::RejectedOnRecord { rejection, events: receipt.events }),
    }
}

/// The schema of a command: one of all, told apart by `command`.
#[must_use]
pub fn schema(generator: &mut SchemaGenerator) -> Schema {
    let commands: Vec<Value> = Command::schemas(generator)
        .into_iter()
        .filter(|(name, _)| !Command::is_internal(name))
        .map(|(name, params)| {
            json!({
                "type": "object",
                "properties": { "command": { "const": name, "type": "string" }, "params": params },
                "required": ["command", "params"],
                "additionalProperties": false,
            })
        })
        .collect();
    json_schema!({ "oneOf": commands })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> (String, String) {
        match parse(json.as_bytes()) {
            Err(Problem::Malformed { path, why }) => (path, why),
            other => panic!("{json} gave {other:?}"),
        }
    }

    #[test]
    fn a_command_is_read_with_its_numbers_as_spelt() {
        let parsed = parse(
            br#"{"command":"CheckScope","params":{"token":"01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b","tool":"pay","params":{"amount":1.0}}}"#,
        )
        .unwrap();
        let Command::CheckScope(check) = parsed.command else { panic!("another command") };
        assert_eq!(check.params.as_str(), r#"{"amount":1.0}"#);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        assert_eq!(refused(r#"{"command":"SuspendAgent","params":{"agent":"x"}}"#).0, "params.agent");
        assert_eq!(
            refused(r#"{"command":"RegisterAgent","params":{"name":"a","profile":{"mail":"x"}}}"#).0,
            "params.profile.mail"
        );
        assert_eq!(refused(r#"{"command":"SuspendAgent","params":{},"extra":1}"#).0, "extra");
        assert_eq!(refused(r#"{"command":"Dance","params":{}}"#).0, "command");
        assert_eq!(
            refused(
                r#"{"command":"NoteAuthentication","params":{"mount":"native","credential":null,"why":"x","count":1}}"#
            )
            .0,
            "command"
        );
        assert_eq!(refused(r#"{"command":"RotateSigningKey","params":{}} 1"#).0, "");
        assert_eq!(
            refused(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).1,
            "it nests deeper than 64 levels"
        );
        refused(r#"{"command":"SuspendAgent","command":"SuspendAgent"}"#);
        refused("");
        refused("[]");
    }

    #[test]
    fn brackets_within_strings_are_no_depth() {
        assert!(check_depth(&format!("\"{}\\\"{}\"", "[".repeat(100), "{".repeat(100))).is_ok());
    }
}
