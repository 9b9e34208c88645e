//! Every rule of contracts/orgkernel.md, section 2, "Schemas" and the request column, with the place a fault is told at.

use chancery_ledger::body::identity::{Disclosure, EndCause};
use chancery_ledger::ids::{ThingId as _, uuid_v7};
use chancery_ledger::time::Micros;
use chancery_projections::command::{KeyChoice, OrganisationRef, Via};
use chancery_projections::lane::orgkernel::ids::{render_agent, render_chain, render_challenge, render_token};
use chancery_projections::lane::orgkernel::time::{parse_timestamp, to_zulu};
use proptest::prelude::*;
use uuid::Uuid;

use super::fields::{Loc, parse_body, parse_query, percent_decode};
use super::*;
use crate::dialect::orgkernel::wire::Status;

fn now() -> Micros {
    parse_timestamp("2026-01-02T03:04:05.678901Z").unwrap()
}

/// Faults as `type at loc`.
fn told<T>(read: Result<T, Vec<Fault>>) -> Vec<String> {
    let at = |fault: &Fault| {
        let steps = fault.loc.iter().map(|step| match step {
            Loc::Name(name) => name.to_string(),
            Loc::Item(index) => index.to_string(),
        });
        format!("{} at {}", fault.kind, steps.collect::<Vec<_>>().join("."))
    };
    read.err().unwrap_or_default().iter().map(at).collect()
}

/// A body with one field replaced by a JSON text, or taken away.
fn with(base: &[(&str, &str)], field: &str, value: Option<&str>) -> Members {
    let mut fields: Vec<(&str, &str)> = base.iter().copied().filter(|(name, _)| *name != field).collect();
    fields.extend(value.map(|value| (field, value)));
    let members: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    parse_body(format!("{{{}}}", members.join(",")).as_bytes()).unwrap()
}

