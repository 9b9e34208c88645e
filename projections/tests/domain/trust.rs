//! Trust: DOMAIN section 3.4 and contracts/alsorn.md section 7.

use std::collections::{HashMap, HashSet};

use chancery_ledger::body::field::JsonText;
use chancery_ledger::body::identity::{Disclosure, SpendingLimit};
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::body::trust::DisputeOutcome;
use chancery_ledger::body::{Body, Kind};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, ThingId};
use chancery_projections::command::*;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::trust::state::PolicyKind;
use chancery_projections::trust::view::{self, DisputeFilter, TrendView, TrustView};
use chancery_projections::view::Paging;
use proptest::prelude::*;

use crate::the;
use crate::world::*;

fn trusted(w: &mut World, name: &str) -> AgentId {
    let limit = Some(SpendingLimit { amount: "100".parse().unwrap(), currency: "USD".into() });
    let command = RegisterAgent { key: KeyChoice::None, actions: vec!["pay".into()], limit, ..register(name) };
    registered(&w.when(command).then_decided())
}

fn pay(agent: AgentId, amount: &str) -> ExecuteTransaction {
    ExecuteTransaction {
        agent,
        counterparty: Counterparty::External("somebody".into()),
        amount: amount.parse().unwrap(),
        currency: "USD".into(),
        action: "pay".into(),
        notes: None,
        key: None,
    }
}

fn evaluate(agent: AgentId) -> EvaluateTrust {
    EvaluateTrust { agent, action: None, amount: None, currency: None }
}

fn dispute(agent: AgentId) -> FileDispute {
    FileDispute { agent, reason: "it lied".into(), evidence: Some("log".into()), transaction: None }
}

fn scoring(document: &str) -> SetPolicy {
    SetPolicy { kind: "scoring".into(), key: "default".into(), document: JsonText(document.into()) }
}

fn trust(w: &World, agent: AgentId) -> TrustView {
    view::trust(&w.reading(), Some(w.root), agent, true).unwrap().unwrap()
}

#[test]
fn a_score_moves_by_what_happens_and_says_why() {
    let mut w = World::new();
    let ada = trusted(&mut w, "ada");
    assert_eq!((trust(&w, ada).score, trust(&w, ada).assessment.as_str()), (500, "Moderate"));
    let done = the!(&w.when(pay(ada, "1")).then_decided(), TransactionCompleted).transaction;
    w.when(pay(ada, "101"));
    w.when(ReverseTransaction { transaction: done, reason: None }).then_decided();
    let filed = the!(&w.when(FileDispute { transaction: Some(done), ..dispute(ada) }).then_decided(), DisputeFiled);
    let now = trust(&w, ada);
    assert_eq!(now.score, 160 + 205, "none of two completed, one disputed");
    assert_eq!(
        (now.assessment.as_str(), now.tier.as_str(), now.trend),
        ("High Risk", "High Risk", TrendView::Declining)
    );
    assert_eq!((now.tasks, now.basis.counts.failed, now.basis.counts.disputes), (1, 1, 1));
    let told: Vec<_> = now.explanation.unwrap().iter().map(|it| (it.score, it.moved, it.by.event)).collect();
    assert_eq!(told, [(365, -95, -95), (460, -40, -40), (500, -20, -20), (520, 20, 20), (500, 500, 500)]);

    let dismissed = ResolveDispute { dispute: filed.dispute, outcome: DisputeOutcome::Dismissed };
    w.when_second(dismissed.clone()).then_rejected(Rejection::NotFound { thing: "dispute" });
    w.when(dismissed.clone()).then(&[Kind::DisputeResolved]);
    assert_eq!(trust(&w, ada).score, 460);
    w.when(dismissed).then_unchanged();
    let upheld = ResolveDispute { dispute: filed.dispute, outcome: DisputeOutcome::Upheld };
    w.when(upheld).then_rejected(Rejection::AlreadyDecided { outcome: "dismissed" });
    let view = view::dispute(&w.reading(), w.root, filed.dispute).unwrap().unwrap();
    assert_eq!((view.reason.as_deref(), view.evidence.as_deref()), (Some("it lied"), Some("log")));
    assert_eq!((view.transaction, view.outcome), (Some(done), Some(DisputeOutcome::Dismissed)));
}

