//! Lists: cursors, filters, pages by number; and the past.

use chancery_ledger::body::token::Profile;
use chancery_ledger::ids::{AgentId, OrganisationId, Seq};
use chancery_projections::command::*;
use chancery_projections::context::Opener;
use chancery_projections::execution::view::{verify_audit_chain, whole_audit_chain};
use chancery_projections::identity::state::AgentStatus;
use chancery_projections::identity::view::{AgentFilter, agent, agents, agents_page, organisation_by_slug};
use chancery_projections::rows::Order;
use chancery_projections::token::view::{TokenFilter, newest_valid_token, token, tokens};
use chancery_projections::view::{Held, PageNumber, Paging, ViewError};
use chancery_projections::views::{View, open_stores};

use crate::histories::feed;
use crate::the;
use crate::world::*;

/// Forty agents of two organisations by turns; every fifth is suspended, every seventh ended.
fn forty() -> (World, OrganisationId, Vec<AgentId>) {
    let mut w = World::new();
    let mut ids = Vec::new();
    for n in 0..40 {
        let slug = if n % 2 == 0 { "even" } else { "odd" };
        let command = RegisterAgent {
            organisation: Some(OrganisationRef::Slug(slug.into())),
            key: KeyChoice::None,
            ..register(&format!("agent-{n}"))
        };
        ids.push(registered(&w.when(command).then_decided()));
    }
    for (n, id) in ids.iter().enumerate() {
        if n % 5 == 0 {
            w.when(suspend(*id)).then_decided();
        }
        if n % 7 == 0 {
            w.when(revoke(*id)).then_decided();
        }
    }
    let even = organisation_by_slug(&w.reading(), w.root, "even").unwrap().unwrap().id;
    (w, even, ids)
}

fn expected(ids: &[AgentId], even_only: bool, status: Option<AgentStatus>) -> Vec<AgentId> {
    let stands = |n: usize| match (n % 7, n % 5) {
        (0, _) => AgentStatus::Decommissioned,
        (_, 0) => AgentStatus::Suspended,
        _ => AgentStatus::Active,
    };
    let picked = ids
        .iter()
        .enumerate()
        .filter(|(n, _)| (!even_only || n % 2 == 0) && status.is_none_or(|status| stands(*n) == status));
    picked.map(|(_, id)| *id).collect()
}

#[test]
fn every_list_of_agents_is_complete_in_both_orders_whatever_the_page() {
    let (w, even, ids) = forty();
    let first = World::new().events.len();
    let statuses = [None, Some(AgentStatus::Active), Some(AgentStatus::Suspended), Some(AgentStatus::Decommissioned)];
    for (even_only, status) in [false, true].into_iter().flat_map(|even| statuses.map(|status| (even, status))) {
        let filter = AgentFilter { organisation: even_only.then_some(even), status };
        for (order, limit) in
            [(Order::Ascending, 1), (Order::Ascending, 7), (Order::Descending, 3), (Order::Descending, 1000)]
        {
            let (mut found, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let paging = Paging::new(order, cursor.as_deref(), Some(limit)).unwrap();
                let page = agents(&w.reading(), w.root, filter, &paging).unwrap();
                assert!(page.items.len() <= limit);
                found.extend(page.items.iter().map(|agent| agent.id));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
                assert_eq!(page.items.len(), limit, "only the last page is short");
            }
            let mut wanted = expected(&ids, even_only, status);
            if !even_only && status.is_none_or(|status| status == AgentStatus::Active) {
                wanted.insert(0, the!(&w.events[..first], AgentRegistered).agent);
            }
            if order == Order::Descending {
                wanted.reverse();
            }
            assert_eq!(found, wanted, "{filter:?} {order:?} {limit}");
        }
        if even_only {
            let mut wanted = expected(&ids, true, status);
            wanted.reverse();
            for number in 1..=5 {
                let page = agents_page(&w.reading(), w.root, even, status, PageNumber { number, size: 6 }).unwrap();
                assert_eq!(page.total, wanted.len() as u64);
                let from = (6 * (usize::try_from(number).unwrap() - 1)).min(wanted.len());
                let to = (from + 6).min(wanted.len());
                assert_eq!(page.items.iter().map(|agent| agent.id).collect::<Vec<_>>(), wanted[from..to]);
            }
        }
    }
    let counts = organisation_by_slug(&w.reading(), w.root, "even").unwrap().unwrap().agents;
    let count = |status| expected(&ids, true, Some(status)).len() as u64;
    assert_eq!(counts.active, count(AgentStatus::Active));
    assert_eq!(counts.suspended, count(AgentStatus::Suspended));
    assert_eq!(counts.decommissioned, count(AgentStatus::Decommissioned));
}

