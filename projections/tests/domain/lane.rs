//! AgentIdP's audit log: contracts/agentidp.md section 9.

use std::ops::Range;

use bytes::Bytes;
use chancery_ledger::actor::Principal;
use chancery_ledger::body::Body;
use chancery_ledger::body::identity::{AuthenticationFailed, CredentialCreated, CredentialKind, CredentialRevoked};
use chancery_ledger::body::token::{
    Grant, Introspection, Profile, RevocationCause, TokenIssued, TokenRevoked, TokensIntrospected,
};
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AgentId, CredentialId, OrganisationId, Seq, TenantId, ThingId, TokenId, TreeSize, uuid_v7};
use chancery_ledger::link::{Hash, body_hash, header_hash};
use chancery_ledger::store::{Group, LogStore, Record, Records, Seals, StoreError};
use chancery_ledger::time::Micros;
use chancery_projections::command::{OrganisationRef, RegisterAgent};
use chancery_projections::lane::agentidp::entry::{Action, Outcome, time_text};
use chancery_projections::lane::agentidp::view::{EntryView, Selection, Verdict, find, list, page, verify};
use chancery_projections::rows::Order;
use chancery_projections::rows::store::ViewStore;
use chancery_projections::view::{PageNumber, Paging, Reading};
use chancery_projections::views::View;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::histories::feed;
use crate::world::*;

/// The world's events, as a log has them.
struct EventLog(Vec<Record>);

impl EventLog {
    fn of(events: &[Event]) -> Self {
        let mut prev = Hash::ZERO;
        let record = |event: &Event| {
            let body = event.body.encode(&event.prelude).unwrap();
            let header = event.envelope(prev, body_hash(&body)).render();
            prev = header_hash(&header);
            Record { header, body: body.into(), nodes: Vec::new() }
        };
        Self(events.iter().map(record).collect())
    }
}

impl LogStore for EventLog {
    fn size(&self) -> TreeSize {
        TreeSize(self.0.len() as u64)
    }

    fn append(&self, _: TreeSize, _: &Group<'_>) -> Result<(), StoreError> {
        Err(StoreError::Missing { seq: Seq(0) })
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        Ok(self.0.get(seq.0 as usize).cloned())
    }

    fn records(&self, from: Seq) -> Records<'_> {
        let records = self.0.iter().enumerate().skip(from.0 as usize);
        Box::new(records.map(|(seq, record)| Ok((Seq(seq as u64), record.clone()))))
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        Ok(None)
    }

    fn seal_of(&self, _: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        Ok(None)
    }

    fn seals(&self, _: TreeSize) -> Seals<'_> {
        Box::new(std::iter::empty())
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// All of a selection, in pages of a size, newest first.
#[track_caller]
fn all(w: &World, log: &EventLog, tenant: TenantId, selection: &Selection, size: usize) -> Vec<EntryView> {
    let mut found = Vec::new();
    for number in 1.. {
        let part = page(&w.reading(), log, tenant, selection, PageNumber { number, size }).unwrap();
        found.extend(part.items.iter().cloned());
        if part.items.len() < size {
            assert_eq!(found.len() as u64, part.total);
            return found;
        }
    }
    unreachable!()
}

/// All of a selection of the root tenant, by cursors.
#[track_caller]
fn listed(w: &World, log: &EventLog, selection: &Selection, order: Order, limit: usize) -> Vec<EntryView> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let paging = Paging::new(order, cursor.as_deref(), Some(limit)).unwrap();
        let part = list(&w.reading(), log, w.root, selection, &paging).unwrap();
        found.extend(part.items);
        match part.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

fn every(w: &World, log: &EventLog, tenant: TenantId) -> Vec<EntryView> {
    all(w, log, tenant, &Selection::default(), 1000)
}

fn actions(entries: &[EntryView]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.action.text()).collect()
}

fn whole(w: &World, log: &EventLog, tenant: TenantId) -> Verdict {
    verify(&w.reading(), log, tenant, None, None).unwrap()
}

