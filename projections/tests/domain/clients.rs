//! Client secrets, what agents may ask for, names held alone, quotas, roles in organisations: C2, C5, C8, C12, C14.

use std::collections::BTreeMap;

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::identity::{AgentKeyPurpose, CredentialKind, Disclosure, OrganisationRole};
use chancery_ledger::body::ledger::Algorithm;
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::AgentId;
use chancery_ledger::keystore::{SecretName, Secrets as _};
use chancery_projections::agent_key::coordinates;
use chancery_projections::command::*;
use chancery_projections::context::Caller;
use chancery_projections::credential::secret_hash;
use chancery_projections::identity::state::{AgentStatus, CREDENTIAL_HASHES, CREDENTIALS, Standing};
use chancery_projections::identity::view;
use chancery_projections::rejection::Rejection;
use chancery_projections::tier;
use chancery_projections::view::PageNumber;

use crate::the;
use crate::world::*;

fn as_agent(w: &World, agent: AgentId) -> Caller {
    let principal = Principal::Agent(agent);
    Caller { tenant: w.root, actor: Actor { principal, method: Method::Token, credential: None, acting_in: None } }
}

fn mail(value: &str) -> HandleClaim {
    HandleClaim { namespace: "agentidp".into(), value: value.into() }
}

/// The administrator agent of the first start.
fn administrator(w: &World) -> AgentId {
    let first = w.events.iter().find_map(|event| match &event.body {
        Body::AgentRegistered(it) => Some(it.agent),
        _ => None,
    });
    first.unwrap()
}

#[test]
fn the_first_agent_is_an_administrator_with_a_secret_and_a_key() {
    let w = World::new();
    let agent = administrator(&w);
    let shown = w.agent_view(agent);
    assert!(shown.granted.administrator && shown.usable);
    assert_eq!(shown.granted.scopes, ["admin:orgs", "webhooks:read", "webhooks:write"]);
    let key = shown.did_key.unwrap();
    assert_eq!((key.purpose, coordinates(&key.public.0).is_some()), (AgentKeyPurpose::Did, true));
    assert!(w.keys.secret(&SecretName::AgentKey(key.id)).unwrap().is_some(), "its private part is kept");
    let page = PageNumber { number: 1, size: 10 };
    assert_eq!(view::credentials_of_agent(&w.reading(), w.root, agent, Some(false), page).unwrap().total, 1);
}

#[test]
fn a_secret_is_shown_once_and_dies_by_rotation() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let outcome = w.when(secret_of(ada));
    let first = outcome.shown().to_owned();
    assert!(first.starts_with("sk_live_") && first.len() == 8 + 64, "{first}");
    assert!(first[8..].bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
    let events = outcome.then(&[Kind::CredentialCreated]);
    let created = the!(&events, CredentialCreated);
    assert_eq!((created.kind, &created.principal), (CredentialKind::ClientSecret, &Principal::Agent(ada)));
    assert_eq!(created.hash, secret_hash(&first));
    let stored = events[0].body.encode(&events[0].prelude).unwrap();
    assert!(!stored.windows(64).any(|window| window == &first.as_bytes()[8..]));

    w.advance_secs(1);
    let outcome = w.when(RotateCredential { expires: Some(Some(w.now.plus_secs(60))), ..rotate(created.credential) });
    let second = outcome.shown().to_owned();
    outcome.then(&[Kind::CredentialRotated]);
    assert_ne!(first, second);
    let of = |secret: &str| view::credential_of_secret(w.reading().identity, secret).unwrap();
    assert!(of(&first).is_none(), "the old secret stands for nobody");
    let (row, _) = of(&second).unwrap();
    assert_eq!((row.credential, row.created, row.expires), (created.credential, START, Some(w.now.plus_secs(60))));

    w.advance_secs(1);
    let kept = the!(&w.when(rotate(created.credential)).then_decided(), CredentialRotated);
    assert_eq!(kept.expires, row.expires, "it lapses when it would have, unless somebody says otherwise");
    let never = RotateCredential { expires: Some(None), ..rotate(created.credential) };
    assert_eq!(the!(&w.when(never).then_decided(), CredentialRotated).expires, None);

    w.when(end_secret(created.credential)).then(&[Kind::CredentialRevoked]);
    w.when(end_secret(created.credential)).then_rejected(Rejection::CredentialRevoked);
    w.when(rotate(created.credential)).then_rejected(Rejection::CredentialRevoked);
    let live = CREDENTIAL_HASHES.get(w.reading().identity, kept.hash).unwrap();
    assert_eq!(live, None, "a hash that was rotated away is gone");
}

