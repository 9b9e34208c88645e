//! Destinations, subscriptions and deliveries: DOMAIN sections 3.6 and 8.

use chancery_ledger::body::Kind;
use chancery_ledger::body::delivery::DeliveryOutcome;
use chancery_ledger::body::field::Decimal;
use chancery_ledger::body::identity::{Disclosure, EndCause};
use chancery_ledger::body::transaction::Counterparty;
use chancery_ledger::ids::{DestinationId, Seq, SubscriptionId, TenantId, ThingId};
use chancery_ledger::keystore::SecretName;
use chancery_ledger::time::Micros;
use chancery_projections::command::*;
use chancery_projections::execution::delivery::decide::{DESTINATIONS_MAX, SUBSCRIPTIONS_MAX};
use chancery_projections::execution::delivery::state::{DESTINATIONS, DeliveryState};
use chancery_projections::execution::delivery::view;
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::Order;
use chancery_projections::view::{PageNumber, Paging};
use chancery_projections::views::View;

use crate::the;
use crate::world::*;

const URL: &str = "https://hooks.example/a";

fn destination_at(url: &str) -> AddDestination {
    AddDestination { url: url.into(), secret: None, confirm: false }
}

fn own(events: &[&str]) -> Subscribe {
    Subscribe {
        name: None,
        destinations: Vec::new(),
        url: Some(URL.into()),
        secret: Some("hush".into()),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        rendering: "agentidp".into(),
        active: true,
    }
}

fn change(subscription: SubscriptionId) -> ChangeSubscription {
    ChangeSubscription { subscription, name: None, destinations: None, url: None, events: None, active: None }
}

/// Subscribes the root tenant.
#[track_caller]
fn subscribed(w: &mut World, events: &[&str]) -> SubscriptionId {
    let events = w.when(own(events)).then(&[Kind::DestinationAdded, Kind::SubscriptionCreated]);
    the!(&events, SubscriptionCreated).subscription
}

fn shown(w: &World, id: SubscriptionId) -> view::SubscriptionView {
    view::subscription(&w.reading(), w.root, id).unwrap().unwrap()
}

/// The words of a subscription's deliveries and where they stand, oldest first.
fn told(w: &World, id: SubscriptionId) -> Vec<(&'static str, DeliveryState)> {
    let paging = Paging::new(Order::Ascending, None, None).unwrap();
    let page = view::deliveries(&w.reading(), &shown(w, id), None, &paging).unwrap();
    page.items.into_iter().map(|delivery| (delivery.word, delivery.state)).collect()
}

fn pending(w: &World, id: SubscriptionId) -> Vec<Seq> {
    let rows = w.views.get(View::Execution);
    view::unsettled(rows, id, 100).unwrap().into_iter().map(|delivery| delivery.event).collect()
}

fn due(w: &World) -> (Vec<(TenantId, SubscriptionId)>, Option<Micros>) {
    let due = view::due(w.views.get(View::Execution), w.now, 10).unwrap();
    (due.now.into_iter().map(|it| (it.tenant, it.subscription)).collect(), due.later)
}

fn attempt(event: Seq, attempt: u8, outcome: DeliveryOutcome, at: Micros, next: Option<Micros>) -> Attempt {
    Attempt { event: Some(event), attempt, outcome, status: Some(204), ms: 7, at, next, excerpt: None }
}

/// The daemon notes what came of attempts.
#[track_caller]
fn record(w: &mut World, subscription: SubscriptionId, attempts: Vec<Attempt>) {
    w.when(RecordDeliveries { subscription, attempts }).then(&[Kind::DeliveriesRecorded]);
}

