//! Audit chains: contracts/orgkernel.md section 8.

use chancery_ledger::body::Kind;
use chancery_ledger::body::execution::{AuditEntryAppended, AuditLayer};
use chancery_ledger::body::field::JsonText;
use chancery_ledger::event::Event;
use chancery_ledger::ids::{AuditChainId, MissionId, ThingId, uuid_v7};
use chancery_ledger::keystore::SecretName;
use chancery_ledger::link::Hash;
use chancery_projections::command::*;
use chancery_projections::execution::state::{ENTRIES, TAILS};
use chancery_projections::execution::view::{
    AuditChainFilter, audit_chain, audit_chain_of_mission, audit_chains, audit_chains_page, audit_entries, audit_entry,
    verify_audit_chain, whole_audit_chain,
};
use chancery_projections::lane::orgkernel;
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::{Order, RowsMut};
use chancery_projections::view::{PageNumber, Paging};
use chancery_projections::views::View;

use crate::the;
use crate::world::*;

fn opened(events: &[Event]) -> AuditChainId {
    the!(events, AuditChainOpened).chain
}

/// A chain of five entries, not closed.
fn chain_of_five() -> (World, AuditChainId) {
    let mut w = World::new();
    let chain = opened(&w.when(open_chain("msn_test000001")).then_decided());
    for n in 1..5 {
        w.advance_secs(1);
        w.when(append(chain, &format!("EXECUTION_step_{n}"))).then(&[Kind::AuditEntryAppended]);
    }
    (w, chain)
}

