//! The table of contents against the contract, and what views and failures look like here.

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
