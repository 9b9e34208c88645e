//! A tenant's own rules of scope checks, beside what tokens say.

use chancery_ledger::body::Kind;
use chancery_ledger::body::field::JsonText;
use chancery_ledger::ids::TokenId;
use chancery_projections::command::*;
use chancery_projections::decision::Answer;
use chancery_projections::rejection::Rejection;
use chancery_projections::trust::state::PolicyKind;
use chancery_projections::trust::view;

use crate::the;
use crate::world::*;

const GOOD: &str = r#"{"currency":"USD","n":1.0,"amount":500}"#;

fn rules(key: &str, document: &str) -> SetPolicy {
    SetPolicy { kind: "scope".into(), key: key.into(), document: JsonText(document.into()) }
}

#[track_caller]
fn codes(w: &mut World, token: TokenId) -> Vec<String> {
    let checked = the!(&w.when(check(token, "read_invoice", GOOD)).then(&[Kind::ScopeChecked]), ScopeChecked);
    assert_eq!(checked.passed, checked.violations.is_empty());
    checked.violations.iter().map(|text| text.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn rules_refuse_what_a_token_permits_and_never_the_other_way_round() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let token = w.token(ada);
    assert_eq!(codes(&mut w, token), [""; 0]);
    w.when(rules("default", r#"{"refused_tools":["read_invoice"]}"#)).then(&[Kind::PolicyChanged]);
    assert_eq!(codes(&mut w, token), ["tool_not_in_scope"]);
    let refused = view::trust(&w.reading(), Some(w.root), ada, false).unwrap().unwrap();
    assert_eq!(refused.basis.counts.refused_scope_checks, 1, "it counts as any overreach does");

    // An agent's own take the place of the tenant's.
    let own = r#"{"tools":["read_invoice","wire"],"bounds":[{"name":"amount","upper":499.5}]}"#;
    w.when(rules(&ada.to_string(), own)).then(&[Kind::PolicyChanged]);
    assert_eq!(codes(&mut w, token), ["bounded_param_violation"]);
    let wired = the!(&w.when(check(token, "wire", GOOD)).then(&[Kind::ScopeChecked]), ScopeChecked);
    assert_eq!(wired.violations.len(), 2, "what the token does not say, no rule adds: {:?}", wired.violations);

    w.when(ResetPolicy { kind: "scope".into(), key: ada.to_string() }).then(&[Kind::PolicyReset]);
    assert_eq!(codes(&mut w, token), ["tool_not_in_scope"]);
    w.when(ResetPolicy { kind: "scope".into(), key: "default".into() }).then(&[Kind::PolicyReset]);
    assert_eq!(codes(&mut w, token), [""; 0]);
    let shown = view::policy(&w.reading(), w.root, PolicyKind::Scope, "default").unwrap().unwrap();
    assert!(!shown.set && shown.document.as_str() == r#"{"tools":null,"refused_tools":[],"bounds":[]}"#);
    let by_id = view::policy_by_id(&w.reading(), w.root, shown.id.unwrap()).unwrap().unwrap();
    assert_eq!((by_id.kind.as_str(), by_id.key.as_str(), by_id.changed), ("scope", "default", shown.changed));
    assert_eq!(view::policy_by_id(&w.reading(), w.second, shown.id.unwrap()).unwrap(), None);
}

#[test]
fn rules_are_the_tenants_own() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let token = w.token(ada);
    w.when_second(rules("default", r#"{"tools":[]}"#)).then(&[Kind::PolicyChanged]);
    assert_eq!(codes(&mut w, token), [""; 0]);
    w.when_second(rules(&ada.to_string(), "{}")).then_rejected(Rejection::NotFound { thing: "agent" });
}

#[test]
fn rules_that_make_no_sense_are_refused_by_their_path() {
    let mut w = World::new();
    for (document, path) in [
        (r#"{"tools":[""]}"#, "tools"),
        (r#"{"bounds":[{"name":"n","lower":2,"upper":1}]}"#, "bounds"),
        (r#"{"bounds":[{"lower":2}]}"#, "bounds[0]"),
        (r#"{"tool":[]}"#, "tool"),
        ("[]", "."),
    ] {
        match w.when(rules("default", document)).answer {
            Answer::Refused(Rejection::PolicyInvalid { path: found, .. }) => assert_eq!(found, path, "{document}"),
            other => panic!("{document}: {other:?}"),
        }
    }
    w.when(rules("ada", "{}")).then_invalid("key");
}