#[test]
fn age_and_verification_count_from_the_next_event_on() {
    let mut w = World::new();
    let ada = trusted(&mut w, "ada");
    let organisation = w.agent_view(ada).organisation;
    w.advance_secs(180 * 86_400);
    assert_eq!((trust(&w, ada).score, trust(&w, ada).age_days), (500, 180));
    w.when(VerifyOrganisation { organisation, verified: true }).then(&[Kind::OrganisationVerified]);
    w.when(VerifyOrganisation { organisation, verified: true }).then_unchanged();
    assert_eq!(trust(&w, ada).score, 500);
    w.when(evaluate(ada)).then(&[Kind::TrustEvaluated]);
    let now = trust(&w, ada);
    assert_eq!((now.score, now.evaluated), (750, Some(w.now)));
    let last = &now.explanation.unwrap()[0];
    assert_eq!((last.moved, last.by.age, last.by.verification, last.by.event, last.by.policy), (250, 100, 150, 0, 0));
    let second = w.second_caller();
    let command = VerifyOrganisation { organisation, verified: false };
    let second_tenant = w.second;
    w.when_as(&second, second_tenant, command).then_rejected(Rejection::NotRoot);
}

#[test]
fn a_question_is_answered_by_the_first_rule_that_fails() {
    let mut w = World::new();
    let ada = trusted(&mut w, "ada");
    let ask = |w: &mut World, action: Option<&str>, amount: Option<&str>, currency: Option<&str>| {
        let command = EvaluateTrust {
            agent: ada,
            action: action.map(Into::into),
            amount: amount.map(|amount| amount.parse().unwrap()),
            currency: currency.map(Into::into),
        };
        let answered = the!(&w.when(command).then(&[Kind::TrustEvaluated]), TrustEvaluated);
        assert_eq!(answered.score, trust(w, ada).score, "the view scores as the event says");
        (answered.allowed, answered.reason)
    };
    let no = |code: &str| (false, code.to_owned());
    assert_eq!(ask(&mut w, Some("pay"), Some("100"), Some("USD")), (true, "trusted".to_owned()));
    assert_eq!(ask(&mut w, None, None, Some("EUR")), (true, "trusted".to_owned()), "no amount, no currency");
    assert_eq!(ask(&mut w, Some("fly"), Some("101"), None), no("action_not_authorised"));
    assert_eq!(ask(&mut w, None, Some("101"), None), no("spending_limit_exceeded"));
    assert_eq!(ask(&mut w, None, Some("101"), Some("EUR")), no("spending_limit_exceeded"));
    assert_eq!(ask(&mut w, None, Some("1"), Some("EUR")), no("currency_mismatch"));
    for _ in 0..2 {
        w.when(dispute(ada)).then_decided();
    }
    assert_eq!(ask(&mut w, None, None, None), no("score_too_low"));
    w.when(suspend(ada)).then_decided();
    assert_eq!(ask(&mut w, Some("fly"), None, None), no("agent_not_usable"));
}

