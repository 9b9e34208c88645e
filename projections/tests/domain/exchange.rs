//! Access tokens by client credentials, and the keys that sign them.

use chancery_ledger::actor::{Actor, Principal};
use chancery_ledger::body::identity::EndCause;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::token::{Grant, Profile};
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::ids::{AgentId, ThingId as _};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::keystore::{SecretName, Secrets as _};
use chancery_projections::command::*;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{KEYS, SIGNING_KEYS, purpose_code};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::views::View;
use zeroize::Zeroizing;

use crate::the;
use crate::world::*;

fn exchange(client: &str, secret: &str, scopes: &[&str]) -> ExchangeToken {
    ExchangeToken {
        client: client.to_owned(),
        proof: ClientProof::Secret(SecretText(Zeroizing::new(secret.to_owned()))),
        scopes: scopes.iter().map(|text| (*text).to_owned()).collect(),
        audience: Vec::new(),
        cnf: None,
        subject: None,
        signer: Purpose::JwtEddsa,
        via: Via::AgentIdp,
    }
}

fn client() -> (World, AgentId, String) {
    let mut w = World::new();
    let ada = w.agent("ada");
    let secret = w.client_secret(ada);
    (w, ada, secret)
}

#[test]
fn a_client_that_proves_itself_gets_a_token_of_its_own() {
    let (mut w, ada, secret) = client();
    let id = ada.to_string();
    let asked = ["tokens:read", "agents:read", "openid"];
    let events = w.when(exchange(&id, &secret, &asked)).then(&[Kind::TokenIssued]);
    let issued = the!(&events, TokenIssued);
    assert_eq!((issued.profile, issued.grant), (Profile::Access, Grant::Client));
    assert_eq!((issued.principal, issued.agent), (Principal::Agent(ada), Some(ada)));
    assert_eq!(issued.scopes, asked, "in the order asked");
    assert_eq!(issued.expires.0 % 1_000_000, 0, "at a whole second");
    assert_eq!(issued.expires.0.div_euclid(1_000_000) - w.now.0.div_euclid(1_000_000), 3600);
    let key = SIGNING_KEYS.get(w.views.get(View::Identity), purpose_code(Purpose::JwtEddsa)).unwrap().unwrap();
    assert_eq!(issued.key, Some(key.key));
    let again = the!(&w.when(exchange(&id, &secret, &asked)).then_decided(), TokenIssued);
    assert_ne!(again.token, issued.token);
}

#[test]
fn a_proof_that_does_not_hold_is_a_fact_and_locks_nobody_out() {
    let (mut w, ada, secret) = client();
    let bob = w.agent("bob").to_string();
    let id = ada.to_string();
    let nobody = AgentId::from_uuid(uuid::Uuid::nil()).to_string();
    for (client, secret, why, whose) in [
        (id.as_str(), "sk_live_00", "unknown", Some(ada)),
        (bob.as_str(), secret.as_str(), "unknown", bob.parse().ok()),
        (nobody.as_str(), secret.as_str(), "unknown", None),
        ("who <script>", secret.as_str(), "unknown", None),
        ("", "", "unknown", None),
    ] {
        let outcome = w.when(exchange(client, secret, &["agents:read"]));
        let failed = the!(&outcome.events, AuthenticationFailed);
        assert_eq!((failed.why.as_str(), failed.principal), (why, whose.map(Principal::Agent)), "{client}");
        assert_eq!(failed.claimed.as_deref(), Some(client).filter(|text| text.len() == 36), "{client}");
        outcome.then_refused(Rejection::ClientInvalid, &[Kind::AuthenticationFailed]);
    }
    w.when_second(exchange(&id, &secret, &["agents:read"]))
        .then_refused(Rejection::ClientInvalid, &[Kind::AuthenticationFailed]);
    w.when(exchange(&id, &secret, &["agents:read"])).then(&[Kind::TokenIssued]);
}

#[test]
fn an_agent_that_may_not_act_gets_none() {
    let (mut w, ada, secret) = client();
    let ask = exchange(&ada.to_string(), &secret, &["agents:read"]);
    w.when(suspend(ada)).then_decided();
    w.when(ask.clone()).then_refused(Rejection::AgentNotUsable { why: "suspended" }, &[Kind::AuthenticationFailed]);
    w.when(resume(ada)).then_decided();
    w.when(ask.clone()).then(&[Kind::TokenIssued]);
    w.when(revoke(ada)).then_decided();
    let outcome = w.when(ask);
    assert!(matches!(outcome.kinds()[..], [Kind::AuthenticationFailed]));
}