/// For each field: texts that are taken, and texts that are not with what is told. `-` stands for a field not sent.
type Rules<'a> = &'a [(&'a str, &'a [&'a str], &'a [(&'a str, &'a str)])];

fn check<T>(base: &[(&str, &str)], part: &str, rules: Rules<'_>, read: impl Fn(&Members) -> Result<T, Vec<Fault>>) {
    assert_eq!(told(read(&with(base, "", None))), Vec::<String>::new(), "the base itself");
    for (field, good, bad) in rules {
        for value in *good {
            let told = told(read(&with(base, field, sent(value))));
            assert_eq!(told, Vec::<String>::new(), "{field}: {value}");
        }
        for (value, kind) in *bad {
            let told = told(read(&with(base, field, sent(value))));
            let (kind, below) =
                kind.split_once('.').map_or((*kind, String::new()), |(kind, at)| (kind, format!(".{at}")));
            assert_eq!(told, [format!("{kind} at {part}.{field}{below}")], "{field}: {value}");
        }
    }
}

fn sent(text: &str) -> Option<&str> {
    Some(text).filter(|text| *text != "-")
}

fn text(chars: usize) -> String {
    format!("\"{}\"", "x".repeat(chars))
}

const KEY: &str = r#""Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc""#;
const CSR: [(&str, &str); 5] = [
    ("agent_name", r#""invoice-processor""#),
    ("org_id", r#""acme-corp""#),
    ("requested_ou", r#""finance_team""#),
    ("public_key", KEY),
    ("purpose", r#""automated-invoice-processing""#),
];

const NAME: (&[&str], &[(&str, &str)]) = (
    &[r#""a1""#, r#""a-_9""#],
    &[
        ("-", "missing"),
        ("null", "string_type"),
        ("7", "string_type"),
        (r#""a""#, "string_too_short"),
        (r#""Abc""#, "string_pattern_mismatch"),
        (r#""1abc""#, "string_pattern_mismatch"),
        (r#""-abc""#, "string_pattern_mismatch"),
        (r#""a b""#, "string_pattern_mismatch"),
        (r#""abc\n""#, "string_pattern_mismatch"),
        (r#""äbc""#, "string_pattern_mismatch"),
    ],
);

const ORG: (&[&str], &[(&str, &str)]) = (
    &[r#""a1""#, r#""a-9""#],
    &[
        ("-", "missing"),
        ("[]", "string_type"),
        (r#""a""#, "string_too_short"),
        (r#""a_b""#, "string_pattern_mismatch"),
        (r#""Acme""#, "string_pattern_mismatch"),
    ],
);

const METADATA: (&[&str], &[(&str, &str)]) = (
    &["-", "{}", r#"{"env":"prod","":""}"#],
    &[
        ("null", "dict_type"),
        ("[]", "dict_type"),
        (r#"{"n":1}"#, "string_type.n"),
        (r#"{"a":"","b":null}"#, "string_type.b"),
    ],
);

#[test]
fn a_csr_is_held_to_its_rules() {
    let long = format!("\"a{}\"", "b".repeat(63));
    let longer = format!("\"a{}\"", "b".repeat(64));
    let (ou, ou_long, purpose) = (text(64), text(65), text(257));
    let umlauts = format!("\"{}\"", "ü".repeat(64));
    let (key_44, key_45) = (text(44), text(45));
    let rules: Rules<'_> = &[
        ("agent_name", NAME.0, NAME.1),
        ("agent_name", &[&long], &[(&longer, "string_too_long")]),
        ("org_id", ORG.0, ORG.1),
        ("org_id", &[&long], &[(&longer, "string_too_long")]),
        (
            "requested_ou",
            &[r#""x""#, &ou, &umlauts, r#""Köln-経理""#],
            &[("-", "missing"), (r#""""#, "string_too_short"), (&ou_long, "string_too_long")],
        ),
        (
            "public_key",
            &[&key_44],
            &[
                ("-", "missing"),
                (r#""short""#, "string_too_short"),
                (&key_45, "string_too_long"),
                (r#""Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc=""#, "string_pattern_mismatch"),
                (r#""Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc""#, "string_pattern_mismatch"),
            ],
        ),
        ("purpose", &[r#""x""#], &[("-", "missing"), (r#""""#, "string_too_short"), (&purpose, "string_too_long")]),
        ("metadata", METADATA.0, METADATA.1),
        (
            "requested_validity_days",
            &["-", "null", "1", "3650", "30.0", r#""7""#],
            &[
                ("0", "greater_than_equal"),
                ("-1", "greater_than_equal"),
                ("3651", "less_than_equal"),
                ("1e300", "less_than_equal"),
                ("1.5", "int_from_float"),
                (r#""x""#, "int_parsing"),
                ("true", "int_type"),
                ("[]", "int_type"),
            ],
        ),
        ("csr_id", &["-", r#""csr_mine""#], &[("null", "string_type"), ("1", "string_type")]),
        (
            "submitted_at",
            &["-", r#""2026-01-02T03:04:05+02:00""#],
            &[
                (r#""2026-01-02T03:04:05""#, "timezone_aware"),
                (r#""yesterday""#, "datetime_parsing"),
                ("1767323045", "datetime_type"),
            ],
        ),
        ("nonsense", &["1", "null"], &[]),
    ];
    check(&CSR, "body", rules, |body| identity::csr(body, "csr_new".to_owned(), now()));
}

#[test]
fn a_csr_is_echoed_with_what_it_left_out() {
    let csr = identity::csr(&with(&CSR, "", None), "csr_new".to_owned(), now()).unwrap();
    assert_eq!((csr.csr_id.as_str(), csr.submitted_at.0, csr.requested_validity_days), ("csr_new", now(), None));
    let sent = with(&CSR, "submitted_at", Some(r#""2026-01-02T03:04:05.1234567+02:00""#));
    let csr = identity::csr(&sent, String::new(), now()).unwrap();
    assert_eq!(to_zulu(csr.submitted_at.0), "2026-01-02T01:04:05.123456Z");
}

#[test]
fn a_csr_becomes_a_registration_with_a_key_made_here() {
    let body = with(&CSR, "requested_validity_days", Some("7"));
    let command = identity::register(identity::csr(&body, String::new(), now()).unwrap());
    assert_eq!(command.name, "invoice-processor");
    assert_eq!(command.organisation, Some(OrganisationRef::Slug("acme-corp".to_owned())));
    assert_eq!(command.handles.len(), 1);
    assert_eq!(command.handles[0].namespace, "orgkernel/acme-corp");
    assert_eq!(command.handles[0].value, "invoice-processor");
    assert_eq!(command.profile.issued_by.as_deref(), Some("finance_team"));
    assert_eq!(command.profile.purpose.as_deref(), Some("automated-invoice-processing"));
    assert_eq!((command.valid_days, command.valid_until), (Some(7), None));
    assert_eq!((command.key, command.disclosure, command.via), (KeyChoice::Make, Disclosure::None, Via::OrgKernel));
}

#[test]
fn the_older_request_is_held_to_its_rules() {
    let base = [CSR[0], CSR[1], ("issued_by", r#""finance_team""#)];
    let long = text(65);
    let rules: Rules<'_> = &[
        ("agent_name", NAME.0, NAME.1),
        ("org_id", ORG.0, ORG.1),
        ("issued_by", &[r#""é""#], &[("-", "missing"), (r#""""#, "string_too_short"), (&long, "string_too_long")]),
        ("metadata", METADATA.0, METADATA.1),
        (
            "valid_until",
            &["-", "null", r#""2026-01-02T07:04:05Z""#, r#""2020-01-01T00:00:00Z""#],
            &[(r#""2026-01-02T07:04:05""#, "timezone_aware"), (r#""""#, "datetime_parsing"), ("0", "datetime_type")],
        ),
    ];
    check(&base, "body", rules, identity::legacy);
    let body = with(&base, "valid_until", Some(r#""2026-01-02T09:04:05+02:00""#));
    let command = identity::legacy(&body).unwrap();
    assert_eq!(command.valid_until.map(to_zulu).as_deref(), Some("2026-01-02T07:04:05Z"));
    assert_eq!(command.profile.issued_by.as_deref(), Some("finance_team"));
}

#[test]
fn verify_takes_any_text_of_the_right_length() {
    let (nine, thirty_three) = (text(9), text(33));
    let rules: Rules<'_> = &[(
        "agent_id",
        &[r#""aid_000000000000""#, r#""not an id!""#],
        &[("-", "missing"), ("1", "string_type"), (&nine, "string_too_short"), (&thirty_three, "string_too_long")],
    )];
    check(&[("agent_id", r#""aid_000000000000""#)], "body", rules, identity::verify);
}

#[test]
fn a_challenge_is_asked_for_in_the_query() {
    let id = AgentId(uuid_v7(1_767_323_045_678, [7; 10]));
    let aid = render_agent(id);
    let base = format!("agent_id={aid}&issued_by=platform+gateway");
    let read = |more: &str| identity::challenge_request(&parse_query(Some(&format!("{base}{more}"))));
    let command = read("").unwrap();
    assert_eq!((command.agent, command.issued_by.as_str()), (id, "platform gateway"));
    assert_eq!((command.nonce, command.ttl_secs), (None, 300));
    assert_eq!(read("&nonce=QEFCQ0RFRkdISUpL&ttl_seconds=1").unwrap().nonce.as_deref(), Some("QEFCQ0RFRkdISUpL"));
    assert_eq!(read("&ttl_seconds=3600&unknown=1").unwrap().ttl_secs, 3600);
    assert_eq!(read("&ttl_seconds=9&ttl_seconds=60").unwrap().ttl_secs, 60, "the last wins");
    for (more, fault) in [
        ("&ttl_seconds=0", "greater_than_equal at query.ttl_seconds"),
        ("&ttl_seconds=3601", "less_than_equal at query.ttl_seconds"),
        ("&ttl_seconds=x", "int_parsing at query.ttl_seconds"),
        ("&ttl_seconds=", "int_parsing at query.ttl_seconds"),
        ("&nonce=short", "string_too_short at query.nonce"),
        ("&nonce=QEFCQ0RFRkdISUp!", "string_pattern_mismatch at query.nonce"),
        ("&issued_by=", "string_too_short at query.issued_by"),
    ] {
        assert_eq!(told(read(more)), [fault], "{more}");
    }
    let none = told(identity::challenge_request(&parse_query(None)));
    assert_eq!(none, ["missing at query.agent_id", "missing at query.issued_by"]);
    let unknown = identity::challenge_request(&parse_query(Some("agent_id=agent_x&issued_by=y"))).unwrap();
    assert_eq!(unknown.agent, AgentId(Uuid::nil()), "what is no id here is the id of nothing");
}

#[test]
fn an_answer_to_a_challenge_is_held_to_its_rules() {
    let (challenge, agent) =
        (ChallengeId(uuid_v7(1_767_323_045_678, [7; 10])), AgentId(uuid_v7(1_767_323_045_678, [7; 10])));
    let (chal, aid) = (format!("\"{}\"", render_challenge(challenge)), format!("\"{}\"", render_agent(agent)));
    let signature = format!("\"{}\"", "A".repeat(86));
    let (short, long) = (text(85), text(89));
    let padded = format!("\"{}==\"", "A".repeat(86));
    let base = [
        ("challenge_id", chal.as_str()),
        ("agent_id", &aid),
        ("certificate_id", &aid),
        ("public_key", KEY),
        ("nonce", r#""QEFCQ0RFRkdISUpL""#),
        ("signature", &signature),
    ];
    let any: (&[&str], &[(&str, &str)]) = (&[r#""""#, r#""x""#], &[("-", "missing"), ("null", "string_type")]);
    let rules: Rules<'_> = &[
        ("challenge_id", any.0, any.1),
        ("agent_id", any.0, any.1),
        ("certificate_id", any.0, any.1),
        ("public_key", any.0, any.1),
        ("nonce", any.0, any.1),
        (
            "signature",
            &[],
            &[
                ("-", "missing"),
                (&short, "string_too_short"),
                (&long, "string_too_long"),
                (&padded, "string_pattern_mismatch"),
            ],
        ),
        ("issued_at", &["-", r#""2026-01-02T03:04:05Z""#], &[(r#""x""#, "datetime_parsing")]),
    ];
    check(&base, "body", rules, identity::challenge_response);

    let read = identity::challenge_response(&with(&base, "", None)).unwrap().command;
    assert_eq!((read.challenge, read.agent, read.certificate), (challenge, agent, Some(agent)));
    assert_eq!(read.public_key, "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7");
    assert_eq!(read.signature, "00".repeat(64));
    let odd = identity::challenge_response(&with(&base, "certificate_id", Some(r#""agt_x""#))).unwrap().command;
    assert_eq!(odd.certificate, Some(AgentId(Uuid::nil())), "a wrong certificate, not none");
    let odd = identity::challenge_response(&with(&base, "public_key", Some(r#""no key""#))).unwrap().command;
    assert_eq!(odd.public_key, "");
}

#[test]
fn a_revocation_is_held_to_its_rules() {
    let (by, reason) = (text(65), text(501));
    let base = [("revoked_by", r#""aid_admin01""#), ("reason", r#""agent compromised — key rotation required""#)];
    let rules: Rules<'_> = &[
        ("revoked_by", &[r#""x""#], &[("-", "missing"), (r#""""#, "string_too_short"), (&by, "string_too_long")]),
        ("reason", &[r#""x""#], &[("-", "missing"), (r#""""#, "string_too_short"), (&reason, "string_too_long")]),
    ];
    check(&base, "body", rules, |body| identity::revoke(AgentId(Uuid::nil()), body));
    let command = identity::revoke(AgentId(Uuid::nil()), &with(&base, "", None)).unwrap();
    assert_eq!((command.cause, command.by.as_deref()), (EndCause::Revoked, Some("aid_admin01")));
}

#[test]
fn pages_and_filters_are_held_to_their_rules() {
    let read = |query: &str| identity::status_and_page(&parse_query(Some(query)));
    assert_eq!(read(""), Ok((None, PageQuery { page_no: 1, page_size: 20 })));
    assert_eq!(
        read("status=SUSPENDED&page_no=7&page_size=100"),
        Ok((Some(Status::Suspended), PageQuery { page_no: 7, page_size: 100 }))
    );
    for (word, status) in [("ACTIVE", Status::Active), ("REVOKED", Status::Revoked), ("EXPIRED", Status::Expired)] {
        assert_eq!(identity::status(&parse_query(Some(&format!("status={word}")))), Ok(Some(status)));
    }
    for (query, fault) in [
        ("status=active", "enum at query.status"),
        ("status=", "enum at query.status"),
        ("page_no=0", "greater_than_equal at query.page_no"),
        ("page_no=-1", "greater_than_equal at query.page_no"),
        ("page_no=one", "int_parsing at query.page_no"),
        ("page_no=99999999999999999999999", "less_than_equal at query.page_no"),
        ("page_size=0", "greater_than_equal at query.page_size"),
        ("page_size=101", "less_than_equal at query.page_size"),
    ] {
        assert_eq!(told(read(query)), [fault], "{query}");
    }
    assert_eq!(told(read("page_no=0&page_size=0&status=x")).len(), 3, "all faults at once");
}

const MINT: [(&str, &str); 4] = [
    ("agent_id", r#""aid_000000000000""#),
    ("mission_id", r#""msn_invoice01""#),
    ("execution_scope", r#"["read_invoice","write_payment_draft"]"#),
    ("expires_at", r#""2026-01-02T07:04:05Z""#),
];

#[test]
fn a_token_is_minted_by_its_rules() {
    let id = |prefix: &str, rest: usize| format!("\"{prefix}_{}\"", "0".repeat(rest));
    let (aid_28, aid_29, msn_28, msn_29) = (id("aid", 28), id("aid", 29), id("msn", 28), id("msn", 29));
    let (snapshot, snapshot_long) = (text(32), text(33));
    let huge = format!(r#"[{{"param_name":"x","upper_bound":{}}}]"#, "9".repeat(400));
    let rules: Rules<'_> = &[
        (
            "agent_id",
            &[&aid_28],
            &[
                ("-", "missing"),
                (r#""aid_1""#, "string_too_short"),
                (&aid_29, "string_too_long"),
                (r#""aid_UPPERCASE""#, "string_pattern_mismatch"),
                (r#""agent_00000""#, "string_pattern_mismatch"),
            ],
        ),
        (
            "mission_id",
            &[&msn_28, r#""msn_abcde0""#],
            &[
                ("-", "missing"),
                (r#""msn_1""#, "string_too_short"),
                (&msn_29, "string_too_long"),
                (r#""mission_01""#, "string_pattern_mismatch"),
                (r#""msn_inv-01""#, "string_pattern_mismatch"),
            ],
        ),
        (
            "execution_scope",
            &[r#"["a"]"#, r#"["a_1","b"]"#],
            &[
                ("-", "missing"),
                ("null", "list_type"),
                (r#""a""#, "list_type"),
                ("[]", "too_short"),
                (r#"["a","a"]"#, "value_error"),
                (r#"["a",7]"#, "string_type.1"),
                (r#"["a","B"]"#, "string_pattern_mismatch.1"),
                (r#"["a-b"]"#, "string_pattern_mismatch.0"),
                (r#"[""]"#, "string_pattern_mismatch.0"),
                (r#"["1a"]"#, "string_pattern_mismatch.0"),
            ],
        ),
        (
            "expires_at",
            &[r#""2026-01-02T03:04:05.678902Z""#, r#""9999-12-31T23:59:59Z""#],
            &[
                ("-", "missing"),
                ("null", "datetime_type"),
                (r#""2026-01-02T03:04:05.678901Z""#, "value_error"),
                (r#""1999-01-01T00:00:00Z""#, "value_error"),
                (r#""2027-01-02T07:04:05""#, "timezone_aware"),
                (r#""2027-02-30T07:04:05Z""#, "datetime_parsing"),
            ],
        ),
        (
            "immutable_params",
            &["-", "{}", r#"{"a":[1,{"b":null}]}"#],
            &[("null", "dict_type"), ("[]", "dict_type"), ("1", "dict_type")],
        ),
        (
            "bounded_params",
            &[
                "-",
                "[]",
                r#"[{"param_name":"amount"}]"#,
                r#"[{"name":"amount","lower_bound":null,"upper_bound":1,"unit":null}]"#,
                r#"[{"param_name":"x","lower_bound":2,"upper_bound":2.0,"unit":"pct"}]"#,
            ],
            &[
                ("null", "list_type"),
                ("{}", "list_type"),
                ("[1]", "model_attributes_type.0"),
                ("[{}]", "missing.0.param_name"),
                (r#"[{"param_name":1}]"#, "string_type.0.param_name"),
                (r#"[{"param_name":"x","upper_bound":"5"}]"#, "float_type.0.upper_bound"),
                (r#"[{"param_name":"x","lower_bound":[]}]"#, "float_type.0.lower_bound"),
                (&huge, "finite_number.0.upper_bound"),
                (r#"[{"param_name":"x","unit":1}]"#, "string_type.0.unit"),
                (r#"[{"param_name":"x"},{"param_name":"y","lower_bound":2,"upper_bound":1}]"#, "value_error.1"),
            ],
        ),
        (
            "boundary_snapshot_id",
            &["-", "null", r#""""#, &snapshot],
            &[("1", "string_type"), (&snapshot_long, "string_too_long")],
        ),
    ];
    check(&MINT, "body", rules, |body| token::mint(body, now()));
}

#[test]
fn a_minted_token_keeps_what_was_sent() {
    let sent = r#"{"agent_id":"aid_01jcp0e84wfgx9y7jvdnz8z6gb","mission_id":"msn_invoice01",
        "execution_scope":["write_payment_draft","read_invoice"],"expires_at":"2026-01-02T09:04:05+02:00",
        "immutable_params":{"f":1.0,"n":1,"big":18446744073709551616,"e":1E2,"twice":1,"twice":2},
        "bounded_params":[{"param_name":"amount","upper_bound":50000},{"param_name":"ratio","lower_bound":0.00001,"upper_bound":1e16,"unit":"pct"}],
        "boundary_snapshot_id":"snap"}"#;
    let command = token::mint(&parse_body(sent.as_bytes()).unwrap(), now()).unwrap();
    assert_eq!(command.agent.to_string(), "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b");
    assert_eq!(command.mission, mission("msn_invoice01"));
    assert_eq!(command.scopes, ["write_payment_draft", "read_invoice"]);
    assert_eq!(to_zulu(command.expires), "2026-01-02T07:04:05Z");
    assert_eq!(command.immutable.as_str(), r#"{"big":18446744073709551616,"e":1E2,"f":1.0,"n":1,"twice":2}"#);
    assert_eq!(command.bounds[0].upper.map(f64::to_bits), Some(50_000.0_f64.to_bits()));
    assert_eq!((command.bounds[0].lower, command.bounds[0].unit.as_deref()), (None, None));
    assert_eq!((command.bounds[1].lower, command.bounds[1].upper), (Some(1e-5), Some(1e16)));
    assert_eq!(command.snapshot.as_deref(), Some("snap"));
    let least = token::mint(&with(&MINT, "", None), now()).unwrap();
    assert_eq!((least.immutable.as_str(), least.bounds.len(), least.snapshot), ("{}", 0, None));
}

#[test]
fn a_scope_check_is_held_to_its_rules() {
    let (nine, thirty_three, tool) = (text(9), text(33), text(65));
    let base = [("token_id", r#""tok_000000000000""#), ("tool_name", r#""read_invoice""#)];
    let rules: Rules<'_> = &[
        (
            "token_id",
            &[r#""any text at all""#],
            &[("-", "missing"), (&nine, "string_too_short"), (&thirty_three, "string_too_long")],
        ),
        ("tool_name", &[r#""Ä!""#], &[("-", "missing"), (r#""""#, "string_too_short"), (&tool, "string_too_long")]),
        ("params", &["-", "{}", r#"{"a":1}"#], &[("null", "dict_type"), ("[]", "dict_type")]),
        ("agent_id", &["-", "null", r#""x""#], &[("1", "string_type")]),
    ];
    check(&base, "body", rules, token::scope_check);

    let id = TokenId(uuid_v7(1_767_323_045_678, [7; 10]));
    let tok = format!("\"{}\"", render_token(id));
    let agent = AgentId(uuid_v7(1_767_323_045_678, [7; 10]));
    let (aid, agt) = (render_agent(agent), format!("\"{agent}\""));
    let command = token::scope_check(&with(&base, "token_id", Some(&tok))).unwrap().command;
    assert_eq!((command.token, command.params.as_str(), command.agent), (id, "{}", None));
    let command = token::scope_check(&with(&base, "agent_id", Some(&format!("\"{aid}\"")))).unwrap().command;
    assert_eq!(command.agent, Some(agent.to_string()));
    let command = token::scope_check(&with(&base, "agent_id", Some(&agt))).unwrap().command;
    assert_ne!(command.agent, Some(agent.to_string()), "another dialect's spelling names nobody here");
}

#[test]
fn an_invalidation_needs_a_reason() {
    let read = |query| token::invalidate(&parse_query(query));
    assert_eq!(read(Some("reason=mission%20cancelled+by%2Boperator")).as_deref(), Ok("mission cancelled by+operator"));
    assert_eq!(read(Some("reason")).as_deref(), Ok(""));
    assert_eq!(told(read(None)), ["missing at query.reason"]);
}

#[test]
fn a_chain_is_started_by_its_rules() {
    let base = [("mission_id", r#""msn_1""#), ("agent_id", r#""aid_000000000000""#)];
    let (long, wide) = (text(33), format!("\"msn_{}\"", "0".repeat(28)));
    let rules: Rules<'_> = &[
        (
            "mission_id",
            &[&wide],
            &[
                ("-", "missing"),
                (r#""""#, "string_pattern_mismatch"),
                (r#""mission""#, "string_pattern_mismatch"),
                (&long, "string_too_long"),
            ],
        ),
        (
            "agent_id",
            &[],
            &[("-", "missing"), (r#""aid_1""#, "string_too_short"), (r#""agent_00000""#, "string_pattern_mismatch")],
        ),
    ];
    check(&base, "body", rules, audit::initialize);
    let command = audit::initialize(&with(&base, "", None)).unwrap();
    assert_eq!((command.agent_text.as_str(), command.mission_text.as_str()), ("aid_000000000000", "msn_1"));
    assert_eq!(command.mission, mission("msn_1"));
}

#[test]
fn an_entry_is_appended_by_its_rules() {
    let chain = AuditChainId(uuid_v7(1_767_323_045_678, [7; 10]));
    let base = [
        ("layer", r#""EXECUTION""#),
        ("event", r#""EXECUTION_tool_call""#),
        ("agent_id", r#""aid_000000000000""#),
        ("mission_id", r#""msn_1""#),
    ];
    let (event, event_long, token, token_long) = (text(128), text(129), text(32), text(33));
    let rules: Rules<'_> = &[
        (
            "layer",
            &[r#""IDENTITY""#, r#""COMPLIANCE""#, r#""GOVERNANCE""#],
            &[("-", "missing"), ("null", "enum"), (r#""execution""#, "enum"), (r#""OTHER""#, "enum")],
        ),
        ("event", &[&event], &[("-", "missing"), (r#""""#, "string_too_short"), (&event_long, "string_too_long")]),
        ("agent_id", &[], &[("-", "missing"), (r#""somebody else""#, "string_pattern_mismatch")]),
        ("mission_id", &[], &[("-", "missing"), (r#""msn_A""#, "string_pattern_mismatch")]),
        ("token_id", &["-", "null", &token], &[(&token_long, "string_too_long"), ("1", "string_type")]),
        ("data", &["-", "null", "{}", r#"{"a":[]}"#], &[("[]", "dict_type"), (r#""{}""#, "dict_type")]),
    ];
    check(&base, "body", rules, |body| audit::append(chain, body));
    let body = with(&base, "data", Some(r#"{"z":1.0,"a":1,"big":-9223372036854775809,"exp":1e2}"#));
    let command = audit::append(chain, &body).unwrap();
    assert_eq!(command.data.as_str(), r#"{"a":1,"big":-9223372036854775809,"exp":1e2,"z":1.0}"#);
    assert_eq!(audit::append(chain, &with(&base, "data", Some("null"))).unwrap().data.as_str(), "{}");
}

#[test]
fn a_body_that_is_no_object_is_refused_as_a_whole() {
    for (body, fault) in [
        ("", "missing at body"),
        ("{", "json_invalid at body"),
        ("nope", "json_invalid at body"),
        (r#"{"a":NaN}"#, "json_invalid at body"),
        (r#"{"a":Infinity}"#, "json_invalid at body"),
        (r#"{"a":1e999}"#, "json_invalid at body"),
        (r#"{"a":"\ud800"}"#, "json_invalid at body"),
        (r#"{"a":01}"#, "json_invalid at body"),
        ("[]", "model_attributes_type at body"),
        ("null", "model_attributes_type at body"),
        (r#""{}""#, "model_attributes_type at body"),
    ] {
        assert_eq!(told(parse_body(body.as_bytes())), [fault], "{body}");
    }
    assert_eq!(told(parse_body(b"{\"a\":\"\xff\"}")), ["json_invalid at body"]);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(told(parse_body(deep.as_bytes())), ["json_invalid at body"]);
}

#[test]
fn faults_are_told_together_and_within_bounds() {
    let all = told(identity::csr(&Members::new(), String::new(), now()));
    let missing = ["agent_name", "org_id", "requested_ou", "public_key", "purpose"];
    assert_eq!(all, missing.map(|field| format!("missing at body.{field}")));
    let many = format!("[{}]", vec!["1"; 10_000].join(","));
    let told = told(token::mint(&with(&MINT, "execution_scope", Some(&many)), now()));
    assert_eq!(told.len(), 32);
    let many = format!("[{}]", vec!["{}"; 10_000].join(","));
    let told = self::told(token::mint(&with(&MINT, "bounded_params", Some(&many)), now()));
    assert_eq!(told.len(), 32);
}

#[test]
fn a_fault_says_what_is_right_and_repeats_nothing() {
    let secret = "s3cret!".repeat(10);
    let body = with(&CSR, "agent_name", Some(&format!("\"{secret}\"")));
    let faults = identity::csr(&body, String::new(), now()).unwrap_err();
    let text = serde_json::to_string(&faults).unwrap();
    assert_eq!(
        text,
        r#"[{"type":"string_too_long","loc":["body","agent_name"],"msg":"String should have at most 64 characters"}]"#
    );
    let faults = token::mint(&with(&MINT, "execution_scope", Some(r#"["A!"]"#)), now()).unwrap_err();
    assert_eq!(
        serde_json::to_string(&faults).unwrap(),
        r#"[{"type":"string_pattern_mismatch","loc":["body","execution_scope",0],"msg":"String should match pattern '^[a-z][a-z0-9_]*$'"}]"#
    );
    let body = with(&[], "layer", Some(r#""x""#));
    let faults = audit::append(AuditChainId(Uuid::nil()), &body).unwrap_err();
    assert_eq!(faults[0].msg, "Input should be 'IDENTITY', 'EXECUTION', 'COMPLIANCE' or 'GOVERNANCE'");
}

#[test]
fn ids_in_other_spellings_are_ids_of_nothing() {
    let id = uuid_v7(1_767_323_045_678, [7; 10]);
    assert_eq!(agent(&render_agent(AgentId(id))), AgentId(id));
    assert_eq!(token_id(&render_token(TokenId(id))), TokenId(id));
    assert_eq!(chain(&render_chain(AuditChainId(id))), AuditChainId(id));
    let aid = render_agent(AgentId(id));
    let others = [id.to_string(), aid.replace("aid_", "agt_"), aid.to_uppercase(), format!("{aid} "), String::new()];
    for other in others {
        assert_eq!(agent(&other).uuid(), Uuid::nil(), "{other}");
    }
}

#[test]
fn percent_encoding_is_undone_once() {
    for (text, plus, plain) in [
        ("a%20b+c", true, "a b c"),
        ("a%20b+c", false, "a b+c"),
        ("%2525", false, "%25"),
        ("%", false, "%"),
        ("%4", false, "%4"),
        ("%zz%C3%A9", false, "%zzé"),
        ("%ff", false, "\u{fffd}"),
        ("é", false, "é"),
    ] {
        assert_eq!(percent_decode(text, plus), plain, "{text}");
    }
}

proptest! {
    #[test]
    fn no_body_and_no_query_make_a_reader_panic(text in "\\PC{0,200}") {
        let query = parse_query(Some(&text));
        let _ = identity::challenge_request(&query);
        let _ = identity::status_and_page(&query);
        let _ = token::invalidate(&query);
        if let Ok(body) = parse_body(text.as_bytes()) {
            let _ = identity::csr(&body, String::new(), Micros(0));
            let _ = token::mint(&body, Micros(0));
            let _ = token::scope_check(&body);
            let _ = audit::append(AuditChainId(Uuid::nil()), &body);
        }
    }
}