#[test]
fn a_secret_is_for_an_agent_that_may_act_and_lapses_in_the_future() {
    let mut w = World::new();
    let ada = w.agent("ada");
    w.when(CreateCredential { expires: Some(w.now), ..secret_of(ada) }).then_invalid("expires");
    let secret = the!(&w.when(secret_of(ada)).then_decided(), CredentialCreated).credential;
    w.when(RotateCredential { expires: Some(Some(w.now)), ..rotate(secret) }).then_invalid("expires");
    w.when(suspend(ada)).then_decided();
    w.when(secret_of(ada)).then_rejected(Rejection::AgentNotUsable { why: "suspended" });
    w.when(rotate(secret)).then_rejected(Rejection::AgentNotUsable { why: "suspended" });
    w.when(end_secret(secret)).then(&[Kind::CredentialRevoked]);
    w.when(resume(ada)).then_decided();
    for _ in 0..100 {
        w.when(secret_of(ada)).then_decided();
    }
    w.when(secret_of(ada)).then_rejected(Rejection::LimitReached { limit: "credentials of one agent", max: 100 });
    let ends = w.when(revoke(ada)).then_decided();
    assert_eq!(ends.len(), 101, "all of them end in one commit");
    w.when(secret_of(ada)).then_rejected(Rejection::AgentNotUsable { why: "decommissioned" });
}

#[test]
fn an_agent_manages_its_own_secrets_and_an_administrator_those_of_all() {
    let mut w = World::new();
    let (ada, bob, admin, root) = (w.agent("ada"), w.agent("bob"), administrator(&w), w.root);
    let (as_ada, as_admin) = (as_agent(&w, ada), as_agent(&w, admin));
    let own = the!(&w.when_as(&as_ada, root, secret_of(ada)).then_decided(), CredentialCreated).credential;
    w.when_as(&as_ada, root, secret_of(bob)).then_rejected(Rejection::NotOwner { thing: "credential" });
    let bobs = the!(&w.when_as(&as_admin, root, secret_of(bob)).then_decided(), CredentialCreated).credential;
    w.when_as(&as_ada, root, rotate(bobs)).then_rejected(Rejection::NotOwner { thing: "credential" });
    w.when_as(&as_ada, root, end_secret(bobs)).then_rejected(Rejection::NotOwner { thing: "credential" });
    let with_right = RotateCredential { as_administrator: true, ..rotate(bobs) };
    w.when_as(&as_ada, root, with_right).then(&[Kind::CredentialRotated]);
    w.when_as(&as_ada, root, rotate(own)).then(&[Kind::CredentialRotated]);

    let missing = || Rejection::NotFound { thing: "credential" };
    w.when(RotateCredential { agent: Some(ada), ..rotate(bobs) }).then_rejected(missing());
    w.when(RevokeCredential { agent: Some(ada), ..end_secret(bobs) }).then_rejected(missing());
    w.when_second(rotate(bobs)).then_rejected(missing());
    w.when_second(secret_of(bob)).then_rejected(Rejection::NotFound { thing: "agent" });
    // A secret is no API key, nor the other way round.
    let key = w.owner.actor.credential.unwrap();
    w.when(rotate(key)).then_rejected(missing());
    w.when(RevokeApiKey { credential: bobs, cause: "x".into() })
        .then_rejected(Rejection::NotFound { thing: "API key" });
}