#[test]
fn a_list_stays_stable_while_it_grows() {
    let (mut w, even, ids) = forty();
    let filter = AgentFilter { organisation: Some(even), status: None };
    let newest = |w: &World, cursor: Option<&str>| {
        agents(&w.reading(), w.root, filter, &Paging::new(Order::Descending, cursor, Some(5)).unwrap()).unwrap()
    };
    let first = newest(&w, None);
    let command = RegisterAgent { organisation: Some(OrganisationRef::Id(even)), ..register("late") };
    w.when(command).then_decided();
    let second = newest(&w, first.next.as_deref());
    let found: Vec<_> = first.items.iter().chain(&second.items).map(|agent| agent.id).collect();
    assert_eq!(found, expected(&ids, true, None).into_iter().rev().take(10).collect::<Vec<_>>());
}

#[test]
fn a_cursor_is_only_good_for_its_order() {
    let (w, ..) = forty();
    let page = agents(&w.reading(), w.root, AgentFilter::default(), &Paging::newest(3)).unwrap();
    let cursor = page.next.unwrap();
    assert!(matches!(Paging::new(Order::Ascending, Some(&cursor), None), Err(ViewError::Cursor)));
    for bad in ["", "x", "AAAA", &cursor[1..], &format!("{cursor}A")] {
        assert!(matches!(Paging::new(Order::Descending, Some(bad), None), Err(ViewError::Cursor)), "{bad}");
    }
    // One that nobody gave, and that lies outside of the list, gives nothing and does no harm.
    let outside = chancery_projections::b64u::render(&[b'a', 255, 255, 255, 255, 255, 255, 255, 255]);
    let paging = Paging::new(Order::Ascending, Some(&outside), None).unwrap();
    assert!(agents(&w.reading(), w.root, AgentFilter::default(), &paging).unwrap().items.is_empty());
    let status = AgentFilter { status: Some(AgentStatus::Active), organisation: None };
    assert!(agents(&w.reading(), w.root, status, &paging).unwrap().items.is_empty());
}

#[test]
fn another_tenant_s_organisation_lists_nothing() {
    let (w, even, _) = forty();
    let filter = AgentFilter { organisation: Some(even), status: None };
    assert!(agents(&w.reading(), w.second, filter, &Paging::newest(10)).unwrap().items.is_empty());
    assert!(agents(&w.reading(), w.second, AgentFilter::default(), &Paging::newest(10)).unwrap().items.is_empty());
    let page = PageNumber { number: 1, size: 10 };
    assert_eq!(agents_page(&w.reading(), w.second, even, None, page).unwrap().total, 0);
}