#[test]
fn a_destination_comes_and_goes() {
    let mut w = World::new();
    let outcome = w.when(destination_at(URL));
    assert!(outcome.shown().starts_with("whsec_") && outcome.shown().len() == 70, "a secret is made and shown");
    let id = the!(&outcome.then(&[Kind::DestinationAdded]), DestinationAdded).destination;
    let read = |w: &World| view::destination(&w.reading(), w.root, id).unwrap().unwrap();
    assert_eq!((read(&w).url.as_deref(), read(&w).verified), (Some(URL), true));
    assert_eq!(view::destination(&w.reading(), w.second, id).unwrap(), None, "it is nobody else's");
    w.when_second(RemoveDestination { destination: id }).then_rejected(Rejection::NotFound { thing: "destination" });

    let rotate = |secret: Option<&str>| RotateDestinationSecret { destination: id, secret: secret.map(str::to_owned) };
    w.when(rotate(Some("other"))).then(&[Kind::DestinationSecretRotated]);
    w.when(rotate(Some(""))).then_invalid("secret");
    w.when(RemoveDestination { destination: id }).then(&[Kind::DestinationRemoved]);
    assert_eq!(read(&w).removed, Some(w.now));
    let gone = Rejection::NotFound { thing: "destination" };
    w.when(RemoveDestination { destination: id }).then_rejected(gone.clone());
    w.when(rotate(None)).then_rejected(gone);
    let listed = view::destinations(&w.reading(), w.root, &Paging::newest(10)).unwrap();
    assert_eq!(listed.items, []);

    for url in ["ftp://hooks.example/", "hooks.example", ""] {
        w.when(destination_at(url)).then_invalid("url");
    }
    w.when(destination_at(&format!("https://{}", "x".repeat(2048)))).then_invalid("url");
}

#[test]
fn a_destination_that_is_to_be_confirmed_is_used_once_its_code_is_named() {
    let mut w = World::new();
    let events = w.when(AddDestination { confirm: true, ..destination_at(URL) }).then_decided();
    let added = the!(&events, DestinationAdded);
    let id = added.destination;
    let to_it = Subscribe { destinations: vec![id], url: None, secret: None, ..own(&["token.issued"]) };
    w.when(to_it.clone()).then_rejected(Rejection::Unverified);
    let code: String = {
        let reading = w.reading();
        let code = added.code.unwrap();
        reading.opener.open(w.root, Kind::DestinationAdded, "code", &code).unwrap().unwrap()
    };
    let name = |code: &str| VerifyDestination { destination: id, code: code.into() };
    w.when(name("0000000000000000000000000")).then_rejected(Rejection::CodeWrong);
    w.when(name(&code)).then(&[Kind::DestinationVerified]);
    assert!(matches!(w.when(name("anything")).then_unchanged(), Output::Destination { .. }));
    let subscription = the!(&w.when(to_it).then(&[Kind::SubscriptionCreated]), SubscriptionCreated).subscription;
    w.when(RemoveDestination { destination: id }).then_rejected(Rejection::DestinationInUse);
    // It is not the subscription's own, so it stays when that ends.
    w.when(EndSubscription { subscription }).then(&[Kind::SubscriptionEnded]);
    w.when(RemoveDestination { destination: id }).then(&[Kind::DestinationRemoved]);
}

