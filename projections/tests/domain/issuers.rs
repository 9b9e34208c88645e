//! Issuers whose tokens are believed, and rules that let their subjects in: DOMAIN section 3.1, C15.

use chancery_ledger::actor::{Actor, Method, Principal};
use chancery_ledger::body::Kind;
use chancery_ledger::ids::{IssuerId, IssuerRuleId, uuid_v7};
use chancery_projections::command::*;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{
    ISSUERS_BY_ISS, IssuerStatus, RULES_OF_AGENT, RULES_OF_REPOSITORY, TENANTS_OF_REPOSITORY,
};
use chancery_projections::identity::view;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::view::{PageNumber, Paging};

use crate::the;
use crate::world::*;

fn partner() -> TrustIssuer {
    TrustIssuer {
        name: "Partner".into(),
        iss: "https://partner.example".into(),
        jwks_uri: "https://partner.example/jwks.json".into(),
        organisations: Vec::new(),
        expires: None,
    }
}

fn change(issuer: IssuerId) -> UpdateIssuer {
    UpdateIssuer { issuer, name: None, jwks_uri: None, organisations: None, expires: None, suspended: None }
}

fn trusted(w: &mut World) -> IssuerId {
    the!(&w.when(partner()).then(&[Kind::IssuerTrusted]), IssuerTrusted).issuer
}

fn status(w: &World, issuer: IssuerId) -> IssuerStatus {
    view::issuer(&w.reading(), w.root, issuer).unwrap().unwrap().status
}

#[test]
fn an_issuer_is_believed_until_it_expires_is_suspended_or_removed() {
    let mut w = World::new();
    let issuer = trusted(&mut w);
    let shown = view::issuer(&w.reading(), w.root, issuer).unwrap().unwrap();
    assert_eq!((shown.iss.as_str(), shown.status), ("https://partner.example", IssuerStatus::Active));
    assert_eq!(view::issuer(&w.reading(), w.second, issuer).unwrap(), None);

    w.when(UpdateIssuer { suspended: Some(true), ..change(issuer) }).then(&[Kind::IssuerUpdated]);
    assert_eq!(status(&w, issuer), IssuerStatus::Suspended);
    let expires = Some(Some(START.plus_secs(60)));
    w.when(UpdateIssuer { suspended: Some(false), expires, ..change(issuer) }).then(&[Kind::IssuerUpdated]);
    assert_eq!(status(&w, issuer), IssuerStatus::Active);
    w.advance_secs(61);
    assert_eq!(status(&w, issuer), IssuerStatus::Expired);
    w.when(UpdateIssuer { expires: Some(None), ..change(issuer) }).then(&[Kind::IssuerUpdated]);
    assert_eq!(status(&w, issuer), IssuerStatus::Active);
    let unchanged = w.when(UpdateIssuer { name: Some("Partner".into()), ..change(issuer) });
    assert!(matches!(unchanged.then_unchanged(), Output::Issuer(it) if it.issuer == issuer));

    w.when(RemoveIssuer { issuer }).then(&[Kind::IssuerRemoved]);
    assert_eq!(status(&w, issuer), IssuerStatus::Removed);
    w.when(RemoveIssuer { issuer }).then_rejected(Rejection::NotFound { thing: "issuer" });
    w.when(change(issuer)).then_rejected(Rejection::NotFound { thing: "issuer" });
}

#[test]
fn an_iss_is_believed_once_and_can_be_believed_again() {
    let mut w = World::new();
    let first = trusted(&mut w);
    w.when(partner()).then_rejected(Rejection::IssuerKnown);
    w.when_second(partner()).then(&[Kind::IssuerTrusted]);
    w.when(RemoveIssuer { issuer: first }).then_decided();
    let again = trusted(&mut w);
    assert_ne!(first, again);
    assert_eq!(ISSUERS_BY_ISS.get(w.reading().identity, (w.root, "https://partner.example")).unwrap(), Some(again));
    w.when_second(RemoveIssuer { issuer: again }).then_rejected(Rejection::NotFound { thing: "issuer" });

    let reading = w.reading();
    let kept = view::kept_issuers(&reading, w.root, PageNumber { number: 1, size: 10 }).unwrap();
    assert_eq!((kept.total, kept.items[0].id), (1, again));
    let all = view::issuers(&reading, w.root, &Paging::newest(10)).unwrap();
    assert_eq!(all.items.iter().map(|it| it.id).collect::<Vec<_>>(), [again, first]);
}

#[test]
fn what_an_issuer_cannot_be_is_refused_by_field() {
    let mut w = World::new();
    for name in ["", "x", &"x".repeat(101)] {
        w.when(TrustIssuer { name: name.to_owned(), ..partner() }).then_invalid("name");
    }
    for uri in ["", "partner.example", "ftp://partner.example", "https://", "https:///x", "https://a b", "https://a#b"]
    {
        w.when(TrustIssuer { iss: uri.to_owned(), ..partner() }).then_invalid("iss");
        w.when(TrustIssuer { jwks_uri: uri.to_owned(), ..partner() }).then_invalid("jwks_uri");
    }
    let long = format!("https://{}", "x".repeat(248));
    w.when(TrustIssuer { iss: long, ..partner() }).then_invalid("iss");
    w.when(TrustIssuer { expires: Some(START), ..partner() }).then_invalid("expires");
    w.when(TrustIssuer { organisations: vec![String::new()], ..partner() }).then_invalid("organisations");
    w.when(TrustIssuer { organisations: vec!["o".into(); 65], ..partner() }).then_invalid("organisations");
}