#[test]
fn opening_writes_the_first_entry() {
    let mut w = World::new();
    let events = w.when(open_chain("msn_test000001")).then(&[
        Kind::MissionOpened,
        Kind::AuditChainOpened,
        Kind::AuditEntryAppended,
    ]);
    let (opened, first) = (the!(&events, AuditChainOpened), the!(&events, AuditEntryAppended));
    assert_eq!(
        (first.sequence, first.layer, first.event.as_str()),
        (0, AuditLayer::Identity, "IDENTITY_chain_initialized")
    );
    assert_eq!((first.prev, first.token_text), (Hash::ZERO, None));
    let (chain, entries) = whole_audit_chain(&w.reading(), w.root, opened.chain).unwrap().unwrap();
    assert_eq!((chain.entries, chain.head, chain.closed), (1, first.entry_hash, None));
    assert_eq!(entries[0].data.as_ref().unwrap().as_str(), r#"{"initialized_at":"2026-01-02T03:04:05+00:00"}"#);
    assert_eq!(audit_chain_of_mission(&w.reading(), w.root, opened.mission).unwrap().unwrap().id, opened.chain);
}

#[test]
fn a_mission_has_one_chain() {
    let mut w = World::new();
    let events = w.when(open_chain("msn_test000001")).then_decided();
    let mission = the!(&events, AuditChainOpened).mission;
    w.when(open_chain("msn_test000001")).then_rejected(Rejection::ChainExists);
    let by_id = OpenAuditChain { mission: MissionRef::Id(mission), ..open_chain("msn_test000001") };
    w.when(by_id).then_rejected(Rejection::ChainExists);
    w.when(CloseAuditChain { chain: opened(&events) }).then_decided();
    w.when(open_chain("msn_test000001")).then_rejected(Rejection::ChainExists);
    w.when(open_chain("msn_test000002")).then_decided();
    w.when_second(open_chain("msn_test000001")).then_decided();
    let nothing = MissionRef::Id(MissionId(uuid_v7(1, [1; 10])));
    let command = OpenAuditChain { mission: nothing, ..open_chain("x") };
    w.when(command).then_rejected(Rejection::NotFound { thing: "mission" });
}

#[test]
fn an_audit_chain_is_opened_for_a_mission_that_has_a_token_and_after_its_end() {
    let mut w = World::new();
    let ada = w.agent("ada");
    w.token(ada);
    w.when(open_chain("msn_test000001")).then(&[Kind::AuditChainOpened, Kind::AuditEntryAppended]);
    let ended = the!(&w.when(open_mission()).then_decided(), MissionOpened).mission;
    w.when(complete(ended)).then_decided();
    let command = OpenAuditChain { mission: MissionRef::Id(ended), ..open_chain("msn_test000009") };
    w.when(command).then(&[Kind::AuditChainOpened, Kind::AuditEntryAppended]);
}

#[test]
fn entries_link_without_gaps_and_closing_adds_the_last() {
    let (mut w, chain) = chain_of_five();
    w.advance_secs(1);
    let events = w.when(CloseAuditChain { chain }).then(&[Kind::AuditEntryAppended, Kind::AuditChainClosed]);
    let (last, closed) = (the!(&events, AuditEntryAppended), the!(&events, AuditChainClosed));
    assert_eq!((closed.entries, closed.head), (6, last.entry_hash));
    assert_eq!((last.layer, last.event.as_str()), (AuditLayer::Execution, "EXECUTION_chain_closed"));
    let (header, entries) = whole_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap();
    assert_eq!((header.entries, header.head, header.closed), (6, last.entry_hash, Some(w.now)));
    let mut prev = Hash::ZERO;
    for (n, entry) in (0..).zip(&entries) {
        assert_eq!((entry.sequence, entry.prev), (n, prev));
        prev = entry.entry_hash;
    }
    let id = orgkernel::ids::render_chain(chain);
    assert_eq!(entries[5].data.as_ref().unwrap().as_str(), format!(r#"{{"chain_id":"{id}"}}"#));
    // A refused command changes nothing.
    w.when(append(chain, "late")).then_rejected(Rejection::ChainClosed);
    w.when(CloseAuditChain { chain }).then_rejected(Rejection::ChainClosed);
    assert_eq!(audit_chain(&w.reading(), w.root, chain).unwrap().unwrap(), header);
    assert!(verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap().valid);
}

#[test]
fn appending_checks_its_fields_and_keeps_numbers_as_they_were_spelled() {
    let (mut w, chain) = chain_of_five();
    let base = || append(chain, "x");
    let nested = format!("{}{}", r#"{"a":"#.repeat(65), "1") + &"}".repeat(65);
    let cases: Vec<(&str, AppendAuditEntry)> = vec![
        ("event", append(chain, "")),
        ("event", append(chain, &"x".repeat(129))),
        ("agent_text", AppendAuditEntry { agent_text: String::new(), ..base() }),
        ("mission_text", AppendAuditEntry { mission_text: "x".repeat(65), ..base() }),
        ("token_text", AppendAuditEntry { token_text: Some("x".repeat(65)), ..base() }),
        ("data", AppendAuditEntry { data: JsonText("[]".into()), ..base() }),
        ("data", AppendAuditEntry { data: JsonText("{".into()), ..base() }),
        ("data", AppendAuditEntry { data: JsonText(r#"{"a":1e999}"#.into()), ..base() }),
        ("data", AppendAuditEntry { data: JsonText(r#"{"a":"\udc00"}"#.into()), ..base() }),
        ("data", AppendAuditEntry { data: JsonText(nested), ..base() }),
        ("data", AppendAuditEntry { data: JsonText(format!(r#"{{"a":"{}"}}"#, "x".repeat(32_768))), ..base() }),
    ];
    for (field, command) in cases {
        w.when(command).then_invalid(field);
    }
    let data = r#"{"a":[1,1.0,1e2,-0,18446744073709551616],"z":"é"}"#;
    w.when(AppendAuditEntry { data: JsonText(data.into()), ..base() }).then_decided();
    let entry = audit_entry(&w.reading(), w.root, chain, 5).unwrap().unwrap();
    assert_eq!(entry.data.unwrap().as_str(), data);
    assert!(verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap().valid);
    let nothing = AuditChainId(uuid_v7(1, [1; 10]));
    w.when(append(nothing, "x")).then_rejected(Rejection::NotFound { thing: "audit chain" });
    w.when_second(append(chain, "x")).then_rejected(Rejection::NotFound { thing: "audit chain" });
    w.when_second(CloseAuditChain { chain }).then_rejected(Rejection::NotFound { thing: "audit chain" });
    assert_eq!(audit_chain(&w.reading(), w.second, chain).unwrap(), None);
    assert_eq!(verify_audit_chain(&w.reading(), w.second, chain).unwrap(), None);
}

/// Section 8: what verification finds when somebody rewrote the rows of a view. (The ledger finds more.)
#[test]
fn verification_finds_every_kind_of_damage() {
    type Damage = fn(&mut World, AuditChainId);
    fn change(w: &mut World, chain: AuditChainId, sequence: u64, change: impl Fn(&mut AuditEntryAppended)) {
        let (_, rows) = w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap();
        let mut entry = ENTRIES.get(rows, (chain, sequence)).unwrap().unwrap();
        change(&mut entry);
        ENTRIES.put(rows, (chain, sequence), &entry).unwrap();
    }
    /// The rows to damage.
    fn rows(w: &mut World) -> &mut dyn RowsMut {
        w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap().1
    }
    let damages: [(&str, Damage, u64); 12] = [
        ("an edited event", |w, chain| change(w, chain, 1, |entry| entry.event.push('x')), 1),
        ("an edited layer", |w, chain| change(w, chain, 2, |entry| entry.layer = AuditLayer::Governance), 2),
        ("an edited time", |w, chain| change(w, chain, 3, |entry| entry.at.0 += 1), 3),
        ("a hash of something else", |w, chain| change(w, chain, 4, |entry| entry.entry_hash = Hash([1; 32])), 4),
        (
            "two entries swapped",
            |w, chain| {
                let rows = w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap().1;
                let (a, b) = (
                    ENTRIES.get(rows, (chain, 1_u64)).unwrap().unwrap(),
                    ENTRIES.get(rows, (chain, 2_u64)).unwrap().unwrap(),
                );
                ENTRIES.put(rows, (chain, 1_u64), &b).unwrap();
                ENTRIES.put(rows, (chain, 2_u64), &a).unwrap();
            },
            1,
        ),
        (
            "the last entry removed",
            |w, chain| {
                let rows = w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap().1;
                ENTRIES.delete(rows, (chain, 4_u64)).unwrap();
            },
            4,
        ),
        (
            "an entry removed",
            |w, chain| {
                for sequence in 2_u64..4 {
                    let next = ENTRIES.get(rows(w), (chain, sequence + 1)).unwrap().unwrap();
                    ENTRIES.put(rows(w), (chain, sequence), &next).unwrap();
                }
                ENTRIES.delete(rows(w), (chain, 4_u64)).unwrap();
            },
            2,
        ),
        (
            "an entry removed, and those behind it numbered anew",
            |w, chain| {
                for sequence in 2_u64..4 {
                    let mut next = ENTRIES.get(rows(w), (chain, sequence + 1)).unwrap().unwrap();
                    next.sequence = sequence;
                    ENTRIES.put(rows(w), (chain, sequence), &next).unwrap();
                }
                ENTRIES.delete(rows(w), (chain, 4_u64)).unwrap();
            },
            2,
        ),
        (
            "an entry inserted",
            |w, chain| {
                for sequence in (2_u64..5).rev() {
                    let mut entry = ENTRIES.get(rows(w), (chain, sequence)).unwrap().unwrap();
                    entry.sequence += 1;
                    ENTRIES.put(rows(w), (chain, sequence + 1), &entry).unwrap();
                }
                let mut row = TAILS.get(rows(w), chain).unwrap().unwrap();
                row.entries += 1;
                TAILS.put(rows(w), chain, &row).unwrap();
                change(w, chain, 2, |entry| entry.event.push('x'));
            },
            2,
        ),
        (
            "the tail cut off, with its number",
            |w, chain| {
                let mut row = TAILS.get(rows(w), chain).unwrap().unwrap();
                row.entries = 3;
                TAILS.put(rows(w), chain, &row).unwrap();
            },
            3,
        ),
        (
            "every entry removed",
            |w, chain| {
                for sequence in 0_u64..5 {
                    ENTRIES.delete(rows(w), (chain, sequence)).unwrap();
                }
            },
            0,
        ),
        (
            "the head moved",
            |w, chain| {
                let rows = w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap().1;
                let mut row = TAILS.get(rows, chain).unwrap().unwrap();
                row.head = Hash::ZERO;
                TAILS.put(rows, chain, &row).unwrap();
            },
            5,
        ),
    ];
    let (w, chain) = chain_of_five();
    let whole = verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap();
    assert_eq!((whole.valid, whole.entries, whole.erased, whole.fault), (true, 5, 0, None));
    for (what, damage, index) in damages {
        let (mut w, chain) = chain_of_five();
        damage(&mut w, chain);
        let verdict = verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap();
        assert!(!verdict.valid, "{what}");
        assert_eq!(verdict.fault.unwrap().index, index, "{what}");
    }
}

/// Section 8, "does not detect": what is rewritten together with the head. Only the ledger shows it, from which the rows
/// come.
#[test]
fn what_is_rewritten_with_the_head_is_the_ledgers_to_find() {
    let (mut w, chain) = chain_of_five();
    let rows = w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap().1;
    let kept = ENTRIES.get(rows, (chain, 3_u64)).unwrap().unwrap();
    let mut row = TAILS.get(rows, chain).unwrap().unwrap();
    (row.entries, row.head) = (4, kept.entry_hash);
    TAILS.put(rows, chain, &row).unwrap();
    let verdict = verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap();
    assert_eq!((verdict.valid, verdict.entries), (true, 4));
}

#[test]
fn erased_data_leaves_the_links_checked() {
    let (mut w, chain) = chain_of_five();
    let mission = audit_chain(&w.reading(), w.root, chain).unwrap().unwrap().mission;
    w.keys.destroy(SecretName::Data(mission.subject()));
    let verdict = verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap();
    assert_eq!((verdict.valid, verdict.entries, verdict.erased), (true, 5, 5));
    assert_eq!(audit_entry(&w.reading(), w.root, chain, 1).unwrap().unwrap().data, None);
    let rows = w.views.iter_mut().find(|(view, _)| *view == View::Execution).unwrap().1;
    ENTRIES.delete(rows, (chain, 4_u64)).unwrap();
    assert!(!verify_audit_chain(&w.reading(), w.root, chain).unwrap().unwrap().valid);
}

#[test]
fn chains_and_entries_are_paged() {
    let (mut w, chain) = chain_of_five();
    let others: Vec<_> =
        (10..14).map(|n| opened(&w.when(open_chain(&format!("msn_test0000{n}"))).then_decided())).collect();
    w.when(CloseAuditChain { chain: others[0] }).then_decided();
    let reading = w.reading();
    let page = audit_chains_page(&reading, w.root, "aid_somebody", PageNumber { number: 2, size: 2 }).unwrap();
    assert_eq!((page.total, page.items.iter().map(|it| it.id).collect::<Vec<_>>()), (5, vec![others[1], others[0]]));
    assert_eq!(audit_chains_page(&reading, w.root, "aid_nobody", PageNumber { number: 1, size: 2 }).unwrap().total, 0);
    assert_eq!(
        audit_chains_page(&reading, w.second, "aid_somebody", PageNumber { number: 1, size: 2 }).unwrap().total,
        0
    );
    let open = AuditChainFilter { open: Some(false), ..AuditChainFilter::default() };
    let closed = audit_chains(&reading, w.root, &open, &Paging::newest(10)).unwrap();
    assert_eq!(closed.items.iter().map(|it| it.id).collect::<Vec<_>>(), [others[0]]);
    let mut sequences = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let paging = Paging::new(Order::Ascending, cursor.as_deref(), Some(2)).unwrap();
        let page = audit_entries(&reading, w.root, chain, &paging).unwrap().unwrap();
        sequences.extend(page.items.iter().map(|entry| entry.sequence));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(sequences, [0, 1, 2, 3, 4]);
    assert!(audit_entries(&reading, w.second, chain, &Paging::newest(2)).unwrap().is_none());
}