#[test]
fn what_an_agent_may_ask_for_is_granted_as_a_whole() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let grant = |scopes: &[&str], administrator| GrantScopes {
        agent: ada,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        administrator,
    };
    w.when(grant(&[], false)).then_unchanged();
    w.when(grant(&["admin:everything"], false))
        .then_rejected(Rejection::ScopeUnknown { scope: "admin:everything".into() });
    w.when(grant(&["admin:orgs", "admin:orgs"], true)).then(&[Kind::ScopesGranted]);
    w.when(grant(&["admin:orgs"], true)).then_unchanged();
    assert_eq!(w.agent_view(ada).granted.scopes, ["admin:orgs"]);
    w.when(grant(&["webhooks:read"], false)).then_decided();
    let granted = w.agent_view(ada).granted;
    assert_eq!((granted.scopes, granted.administrator), (vec!["webhooks:read".to_owned()], false));
    let (orgkernel, root) = (w.orgkernel.clone(), w.root);
    w.when_as(&orgkernel, root, grant(&["admin:orgs"], false))
        .then_rejected(Rejection::ScopeNotHeld { scope: "organisations:write".into() });
    w.when(revoke(ada)).then_decided();
    w.when(grant(&[], false)).then_rejected(Rejection::AgentDecommissioned);
}

#[test]
fn all_that_ends_with_an_agent_ends_before_it_in_one_commit() {
    let mut w = World::new();
    let handles = vec![mail("Ada@acme.example"), HandleClaim { namespace: "native".into(), value: "ada".into() }];
    let ada = registered(&w.when(RegisterAgent { handles, key: KeyChoice::None, ..register("ada") }).then_decided());
    let first = the!(&w.when(secret_of(ada)).then_decided(), CredentialCreated).credential;
    let second = the!(&w.when(secret_of(ada)).then_decided(), CredentialCreated).credential;
    w.when(end_secret(first)).then_decided();
    w.advance_secs(1);
    let by_status = UpdateAgent {
        status: Some(AgentStatus::Decommissioned),
        semver: Some(Some("2".into())),
        ..UpdateAgent::of(ada)
    };
    let kinds = [Kind::AgentUpdated, Kind::CredentialRevoked, Kind::HandleReleased, Kind::AgentDecommissioned];
    let events = w.when(by_status).then(&kinds);
    let revoked = the!(&events, CredentialRevoked);
    assert_eq!((revoked.credential, revoked.cause.as_str()), (second, "agent.decommissioned"));
    assert_eq!(CREDENTIALS.get(w.reading().identity, second).unwrap().unwrap().revoked, Some(w.now));
    let status = UpdateAgent { status: Some(AgentStatus::Active), ..UpdateAgent::of(ada) };
    w.when(status).then_rejected(Rejection::AgentDecommissioned);
    // Its address is taken for good; the other name is free again.
    let again = |handle| RegisterAgent { handles: vec![handle], key: KeyChoice::None, ..register("new") };
    w.when(again(mail("ADA@ACME.EXAMPLE"))).then_rejected(Rejection::HandleTaken { namespace: "agentidp".into() });
    w.when(again(HandleClaim { namespace: "native".into(), value: "ada".into() })).then(&[Kind::AgentRegistered]);
}

#[test]
fn an_address_is_kept_as_a_hash_and_held_alone() {
    let mut w = World::new();
    let claim = RegisterAgent { handles: vec![mail("ada@acme.example")], key: KeyChoice::None, ..register("ada") };
    let events = w.when(claim.clone()).then_decided();
    let handle = the!(&events, AgentRegistered).handles.remove(0);
    assert!(handle.value.len() == 64 && !handle.value.contains('@'), "{handle:?}");
    w.when(claim.clone()).then_rejected(Rejection::HandleTaken { namespace: "agentidp".into() });
    w.when_second(claim).then_decided();
    let bob = w.agent("bob");
    let name = |value: &str| HandleClaim { namespace: "native".into(), value: value.into() };
    w.when(ClaimHandle { agent: bob, handle: mail("ADA@acme.example") })
        .then_rejected(Rejection::HandleTaken { namespace: "agentidp".into() });
    w.when(ClaimHandle { agent: bob, handle: name("bob") }).then(&[Kind::HandleClaimed]);
    w.when(ClaimHandle { agent: bob, handle: name("bob") }).then_unchanged();
    w.when(ClaimHandle { agent: bob, handle: mail("bob@acme.example") }).then(&[Kind::HandleClaimed]);
    w.when(ReleaseHandle { agent: bob, handle: mail("bob@acme.example") })
        .then_rejected(Rejection::FieldImmutable { field: "handle" });
    w.when(ReleaseHandle { agent: bob, handle: name("bob") }).then(&[Kind::HandleReleased]);
    w.when(ReleaseHandle { agent: bob, handle: name("bob") }).then_rejected(Rejection::NotFound { thing: "handle" });
    assert_eq!(view::agent_by_handle(&w.reading(), w.root, "native", "bob").unwrap(), None);
}