#[test]
fn strangers_see_the_disclosed_and_their_questions_leave_no_trace_there() {
    let mut w = World::new();
    let hidden = trusted(&mut w, "hidden");
    let shown = RegisterAgent { disclosure: Disclosure::Verifiable, key: KeyChoice::None, ..register("shown") };
    let shown = registered(&w.when(shown).then_decided());
    w.advance_secs(10);
    w.when_second(evaluate(hidden)).then_rejected(Rejection::NotFound { thing: "agent" });
    w.when_second(dispute(hidden)).then_rejected(Rejection::NotFound { thing: "agent" });
    assert_eq!(view::trust(&w.reading(), Some(w.second), hidden, false).unwrap(), None);
    let events = w.when_second(evaluate(shown)).then(&[Kind::TrustEvaluated]);
    assert_eq!(events[0].tenant, w.second);
    assert_eq!(trust(&w, shown).evaluated, None);
    let seen = view::trust(&w.reading(), None, shown, true).unwrap().unwrap();
    assert_eq!((seen.score, seen.explanation), (500, None));

    w.when_second(dispute(shown)).then(&[Kind::DisputeFiled]);
    assert_eq!(trust(&w, shown).score, 405, "a stranger's complaint counts at once");
    let page = |tenant, filter| view::disputes(&w.reading(), tenant, filter, &Paging::newest(9)).unwrap().items;
    assert_eq!(page(w.root, DisputeFilter::About(shown))[0].reporter, None, "who it was is the other tenant's");
    assert!(page(w.second, DisputeFilter::Filed)[0].reporter.is_some());
    assert_eq!(page(w.second, DisputeFilter::About(shown)), []);
    assert_eq!(page(w.root, DisputeFilter::Filed), []);
}

