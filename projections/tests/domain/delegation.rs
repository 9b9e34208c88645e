//! What one agent lends another, and those whom an issuer vouches for: DOMAIN section 3.2, C21 and C23.

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::Kind;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::body::token::{Grant, Profile, TokenIssued};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, TokenId};
use chancery_projections::command::*;
use chancery_projections::context::Caller;
use chancery_projections::credential::secret_hash;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::token::lineage;
use chancery_projections::token::state::TOKENS;
use zeroize::Zeroizing;

use crate::the;
use crate::world::*;

fn text(secret: &str) -> SecretText {
    SecretText(Zeroizing::new(secret.to_owned()))
}

/// An agent that logs in.
struct Client {
    agent: AgentId,
    secret: String,
}

impl Client {
    fn new(w: &mut World, name: &str) -> Self {
        let agent = w.agent(name);
        Self { agent, secret: w.client_secret(agent) }
    }

    fn caller(&self, w: &World) -> Caller {
        let principal = Principal::Agent(self.agent);
        let actor = Actor { principal, method: Method::Token, credential: None, acting_in: None };
        Caller { tenant: w.root, actor }
    }

    fn exchange(&self, subject: Option<SubjectToken>, scopes: &[&str]) -> ExchangeToken {
        ExchangeToken {
            client: self.agent.to_string(),
            proof: ClientProof::Secret(text(&self.secret)),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            audience: Vec::new(),
            cnf: None,
            subject,
            signer: Purpose::JwtEddsa,
            via: Via::AgentIdp,
        }
    }

    fn log_in(&self, w: &mut World, scopes: &[&str]) -> TokenId {
        issued(&w.when(self.exchange(None, scopes)).then_decided())
    }

    /// Lends `to` what `parent` allows, and gives the delegation and its text.
    fn lend(&self, w: &mut World, parent: TokenId, to: &Self, scopes: &[&str]) -> (TokenIssued, String) {
        let (caller, root) = (self.caller(w), w.root);
        let outcome = w.when_as(&caller, root, delegate(parent, to.agent, scopes));
        let shown = outcome.shown().to_owned();
        (the!(&outcome.then(&[Kind::TokenIssued]), TokenIssued).clone(), shown)
    }

    fn take_up(&self, w: &mut World, lent: &str) -> TokenIssued {
        let command = self.exchange(Some(SubjectToken::Delegation(text(lent))), &[]);
        the!(&w.when(command).then(&[Kind::TokenIssued]), TokenIssued).clone()
    }
}

fn delegate(parent: TokenId, delegatee: AgentId, scopes: &[&str]) -> DelegateToken {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    DelegateToken { parent, delegatee, scopes, ttl_secs: 7200 }
}

fn revoked(events: &[Event]) -> Vec<TokenId> {
    of_kind(events, |body| match body {
        chancery_ledger::body::Body::TokenRevoked(it) => Some(it.token),
        _ => None,
    })
}

fn is_live(w: &World, delegation: TokenId) -> bool {
    lineage::delegation(&w.reading(), w.root, delegation).unwrap().unwrap().live
}

#[test]
fn what_is_lent_is_used_by_the_other_for_the_one_and_can_be_lent_on() {
    let mut w = World::new();
    let (ada, bob, cleo) = (Client::new(&mut w, "ada"), Client::new(&mut w, "bob"), Client::new(&mut w, "cleo"));
    let own = ada.log_in(&mut w, &["agents:read", "audit:read"]);
    let (lent, secret) = ada.lend(&mut w, own, &bob, &["agents:read"]);
    assert!(secret.starts_with("sa_del_") && secret.len() == 7 + 52);
    assert_eq!((lent.profile, lent.grant, lent.depth), (Profile::Delegation, Grant::Delegate, 1));
    assert_eq!((&lent.principal, lent.agent, lent.parent), (&Principal::Agent(ada.agent), Some(bob.agent), Some(own)));
    assert_eq!((lent.hash, lent.root), (Some(secret_hash(&secret)), own));
    assert_eq!(lent.expires, w.now.plus_secs(7200), "its own right outlasts the token that it was lent with");

    let acting = bob.take_up(&mut w, &secret);
    assert_eq!((acting.profile, acting.grant, acting.depth), (Profile::Access, Grant::Exchange, 2));
    assert_eq!((&acting.principal, acting.agent, acting.root), (&Principal::Agent(ada.agent), Some(bob.agent), own));
    assert_eq!(acting.scopes, ["agents:read"]);
    assert!(acting.expires <= lent.expires);

    let (further, secret) = bob.lend(&mut w, acting.token, &cleo, &["agents:read"]);
    assert_eq!(further.expires, acting.expires, "what is another's right lives no longer than what it came by");
    let last = cleo.take_up(&mut w, &secret);
    let row = TOKENS.get(w.reading().token, last.token).unwrap().unwrap();
    let line = lineage::line(w.reading().token, row).unwrap();
    assert_eq!(lineage::actors(&line), [cleo.agent, bob.agent]);
    let dan = Client::new(&mut w, "dan");
    let (caller, root) = (cleo.caller(&w), w.root);
    w.when_as(&caller, root, delegate(last.token, dan.agent, &["agents:read"]))
        .then_refused(Rejection::DepthExceeded { max: 4 }, &[Kind::TokenRefused]);
}