#[test]
fn tokens_are_listed_by_agent_mission_and_life() {
    let mut w = World::new();
    let (ada, bob) = (w.agent("ada"), w.agent("bob"));
    let mut ids = Vec::new();
    for n in 0..12 {
        let agent = if n % 2 == 0 { ada } else { bob };
        let mission = mission_key(if n % 3 == 0 { "msn_test000001" } else { "msn_test000002" });
        let command = IssueToken { mission, expires: START.plus_secs(10 + n), ..issue(agent, START) };
        ids.push(issued(&w.when(command).then_decided()));
    }
    w.when(revoke_token(ids[0])).then_decided();
    w.when(UseToken { token: ids[11] }).then_decided();
    w.when(suspend(bob)).then_decided();
    w.now = START.plus_secs(12);
    let list = |filter: TokenFilter| {
        let page = tokens(&w.reading(), w.root, &filter, &Paging::newest(100)).unwrap();
        page.items.iter().map(|token| ids.iter().position(|id| *id == token.id).unwrap()).collect::<Vec<_>>()
    };
    let base = TokenFilter::default();
    let mission = {
        let page = tokens(&w.reading(), w.root, &base, &Paging::new(Order::Ascending, None, Some(1)).unwrap()).unwrap();
        page.items[0].mission
    };
    assert_eq!(list(base), (0..12).rev().collect::<Vec<_>>());
    assert_eq!(list(TokenFilter { agent: Some(ada), ..base }), [10, 8, 6, 4, 2, 0]);
    assert_eq!(list(TokenFilter { mission, ..base }), [9, 6, 3, 0]);
    assert_eq!(list(TokenFilter { mission, agent: Some(ada), ..base }), [6, 0]);
    // Alive: not revoked, used or expired, and of an agent that may act.
    assert_eq!(list(TokenFilter { live: Some(true), ..base }), [10, 8, 6, 4, 2]);
    assert_eq!(list(TokenFilter { live: Some(true), mission, ..base }), [6]);
    assert_eq!(list(TokenFilter { live: Some(false), mission, ..base }), [9, 3, 0]);
    assert!(tokens(&w.reading(), w.second, &base, &Paging::newest(9)).unwrap().items.is_empty());
    let theirs = TokenFilter { agent: Some(ada), ..base };
    assert!(tokens(&w.reading(), w.second, &theirs, &Paging::newest(9)).unwrap().items.is_empty());
}

/// Every read can be asked at a past event; what depends on the time is then as it was at that moment.
#[test]
fn the_past_reads_as_it_was() {
    let mut w = World::new();
    let ada = w.agent("ada");
    let first = w.token(ada);
    let opened = w.when(open_chain("msn_test000001")).then_decided();
    let chain = the!(&opened, AuditChainOpened).chain;
    let before = (w.events.last().unwrap().seq, w.now);
    w.advance_secs(10);
    w.when(suspend(ada)).then_decided();
    w.when(revoke_token(first)).then_decided();
    w.when(append(chain, "EXECUTION_late")).then_decided();
    w.when(CloseAuditChain { chain }).then_decided();
    w.agent("bob");
    let after = (w.events.last().unwrap().seq, w.now);

    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let stores = open_stores(dir.path()).unwrap();
    for (view, store) in stores.iter() {
        feed(view, store, &w.events);
    }
    let held = |as_of| {
        let snapshot = |view| stores.get(view).snapshot();
        Held::new(
            snapshot(View::Identity),
            snapshot(View::Token),
            snapshot(View::Trust),
            snapshot(View::Execution),
            as_of,
        )
        .unwrap()
    };
    let opener = Opener::new(&w.keys);
    for (as_of, is_past) in [(Some(before.0), true), (Some(after.0), false), (None, false)] {
        let held = held(as_of);
        let reading = held.reading(opener, if is_past { before.1 } else { after.1 });
        assert_eq!(held.size(), if is_past { before.0 } else { after.0 }.tree_size());
        let agent = agent(&reading, w.root, ada).unwrap().unwrap();
        assert_eq!((agent.usable, agent.version < before.0), (is_past, is_past));
        let token = token(&reading, w.root, first).unwrap().unwrap();
        assert_eq!((token.live, token.revoked.is_none()), (is_past, is_past));
        let mission = token.mission.unwrap();
        let newest = newest_valid_token(&reading, w.root, Profile::Execution, mission).unwrap();
        assert_eq!(newest.map(|token| token.id), is_past.then_some(first));
        let listed = |status| {
            let filter = AgentFilter { organisation: None, status: Some(status) };
            agents(&reading, w.root, filter, &Paging::newest(10)).unwrap().items.len()
        };
        // The administrator of the first start among them.
        assert_eq!((listed(AgentStatus::Active), listed(AgentStatus::Suspended)), (2, usize::from(!is_past)));
        let (header, entries) = whole_audit_chain(&reading, w.root, chain).unwrap().unwrap();
        assert_eq!((header.closed.is_none(), entries.len()), (is_past, if is_past { 1 } else { 3 }));
        assert!(verify_audit_chain(&reading, w.root, chain).unwrap().unwrap().valid);
    }
    // Nobody reads the future: what has not happened yet is read as of the newest event.
    assert_eq!(held(Some(Seq(1_000_000))).size(), after.0.tree_size());
}
