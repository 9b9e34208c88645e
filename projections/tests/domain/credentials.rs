//! API keys and refused log-ins: DOMAIN section 3.1, C13 and C18.

use chancery_ledger::actor::Principal;
use chancery_ledger::body::Kind;
use chancery_ledger::ids::{CredentialId, uuid_v7};
use chancery_projections::command::*;
use chancery_projections::credential::secret_hash;
use chancery_projections::identity::view;
use chancery_projections::rejection::Rejection;
use chancery_projections::view::Paging;

use crate::the;
use crate::world::*;

fn key(scopes: &[&str]) -> CreateApiKey {
    CreateApiKey {
        name: "ci".into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        audience: vec!["native".into()],
        expires: None,
    }
}

#[test]
fn a_key_is_shown_once_and_kept_as_a_hash() {
    let mut w = World::new();
    let outcome = w.when(CreateApiKey { expires: Some(START.plus_secs(60)), ..key(&["agents:read", "agents:read"]) });
    let secret = outcome.shown().to_owned();
    assert_eq!(secret.len(), 4 + 52);
    let events = outcome.then(&[Kind::CredentialCreated]);
    let created = the!(&events, CredentialCreated);
    assert_eq!((created.hash, created.principal), (secret_hash(&secret), w.owner.actor.principal.clone()));
    assert_eq!(created.scopes, ["agents:read"]);
    let stored = events[0].body.encode(&events[0].prelude).unwrap();
    assert!(!stored.windows(52).any(|window| window == &secret.as_bytes()[4..]));
    let shown = view::credential(&w.reading(), w.root, created.credential).unwrap().unwrap();
    let json = serde_json::to_string(&shown).unwrap();
    assert!(shown.live && !json.contains(&created.hash.to_string()) && !json.contains(&secret));
    w.advance_secs(61);
    assert!(!view::credential(&w.reading(), w.root, created.credential).unwrap().unwrap().live);
    assert_eq!(view::credential(&w.reading(), w.second, created.credential).unwrap(), None);
}

#[test]
fn nobody_gives_what_it_does_not_hold() {
    let mut w = World::new();
    let (orgkernel, root) = (w.orgkernel.clone(), w.root);
    let not_held = Rejection::ScopeNotHeld { scope: "tenants:manage".into() };
    w.when_as(&orgkernel, root, key(&["agents:read", "tenants:manage"])).then_rejected(not_held);
    w.when(key(&["tenants:manage"])).then_decided();
    w.when(key(&["agents:everything"])).then_rejected(Rejection::ScopeUnknown { scope: "agents:everything".into() });
    w.when(key(&["internal"])).then_rejected(Rejection::ScopeUnknown { scope: "internal".into() });
    w.when(key(&[])).then_invalid("scopes");
    for audience in [vec![], vec!["aegis2".to_owned()]] {
        w.when(CreateApiKey { audience, ..key(&["agents:read"]) }).then_invalid("audience");
    }
    w.when(CreateApiKey { expires: Some(START), ..key(&["agents:read"]) }).then_invalid("expires");
    w.when(CreateApiKey { name: String::new(), ..key(&["agents:read"]) }).then_invalid("name");
}

#[test]
fn a_root_principal_in_another_tenant_makes_a_key_of_that_tenant() {
    let mut w = World::new();
    let (mut owner, second) = (w.owner.clone(), w.second);
    owner.actor.acting_in = Some(second);
    let created = the!(&w.when_as(&owner, second, key(&["agents:read"])).then_decided(), CredentialCreated);
    assert_eq!(created.principal, Principal::Tenant(second));
    // It cannot carry the root tenant's powers out of the root tenant.
    w.when_as(&owner, second, key(&["tenants:manage"])).then_rejected(Rejection::NotRoot);
}

#[test]
fn a_key_is_revoked_once_and_only_by_its_tenant() {
    let mut w = World::new();
    let created = the!(&w.when(key(&["agents:read"])).then_decided(), CredentialCreated);
    let revoke = |cause: &str| RevokeApiKey { credential: created.credential, cause: cause.into() };
    w.when_second(revoke("x")).then_rejected(Rejection::NotFound { thing: "credential" });
    w.when(revoke("")).then_invalid("cause");
    w.advance_secs(1);
    w.when(revoke("leaked")).then(&[Kind::CredentialRevoked]);
    w.advance_secs(1);
    w.when(revoke("again")).then_unchanged();
    let shown = view::credential(&w.reading(), w.root, created.credential).unwrap().unwrap();
    assert_eq!((shown.revoked, shown.live), (Some(START.plus_secs(1)), false));
    let nothing = RevokeApiKey { credential: CredentialId(uuid_v7(1, [1; 10])), cause: "x".into() };
    w.when(nothing).then_rejected(Rejection::NotFound { thing: "credential" });
    let live = view::CredentialFilter { live: Some(true), principal: Some(w.owner.actor.principal.clone()) };
    let listed = view::credentials(&w.reading(), w.root, &live, &Paging::newest(10)).unwrap();
    assert_eq!(listed.items.len(), 4, "those of the first start");
    let dead = view::CredentialFilter { live: Some(false), principal: None };
    let listed = view::credentials(&w.reading(), w.root, &dead, &Paging::newest(10)).unwrap();
    assert_eq!(listed.items.iter().map(|it| it.id).collect::<Vec<_>>(), [created.credential]);
}

#[test]
fn a_refused_login_is_a_fact() {
    let mut w = World::new();
    let note = |credential| NoteAuthentication {
        claimed: None,
        mount: "native".into(),
        credential,
        why: "revoked".into(),
        count: 3,
    };
    let failed =
        the!(&w.when(note(w.owner.actor.credential)).then(&[Kind::AuthenticationFailed]), AuthenticationFailed);
    assert_eq!((failed.principal, failed.count), (Some(w.owner.actor.principal.clone()), 3));
    let failed = the!(&w.when(note(None)).then_decided(), AuthenticationFailed);
    assert_eq!(failed.principal, None);
}
