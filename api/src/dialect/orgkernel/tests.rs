//! The table of contents against the contract, and what views and failures look like here.

use chancery_projections::rejection::Rejection;

use super::*;

/// The routes of contracts/orgkernel.md, section 2, by number: 1 to 28 and the additions 29 to 31.
const CONTRACT: [(u8, &str, &str); 32] = [
    (1, "POST", "/identity/csr/submit"),
    (2, "POST", "/identity/issue"),
    (3, "POST", "/identity/"),
    (3, "POST", "/identity"),
    (4, "GET", "/identity/{agent_id}"),
    (5, "GET", "/identity/{agent_id}/certificate"),
    (6, "POST", "/identity/verify"),
    (7, "POST", "/identity/challenge/request"),
    (8, "POST", "/identity/challenge/verify"),
    (9, "POST", "/identity/{agent_id}/suspend"),
    (10, "POST", "/identity/{agent_id}/reactivate"),
    (11, "POST", "/identity/{agent_id}/revoke"),
    (12, "GET", "/identity/org/{org_id}"),
    (13, "GET", "/identity/org/{org_id}/page"),
    (14, "POST", "/token/mint"),
    (15, "GET", "/token/{token_id}"),
    (16, "POST", "/token/scope/check"),
    (17, "POST", "/token/{token_id}/use"),
    (18, "POST", "/token/{token_id}/invalidate"),
    (19, "GET", "/token/mission/{mission_id}/active"),
    (20, "GET", "/token/mission/{mission_id}/page"),
    (21, "GET", "/token/agent/{agent_id}/page"),
    (22, "POST", "/audit/initialize"),
    (23, "POST", "/audit/{chain_id}/append"),
    (24, "POST", "/audit/{chain_id}/close"),
    (25, "GET", "/audit/mission/{mission_id}"),
    (26, "GET", "/audit/{chain_id}"),
    (27, "GET", "/audit/{chain_id}/verify"),
    (28, "GET", "/audit/agent/{agent_id}/page"),
    (29, "GET", "/ca"),
    (30, "GET", "/token/mission/{mission_id}"),
    (31, "GET", "/token/agent/{agent_id}"),
];

#[test]
fn routes_are_the_contracts() {
    let mut ours: Vec<(&str, &str)> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    let mut theirs: Vec<(&str, &str)> = CONTRACT.iter().map(|(_, method, path)| (*method, *path)).collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    assert!((1..=31).all(|number| CONTRACT.iter().any(|(known, ..)| *known == number)));
}

#[test]
fn every_route_becomes_something_native() {
    for route in ROUTES {
        match route.native {
            Native::Command(name) => {
                assert!(chancery_projections::command::Command::NAMES.contains(&name), "{name}");
                assert_eq!(route.method, "POST", "{}", route.path);
            }
            Native::Query(_, scope) => assert!(Scope::ORGKERNEL.contains(&scope), "{}", route.path),
            Native::Public(_) => panic!("{} is open to everybody", route.path),
        }
    }
}

#[test]
fn every_route_is_found_by_its_own_path() {
    for route in ROUTES {
        let path =
            route.path.replace("{agent_id}", "aid_1").replace("{org_id}", "acme").replace("{mission_id}", "msn_1");
        let path = path.replace("{token_id}", "tok_1").replace("{chain_id}", "ac_1");
        let (found, argument) = find(route.method, &path).unwrap();
        assert_eq!((found.path, argument.is_empty()), (route.path, !route.path.contains('{')), "{path}");
    }
}

#[test]
fn literals_win_over_ids() {
    for (method, path, route, argument) in [
        ("GET", "/identity/org/certificate", "/identity/org/{org_id}", "certificate"),
        ("GET", "/identity/org/page", "/identity/org/{org_id}", "page"),
        ("GET", "/identity/verify", "/identity/{agent_id}", "verify"),
        ("GET", "/identity/org", "/identity/{agent_id}", "org"),
        ("POST", "/identity/verify", "/identity/verify", ""),
        ("POST", "/identity/challenge/verify", "/identity/challenge/verify", ""),
        ("POST", "/identity/challenge/suspend", "/identity/{agent_id}/suspend", "challenge"),
        ("GET", "/token/mission/use", "/token/mission/{mission_id}", "use"),
        ("GET", "/token/mint", "/token/{token_id}", "mint"),
        ("GET", "/audit/mission/verify", "/audit/mission/{mission_id}", "verify"),
        ("GET", "/audit/agent/verify", "/audit/{chain_id}/verify", "agent"),
        ("GET", "/token/mission/a%2Fb%20c/active", "/token/mission/{mission_id}/active", "a/b c"),
    ] {
        let (found, found_argument) = find(method, path).unwrap();
        assert_eq!((found.path, found_argument.as_str()), (route, argument), "{method} {path}");
    }
}

#[test]
fn what_no_route_answers_is_not_found_and_other_methods_are_not_allowed() {
    for path in
        ["", "/", "/nothing", "/identity/a/b/c", "/identity//certificate", "/token", "/token/", "/ca/", "/audit"]
    {
        assert!(matches!(find("GET", path), Err(Problem::NoRoute)), "{path}");
    }
    for (method, path, allowed) in [
        ("DELETE", "/identity/aid_1", "GET"),
        ("GET", "/identity/issue", ""),
        ("GET", "/identity/", "POST"),
        ("GET", "/identity/aid_1/suspend", "POST"),
        ("PUT", "/token/mint", "POST, GET"),
        ("HEAD", "/ca", "GET"),
        ("POST", "/ca", "GET"),
    ] {
        match find(method, path) {
            Err(Problem::MethodNotAllowed { allow }) => assert_eq!(allow, allowed, "{method} {path}"),
            Ok((route, _)) => assert_eq!((allowed, route.path), ("", "/identity/{agent_id}"), "{method} {path}"),
            Err(problem) => panic!("{method} {path}: {problem}"),
        }
    }
}