#[test]
fn what_came_of_a_token_ends_with_it_and_with_any_agent_of_the_line() {
    let mut w = World::new();
    let (ada, bob, cleo) = (Client::new(&mut w, "ada"), Client::new(&mut w, "bob"), Client::new(&mut w, "cleo"));
    let own = ada.log_in(&mut w, &["agents:read"]);
    let (lent, secret) = ada.lend(&mut w, own, &bob, &["agents:read"]);
    let acting = bob.take_up(&mut w, &secret);
    let (further, secret) = bob.lend(&mut w, acting.token, &cleo, &["agents:read"]);
    for agent in [ada.agent, bob.agent, cleo.agent] {
        w.when(suspend(agent)).then_decided();
        assert!(!is_live(&w, further.token));
        w.when(resume(agent)).then_decided();
        assert!(is_live(&w, further.token));
    }
    w.when(suspend(ada.agent)).then_decided();
    let command = cleo.exchange(Some(SubjectToken::Delegation(text(&secret))), &[]);
    w.when(command.clone()).then_refused(Rejection::GrantInvalid, &[Kind::TokenRefused]);
    w.when(resume(ada.agent)).then_decided();

    let root = w.root;
    let not_his = Rejection::NotOwner { thing: "token" };
    let (caller, bobs) = (cleo.caller(&w), bob.caller(&w));
    w.when_as(&caller, root, revoke_token(further.token)).then_rejected(not_his.clone());
    w.when_as(&bobs, root, revoke_token(lent.token)).then_rejected(not_his);
    let adas = ada.caller(&w);
    let ended = w.when_as(&adas, root, revoke_token(lent.token)).then_decided();
    assert_eq!(revoked(&ended), [lent.token, acting.token, further.token]);
    assert!(!is_live(&w, lent.token) && !is_live(&w, further.token));
    w.when(command).then_refused(Rejection::GrantInvalid, &[Kind::TokenRefused]);
    assert!(matches!(w.when_as(&adas, root, revoke_token(lent.token)).then_unchanged(), Output::Token(_)));
}

#[test]
fn what_cannot_be_lent_is_refused() {
    let mut w = World::new();
    let (ada, bob) = (Client::new(&mut w, "ada"), Client::new(&mut w, "bob"));
    let own = ada.log_in(&mut w, &["agents:read"]);
    let (caller, root) = (ada.caller(&w), w.root);
    let good = delegate(own, bob.agent, &["agents:read"]);
    for ttl_secs in [0, 59, 86_401] {
        let command = DelegateToken { ttl_secs, ..good.clone() };
        w.when_as(&caller, root, command).then_rejected(Rejection::TtlOutOfRange { min: 60, max: 86_400 });
    }
    w.when_as(&caller, root, delegate(own, bob.agent, &[])).then_invalid("scopes");
    w.when_as(&caller, root, delegate(own, bob.agent, &["agents:read", "agents:read"])).then_invalid("scopes");
    w.when_as(&caller, root, delegate(own, ada.agent, &["agents:read"])).then_rejected(Rejection::SelfDelegation);
    let more = Rejection::ScopeNotHeld { scope: "agents:write".into() };
    w.when_as(&caller, root, delegate(own, bob.agent, &["agents:write"])).then_refused(more, &[Kind::TokenRefused]);
    let bobs = bob.caller(&w);
    w.when_as(&bobs, root, good.clone()).then_rejected(Rejection::NotFound { thing: "token" });
    w.when_second(good.clone()).then_rejected(Rejection::NotFound { thing: "token" });
    w.when(suspend(bob.agent)).then_decided();
    let why = Rejection::AgentNotUsable { why: "suspended" };
    w.when_as(&caller, root, good.clone()).then_refused(why, &[Kind::TokenRefused]);
    w.when(resume(bob.agent)).then_decided();
    w.when(revoke_token(own)).then_decided();
    w.when_as(&caller, root, good).then_refused(Rejection::TokenDead, &[Kind::TokenRefused]);
}

