//! `/openapi.json`: generated from the routes and operations that the router itself uses, and from the types that are
//! read and written.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::batch::{self, LineAnswer};
use super::call::Call;
use super::operation::{Access, Content, Form, Operation, Parameter, Place};
use chancery_projections::scope::Scope;

use crate::problem::{Problem, ProblemBody};
use crate::response::{self, Response};
use crate::router::{ROUTES, Route};

/// `GET /openapi.json`.
pub const OPENAPI: Operation = Operation {
    id: "getOpenApi",
    summary: "This description.",
    access: Access::Credential,
    parameters: &[],
    bodies: &[],
    answers: &[Content { media_type: "application/json", schema: Some(|_| json_schema!({ "type": "object" })) }],
    problems: &[],
    handler: |call| Box::pin(openapi(call)),
};

/// A UUIDv7 or UUIDv8, as the native API prints ids.
const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

async fn openapi(_: Call) -> Result<Response, Problem> {
    Ok(response::typed(StatusCode::OK, "application/json", TEXT.clone()))
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let settings = |settings: &mut SchemaSettings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    };
    let mut read = SchemaSettings::draft2020_12().for_deserialize().with(settings).into_generator();
    let mut written = SchemaSettings::draft2020_12().for_serialize().with(settings).into_generator();
    let problem = written.subschema_for::<ProblemBody>();
    // Named in the description of batches, which OpenAPI cannot describe by a schema.
    let _ = written.subschema_for::<LineAnswer>();
    let mut paths: Map<String, Value> = Map::new();
    for Route(method, path, operation) in ROUTES {
        let item = paths.entry(described_path(path)).or_insert_with(|| json!({}));
        item[method.as_str().to_ascii_lowercase()] = describe(operation, &problem, &mut written);
    }
    let mut bodies: Vec<(&Route, Value)> = ROUTES
        .iter()
        .filter(|Route(.., operation)| !operation.bodies.is_empty())
        .map(|route| (route, json!({ "required": true, "content": contents(route.2.bodies, &mut read) })))
        .collect();
    let mut schemas = written.take_definitions(true);
    let mut sent = read.take_definitions(true);
    // What may be left out when it is sent stands always in what is answered: such a type has two schemas.
    let twofold: Vec<String> = sent
        .iter()
        .filter(|(name, schema)| schemas.get(*name).is_some_and(|other| other != *schema))
        .map(|(name, _)| name.clone())
        .collect();
    for name in twofold {
        let (from, to) = (format!("#/components/schemas/{name}"), format!("#/components/schemas/{name}Input"));
        sent.values_mut().chain(bodies.iter_mut().map(|(_, body)| body)).for_each(|value| point_to(value, &from, &to));
        if let Some(schema) = sent.remove(&name) {
            sent.insert(format!("{name}Input"), schema);
        }
    }
    schemas.append(&mut sent);
    for (Route(method, path, _), body) in bodies {
        paths[&described_path(path)][method.as_str().to_ascii_lowercase()]["requestBody"] = body;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chancery",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The native API of a Chancery ledger. Ids are accepted in every spelling their kind has and \
                printed as UUIDs. Every read takes `as_of`. A principal of the root tenant acts in another tenant by \
                the header `Chancery-Tenant`. Every answer carries `X-Request-Id`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "bearer": [] }, { "apiKey": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": "An agent's HTTP Message Signature (RFC 9421, Ed25519) of the request, with \
                        `Signature-Input` and `Content-Digest`.",
                },
            },
        },
    })
}

/// A route's path as OpenAPI writes it, which knows no parameter of several segments.
fn described_path(path: &str) -> String {
    path.replace("{*", "{")
}

/// Makes references to one schema references to another.
fn point_to(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(reference) if name == "$ref" && reference == from => to.clone_into(reference),
                    value => point_to(value, from, to),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| point_to(value, from, to)),
        _ => {}
    }
}

fn describe(operation: &Operation, problem: &Schema, written: &mut SchemaGenerator) -> Value {
    let is_open = operation.access == Access::Open;
    let mut parameters: Vec<Value> = operation.parameters.iter().map(parameter).collect();
    if !is_open {
        parameters.push(json!({
            "name": "Chancery-Tenant",
            "in": "header",
            "description": "The tenant to act in, by slug or id. For principals of the root tenant.",
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(operation, problem, written),
    });
    match operation.access {
        Access::Open => described["security"] = json!([]),
        Access::Credential => {}
        Access::CredentialOrSignature => {
            described["security"] = json!([{ "bearer": [] }, { "apiKey": [] }, { "signature": [] }]);
        }
        Access::Scope(scope) => described["description"] = json!(format!("Needs the scope `{scope}`.")),
        Access::Tree => {
            let scope = Scope::LedgerRead;
            let text = format!("Needs the scope `{scope}`, or nothing where the operator lets anybody read the tree.");
            described["description"] = json!(text);
            described["security"] = json!([{ "bearer": [] }, { "apiKey": [] }, {}]);
        }
    }
    described
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.place == Place::Path,
        "description": parameter.doc,
        "schema": form(parameter.form),
    })
}