/// What an answer is made of.
fn said(failure: Failure, part: Part) -> (u16, String) {
    let response = failure.response(part);
    assert_eq!(response.headers()["content-type"], "application/json");
    let crate::response::ResponseBody::Whole(body) = response.body() else { panic!("a failure is answered whole") };
    (response.status().as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// Every rejection with its status here; contracts/orgkernel.md, section 2, "Refusals".
#[test]
fn every_rejection_has_the_contracts_status() {
    let seq = chancery_ledger::ids::Seq(7);
    let scope = || "x".to_owned();
    let statuses = [
        (Rejection::NotFound { thing: "agent" }, 404),
        (Rejection::ScopeMissing { scope: "agents:read" }, 403),
        (Rejection::TenantSuspended, 403),
        (Rejection::Conflict { expected: seq, actual: seq }, 409),
        (Rejection::LimitReached { limit: "entries", max: 1 }, 409),
        (Rejection::IdempotencyConflict { original: seq }, 409),
        (Rejection::NotRoot, 403),
        (Rejection::SlugTaken, 409),
        (Rejection::HandleTaken { namespace: "orgkernel/acme".to_owned() }, 409),
        (Rejection::AgentDecommissioned, 400),
        (Rejection::AgentNotUsable { why: "suspended" }, 409),
        (Rejection::MissionEnded { state: "completed" }, 409),
        (Rejection::MissionOtherAgent, 409),
        (Rejection::ChallengeDead, 400),
        (Rejection::ScopeNotHeld { scope: scope() }, 403),
        (Rejection::ScopeUnknown { scope: scope() }, 422),
        (Rejection::MissionExists, 409),
        (Rejection::ChainExists, 409),
        (Rejection::ChainClosed, 400),
        (Rejection::FieldImmutable { field: "profile.email" }, 400),
        (Rejection::OrganisationHasAgents, 409),
        (Rejection::DefaultOrganisation, 409),
        (Rejection::AlreadyMember, 409),
        (Rejection::OrganisationDeleted, 409),
        (Rejection::CredentialRevoked, 400),
        (Rejection::RootTenant, 400),
        (Rejection::IssuerKnown, 409),
        (Rejection::SelfDelegation, 409),
        (Rejection::DepthExceeded { max: 4 }, 409),
        (Rejection::TtlOutOfRange { min: 60, max: 86_400 }, 409),
        (Rejection::TokenDead, 409),
        (Rejection::GrantInvalid, 403),
        (Rejection::NoRuleMatches, 403),
        (Rejection::NotOwner { thing: "rule" }, 403),
        (Rejection::KeyInUse, 409),
    ];
    for (rejection, status) in statuses {
        let recorded = Problem::RejectedOnRecord { rejection: rejection.clone(), events: Vec::new() };
        let (got, text) = said(rejection.clone().into(), Part::Body);
        assert_eq!(got, status, "{rejection:?}");
        assert!(text.starts_with("{\"detail\":") && text.len() > 20, "{text}");
        assert_eq!(said(recorded.into(), Part::Body), (got, text), "a refusal that is a fact reads alike");
    }
    let invalid = Rejection::Invalid { field: "profile.metadata", why: "at most 16384 bytes in all".to_owned() };
    let wanted = r#"{"detail":[{"type":"value_error","loc":["body","metadata"],"msg":"Value error, at most 16384 bytes in all"}]}"#;
    assert_eq!(said(invalid.into(), Part::Body), (422, wanted.to_owned()));
    let invalid = Rejection::Invalid { field: "ttl_secs", why: "must be 1 to 3600".to_owned() };
    let (_, text) = said(invalid.into(), Part::Query);
    assert!(text.contains(r#"["query","ttl_seconds"]"#), "{text}");
}

#[test]
fn what_the_operator_must_mend_is_503_and_says_nothing_of_the_inside() {
    use chancery_projections::rows::RowsError;
    use chancery_projections::sequencer::SubmitError;

    let why = || "fjall: /var/lib/chancery/views".to_owned();
    let failures: [(Problem, bool); 4] = [
        (SubmitError::Busy { retry_after_secs: 3 }.into(), true),
        (SubmitError::Stopped { why: why() }.into(), true),
        (SubmitError::Unavailable { why: why() }.into(), true),
        (RowsError::Missing("the row of /var/lib").into(), true),
    ];
    for (problem, retry) in failures {
        let response = Failure::from(problem).response(Part::Body);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().contains_key("retry-after"), retry);
        let crate::response::ResponseBody::Whole(body) = response.body() else { panic!("a failure is answered whole") };
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains("fjall") && !text.contains("/var"), "{text}");
    }
    assert_eq!(said(Problem::Internal.into(), Part::Body), (500, "{\"detail\":\"Internal Server Error\"}".to_owned()));
}

#[test]
fn names_are_shown_in_the_vendors_letters() {
    for (name, slug) in [
        ("invoice-processor", "invoice-processor"),
        ("Ada Lovelace", "ada-lovelace"),
        ("Ada  --  Lövelace!", "ada-l-velace"),
        ("under_score", "under_score"),
        ("7 of 9", "agent-7-of-9"),
        ("_x", "agent-_x"),
        ("x", "agent-x"),
        ("経理", "agent"),
        ("-", "agent"),
        ("İstanbul", "i-stanbul"),
    ] {
        let shown = to_wire::as_slug(name);
        assert_eq!(shown, slug, "{name}");
    }
    let long = to_wire::as_slug(&"ab".repeat(200));
    assert_eq!(long.len(), 64);
}