#[test]
fn a_delegation_is_worth_nothing_in_other_hands() {
    let mut w = World::new();
    let (ada, bob, eve) = (Client::new(&mut w, "ada"), Client::new(&mut w, "bob"), Client::new(&mut w, "eve"));
    let own = ada.log_in(&mut w, &["agents:read"]);
    let (lent, secret) = ada.lend(&mut w, own, &bob, &["agents:read"]);
    let with = |secret: &str| Some(SubjectToken::Delegation(text(secret)));
    w.when(eve.exchange(with(&secret), &[])).then_refused(Rejection::GrantInvalid, &[Kind::TokenRefused]);
    w.when(bob.exchange(with("sa_del_0"), &[])).then_refused(Rejection::GrantInvalid, &[Kind::TokenRefused]);
    let more = Rejection::ScopeNotHeld { scope: "audit:read".into() };
    w.when(bob.exchange(with(&secret), &["audit:read"])).then_refused(more, &[Kind::TokenRefused]);
    assert!(lineage::delegation_of_text(&w.reading(), w.second, &secret).unwrap().is_none());
    assert_eq!(lineage::delegation_of_text(&w.reading(), w.root, &secret).unwrap().unwrap().token.token, lent.token);
    // An access token that was handed over is used by whoever uses it, in its own name.
    let acting = w.when(bob.exchange(Some(SubjectToken::Access(own)), &[])).then_decided();
    let acting = the!(&acting, TokenIssued);
    assert_eq!((&acting.principal, acting.agent), (&Principal::Agent(ada.agent), Some(bob.agent)));
    w.advance_secs(7201);
    w.when(bob.exchange(with(&secret), &[])).then_refused(Rejection::GrantInvalid, &[Kind::TokenRefused]);
}

fn vouched(client: &str, repository: &str, branch: Option<&str>) -> ExchangeToken {
    let voucher = Voucher {
        provider: "github".into(),
        iss: "https://issuer.example".into(),
        subject: "repo:acme/rocket".into(),
        repository: repository.into(),
        branch: branch.map(str::to_owned),
    };
    ExchangeToken {
        client: client.to_owned(),
        proof: ClientProof::Vouched(voucher),
        scopes: vec!["agents:write".into()],
        audience: Vec::new(),
        cnf: None,
        subject: None,
        signer: Purpose::JwtEddsa,
        via: Via::AgentIdp,
    }
}

#[test]
fn whom_an_issuer_vouches_for_is_let_in_by_a_rule_alone() {
    let mut w = World::new();
    let (agent, other) = (w.agent("builder"), w.agent("other"));
    w.token_key();
    let no_rule = |w: &mut World, command: ExchangeToken| {
        w.when(command).then_refused(Rejection::NoRuleMatches, &[Kind::AuthenticationFailed]);
    };
    no_rule(&mut w, vouched(&agent.to_string(), "acme/rocket", Some("main")));
    let rule = AddIssuerRule {
        provider: "github".into(),
        repository: "acme/rocket".into(),
        branch: Some("main".into()),
        agent,
        as_administrator: false,
    };
    let rule = the!(&w.when(rule).then_decided(), IssuerRuleAdded).rule;
    let events = w.when(vouched(&agent.to_string(), "Acme/Rocket", Some("main"))).then_decided();
    let token = the!(&events, TokenIssued);
    assert_eq!((&token.principal, token.agent, token.grant), (&Principal::Agent(agent), Some(agent), Grant::Exchange));
    let bootstrap = w.when(vouched("", "acme/rocket", Some("main"))).then_decided();
    let token = the!(&bootstrap, TokenIssued);
    let subject = Principal::Subject("https://issuer.example\nrepo:acme/rocket".into());
    assert_eq!((&token.principal, token.agent), (&subject, None));
    assert_eq!(token.scopes, ["agents:write"]);

    for (client, repository, branch) in [
        (agent.to_string(), "acme/rocket", Some("other")),
        (agent.to_string(), "acme/rocket", None),
        (agent.to_string(), "acme/rocket2", Some("main")),
        (other.to_string(), "acme/rocket", Some("main")),
        (String::new(), "acme/rocket2", Some("main")),
        (String::new(), "acme/rocket", Some("other")),
        ("nobody".to_owned(), "acme/rocket", Some("main")),
    ] {
        no_rule(&mut w, vouched(&client, repository, branch));
    }
    w.when(RemoveIssuerRule { rule, as_administrator: false }).then_decided();
    no_rule(&mut w, vouched(&agent.to_string(), "acme/rocket", Some("main")));
    no_rule(&mut w, vouched("", "acme/rocket", Some("main")));
}

#[test]
fn whom_an_issuer_vouches_for_manages_what_it_registered() {
    let mut w = World::new();
    let others = w.agent("other");
    let principal = Principal::Subject("https://issuer.example\nsomebody".into());
    let actor = Actor { principal, method: Method::Token, credential: None, acting_in: None };
    let (caller, root) = (Caller { tenant: w.root, actor }, w.root);
    let own = registered(&w.when_as(&caller, root, register("own")).then_decided());
    let rule = |agent| AddIssuerRule {
        provider: "github".into(),
        repository: "acme/rocket".into(),
        branch: None,
        agent,
        as_administrator: false,
    };
    w.when_as(&caller, root, rule(own)).then_decided();
    w.when_as(&caller, root, rule(others)).then_rejected(Rejection::NotOwner { thing: "rule" });
}