#[test]
fn a_decommissioned_agents_secret_says_what_became_of_it() {
    let (mut w, ada, secret) = client();
    w.when(DecommissionAgent { agent: ada, cause: EndCause::Decommissioned, by: None, reason: None }).then_decided();
    let id = ada.to_string();
    w.when(exchange(&id, &secret, &["agents:read"]))
        .then_refused(Rejection::AgentNotUsable { why: "decommissioned" }, &[Kind::AuthenticationFailed]);
    w.when(exchange(&id, "sk_live_00", &["agents:read"]))
        .then_refused(Rejection::ClientInvalid, &[Kind::AuthenticationFailed]);
}

#[test]
fn a_scope_that_is_unknown_or_not_granted_refuses_the_whole() {
    let (mut w, ada, secret) = client();
    let mut ask = |scopes: &[&str]| w.when(exchange(&ada.to_string(), &secret, scopes));
    let scope = |text: &str| text.to_owned();
    ask(&["agents:read", "agents:rule"])
        .then_refused(Rejection::ScopeUnknown { scope: scope("agents:rule") }, &[Kind::TokenRefused]);
    ask(&["agents:read", "admin:orgs"])
        .then_refused(Rejection::ScopeNotHeld { scope: scope("admin:orgs") }, &[Kind::TokenRefused]);
    ask(&[]).then_invalid("scopes");
    ask(&["agents:read", "agents:read"]).then_invalid("scopes");
}

#[test]
fn a_key_is_provided_once_and_rotated_with_its_predecessor_retired() {
    let mut w = World::new();
    let system = Caller { tenant: w.root, actor: Actor::system() };
    let provide = |public: &[u8], purpose| ProvideTokenKey { purpose, public: public.to_vec() };
    let (eddsa, rs256) = (Purpose::JwtEddsa, Purpose::JwtRs256);
    let added = the!(&w.when_as(&system, w.root, provide(&[], eddsa)).then(&[Kind::SigningKeyAdded]), SigningKeyAdded);
    let seed = w.keys.secret(&SecretName::TokenSigning(added.key)).unwrap().unwrap();
    assert_eq!(SigningKey::from_seed(seed).public().as_bytes()[..], added.public, "its private part is kept");
    let Output::SigningKey(same) = w.when_as(&system, w.root, provide(&[], eddsa)).then_unchanged() else {
        panic!("no key")
    };
    assert_eq!(same.key, added.key);
    w.when_as(&system, w.root, provide(&[], rs256)).then_invalid("public");
    w.when_as(&system, w.root, provide(&[], Purpose::Seal)).then_invalid("purpose");
    w.when_as(&system, w.root, provide(&[1; 270], rs256)).then(&[Kind::SigningKeyAdded]);

    let rotated = w.when(RotateSigningKey { purpose: eddsa, public: Vec::new() });
    let events = rotated.then(&[Kind::SigningKeyRetired, Kind::SigningKeyAdded]);
    assert_eq!(the!(&events, SigningKeyRetired).key, added.key);
    let rows = w.views.get(View::Identity);
    let now = SIGNING_KEYS.get(rows, purpose_code(eddsa)).unwrap().unwrap();
    assert_eq!(now.key, the!(&events, SigningKeyAdded).key);
    assert_eq!(KEYS.get(rows, added.key).unwrap().unwrap().retired, Some(w.now), "what it signed can be checked");
    w.when(RotateSigningKey { purpose: Purpose::OrgCa, public: vec![1] }).then_invalid("purpose");
    w.when_second(RotateSigningKey { purpose: eddsa, public: Vec::new() }).then_rejected(Rejection::NotRoot);
}

#[test]
fn what_an_agent_was_granted_it_may_ask_for() {
    let (mut w, ada, secret) = client();
    let scopes = vec!["admin:orgs".to_owned()];
    w.when(GrantScopes { agent: ada, scopes, administrator: false }).then_decided();
    let ask = |scope| exchange(&ada.to_string(), &secret, &[scope]);
    w.when(ask("admin:orgs")).then(&[Kind::TokenIssued]);
    let scope = "webhooks:read".to_owned();
    w.when(ask("webhooks:read")).then_refused(Rejection::ScopeNotHeld { scope }, &[Kind::TokenRefused]);
}