#[test]
fn a_subscription_has_what_it_was_made_with_until_it_is_changed() {
    let mut w = World::new();
    let id = subscribed(&mut w, &["agent.created", "agent.created", "token.issued"]);
    let first = shown(&w, id);
    assert_eq!(first.events, ["agent.created", "token.issued"]);
    assert_eq!((first.active, first.own, first.rendering.as_str()), (true, true, "agentidp"));
    assert_eq!(first.destinations[0].url.as_deref(), Some(URL));
    assert_eq!(view::subscription(&w.reading(), w.second, id).unwrap(), None, "it is nobody else's");

    w.advance_secs(5);
    let named = ChangeSubscription { name: Some("ops".into()), ..change(id) };
    w.when(named.clone()).then(&[Kind::SubscriptionChanged]);
    w.when(named).then_unchanged();
    assert_eq!((shown(&w, id).name.as_deref(), shown(&w, id).updated), (Some("ops"), w.now));
    // Another address is another destination with the same secret.
    let moved = ChangeSubscription { url: Some("https://hooks.example/b".into()), ..change(id) };
    let kinds = [Kind::DestinationAdded, Kind::SubscriptionChanged, Kind::DestinationRemoved];
    w.when(moved.clone()).then(&kinds);
    w.when(moved).then_unchanged();
    let place = shown(&w, id).destinations.remove(0);
    assert_eq!(place.url.as_deref(), Some("https://hooks.example/b"));
    assert_ne!(place.id, first.destinations[0].id);
    let row = DESTINATIONS.get(w.views.get(View::Execution), place.id).unwrap().unwrap();
    let (kind, field) = row.secret.field();
    assert_eq!(w.reading().opener.open::<String>(w.root, kind, "secret", field).unwrap().as_deref(), Some("hush"));

    let none = || DestinationId::from_uuid(id.uuid());
    w.when(ChangeSubscription { destinations: Some(vec![none()]), ..change(id) }).then_invalid("destinations");
    w.when(ChangeSubscription { events: Some(Vec::new()), ..change(id) }).then_invalid("events");
    w.when(ChangeSubscription { name: Some("x".repeat(129)), ..change(id) }).then_invalid("name");
    w.when_second(ChangeSubscription { active: Some(false), ..change(id) })
        .then_rejected(Rejection::NotFound { thing: "subscription" });

    w.when(EndSubscription { subscription: id }).then(&[Kind::SubscriptionEnded, Kind::DestinationRemoved]);
    assert_eq!((shown(&w, id).active, shown(&w, id).ended), (false, Some(w.now)));
    w.when(EndSubscription { subscription: id }).then_rejected(Rejection::NotFound { thing: "subscription" });
    let page = PageNumber { number: 1, size: 10 };
    let listed = view::numbered_subscriptions(&w.reading(), w.root, "agentidp", page).unwrap();
    assert_eq!((listed.items, listed.total), (Vec::new(), 0));
}

#[test]
fn what_cannot_be_subscribed_to_is_refused() {
    let mut w = World::new();
    let unknown = Rejection::EventUnknown { event: "agent.danced".into() };
    w.when(own(&["agent.created", "agent.danced"])).then_rejected(unknown);
    w.when(own(&[])).then_invalid("events");
    w.when(Subscribe { rendering: "esperanto".into(), ..own(&["agent.created"]) }).then_invalid("rendering");
    w.when(Subscribe { url: None, secret: None, ..own(&["agent.created"]) }).then_invalid("destinations");
    w.when(Subscribe { url: None, ..own(&["agent.created"]) }).then_invalid("secret");
    let theirs = the!(&w.when_second(destination_at(URL)).then_decided(), DestinationAdded).destination;
    let to_theirs = Subscribe { destinations: vec![theirs], url: None, secret: None, ..own(&["agent.created"]) };
    w.when(to_theirs.clone()).then_rejected(Rejection::NotFound { thing: "destination" });
    w.when(Subscribe { url: Some(URL.into()), ..to_theirs }).then_invalid("url");
    // What came of telling is told to nobody.
    let native = |word: &str| Subscribe { rendering: "native".into(), ..own(&[word]) };
    w.when(native("DeliveriesRecorded")).then_rejected(Rejection::EventUnknown { event: "DeliveriesRecorded".into() });
    w.when(native("MissionOpened")).then_decided();
}

#[test]
fn a_tenant_has_so_many_and_no_more() {
    let mut w = World::new();
    let shared = the!(&w.when(destination_at(URL)).then_decided(), DestinationAdded).destination;
    let to_it = Subscribe { destinations: vec![shared], url: None, secret: None, ..own(&["agent.created"]) };
    for _ in 0..SUBSCRIPTIONS_MAX {
        w.when(to_it.clone()).then_decided();
    }
    let full = Rejection::LimitReached { limit: "subscriptions", max: SUBSCRIPTIONS_MAX as usize };
    w.when(to_it.clone()).then_rejected(full);
    w.when_second(own(&["agent.created"])).then_decided();
    for _ in 1..DESTINATIONS_MAX {
        w.when(destination_at(URL)).then_decided();
    }
    w.when(destination_at(URL))
        .then_rejected(Rejection::LimitReached { limit: "destinations", max: DESTINATIONS_MAX as usize });
}