fn token_id(n: u64) -> TokenId {
    TokenId(uuid_v7(n, [7; 10]))
}

pub fn access(agent: AgentId, n: u64, profile: Profile) -> TokenIssued {
    TokenIssued {
        token: token_id(n),
        profile,
        grant: Grant::Client,
        principal: Principal::Agent(agent),
        agent: Some(agent),
        mission: None,
        execution: None,
        session: None,
        parent: None,
        root: token_id(n),
        depth: 0,
        replaces: None,
        audience: Vec::new(),
        scopes: vec!["agents:read".into()],
        services: Vec::new(),
        terms: None,
        interval: None,
        accountability: None,
        expires: Micros::MAX,
        max_uses: None,
        hash: None,
        cnf: None,
        key: None,
        signature: None,
        snapshot: None,
    }
}

fn revoked(agent: AgentId, n: u64) -> TokenRevoked {
    let cause = RevocationCause::Requested;
    TokenRevoked { token: token_id(n), agent: Some(agent), cause, first: token_id(n), reason: None }
}

fn failed(claimed: &str) -> AuthenticationFailed {
    let why = "unknown".to_owned();
    AuthenticationFailed { mount: "agentidp".into(), claimed: Some(claimed.into()), principal: None, why, count: 1 }
}

/// The chain, computed from what readers see and nothing else, as contract section 9 says.
fn chained(entries: &[EntryView]) -> Option<String> {
    entries.iter().rev().fold(None, |previous: Option<String>, entry| {
        let organisation = entry.organisation.map_or("org_system".to_owned(), |id| id.to_string());
        let text = [
            entry.id.uuid().to_string(),
            time_text(entry.time),
            entry.action.text().to_owned(),
            entry.action.outcome().text().to_owned(),
            entry.agent.to_string(),
            organisation,
            previous.unwrap_or_default(),
        ];
        Some(hex::encode(Sha256::digest(text.concat())))
    })
}

#[test]
fn a_new_ledger_tells_of_its_organisation() {
    let w = World::new();
    let log = EventLog::of(&w.events);
    let entries = every(&w, &log, w.second);
    assert_eq!(actions(&entries), ["org.created"]);
    assert_eq!((entries[0].agent, entries[0].organisation), (Uuid::nil(), None));
}

#[test]
fn every_act_has_its_entry_under_the_agent_it_is_about() {
    let mut w = World::new();
    let command = RegisterAgent { organisation: Some(OrganisationRef::Slug("else".into())), ..register("a") };
    let a = registered(&w.when(command).then_decided());
    let b = w.agent("b");
    w.when(suspend(a)).then_decided();
    w.when(resume(a)).then_decided();
    let credential = CredentialId(uuid_v7(1, [1; 10]));
    let (root, owner, of_b) = (w.root, w.owner.actor.principal.clone(), Principal::Agent(b));
    let created = |principal: Principal, kind| CredentialCreated {
        credential,
        principal,
        kind,
        name: None,
        hash: Hash::ZERO,
        scopes: Vec::new(),
        audience: Vec::new(),
        expires: None,
    };
    w.given(root, owner.clone(), created(of_b.clone(), CredentialKind::ClientSecret));
    w.given(root, owner.clone(), access(b, 1, Profile::Access));
    w.given(root, of_b.clone(), revoked(b, 1));
    w.given(root, Principal::Anonymous, failed(&b.to_string()));
    w.given(root, owner.clone(), CredentialRevoked { credential, principal: of_b, cause: "requested".into() });
    w.when(revoke(a)).then_decided();
    // What the dialect does not know has no entry: execution tokens, members' keys.
    let token = w.token(b);
    w.when(revoke_token(token)).then_decided();
    w.given(root, owner.clone(), created(owner.clone(), CredentialKind::ApiKey));
    let log = EventLog::of(&w.events);

    let of = |agent: AgentId| Selection { agent: Some(agent.uuid()), ..Selection::default() };
    let of_a = all(&w, &log, root, &of(a), 2);
    assert_eq!(actions(&of_a), ["agent.decommissioned", "agent.reactivated", "agent.suspended", "agent.created"]);
    assert!(of_a.iter().all(|entry| entry.organisation.is_some() && entry.organisation == of_a[0].organisation));
    let of_b = all(&w, &log, root, &of(b), 2);
    assert_eq!(
        actions(&of_b),
        ["credential.revoked", "auth.failed", "token.revoked", "token.issued", "credential.generated", "agent.created"]
    );
    assert!(of_b.iter().all(|entry| entry.organisation.is_none()));
    assert_eq!(
        every(&w, &log, root).len(),
        of_a.len() + of_b.len() + 4,
        "and two organisations', and the first agent's and its secret's"
    );
    assert_eq!(every(&w, &log, w.second).len(), 1, "another tenant sees nothing of it");
    let verdict = whole(&w, &log, root);
    assert_eq!((verdict.broken, verdict.checked), (None, 14));
    assert_eq!(verdict.head.map(|head| head.to_string()), chained(&every(&w, &log, root)));
}