#[test]
fn a_rotated_or_revoked_secret_is_dead_at_once() {
    let (mut w, ada, secret) = client();
    let credential = of_kind(&w.events, |body| match body {
        Body::CredentialCreated(it) => Some(it.credential),
        _ => None,
    })[..]
        .last()
        .copied()
        .unwrap();
    let ask = |secret: &str| exchange(&ada.to_string(), secret, &["agents:read"]);
    let rotate = RotateCredential { credential, agent: None, expires: None, as_administrator: false };
    let fresh = w.when(rotate).shown().to_owned();
    w.when(ask(&secret)).then_refused(Rejection::ClientInvalid, &[Kind::AuthenticationFailed]);
    w.when(ask(&fresh)).then(&[Kind::TokenIssued]);
    let cause = "lost".to_owned();
    w.when(RevokeCredential { credential, agent: None, cause, as_administrator: false }).then_decided();
    let outcome = w.when(ask(&fresh));
    assert_eq!(the!(&outcome.events, AuthenticationFailed).why, "revoked");
    outcome.then_refused(Rejection::ClientInvalid, &[Kind::AuthenticationFailed]);
}

#[test]
fn a_month_has_so_many_tokens_where_the_tenant_says_so() {
    let (mut w, ada, secret) = client();
    let (tenant, limits) = (w.root, Some([("tokens_per_month".to_owned(), 2)].into()));
    w.when(UpdateTenant { tenant, name: None, tier: None, limits }).then_decided();
    let ask = || exchange(&ada.to_string(), &secret, &["agents:read"]);
    w.when(ask()).then(&[Kind::TokenIssued]);
    w.when(ask()).then(&[Kind::TokenIssued]);
    let used_up = Rejection::QuotaExhausted { quota: "tokens a month", max: 2 };
    w.when(ask()).then_refused(used_up, &[Kind::TokenRefused]);
    // The clock stands on the second of a month.
    w.advance_secs(31 * 86_400);
    w.when(ask()).then(&[Kind::TokenIssued]);
}

#[test]
fn a_day_has_so_many_tokens_of_an_organisation() {
    let (mut w, ada, secret) = client();
    let (tenant, limits) = (w.root, Some([("tokens_per_day".to_owned(), 2)].into()));
    w.when(UpdateTenant { tenant, name: None, tier: None, limits }).then_decided();
    let bob = w.agent("bob");
    let bobs = w.client_secret(bob);
    w.when(exchange(&ada.to_string(), &secret, &["agents:read"])).then(&[Kind::TokenIssued]);
    let ask = || exchange(&bob.to_string(), &bobs, &["agents:read"]);
    w.when(ask()).then(&[Kind::TokenIssued]);
    let used_up = Rejection::QuotaExhausted { quota: "tokens a day", max: 2 };
    w.when(ask()).then_refused(used_up, &[Kind::TokenRefused]);
    w.advance_secs(86_400);
    w.when(ask()).then(&[Kind::TokenIssued]);
}

#[test]
fn an_agent_ends_its_own_tokens_and_an_administrator_all() {
    let (mut w, ada, secret) = client();
    let bob = w.agent("bob");
    let token = |w: &mut World| {
        let events = w.when(exchange(&ada.to_string(), &secret, &["agents:read"])).then(&[Kind::TokenIssued]);
        the!(&events, TokenIssued).token
    };
    let by = |w: &World, agent| {
        let actor = Actor { principal: Principal::Agent(agent), ..w.owner.actor.clone() };
        Caller { tenant: w.root, actor }
    };
    let first = token(&mut w);
    let bobs = by(&w, bob);
    w.when_as(&bobs, w.root, revoke_token(first)).then_rejected(Rejection::NotOwner { thing: "token" });
    w.when_as(&by(&w, ada), w.root, revoke_token(first)).then(&[Kind::TokenRevoked]);
    let second = token(&mut w);
    w.when(GrantScopes { agent: bob, scopes: Vec::new(), administrator: true }).then_decided();
    w.when_as(&bobs, w.root, revoke_token(second)).then(&[Kind::TokenRevoked]);
}