#[test]
fn events_are_told_in_the_order_of_the_log_to_those_who_asked_for_them() {
    let mut w = World::new();
    w.agent("before");
    let all = subscribed(&mut w, &["agent.created", "agent.suspended", "credential.generated", "token.issued"]);
    let some = subscribed(&mut w, &["agent.suspended"]);
    let theirs = the!(&w.when_second(own(&["agent.created"])).then_decided(), SubscriptionCreated).subscription;
    let ada = w.agent("ada");
    w.when(SuspendAgent { agent: ada, reason: None }).then_decided();
    w.when(ResumeAgent { agent: ada, reason: None }).then_decided();
    // An API key is no agent's secret, and an execution token no bearer's.
    let key = CreateApiKey {
        name: "ci".into(),
        scopes: vec!["agents:read".into()],
        audience: vec!["native".into()],
        expires: None,
    };
    w.when(key).then_decided();
    w.token(ada);
    let expected = [("agent.created", DeliveryState::Pending), ("agent.suspended", DeliveryState::Pending)];
    assert_eq!(told(&w, all), expected);
    assert_eq!(told(&w, some), expected[1..]);
    let of_second = view::subscription(&w.reading(), w.second, theirs).unwrap().unwrap();
    let page = PageNumber { number: 1, size: 10 };
    assert_eq!(view::numbered_deliveries(&w.reading(), &of_second, None, page).unwrap().total, 0);
    // Both are due since the first event that each is to tell.
    assert_eq!(due(&w).0.len(), 2);
}

#[test]
fn a_delivery_is_tried_until_it_is_settled_and_those_behind_it_wait() {
    let mut w = World::new();
    let id = subscribed(&mut w, &["agent.created"]);
    let (_, _) = (w.agent("ada"), w.agent("bob"));
    let events = pending(&w, id);
    assert_eq!((events.len(), due(&w)), (2, (vec![(w.root, id)], None)));
    let (now, next) = (w.now, w.now.plus_secs(4));
    let busy = Some("busy".to_owned());
    let failed = attempt(events[0], 1, DeliveryOutcome::Failed, now, Some(next));
    record(&mut w, id, vec![Attempt { status: Some(503), excerpt: busy, ..failed }]);
    assert_eq!((due(&w), pending(&w, id)), ((Vec::new(), Some(next)), events.clone()));
    let page = PageNumber { number: 1, size: 10 };
    let failed = view::numbered_deliveries(&w.reading(), &shown(&w, id), Some(DeliveryState::Failed), page).unwrap();
    let delivery = &failed.items[0];
    assert_eq!((failed.total, delivery.event, delivery.attempts, delivery.next), (1, events[0], 1, Some(next)));
    assert_eq!(delivery.excerpt.as_deref(), Some("busy"));
    assert_eq!((delivery.id.get_version_num(), delivery.created), (8, START));

    w.advance_secs(4);
    assert_eq!(due(&w).0, [(w.root, id)]);
    let now = w.now;
    let both = vec![
        attempt(events[0], 2, DeliveryOutcome::Delivered, now, None),
        attempt(events[1], 1, DeliveryOutcome::DeadLetter, now, None),
    ];
    record(&mut w, id, both);
    assert_eq!((due(&w), pending(&w, id)), ((Vec::new(), None), Vec::new()));
    assert_eq!(
        told(&w, id).iter().map(|it| it.1).collect::<Vec<_>>(),
        [DeliveryState::Delivered, DeliveryState::DeadLetter]
    );
    assert_eq!(view::count_deliveries(w.views.get(View::Execution), w.root, DeliveryState::DeadLetter).unwrap(), 1);

    // Asked for once more, it comes before whatever is behind it.
    w.agent("cleo");
    let newest = pending(&w, id)[0];
    w.when(Redeliver { subscription: id, event: events[1] }).then(&[Kind::DeliveriesRecorded]);
    assert_eq!(pending(&w, id), [events[1], newest]);
    let again = view::delivery(&w.reading(), &shown(&w, id), events[1], 0).unwrap().unwrap();
    assert_eq!((again.state, again.attempts), (DeliveryState::Pending, 0));
    // Of what was never told, nothing is told once more; what waits anyhow goes on waiting.
    w.when(Redeliver { subscription: id, event: Seq(0) }).then(&[Kind::DeliveriesRecorded]);
    w.when(Redeliver { subscription: id, event: newest }).then(&[Kind::DeliveriesRecorded]);
    assert_eq!(pending(&w, id), [events[1], newest]);
    w.when_second(Redeliver { subscription: id, event: newest })
        .then_rejected(Rejection::NotFound { thing: "subscription" });

    // Every attempt is kept, with what it was answered until that is erased.
    let tries = |w: &World| {
        let tries = view::attempts(&w.reading(), &shown(w, id), events[0], 0, 10).unwrap();
        tries.into_iter().map(|it| (it.attempt, it.status, it.excerpt)).collect::<Vec<_>>()
    };
    assert_eq!(tries(&w), [(1, Some(503), Some("busy".to_owned())), (2, Some(204), None)]);
    w.keys.destroy(SecretName::Data(id.subject()));
    assert_eq!(tries(&w)[0], (1, Some(503), None));
    let delivery = view::delivery(&w.reading(), &shown(&w, id), events[0], 0).unwrap().unwrap();
    assert_eq!(delivery.excerpt, None);
}