#[test]
fn an_entry_is_found_by_its_id_within_its_tenant_alone() {
    let mut w = World::new();
    w.agent("a");
    let log = EventLog::of(&w.events);
    let entry = every(&w, &log, w.root).remove(0);
    let by_id = |tenant, id| find(&w.reading(), &log, tenant, id).unwrap();
    assert_eq!(by_id(w.root, entry.id.uuid()).as_ref(), Some(&entry));
    assert_eq!(by_id(w.second, entry.id.uuid()), None);
    let mut other = entry.id;
    other.index = 1;
    assert_eq!(by_id(w.root, other.uuid()), None);
    other = entry.id;
    other.millis += 1;
    assert_eq!(by_id(w.root, other.uuid()), None);
    other = entry.id;
    other.seq = Seq(u64::MAX >> 4);
    assert_eq!(by_id(w.root, other.uuid()), None);
    assert_eq!(by_id(w.root, uuid_v7(1, [0; 10])), None);
}

#[test]
fn whatever_changed_in_the_log_is_found_and_named() {
    let mut w = World::new();
    let agent = w.agent("a");
    for _ in 0..5 {
        w.advance_secs(1);
        w.when(suspend(agent)).then_decided();
        w.when(resume(agent)).then_decided();
    }
    let log = EventLog::of(&w.events);
    let entries = every(&w, &log, w.root);
    let third = entries[2].id;
    let place = third.seq.0 as usize;
    let broken = |records: Vec<Record>| whole(&w, &EventLog(records), w.root).broken.unwrap();

    // Another body under the same header.
    let mut records = log.0.clone();
    records[place].body = log.0[0].body.clone();
    assert_eq!(broken(records).entry, third);
    // Another event, well formed, that says something else.
    let mut events = w.events.clone();
    events[place].body = events[place - 1].body.clone();
    assert_eq!(broken(EventLog::of(&events).0).entry, third);
    // Another header, and nothing after it fits.
    let mut records = log.0.clone();
    let mut event = w.events[place].clone();
    event.correlation = Some(Uuid::from_u128(1));
    let (_, envelope) = Event::read(&records[place].header, &records[place].body).unwrap();
    records[place].header = event.envelope(envelope.prev, envelope.body_hash).render();
    assert_eq!(broken(records).entry, entries[1].id);
    // An event cut out, and all after it.
    let mut records = log.0.clone();
    records.truncate(place);
    assert_eq!(broken(records).entry, third);
}