fn form(form: Form) -> Value {
    match form {
        Form::Number { min, max } => json!({ "type": "integer", "format": "int64", "minimum": min, "maximum": max }),
        Form::Id(_) => json!({ "type": "string", "pattern": format!("^{UUID}$") }),
        Form::Subject => {
            let kinds: Vec<&str> = chancery_ledger::ids::ThingKind::ALL.into_iter().map(|kind| kind.name()).collect();
            json!({ "type": "string", "pattern": format!("^({}):{UUID}$", kinds.join("|")) })
        }
        Form::OneOf(words) => json!({ "type": "string", "enum": words() }),
        Form::Time => json!({ "type": "string", "format": "date-time" }),
        Form::Moment => json!({
            "anyOf": [
                { "type": "integer", "format": "int64", "minimum": 0 },
                { "type": "string", "format": "date-time" },
            ],
        }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Amount => json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,9})?$" }),
        Form::Text { max } => json!({ "type": "string", "minLength": 1, "maxLength": max }),
        Form::Tag => json!({ "type": "string", "pattern": "^\"[0-9]{1,18}\"$" }),
    }
}

fn contents(contents: &[Content], generator: &mut SchemaGenerator) -> Value {
    let mut described = Map::new();
    for content in contents {
        let schema = match content.schema {
            Some(schema) => schema(generator).to_value(),
            None if content.media_type == batch::MEDIA_TYPE => json!({
                "type": "string",
                "description": "Lines of JSON. Each line sent is a command, and may hold `idempotency_key` and \
                    `if_match` beside it; each is answered, in order, by a line of the schema `LineAnswer`. Read while \
                    you send: what is under way is bounded.",
            }),
            None => json!({ "type": "string" }),
        };
        described.insert(content.media_type.to_owned(), json!({ "schema": schema }));
    }
    described.into()
}

/// The statuses of an operation: those it names, and those that its access, parameters and bodies bring.
#[must_use]
pub fn statuses(operation: &Operation) -> BTreeSet<u16> {
    // A parameter that is not known is refused everywhere.
    let mut statuses = BTreeSet::from([200, 400]);
    statuses.extend(operation.problems);
    if operation.access != Access::Open {
        // 404: the tenant to act in may not exist. 503: a view may be behind.
        statuses.extend([401, 403, 404, 503]);
    }
    if !operation.bodies.is_empty() {
        statuses.extend([408, 413, 415]);
    }
    statuses
}

fn responses(operation: &Operation, problem: &Schema, written: &mut SchemaGenerator) -> Value {
    let mut described = Map::new();
    for status in statuses(operation) {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut headers = json!({ "X-Request-Id": { "schema": { "type": "string" } } });
        match status {
            401 => headers["WWW-Authenticate"] = json!({ "schema": { "type": "string" } }),
            503 => headers["Retry-After"] = json!({ "schema": { "type": "integer" } }),
            _ => {}
        }
        let content = match status {
            200 => contents(operation.answers, written),
            // What is sent without a credential is sent by a protocol of others', which refuses in text (C2SP tlog-witness).
            _ if operation.access == Access::Open && !operation.bodies.is_empty() => json!({
                "application/problem+json": { "schema": problem },
                "text/plain; charset=utf-8": { "schema": { "type": "string" } },
                "text/x.tlog.size": { "schema": { "type": "string" } },
            }),
            _ => json!({ "application/problem+json": { "schema": problem } }),
        };
        let response = json!({ "description": reason.unwrap_or_default(), "headers": headers, "content": content });
        described.insert(status.to_string(), response);
    }
    described.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_but_the_daemons_own_has_a_schema() {
        let document = document();
        let post = &document["paths"]["/v1/commands"]["post"];
        let commands = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"].as_array().unwrap();
        let names: Vec<_> =
            commands.iter().map(|command| command["properties"]["command"]["const"].as_str().unwrap()).collect();
        let wanted: Vec<_> = chancery_projections::command::Command::NAMES
            .iter()
            .filter(|name| !chancery_projections::command::Command::is_internal(name))
            .collect();
        assert_eq!(names.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        found.push(reference.clone());
                    }
                    fields.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        walk(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    /// A bound's unit may be left out when a token is asked for, and is there, `null` or not, when it is shown.
    #[test]
    fn what_is_sent_and_answered_differently_has_two_schemas() {
        let schemas = &document()["components"]["schemas"];
        assert_eq!(schemas["BoundInput"]["required"], json!(["name"]));
        assert_eq!(schemas["Bound"]["required"].as_array().unwrap().len(), 4);
        assert_eq!(schemas["IssueToken"]["properties"]["bounds"]["items"]["$ref"], "#/components/schemas/BoundInput");
    }
}