#[test]
fn nothing_is_due_for_who_does_not_listen() {
    let mut w = World::new();
    let id = subscribed(&mut w, &["agent.created"]);
    w.agent("ada");
    let active = |active| ChangeSubscription { active: Some(active), ..change(id) };
    w.when(active(false)).then(&[Kind::SubscriptionChanged]);
    assert_eq!(due(&w), (Vec::new(), None));
    w.agent("bob");
    assert_eq!(told(&w, id).len(), 1, "what happens meanwhile is not told");
    w.when(active(true)).then_decided();
    assert_eq!(due(&w).0, [(w.root, id)], "what waited goes on waiting");
    w.when(EndSubscription { subscription: id }).then_decided();
    assert_eq!(due(&w), (Vec::new(), None));
    // An attempt that was under way is recorded all the same, and brings nothing back.
    let (event, now) = (pending(&w, id)[0], w.now);
    record(&mut w, id, vec![attempt(event, 1, DeliveryOutcome::Failed, now, Some(now))]);
    assert_eq!(due(&w), (Vec::new(), None));
}

#[test]
fn a_deleted_tenant_is_told_no_more() {
    let mut w = World::new();
    let id = the!(&w.when_second(own(&["agent.created"])).then_decided(), SubscriptionCreated).subscription;
    w.when_second(register("ada")).then_decided();
    assert_eq!(due(&w).0, [(w.second, id)]);
    let second = w.second;
    w.when(DeleteTenant { tenant: second, reason: None }).then_decided();
    assert_eq!(due(&w), (Vec::new(), None));
}

/// A subscription of a tenant in the words of a rendering.
#[track_caller]
fn in_words(w: &mut World, rendering: &str, words: &[&str]) -> SubscriptionId {
    let events = w.when(Subscribe { rendering: rendering.into(), ..own(words) }).then_decided();
    the!(&events, SubscriptionCreated).subscription
}

fn words(w: &World, id: SubscriptionId) -> Vec<&'static str> {
    told(w, id).into_iter().map(|it| it.0).collect()
}