#[test]
fn a_range_is_verified_alone_and_an_empty_one_is_whole() {
    let mut w = World::new();
    let agent = w.agent("a");
    for _ in 0..5 {
        w.advance_secs(10);
        w.when(suspend(agent)).then_decided();
        w.when(resume(agent)).then_decided();
    }
    let log = EventLog::of(&w.events);
    let range = |from: i64, to: i64| {
        let (from, to) = (Some(START.plus_secs(from)), Some(START.plus_secs(to)));
        verify(&w.reading(), &log, w.root, from, to).unwrap()
    };
    let (one, two) = (range(10, 20), range(30, 50));
    assert_eq!((one.checked, two.checked, one.broken, two.broken), (4, 6, None, None));
    assert_eq!(one.head, two.previous, "each begins where the other ends");
    let none = range(11, 19);
    assert_eq!((none.checked, none.broken, none.head), (0, None, one.previous.and(none.previous)));
}

/// One thing that happens: which, to which of the agents, to which token, how long after the one before.
type Deed = (u8, usize, u64, i64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever is selected, its pages are exactly the entries that a reader of everything would have picked.
    #[test]
    fn any_page_of_any_selection_is_what_picking_by_hand_gives(
        deeds in prop::collection::vec((0..10_u8, 0..4_usize, 0..6_u64, 0..3_000_i64), 1..60),
        size in 1..9_usize,
        bounds in (0..90_000_i64, 0..90_000_i64),
    ) {
        let mut w = World::new();
        let agents = [w.agent("a"), w.agent("b"), w.agent("c")];
        for deed in deeds {
            happen(&mut w, &agents, deed);
        }
        let log = EventLog::of(&w.events);
        let everything = every(&w, &log, w.root);
        prop_assert!(everything.is_sorted_by(|a, b| (a.time, a.id) > (b.time, b.id)));
        let verdict = whole(&w, &log, w.root);
        prop_assert_eq!((verdict.checked, verdict.broken), (everything.len() as u64, None));
        prop_assert_eq!(verdict.head.map(|head| head.to_string()), chained(&everything));

        let moment = |millis: i64| Micros(START.0 + millis * 1_000);
        let Range { start, end } = bounds.0.min(bounds.1)..bounds.0.max(bounds.1);
        let ids = [None, Some(agents[0].uuid()), Some(agents[2].uuid()), Some(Uuid::nil()), Some(Uuid::from_u128(5))];
        let wanted = [None, Some(Action::TokenIssued), Some(Action::AgentSuspended), Some(Action::OrgDeleted)];
        for agent in ids {
            for action in wanted {
                for outcome in [None, Some(Outcome::Success), Some(Outcome::Failure)] {
                    for (from, to) in [(None, None), (Some(moment(start)), None), (None, Some(moment(end))), (Some(moment(start)), Some(moment(end)))] {
                        let selection = Selection { agent, action, outcome, from, to };
                        let picked: Vec<_> = everything.iter().filter(|entry| {
                            agent.is_none_or(|agent| entry.agent == agent)
                                && action.is_none_or(|action| entry.action == action)
                                && outcome.is_none_or(|outcome| entry.action.outcome() == outcome)
                                && from.is_none_or(|from| entry.time >= from)
                                && to.is_none_or(|to| entry.time <= to)
                        }).cloned().collect();
                        prop_assert_eq!(all(&w, &log, w.root, &selection, size), picked.clone());
                        let mut listed = listed(&w, &log, &selection, Order::Descending, size);
                        prop_assert_eq!(&listed, &picked);
                        listed.reverse();
                        prop_assert_eq!(self::listed(&w, &log, &selection, Order::Ascending, size), listed);
                    }
                }
            }
        }
    }
}

/// As many looks into tokens as the number says, by all sorts of callers.
fn looks(agents: &[AgentId; 3], other: &Principal, n: u64) -> TokensIntrospected {
    let callers = agents.iter().map(|agent| Principal::Agent(*agent)).chain([other.clone()]).cycle();
    let look = |(caller, n): (Principal, u64)| Introspection { token: Some(token_id(n)), caller, active: n % 2 == 0 };
    TokensIntrospected { items: callers.skip(n as usize % 4).zip(0..=n).map(look).collect() }
}

