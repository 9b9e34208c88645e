//! Transactions: contracts/alsorn.md section 8, and limits over time.

use chancery_ledger::body::Kind;
use chancery_ledger::body::identity::{Disclosure, SpendingLimit};
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::ThingId;
use chancery_ledger::ids::{AgentId, TransactionId};
use chancery_ledger::keystore::SecretName;
use chancery_projections::command::*;
use chancery_projections::execution::transaction::TransactionStatus;
use chancery_projections::execution::view::{self, TransactionFilter};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::view::{PageNumber, Paging};
use proptest::prelude::*;

use crate::the;
use crate::world::*;

/// An agent that may pay up to 100 USD at a time.
fn payer(w: &mut World) -> AgentId {
    registered(&w.when(payer_command("payer")).then_decided())
}

fn payer_command(name: &str) -> RegisterAgent {
    let limit = Some(SpendingLimit { amount: "100".parse().unwrap(), currency: "USD".into() });
    RegisterAgent { key: KeyChoice::None, actions: vec!["pay".into(), "read".into()], limit, ..register(name) }
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

fn reverse(transaction: TransactionId) -> ReverseTransaction {
    ReverseTransaction { transaction, reason: Some("by mistake".into()) }
}

fn window(hours: u32, amount: &str) -> SetPolicy {
    let document = format!(r#"{{"windows":[{{"hours":{hours},"amount":"{amount}","currency":"USD"}}]}}"#);
    serde_json::from_str(&format!(r#"{{"kind":"spending","document":{document}}}"#)).unwrap()
}

#[test]
fn what_an_agent_may_it_does_and_the_rest_is_refused_in_order() {
    let mut w = World::new();
    let (ada, bob) = (payer(&mut w), payer(&mut w));
    let done = the!(&w.when(pay(ada, "100.00")).then(&[Kind::TransactionCompleted]), TransactionCompleted);
    assert_eq!((done.amount.to_string().as_str(), done.agent_name.as_str()), ("100", "payer"), "equality passes");
    w.when(ExecuteTransaction { currency: "EUR".into(), ..pay(ada, "0") }).then(&[Kind::TransactionCompleted]);

    let over = Rejection::SpendingLimitExceeded {
        limit: Box::new("100".parse().unwrap()),
        amount: Box::new("100.01".parse().unwrap()),
        currency: "USD".into(),
        hours: None,
    };
    w.when(pay(ada, "100.01")).then_refused(over, &[Kind::TransactionFailed]);
    let mismatch = Rejection::CurrencyMismatch { limit: "USD".into(), asked: "EUR".into() };
    w.when(ExecuteTransaction { currency: "EUR".into(), ..pay(ada, "1") }).then_rejected(mismatch);
    let other = ExecuteTransaction { action: "fly".into(), currency: "EUR".into(), ..pay(ada, "500") };
    w.when(other).then_refused(Rejection::ActionNotAuthorised { action: "fly".into() }, &[Kind::TransactionFailed]);

    let to = |other: AgentId| ExecuteTransaction { counterparty: Counterparty::Agent(other), ..pay(ada, "500") };
    w.when(suspend(bob)).then_decided();
    w.when(to(bob)).then_refused(Rejection::CounterpartyNotUsable { why: "suspended" }, &[Kind::TransactionFailed]);
    w.when(suspend(ada)).then_decided();
    w.when(to(bob)).then_refused(Rejection::AgentNotUsable { why: "suspended" }, &[Kind::TransactionFailed]);
    w.when(to(ada)).then_invalid("counterparty");
    w.when(to(AgentId::from_uuid(uuid::Uuid::nil()))).then_rejected(Rejection::NotFound { thing: "counterparty" });

    for (field, command) in [
        ("amount", pay(ada, "-0.01")),
        ("amount", pay(ada, "1000000000000000.1")),
        ("currency", ExecuteTransaction { currency: "usd".into(), ..pay(ada, "1") }),
        ("action", ExecuteTransaction { action: String::new(), ..pay(ada, "1") }),
        ("notes", ExecuteTransaction { notes: Some("x".repeat(501)), ..pay(ada, "1") }),
        ("key", ExecuteTransaction { key: Some(String::new()), ..pay(ada, "1") }),
        ("counterparty", ExecuteTransaction { counterparty: Counterparty::External("x".repeat(256)), ..pay(ada, "1") }),
    ] {
        w.when(command).then_invalid(field);
    }
    // A snowman is one character, whatever it takes in bytes.
    w.when(ExecuteTransaction { notes: Some("\u{2603}".repeat(500)), ..pay(bob, "1") })
        .then_refused(Rejection::AgentNotUsable { why: "suspended" }, &[Kind::TransactionFailed]);
}

#[test]
fn an_agent_without_a_limit_moves_nothing() {
    let mut w = World::new();
    let command = RegisterAgent { limit: None, ..payer_command("poor") };
    let poor = registered(&w.when(command).then_decided());
    w.when(pay(poor, "0")).then(&[Kind::TransactionCompleted]);
    let over = Rejection::SpendingLimitExceeded {
        limit: Box::new("0".parse().unwrap()),
        amount: Box::new("0.01".parse().unwrap()),
        currency: "USD".into(),
        hours: None,
    };
    w.when(pay(poor, "0.01")).then_refused(over, &[Kind::TransactionFailed]);
}

#[test]
fn a_key_happens_once_and_a_refusal_does_not_spend_it() {
    let mut w = World::new();
    let (ada, bob) = (payer(&mut w), payer(&mut w));
    let keyed = |agent, amount: &str| ExecuteTransaction { key: Some("order-1".into()), ..pay(agent, amount) };
    w.when(keyed(ada, "101")).then_refused(
        Rejection::SpendingLimitExceeded {
            limit: Box::new("100".parse().unwrap()),
            amount: Box::new("101".parse().unwrap()),
            currency: "USD".into(),
            hours: None,
        },
        &[Kind::TransactionFailed],
    );
    let first = the!(&w.when(keyed(ada, "5")).then_decided(), TransactionCompleted).transaction;
    let Output::Transaction(again) = w.when(keyed(ada, "7")).then_unchanged() else { panic!("another output") };
    assert_eq!((again.transaction, again.amount.to_string().as_str()), (first, "5"));
    w.when(keyed(bob, "5")).then(&[Kind::TransactionCompleted]);
    w.when(reverse(first)).then_decided();
    let Output::Transaction(again) = w.when(keyed(ada, "7")).then_unchanged() else { panic!("another output") };
    assert_eq!(again.status, TransactionStatus::Reversed, "as it is today");
}

#[test]
fn a_transaction_is_taken_back_once() {
    let mut w = World::new();
    let ada = payer(&mut w);
    let id = the!(&w.when(pay(ada, "5")).then_decided(), TransactionCompleted).transaction;
    w.when_second(reverse(id)).then_rejected(Rejection::NotFound { thing: "transaction" });
    w.when(suspend(ada)).then_decided();
    let reversed = the!(&w.when(reverse(id)).then(&[Kind::TransactionReversed]), TransactionReversed);
    let twice = Rejection::NotReversible { status: "reversed" };
    w.when(reverse(id)).then_rejected(twice.clone());
    w.when(reverse(reversed.reversal)).then_rejected(twice);
    let refused = w.when(pay(ada, "5"));
    let failed = the!(&refused.events, TransactionFailed).transaction;
    w.when(reverse(failed)).then_rejected(Rejection::NotReversible { status: "failed" });

    let view = view::transaction(&w.reading(), w.root, reversed.reversal).unwrap().unwrap();
    assert_eq!((view.id, view.status), (id, TransactionStatus::Reversed));
    assert_eq!(view.reversal.unwrap().reason.as_deref(), Some("by mistake"));
    assert_eq!(view::transaction(&w.reading(), w.second, id).unwrap(), None);
}

#[test]
fn windows_count_what_was_moved_in_them_reversed_or_not() {
    let mut w = World::new();
    let (ada, bob) = (payer(&mut w), payer(&mut w));
    w.when(window(24, "150")).then(&[Kind::PolicyChanged]);
    let over = |amount: &str| Rejection::SpendingLimitExceeded {
        limit: Box::new("150".parse().unwrap()),
        amount: Box::new(amount.parse().unwrap()),
        currency: "USD".into(),
        hours: Some(24),
    };
    let first = the!(&w.when(pay(ada, "90.05")).then_decided(), TransactionCompleted).transaction;
    w.when(pay(ada, "59.96")).then_refused(over("59.96"), &[Kind::TransactionFailed]);
    w.when(pay(ada, "59.95")).then(&[Kind::TransactionCompleted]);
    w.when(reverse(first)).then_decided();
    w.when(pay(ada, "0.01")).then_refused(over("0.01"), &[Kind::TransactionFailed]);
    w.when(pay(bob, "100")).then(&[Kind::TransactionCompleted]);
    w.advance_secs(24 * 3600 - 1);
    w.when(pay(ada, "0.01")).then_refused(over("0.01"), &[Kind::TransactionFailed]);
    w.advance_secs(1);
    w.when(pay(ada, "100")).then(&[Kind::TransactionCompleted]);

    // An agent's own rules take the place of the tenant's.
    let own = SetPolicy { key: ada.to_string(), ..window(1, "1000") };
    w.when(own).then(&[Kind::PolicyChanged]);
    w.when(pay(ada, "100")).then(&[Kind::TransactionCompleted]);
    w.when(ResetPolicy { kind: "spending".into(), key: ada.to_string() }).then(&[Kind::PolicyReset]);
    w.when(pay(ada, "1")).then_refused(over("1"), &[Kind::TransactionFailed]);
}

#[test]
fn lists_narrow_by_everything_that_is_known() {
    let mut w = World::new();
    let (ada, bob) = (payer(&mut w), payer(&mut w));
    let mut made = Vec::new();
    for (agent, amount, action) in
        [(ada, "1", "pay"), (ada, "2.5", "read"), (bob, "2.5", "pay"), (ada, "101", "pay"), (bob, "4", "read")]
    {
        w.advance_secs(10);
        let outcome = w.when(ExecuteTransaction { action: action.into(), ..pay(agent, amount) });
        made.push(match &outcome.events[0].body {
            chancery_ledger::body::Body::TransactionCompleted(it) => it.transaction,
            chancery_ledger::body::Body::TransactionFailed(it) => it.transaction,
            other => panic!("{other:?}"),
        });
    }
    w.when(reverse(made[2])).then_decided();
    let at = |n: usize| START.plus_secs(10 * (n as i64 + 1));
    let found = |filter: TransactionFilter| {
        let page = PageNumber { number: 1, size: 100 };
        let numbered = view::transactions_page(&w.reading(), w.root, &filter, page).unwrap();
        let ids: Vec<_> = numbered.items.iter().map(|it| it.id).collect();
        assert_eq!(numbered.total, ids.len() as u64, "{filter:?}");
        // The same, one after the other, by cursor, and as an export.
        let (mut cursor, mut listed) = (None::<String>, Vec::new());
        loop {
            let paging = Paging::new(Order::Descending, cursor.as_deref(), Some(1)).unwrap();
            let page = view::transactions(&w.reading(), w.root, &filter, &paging).unwrap();
            listed.extend(page.items.iter().map(|it| it.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed, ids, "{filter:?}");
        let mut exported = Vec::new();
        view::each_transaction(&w.reading(), w.root, &filter, |it| {
            exported.push(it.id);
            true
        })
        .unwrap();
        assert_eq!(exported, ids);
        let second = view::transactions_page(&w.reading(), w.root, &filter, PageNumber { number: 2, size: 1 }).unwrap();
        assert_eq!(second.items.first().map(|it| it.id), ids.get(1).copied());
        ids.iter().map(|id| made.iter().position(|it| it == id).unwrap()).collect::<Vec<_>>()
    };
    let all = TransactionFilter::default;
    assert_eq!(found(all()), [4, 3, 2, 1, 0]);
    assert_eq!(found(TransactionFilter { agent: Some(ada), ..all() }), [3, 1, 0]);
    assert_eq!(found(TransactionFilter { action: Some("read".into()), ..all() }), [4, 1]);
    assert_eq!(found(TransactionFilter { agent: Some(ada), action: Some("pay".into()), ..all() }), [3, 0]);
    assert_eq!(found(TransactionFilter { status: Some(TransactionStatus::Completed), ..all() }), [4, 1, 0]);
    assert_eq!(found(TransactionFilter { status: Some(TransactionStatus::Failed), ..all() }), [3]);
    let both = TransactionFilter { status: Some(TransactionStatus::Reversed), agent: Some(bob), ..all() };
    assert_eq!(found(both), [2]);
    assert_eq!(found(TransactionFilter { from: Some(at(1)), to: Some(at(3)), ..all() }), [3, 2, 1], "both included");
    let amounts = TransactionFilter {
        least: Some("2.50".parse().unwrap()),
        most: Some("4".parse().unwrap()),
        from: Some(at(1)),
        ..all()
    };
    assert_eq!(found(amounts), [4, 2, 1]);
    assert_eq!(found(TransactionFilter { agent: Some(AgentId::from_uuid(uuid::Uuid::nil())), ..all() }), [0; 0]);
    assert_eq!(
        view::transactions_page(&w.reading(), w.second, &all(), PageNumber { number: 1, size: 9 }).unwrap().total,
        0
    );
}

#[test]
fn notes_are_erased_with_the_agent_s_key() {
    let mut w = World::new();
    let ada = payer(&mut w);
    let events = w.when(ExecuteTransaction { notes: Some("for Ada".into()), ..pay(ada, "1") }).then_decided();
    let id = the!(&events, TransactionCompleted).transaction;
    let notes = |w: &World| view::transaction(&w.reading(), w.root, id).unwrap().unwrap().notes;
    assert_eq!(notes(&w).as_deref(), Some("for Ada"));
    w.keys.destroy(SecretName::Data(ada.subject()));
    assert_eq!(notes(&w), None);
}

#[test]
fn a_disclosed_agent_of_another_tenant_is_a_counterparty() {
    let mut w = World::new();
    let ada = payer(&mut w);
    let hidden = registered(&w.when_second(payer_command("hidden")).then_decided());
    let shown = RegisterAgent { disclosure: Disclosure::Verifiable, ..payer_command("shown") };
    let shown = registered(&w.when_second(shown).then_decided());
    let with = |other| ExecuteTransaction { counterparty: Counterparty::Agent(other), ..pay(ada, "1") };
    w.when(with(hidden)).then_rejected(Rejection::NotFound { thing: "counterparty" });
    w.when(with(shown)).then(&[Kind::TransactionCompleted]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However payments, reversals and time follow one another: what was moved in any 24 hours is within the limit, and
    /// nothing that would have fitted was refused.
    #[test]
    fn no_window_ever_holds_more_than_its_limit(
        steps in prop::collection::vec((0..4_u8, 1..9_000_i64, 0..40_000_i64), 1..60)
    ) {
        let mut w = World::new();
        let ada = payer(&mut w);
        w.when(window(24, "150")).then_decided();
        let mut moved: Vec<(i64, i64)> = Vec::new();
        let mut made = Vec::new();
        for (what, cents, secs) in steps {
            w.advance_secs(secs);
            if what == 0 && let Some(id) = made.pop() {
                w.when(reverse(id)).then_decided();
                continue;
            }
            let now = w.now.0;
            let outcome = w.when(pay(ada, &format!("{}.{:02}", cents / 100, cents % 100)));
            let lately: i64 = moved.iter().filter(|(at, _)| *at > now - 86_400_000_000).map(|(_, cents)| cents).sum();
            let fits = lately + cents <= 15_000;
            prop_assert_eq!(outcome.kinds(), [if fits { Kind::TransactionCompleted } else { Kind::TransactionFailed }]);
            if fits {
                moved.push((now, cents));
                made.push(the!(&outcome.events, TransactionCompleted).transaction);
            }
        }
    }
}