#[test]
fn what_is_given_up_disables_a_subscription_where_its_rendering_says_so() {
    let mut w = World::new();
    let id = in_words(&mut w, "alsorn", &["agent.registered"]);
    let other = subscribed(&mut w, &["agent.created"]);
    let (_, _, _) = (w.agent("ada"), w.agent("bob"), w.agent("cleo"));
    let (events, now) = (pending(&w, id), w.now);
    let failed = |event, n| attempt(event, n, DeliveryOutcome::Failed, now, Some(now));
    record(&mut w, id, vec![failed(events[0], 1), failed(events[0], 2)]);
    assert_eq!((shown(&w, id).failures, shown(&w, id).active), (2, true));
    let slow = view::due(w.views.get(View::Execution), now, 9).unwrap().now;
    assert!(slow.iter().all(|it| it.is_slow == (it.subscription == id)), "who fails has turns of its own: {slow:?}");
    // A test counts for nothing; what is taken makes good what was not.
    record(&mut w, id, vec![Attempt { event: None, ..failed(events[0], 1) }]);
    assert_eq!(shown(&w, id).failures, 2);
    record(&mut w, id, vec![attempt(events[0], 3, DeliveryOutcome::Delivered, now, None), failed(events[1], 1)]);
    assert_eq!(shown(&w, id).failures, 1);
    // Enabling one that is not disabled forgives what failed, and is no event when nothing did.
    let enable = ChangeSubscription { active: Some(true), ..change(id) };
    w.when(enable.clone()).then(&[Kind::SubscriptionChanged]);
    assert_eq!(shown(&w, id).failures, 0);
    w.when(enable.clone()).then_unchanged();

    let last = || vec![attempt(events[1], 19, DeliveryOutcome::DeadLetter, now, None)];
    let command = RecordDeliveries { subscription: id, attempts: last() };
    w.when(command.clone()).then(&[Kind::DeliveriesRecorded, Kind::SubscriptionChanged]);
    assert_eq!((shown(&w, id).failures, shown(&w, id).active), (1, false));
    assert_eq!((due(&w).0, pending(&w, id)), (vec![(w.root, other)], vec![events[2]]), "nothing more is sent");
    w.when(command).then(&[Kind::DeliveriesRecorded]);
    w.when(enable).then(&[Kind::SubscriptionChanged]);
    assert_eq!((shown(&w, id).failures, due(&w).0.len()), (0, 2), "what waited goes on waiting");
    // In AgentIdP's words the next one's turn comes.
    let first = pending(&w, other)[0];
    record(&mut w, other, vec![attempt(first, 10, DeliveryOutcome::DeadLetter, now, None)]);
    assert!(shown(&w, other).active);
}