#[test]
fn rules_are_set_by_event_take_effect_at_the_next_and_can_be_tried() {
    let mut w = World::new();
    let ada = trusted(&mut w, "ada");
    w.when(dispute(ada)).then_decided();
    assert_eq!(trust(&w, ada).score, 405);
    let milder = r#"{"weights":{"completion_rate":500,"dispute_rate":200,"tenure":150,"operator_verified":150},"trusted_from":100}"#;
    let tried = chancery_projections::trust::decide::parse_scoring(milder).unwrap();
    let dry = view::dry_run(&w.reading(), w.root, &tried, &Paging::newest(9)).unwrap().items;
    assert_eq!((dry[0].agent, dry[0].score, dry[0].would_be), (ada, 405, 387));

    w.when(scoring(milder)).then(&[Kind::PolicyChanged]);
    w.when(scoring(milder)).then_unchanged();
    assert_eq!((trust(&w, ada).score, trust(&w, ada).policy), (405, 0), "no event of the agent's came yet");
    w.when(pay(ada, "1")).then_decided();
    let now = trust(&w, ada);
    assert_eq!((now.score, now.policy), (412, 1));
    let last = &now.explanation.unwrap()[0];
    assert_eq!((last.moved, last.by.policy, last.by.event), (7, -18, 25), "what the rules moved is told apart");

    w.when(ResetPolicy { kind: "scoring".into(), key: "default".into() }).then(&[Kind::PolicyReset]);
    w.when(evaluate(ada)).then_decided();
    let now = trust(&w, ada);
    assert_eq!((now.score, now.policy), (425, 0));
    assert_eq!(now.explanation.unwrap()[1].by.policy, -18, "old rules still explain old scores");
    w.when(scoring("{}")).then(&[Kind::PolicyChanged]);
    let versions =
        view::policy_versions(&w.reading(), w.root, PolicyKind::Scoring, "default", &Paging::newest(9)).unwrap();
    let told: Vec<_> = versions.items.iter().map(|it| (it.version, it.set)).collect();
    assert_eq!(told, [(2, true), (0, false), (1, true)]);

    for (document, path) in [
        (r#"{"weights":{"completion_rate":401,"dispute_rate":300,"tenure":150,"operator_verified":150}}"#, "weights"),
        (r#"{"dispute_curve":[{"rate_ppm":0}]}"#, "dispute_curve[0]"),
        (r#"{"weigths":{}}"#, "weigths"),
        ("[]", "."),
    ] {
        match w.when(scoring(document)).answer {
            chancery_projections::decision::Answer::Refused(Rejection::PolicyInvalid { path: found, .. }) => {
                assert_eq!(found, path, "{document}");
            }
            other => panic!("{document}: {other:?}"),
        }
    }
    w.when(SetPolicy { key: "other".into(), ..scoring("{}") }).then_invalid("key");
    w.when(SetPolicy { kind: "taste".into(), ..scoring("{}") }).then_invalid("kind");
    w.when(scoring(&format!("\"{}\"", "x".repeat(20_000)))).then_invalid("document");
    w.when_second(ResetPolicy { kind: "scoring".into(), key: "default".into() })
        .then_rejected(Rejection::NotFound { thing: "policy" });
}

#[test]
fn a_dispute_names_a_transaction_of_the_agent() {
    let mut w = World::new();
    let (ada, bob, eve) = (trusted(&mut w, "ada"), trusted(&mut w, "bob"), trusted(&mut w, "eve"));
    let with_bob = ExecuteTransaction { counterparty: Counterparty::Agent(bob), ..pay(ada, "1") };
    let id = the!(&w.when(with_bob).then_decided(), TransactionCompleted).transaction;
    for party in [ada, bob] {
        w.when(FileDispute { transaction: Some(id), ..dispute(party) }).then(&[Kind::DisputeFiled]);
    }
    w.when(FileDispute { transaction: Some(id), ..dispute(eve) }).then_rejected(Rejection::TransactionUnrelated);
    let unknown = chancery_ledger::ids::TransactionId::from_uuid(uuid::Uuid::nil());
    w.when(FileDispute { transaction: Some(unknown), ..dispute(ada) })
        .then_rejected(Rejection::NotFound { thing: "transaction" });
    w.when(FileDispute { reason: String::new(), ..dispute(ada) }).then_invalid("reason");
    w.when(FileDispute { evidence: Some("x".repeat(2001)), ..dispute(ada) }).then_invalid("evidence");
}

#[test]
fn an_overreach_counts_and_a_token_that_is_over_does_not() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let token = w.token(ada);
    w.when(check(token, "drop_tables", r#"{"currency":"USD","n":1}"#)).then_decided();
    assert_eq!((trust(&w, ada).score, trust(&w, ada).basis.counts.refused_scope_checks), (480, 1));
    w.when(check(token, "read_invoice", r#"{"currency":"USD","n":1}"#)).then_decided();
    w.when(revoke_token(token)).then_decided();
    w.when(check(token, "drop_tables", "{}"));
    assert_eq!(trust(&w, ada).basis.counts.refused_scope_checks, 1);
    let mission =
        the!(&w.when(OpenMission { agent: Some(ada), ..open_mission() }).then_decided(), MissionOpened).mission;
    w.when(RevokeMission { mission, notes: None }).then_decided();
    assert_eq!((trust(&w, ada).score, trust(&w, ada).basis.counts.revoked_missions), (460, 1));
}

/// Rules that a tenant sets, as a document and as what they mean here.
struct Rules {
    document: &'static str,
    completion: f64,
    disputes: f64,
    refused: f64,
    called_off: f64,
    penalty: f64,
}

/// The first are those that nobody sets.
const RULES: [Rules; 3] = [
    Rules { document: "{}", completion: 400.0, disputes: 300.0, refused: 1.0, called_off: 1.0, penalty: 0.0 },
    Rules {
        document: r#"{"suspension_penalty":40,"refused_scope_check":3}"#,
        completion: 400.0,
        disputes: 300.0,
        refused: 3.0,
        called_off: 1.0,
        penalty: 40.0,
    },
    Rules {
        document: r#"{"weights":{"completion_rate":500,"dispute_rate":200,"tenure":150,"operator_verified":150},"revoked_mission":2}"#,
        completion: 500.0,
        disputes: 200.0,
        refused: 1.0,
        called_off: 2.0,
        penalty: 0.0,
    },
];

/// The rules of contracts/alsorn.md section 7.2 over the events alone, in floating point: written without a look at the
/// rows, to be compared with them.
#[derive(Default, Clone, Copy)]
struct Recomputed {
    completed: f64,
    reversed: f64,
    failed: f64,
    disputes: f64,
    refused: f64,
    called_off: f64,
    suspensions: f64,
    verified: bool,
    registered: i64,
    days: i64,
}

impl Recomputed {
    fn score(&self, rules: &Rules) -> u16 {
        let round = |x: f64| (x + 0.5 + 1e-9).floor();
        let against = self.refused * rules.refused + self.called_off * rules.called_off;
        let ended = self.completed + self.reversed + self.failed + against;
        let share = if ended >= 10.0 { self.completed / ended } else { (self.completed + 0.5 * (10.0 - ended)) / 10.0 };
        let rate = self.disputes / (self.completed + self.reversed).max(10.0);
        let left = if rate <= 0.02 { 1.0 - rate / 0.02 * 0.05 } else { 0.95 - (rate - 0.02) / 0.06 * 0.2 };
        let days = self.days as f64;
        let tenure = match days {
            d if d <= 72.0 => d / 72.0 * 60.0,
            d if d <= 180.0 => 60.0 + (d - 72.0) / 108.0 * 40.0,
            d if d <= 365.0 => 100.0 + (d - 180.0) / 185.0 * 50.0,
            _ => 150.0,
        };
        let sum = round(rules.completion * share) + round(rules.disputes * left.max(0.0)) + round(tenure);
        let vouched = if self.verified { 150.0 } else { 0.0 };
        (sum + vouched - self.suspensions * rules.penalty).max(0.0) as u16
    }
}

/// The scores that each agent had, one after the other.
fn recompute(events: &[Event]) -> HashMap<AgentId, Vec<u16>> {
    let mut agents: HashMap<AgentId, (Recomputed, Vec<u16>)> = HashMap::new();
    let mut homes = HashMap::new();
    let mut vouched = HashSet::new();
    let mut rules = &RULES[0];
    for event in events {
        let (agent, always) = match &event.body {
            Body::AgentRegistered(it) => {
                agents.insert(it.agent, (Recomputed { registered: event.time.0, ..Default::default() }, Vec::new()));
                homes.insert(it.agent, it.organisation);
                (it.agent, true)
            }
            Body::TransactionCompleted(it) => {
                agents.get_mut(&it.agent).unwrap().0.completed += 1.0;
                (it.agent, false)
            }
            Body::TransactionFailed(it) => {
                agents.get_mut(&it.agent).unwrap().0.failed += 1.0;
                (it.agent, false)
            }
            Body::TransactionReversed(it) => {
                let agent = &mut agents.get_mut(&it.agent).unwrap().0;
                (agent.completed, agent.reversed) = (agent.completed - 1.0, agent.reversed + 1.0);
                (it.agent, false)
            }
            Body::DisputeFiled(it) => {
                agents.get_mut(&it.agent).unwrap().0.disputes += 1.0;
                (it.agent, false)
            }
            Body::DisputeResolved(it) if it.outcome == DisputeOutcome::Dismissed => {
                agents.get_mut(&it.agent).unwrap().0.disputes -= 1.0;
                (it.agent, false)
            }
            Body::AgentSuspended(it) => {
                agents.get_mut(&it.agent).unwrap().0.suspensions += 1.0;
                (it.agent, false)
            }
            // A token that is over says nothing of its agent.
            Body::ScopeChecked(it) if it.violations.iter().any(|why| why.starts_with("tool_not_in_scope")) => {
                agents.get_mut(&it.agent.unwrap()).unwrap().0.refused += 1.0;
                (it.agent.unwrap(), false)
            }
            Body::MissionRevoked(it) => {
                agents.get_mut(&it.agent.unwrap()).unwrap().0.called_off += 1.0;
                (it.agent.unwrap(), false)
            }
            Body::OrganisationVerified(it) => {
                if it.verified {
                    vouched.insert(it.organisation)
                } else {
                    vouched.remove(&it.organisation)
                };
                continue;
            }
            Body::PolicyChanged(it) => {
                let set: serde_json::Value = serde_json::from_str(it.document.as_str()).unwrap();
                let is_of = |field: &str, value: u64| set[field].as_u64() == Some(value);
                rules = &RULES
                    [if is_of("suspension_penalty", 40) { 1 } else { usize::from(is_of("revoked_mission", 2)) * 2 }];
                continue;
            }
            Body::PolicyReset(_) => {
                rules = &RULES[0];
                continue;
            }
            Body::TrustEvaluated(it) => (it.agent, true),
            _ => continue,
        };
        let home = homes[&agent];
        let (agent, scores) = agents.get_mut(&agent).unwrap();
        agent.days = (event.time.0 - agent.registered) / 86_400_000_000;
        agent.verified = vouched.contains(&home);
        let score = agent.score(rules);
        if always || scores.last() != Some(&score) {
            scores.push(score);
        }
    }
    agents.into_iter().map(|(id, (_, scores))| (id, scores)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scores_recomputed_from_events_are_those_of_the_view(
        steps in prop::collection::vec((0..14_u8, 0..3_usize, 0..40_usize, 0..20_i64), 1..120)
    ) {
        let mut w = World::new();
        let agents: Vec<AgentId> = ["ada", "bob", "eve"].iter().map(|name| trusted(&mut w, name)).collect();
        let tokens: Vec<_> = agents.iter().map(|agent| w.token(*agent)).collect();
        let organisation = w.agent_view(agents[0]).organisation;
        let (mut made, mut filed) = (Vec::new(), Vec::new());
        for (what, n, m, days) in steps {
            let agent = agents[n];
            match what {
                0..3 => made.extend(w.when(pay(agent, "1")).events.iter().filter_map(|event| match &event.body {
                    Body::TransactionCompleted(it) => Some(it.transaction),
                    _ => None,
                })),
                3 => drop(w.when(pay(agent, "101"))),
                4 if !made.is_empty() => {
                    drop(w.when(ReverseTransaction { transaction: made[m % made.len()], reason: None }));
                }
                5 => filed.push(the!(&w.when(dispute(agent)).then_decided(), DisputeFiled).dispute),
                6 if !filed.is_empty() => {
                    let outcome = if m % 3 == 0 { DisputeOutcome::Upheld } else { DisputeOutcome::Dismissed };
                    drop(w.when(ResolveDispute { dispute: filed[m % filed.len()], outcome }));
                }
                7 => drop(w.when(evaluate(agent))),
                8 => drop(if m % 2 == 0 { w.when(suspend(agent)) } else { w.when(resume(agent)) }),
                9 => drop(w.when(check(tokens[n], "drop_tables", r#"{"currency":"USD","n":1}"#))),
                10 => {
                    let opened = w.when(OpenMission { agent: Some(agent), ..open_mission() }).events;
                    if let [Event { body: Body::MissionOpened(opened), .. }] = &opened[..] {
                        w.when(RevokeMission { mission: opened.mission, notes: None }).then_decided();
                    }
                }
                11 => drop(w.when(VerifyOrganisation { organisation, verified: m % 2 == 0 })),
                12 => drop(match RULES.get(m % 4) {
                    Some(rules) => w.when(scoring(rules.document)),
                    None => w.when(ResetPolicy { kind: "scoring".into(), key: "default".into() }),
                }),
                _ => w.advance_secs(days * 86_400 + 3_600),
            }
        }
        let recomputed = recompute(&w.events);
        for agent in agents {
            let view = trust(&w, agent);
            let paging = Paging::new(Order::Ascending, None, Some(1000)).unwrap();
            let points = view::movements(&w.reading(), w.root, agent, None, &paging).unwrap().unwrap().items;
            let scores = &recomputed[&agent];
            prop_assert_eq!(Some(&view.score), scores.last());
            prop_assert_eq!(&points.iter().map(|it| it.score).collect::<Vec<_>>(), scores);
            let mut sum = 0;
            for point in &points {
                sum += point.moved;
                prop_assert_eq!(sum, i32::from(point.score), "what moved it adds up to it");
                prop_assert_eq!(point.components.score(), point.score);
            }
        }
    }
}

#[test]
fn outputs_are_what_the_commands_left() {
    let mut w = World::new();
    let ada = trusted(&mut w, "ada");
    w.when(dispute(ada)).then_decided();
    let Output::Policy { policy, .. } = ({
        w.when(scoring("{}")).then_decided();
        w.when(scoring("{ }")).then_unchanged()
    }) else {
        panic!("another output")
    };
    assert_eq!(policy.version, 1);
}