fn happen(w: &mut World, agents: &[AgentId; 3], (what, agent, token, millis): Deed) {
    w.now = Micros(w.now.0 + millis * 1_000);
    let (root, owner) = (w.root, w.owner.actor.principal.clone());
    let agent = agents.get(agent).copied();
    let token = token + 100 * (what as u64 % 2);
    match (what, agent) {
        (0, Some(agent)) => drop(w.when(suspend(agent))),
        (1, Some(agent)) => drop(w.when(resume(agent))),
        (2 | 3, Some(agent)) => {
            let profile = if what == 2 { Profile::Access } else { Profile::Passport };
            let is_new = |event: &Event| !matches!(&event.body, Body::TokenIssued(it) if it.token == token_id(token));
            if w.events.iter().all(is_new) {
                w.given(root, Principal::Agent(agent), access(agent, token, profile));
            }
        }
        (4 | 5, Some(agent)) => {
            let is_it = |event: &Event| matches!(&event.body, Body::TokenIssued(it) if it.token == token_id(token));
            if w.events.iter().any(is_it) {
                w.given(root, Principal::Agent(agent), revoked(agent, token));
            }
        }
        (6, Some(agent)) => w.given(root, Principal::Anonymous, failed(&agent.to_string())),
        (6, None) => w.given(root, Principal::Anonymous, failed("nobody")),
        (8 | 9, _) => w.given(root, Principal::System, looks(agents, &owner, token % 6)),
        (7, _) => w.given(w.second, owner, failed("00000000-0000-0000-0000-000000000005")),
        _ => w.advance_secs(1),
    }
}

#[test]
fn the_past_reads_as_it_was() {
    let mut w = World::new();
    let command = RegisterAgent { organisation: Some(OrganisationRef::Slug("else".into())), ..register("a") };
    let agent = registered(&w.when(command).then_decided());
    for _ in 0..20 {
        w.when(suspend(agent)).then_decided();
        w.when(resume(agent)).then_decided();
    }
    let (log, entries) = (EventLog::of(&w.events), every(&w, &EventLog::of(&w.events), w.root));
    let dir = tempfile::tempdir().unwrap();
    let store = ViewStore::open(dir.path()).unwrap();
    feed(View::Execution, &store, &w.events);
    for at in 0..w.events.len() {
        let at = Seq(at as u64);
        let past = store.snapshot().at(at);
        let reading = Reading { execution: &past, ..w.reading() };
        let until: Vec<_> = entries.iter().filter(|entry| entry.id.seq <= at).cloned().collect();
        let of_agent = until.iter().filter(|entry| entry.agent == agent.uuid()).count() as u64;
        let first = PageNumber { number: 1, size: 100 };
        let found = page(&reading, &log, w.root, &Selection::default(), first).unwrap();
        assert_eq!(found.items, until, "as of {at}");
        let selection = Selection { agent: Some(agent.uuid()), ..Selection::default() };
        assert_eq!(page(&reading, &log, w.root, &selection, first).unwrap().total, of_agent, "as of {at}");
        let verdict = verify(&reading, &log, w.root, None, None).unwrap();
        assert_eq!((verdict.broken, verdict.head.map(|head| head.to_string())), (None, chained(&until)));
    }
}

/// An organisation's id is of no use but to tell it from the default one.
#[test]
fn the_default_organisation_is_the_systems() {
    let mut w = World::new();
    let organisation: OrganisationId = crate::the!(
        &w.when(RegisterAgent { organisation: Some(OrganisationRef::Slug("more".into())), ..register("a") })
            .then_decided(),
        OrganisationCreated
    )
    .organisation;
    let log = EventLog::of(&w.events);
    let entries = every(&w, &log, w.root);
    let wanted = ["agent.created", "org.created", "credential.generated", "agent.created", "org.created"];
    assert_eq!(actions(&entries), wanted);
    let of: Vec<_> = entries.iter().map(|entry| entry.organisation).collect();
    assert_eq!(of, [Some(organisation), Some(organisation), None, None, None]);
}