/// The words of Alsorn, by the events that have them (contracts/alsorn.md section 11).
#[test]
fn events_are_told_in_words_of_alsorn() {
    let mut w = World::new();
    let all = in_words(&mut w, "alsorn", &["*", "agent.registered"]);
    let scores = in_words(&mut w, "alsorn", &["trust.score_changed"]);
    let ada = w.when(RegisterAgent { actions: vec!["buy".into()], ..register("ada") }).then_decided();
    let ada = the!(&ada, AgentRegistered).agent;
    w.when(SuspendAgent { agent: ada, reason: None }).then_decided();
    w.when(ResumeAgent { agent: ada, reason: None }).then_decided();
    let pay = |action: &str| ExecuteTransaction {
        agent: ada,
        counterparty: Counterparty::External("shop".into()),
        amount: Decimal::ZERO,
        currency: "USD".into(),
        action: action.into(),
        notes: None,
        key: None,
    };
    // Each of the first ten moves the score by 20.
    let done = the!(&w.when(pay("buy")).then_decided(), TransactionCompleted).transaction;
    let unauthorised = Rejection::ActionNotAuthorised { action: "sell".into() };
    w.when(pay("sell")).then_refused(unauthorised, &[Kind::TransactionFailed]);
    w.when(ReverseTransaction { transaction: done, reason: None }).then_decided();
    w.when(FileDispute { agent: ada, reason: "it lied".into(), evidence: None, transaction: None }).then_decided();
    w.when(DecommissionAgent { agent: ada, cause: EndCause::Deleted, by: None, reason: None }).then_decided();
    let expected = [
        "agent.registered",
        "agent.suspended",
        "agent.reactivated",
        "transaction.completed",
        "trust.score_changed",
        "transaction.failed",
        "trust.score_changed",
        "transaction.reversed",
        "trust.score_changed",
        "trust.dispute_filed",
        "trust.score_changed",
        "agent.deleted",
    ];
    assert_eq!(words(&w, all), expected);
    assert_eq!(words(&w, scores), ["trust.score_changed"; 4]);
    let rows = w.views.get(View::Execution);
    let first = view::unsettled(rows, scores, 9).unwrap().remove(0);
    let of_all = view::unsettled(rows, all, 99).unwrap();
    let same = of_all.iter().find(|it| it.event == first.event && it.code == first.code).unwrap();
    assert_eq!(view::delivery_id(&first), view::delivery_id(same), "whoever is told it, by the same id");
    assert_eq!(view::parse_delivery_id(view::delivery_id(same)), Some((first.event, 1)));
    let ids: std::collections::BTreeSet<_> = of_all.iter().map(view::delivery_id).collect();
    assert_eq!(ids.len(), of_all.len());

    // One attempt settles one of an event's words, in order; asked for once more are all.
    let now = w.now;
    let tried = |outcome| attempt(first.event, 1, outcome, now, None);
    for seq in pending(&w, all).into_iter().filter(|seq| *seq < first.event) {
        record(&mut w, all, vec![attempt(seq, 1, DeliveryOutcome::Delivered, now, None)]);
    }
    record(&mut w, all, vec![tried(DeliveryOutcome::Delivered)]);
    assert_eq!(
        told(&w, all)[3..5],
        [("transaction.completed", DeliveryState::Delivered), ("trust.score_changed", DeliveryState::Pending)]
    );
    record(&mut w, all, vec![tried(DeliveryOutcome::Delivered), tried(DeliveryOutcome::Delivered)]);
    assert!(told(&w, all)[3..5].iter().all(|it| it.1 == DeliveryState::Delivered));
    w.when(Redeliver { subscription: all, event: first.event }).then_decided();
    assert!(told(&w, all)[3..5].iter().all(|it| it.1 == DeliveryState::Pending));
}

#[test]
fn a_tenant_is_told_what_strangers_say_of_its_agents() {
    let mut w = World::new();
    let id = in_words(&mut w, "alsorn", &["*"]);
    let native = in_words(&mut w, "native", &["*"]);
    let theirs = the!(
        &w.when_second(Subscribe { rendering: "alsorn".into(), ..own(&["*"]) }).then_decided(),
        SubscriptionCreated
    )
    .subscription;
    let open = RegisterAgent { disclosure: Disclosure::Verifiable, ..register("ada") };
    let ada = the!(&w.when(open).then_decided(), AgentRegistered).agent;
    w.when_second(FileDispute { agent: ada, reason: "it lied".into(), evidence: None, transaction: None })
        .then_decided();
    assert_eq!(words(&w, id), ["agent.registered", "trust.dispute_filed", "trust.score_changed"]);
    let native = words(&w, native);
    assert!(native[0] == "AgentRegistered" && !native.contains(&"DisputeFiled"), "the event is another's: {native:?}");
    let of_second = view::subscription(&w.reading(), w.second, theirs).unwrap().unwrap();
    let page = view::deliveries(&w.reading(), &of_second, None, &Paging::newest(9)).unwrap();
    assert_eq!(page.items.iter().map(|it| it.word).collect::<Vec<_>>(), ["trust.dispute_filed"]);
}