fn rule(w: &mut World, repository: &str, branch: Option<&str>) -> AddIssuerRule {
    let agent = w.agent("builder");
    AddIssuerRule {
        provider: "github".into(),
        repository: repository.into(),
        branch: branch.map(str::to_owned),
        agent,
        as_administrator: false,
    }
}

#[test]
fn a_rule_is_found_by_its_repository_and_its_agent_until_it_is_removed() {
    let mut w = World::new();
    let command = rule(&mut w, "Acme/Rocket", Some("main"));
    let added = the!(&w.when(command.clone()).then(&[Kind::IssuerRuleAdded]), IssuerRuleAdded).rule;
    let same = AddIssuerRule { repository: "acme/rocket".into(), ..command.clone() };
    assert!(matches!(w.when(same).then_unchanged(), Output::IssuerRule(it) if it.rule == added));
    let any_branch = AddIssuerRule { branch: None, ..command.clone() };
    let other = the!(&w.when(any_branch).then_decided(), IssuerRuleAdded).rule;

    let found = |w: &World| {
        let reading = w.reading();
        let key = ("github", "acme/rocket");
        (
            RULES_OF_REPOSITORY.get(reading.identity, (w.root, key.0, key.1)).unwrap().unwrap(),
            TENANTS_OF_REPOSITORY.get(reading.identity, key).unwrap().unwrap(),
            RULES_OF_AGENT.get(reading.identity, command.agent).unwrap().unwrap(),
            view::kept_issuer_rules(&reading, w.root, None, PageNumber { number: 1, size: 1 }).unwrap().total,
            view::kept_issuer_rules(&reading, w.root, Some(command.agent), PageNumber { number: 1, size: 1 })
                .unwrap()
                .total,
        )
    };
    assert_eq!(found(&w), (vec![added, other], vec![w.root], vec![added, other], 2, 2));
    w.when(RemoveIssuerRule { rule: added, as_administrator: false }).then(&[Kind::IssuerRuleRemoved]);
    assert_eq!(found(&w), (vec![other], vec![w.root], vec![other], 1, 1));
    w.when(RemoveIssuerRule { rule: other, as_administrator: false }).then(&[Kind::IssuerRuleRemoved]);
    assert_eq!(found(&w), (vec![], vec![], vec![], 0, 0));
    w.when(RemoveIssuerRule { rule: other, as_administrator: false })
        .then_rejected(Rejection::NotFound { thing: "rule" });
    assert!(view::issuer_rule(&w.reading(), w.root, other).unwrap().unwrap().removed);
    assert_eq!(
        view::kept_issuer_rules(&w.reading(), w.second, Some(command.agent), PageNumber { number: 1, size: 1 })
            .unwrap()
            .total,
        0
    );
}

#[test]
fn an_agent_makes_rules_for_itself_alone() {
    let mut w = World::new();
    let (mine, theirs) = (rule(&mut w, "acme/rocket", None), rule(&mut w, "acme/rocket", None));
    let actor =
        Actor { principal: Principal::Agent(mine.agent), method: Method::Token, credential: None, acting_in: None };
    let (caller, root) = (Caller { tenant: w.root, actor }, w.root);
    let added = the!(&w.when_as(&caller, root, mine).then_decided(), IssuerRuleAdded).rule;
    w.when_as(&caller, root, theirs.clone()).then_rejected(Rejection::NotOwner { thing: "rule" });
    let other = the!(&w.when(theirs).then_decided(), IssuerRuleAdded).rule;
    w.when_as(&caller, root, RemoveIssuerRule { rule: other, as_administrator: false })
        .then_rejected(Rejection::NotOwner { thing: "rule" });
    w.when_as(&caller, root, RemoveIssuerRule { rule: added, as_administrator: false }).then_decided();
    w.when_second(RemoveIssuerRule { rule: other, as_administrator: false })
        .then_rejected(Rejection::NotFound { thing: "rule" });
}

#[test]
fn what_a_rule_cannot_be_is_refused_by_field() {
    let mut w = World::new();
    let good = rule(&mut w, "acme/rocket", None);
    w.when(AddIssuerRule { provider: "gitlab".into(), ..good.clone() }).then_invalid("provider");
    for repository in ["", "acme", "acme/", "/rocket", "acme/rocket/x", "acme/ro cket", "äcme/rocket"] {
        w.when(AddIssuerRule { repository: repository.into(), ..good.clone() }).then_invalid("repository");
    }
    for branch in ["", "a b", "a\n", &"x".repeat(256)] {
        w.when(AddIssuerRule { branch: Some(branch.into()), ..good.clone() }).then_invalid("branch");
    }
    let nobody = chancery_ledger::ids::AgentId(uuid_v7(1, [0; 10]));
    w.when(AddIssuerRule { agent: nobody, ..good.clone() }).then_rejected(Rejection::NotFound { thing: "agent" });
    w.when(revoke(good.agent)).then_decided();
    w.when(good).then_rejected(Rejection::AgentDecommissioned);
    let nothing = IssuerRuleId(uuid_v7(1, [0; 10]));
    w.when(RemoveIssuerRule { rule: nothing, as_administrator: false })
        .then_rejected(Rejection::NotFound { thing: "rule" });
}