#[test]
fn a_did_key_is_made_on_request_and_stays_here() {
    let mut w = World::new();
    let command = RegisterAgent { did_key: true, key: KeyChoice::None, ..register("ada") };
    let events = w.when(command).then(&[Kind::AgentRegistered, Kind::AgentKeyAdded]);
    let added = the!(&events, AgentKeyAdded);
    assert_eq!((added.purpose, added.algorithm), (AgentKeyPurpose::Did, Algorithm::P256));
    let scalar = w.keys.secret(&SecretName::AgentKey(added.key)).unwrap().unwrap();
    for event in &events {
        let stored = event.body.encode(&event.prelude).unwrap();
        assert!(!stored.windows(32).any(|window| window == &scalar[..]), "the private part is in no event");
    }
}

#[test]
fn an_update_keeps_the_address_and_can_change_who_is_responsible_alone() {
    let mut w = World::new();
    let profile = AgentProfile {
        email: Some("ada@acme.example".into()),
        owner: Some("talent".into()),
        purpose: Some("screening".into()),
        ..AgentProfile::default()
    };
    let ada = registered(&w.when(RegisterAgent { profile: profile.clone(), ..register("ada") }).then_decided());
    let owner = |owner: &str| UpdateAgent { owner: Some(owner.into()), ..UpdateAgent::of(ada) };
    w.when(owner("talent")).then_unchanged();
    w.when(owner("people")).then(&[Kind::AgentUpdated]);
    let shown = w.agent_view(ada).profile.unwrap();
    assert_eq!((shown.owner.as_deref(), shown.purpose.as_deref()), (Some("people"), Some("screening")));
    let search = |owner| view::AgentSearch { owner: Some(owner), ..view::AgentSearch::default() };
    let count = |w: &World, owner| {
        view::agents_found(&w.reading(), w.root, search(owner), PageNumber { number: 1, size: 10 }).unwrap().total
    };
    assert_eq!((count(&w, "talent"), count(&w, "people")), (0, 1));
    let whole = |profile| UpdateAgent { profile: Some(profile), ..UpdateAgent::of(ada) };
    w.when(whole(AgentProfile::default())).then_rejected(Rejection::FieldImmutable { field: "profile.email" });
    w.when(UpdateAgent { owner: Some("x".into()), ..whole(profile) }).then_invalid("owner");
    w.when(owner(&"x".repeat(257))).then_invalid("owner");
    let both = UpdateAgent {
        status: Some(AgentStatus::Suspended),
        disclosure: Some(Disclosure::Listed),
        kind: Some(Some("screener".into())),
        ..UpdateAgent::of(ada)
    };
    w.when(both.clone()).then(&[Kind::AgentUpdated, Kind::AgentReachChanged, Kind::AgentSuspended]);
    w.when(both).then_unchanged();
    w.when(SetAgentReach { agent: ada, visibility: None, disclosure: Some(Disclosure::Listed) }).then_unchanged();
    w.when(SetAgentReach { agent: ada, visibility: None, disclosure: Some(Disclosure::None) })
        .then(&[Kind::AgentReachChanged]);
}

#[test]
fn a_tier_bounds_the_agents_that_are_not_decommissioned() {
    let mut w = World::new();
    w.when(UpdateTenant { tenant: w.second, name: None, tier: Some("gold".into()), limits: None }).then_invalid("tier");
    let limits = Some(BTreeMap::from([(tier::AGENTS.to_owned(), 2)]));
    let update = UpdateTenant { tenant: w.second, name: None, tier: Some("free".into()), limits };
    w.when_second(update.clone()).then_rejected(Rejection::NotRoot);
    w.when(update.clone()).then(&[Kind::TenantUpdated]);
    w.when(update).then_unchanged();
    let ada = registered(&w.when_second(register("ada")).then_decided());
    w.when_second(register("bob")).then_decided();
    w.when_second(register("eve")).then_rejected(Rejection::LimitReached { limit: tier::AGENTS, max: 2 });
    w.when_second(suspend(ada)).then_decided();
    w.when_second(register("eve")).then_rejected(Rejection::LimitReached { limit: tier::AGENTS, max: 2 });
    w.when_second(revoke(ada)).then_decided();
    w.when_second(register("eve")).then_decided();
    assert_eq!(tier::quota("free", &BTreeMap::new(), tier::AGENTS), Some(100));
    assert_eq!(tier::quota("enterprise", &BTreeMap::new(), tier::AGENTS), None);
}

#[test]
fn an_organisation_has_quotas_roles_and_an_end() {
    let mut w = World::new();
    let limits = BTreeMap::from([(tier::AGENTS.to_owned(), 1)]);
    let create = CreateOrganisation { tier: Some("pro".into()), limits, ..CreateOrganisation::new("acme", "Acme") };
    let acme = the!(&w.when(create).then_decided(), OrganisationCreated).organisation;
    let here = |name: &str| RegisterAgent { organisation: Some(OrganisationRef::Id(acme)), ..register(name) };
    let ada = registered(&w.when(here("ada")).then_decided());
    w.when(here("bob")).then_rejected(Rejection::LimitReached { limit: tier::AGENTS, max: 1 });

    let join = |agent| AddOrganisationMember { organisation: acme, agent, role: OrganisationRole::Admin };
    w.when(join(ada)).then(&[Kind::OrganisationMemberAdded]);
    w.when(join(ada)).then_rejected(Rejection::AlreadyMember);
    w.when_second(join(ada)).then_rejected(Rejection::NotFound { thing: "organisation" });

    let change = |limit| UpdateOrganisation {
        organisation: acme,
        name: Some("Acme & Co".into()),
        tier: Some(None),
        limits: BTreeMap::from([(tier::AGENTS.to_owned(), limit)]),
        suspended: Some(true),
    };
    w.when(change(None)).then(&[Kind::OrganisationUpdated]);
    w.when(change(None)).then_unchanged();
    let shown = view::organisation(&w.reading(), w.root, acme).unwrap().unwrap();
    assert_eq!((shown.tier, shown.limits.len(), shown.standing), (None, 0, Standing::Suspended));
    w.when(secret_of(ada)).then_rejected(Rejection::AgentNotUsable { why: "organisation_not_active" });

    let delete = DeleteOrganisation { organisation: acme };
    w.when(delete.clone()).then_rejected(Rejection::OrganisationHasAgents);
    w.when(revoke(ada)).then_decided();
    w.when(delete.clone()).then(&[Kind::OrganisationDeleted]);
    w.when(delete).then_rejected(Rejection::OrganisationDeleted);
    w.when(change(Some(2))).then_rejected(Rejection::OrganisationDeleted);
    w.when(here("eve")).then_rejected(Rejection::OrganisationDeleted);
    let default = the!(&w.when(register("kim")).then_decided(), AgentRegistered).organisation;
    w.when(DeleteOrganisation { organisation: default }).then_rejected(Rejection::DefaultOrganisation);
    let page = PageNumber { number: 1, size: 10 };
    let listed = |standing| view::organisations_page(&w.reading(), w.root, standing, page).unwrap().total;
    assert_eq!((listed(None), listed(Some(Standing::Active)), listed(Some(Standing::Deleted))), (2, 1, 1));
}

#[test]
fn what_is_granted_can_be_asked_for() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let secret = w.when(secret_of(ada)).shown().to_owned();
    let purpose = chancery_ledger::body::ledger::Purpose::JwtEddsa;
    w.when(ProvideTokenKey { purpose, public: Vec::new() }).then_decided();
    let ask = |scope: &str| -> ExchangeToken {
        let proof = serde_json::json!({ "secret": secret });
        serde_json::from_value(serde_json::json!({ "client": ada, "proof": proof, "scopes": [scope] })).unwrap()
    };
    let not_held = Rejection::ScopeNotHeld { scope: "admin:orgs".into() };
    w.when(ask("admin:orgs")).then_refused(not_held, &[Kind::TokenRefused]);
    w.when(ask("agents:write")).then(&[Kind::TokenIssued]);
    w.when(GrantScopes { agent: ada, scopes: vec!["admin:orgs".into()], administrator: false }).then_decided();
    w.when(ask("admin:orgs")).then(&[Kind::TokenIssued]);
}
