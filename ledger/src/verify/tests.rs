//! Every way to damage a log, done to a good one.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::actor::Actor;
use crate::body::ledger::{Algorithm, FORMAT, LedgerCreated, Purpose, SigningKeyAdded};
use crate::body::{Body, Prelude, identity};
use crate::event::{Envelope, Event};
use crate::ids::{AgentId, KeyId, LedgerId, Seq, TenantId, uuid_v7};
use crate::keys::SigningKey;
use crate::link::{self, Hash};
use crate::time::Micros;
use crate::tree::seal::Checkpoint;
use crate::tree::{Frontier, leaf_hash};

pub(crate) const ORIGIN: &str = "chancery.test/verify";

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

pub(crate) fn verifier_key(seed: u8) -> VerifierKey {
    VerifierKey { origin: ORIGIN.to_owned(), key: key(seed).public() }
}

/// Makes a log as `Committer` does, and as it never would.
struct Forge {
    items: Vec<Item>,
    frontier: Frontier,
    head: Hash,
    time: i64,
    key: Arc<SigningKey>,
}

impl Forge {
    fn new(seed: u8) -> Self {
        let key = Arc::new(key(seed));
        let mut forge =
            Self { items: Vec::new(), frontier: Frontier::empty(), head: Hash::ZERO, time: 1_000, key: key.clone() };
        forge.event(LedgerCreated {
            ledger: LedgerId(uuid_v7(1, [1; 10])),
            origin: ORIGIN.to_owned(),
            format: FORMAT,
            key: KeyId(uuid_v7(1, [2; 10])),
            algorithm: Algorithm::Ed25519,
            public: *key.public().as_bytes(),
        });
        forge.seal();
        forge
    }

    fn event(&mut self, body: impl Into<Body>) {
        let body = body.into();
        let event = Event {
            seq: self.frontier.size().next(),
            time: Micros(self.time),
            tenant: TenantId::LEDGER,
            actor: Actor::system(),
            subjects: body.subjects(),
            correlation: None,
            causation: None,
            idempotency: None,
            prelude: Prelude::default(),
            body,
        };
        let body = event.body.encode(&event.prelude).unwrap();
        self.push(&event.envelope(self.head, link::body_hash(&body)), body);
    }

    fn push(&mut self, envelope: &Envelope, body: Vec<u8>) {
        let header = envelope.render();
        self.head = link::header_hash(&header);
        let nodes = self.frontier.push(leaf_hash(&header));
        self.time += 7;
        self.items.push(Item::Event { header, body: Some(body.into()), nodes: Some(nodes) });
    }

    fn agents(&mut self, count: u8) {
        for n in 0..count {
            let agent = AgentId(uuid_v7(7, [n; 10]));
            self.event(identity::AgentSuspended { agent, cause: None, reason: None });
        }
    }

    fn seal(&mut self) {
        let checkpoint =
            Checkpoint { origin: ORIGIN.to_owned(), size: self.frontier.size(), root: self.frontier.root() };
        let seal = Seal::sign(&checkpoint, &self.key).unwrap();
        self.items.push(Item::Seal(seal.bytes().clone()));
    }

    fn add_key(&mut self, seed: u8) {
        let public = key(seed).public().as_bytes().to_vec();
        let id = KeyId(uuid_v7(2, [seed; 10]));
        self.event(SigningKeyAdded {
            key: id,
            purpose: Purpose::Seal,
            algorithm: Algorithm::Ed25519,
            public,
            tenant: None,
        });
    }

    fn rotate(&mut self, seed: u8) {
        self.add_key(seed);
        self.seal();
        self.key = Arc::new(key(seed));
    }
}

/// 25 events: commits of 1, 1, 5, 8, 2 and 4 events, a rotation from key 1 to key 2 among them, and 4 more of one.
pub(crate) fn good() -> Vec<Item> {
    let mut forge = Forge::new(1);
    for commit in [1, 5, 8] {
        forge.agents(commit);
        forge.seal();
    }
    forge.agents(1);
    forge.rotate(2);
    forge.agents(4);
    forge.seal();
    for _ in 0..4 {
        forge.agents(1);
        forge.seal();
    }
    forge.items
}

fn check(items: &[Item], known: &Known) -> Report {
    let mut read = 0;
    let report = verify(items.iter().cloned().map(Ok), known, |events| read = events).unwrap();
    assert_eq!(read, report.events);
    assert_eq!(report.whole, report.findings_total == 0 && report.first_broken.is_none());
    report
}

fn trusting(seed: u8) -> Known {
    Known { key: Some((verifier_key(seed), Trust::Given)), ..Known::default() }
}

#[track_caller]
fn assert_first(items: &[Item], seq: u64, why: Why) {
    let report = check(items, &trusting(1));
    let first = report.first_broken.expect("something is broken");
    assert_eq!((first.seq, first.reason), (seq, why), "{:#?}", report.findings);
}

/// Where event `seq` stands among the items.
fn place(items: &[Item], seq: u64) -> usize {
    let events = items.iter().enumerate().filter(|(_, item)| matches!(item, Item::Event { .. }));
    events.map(|(place, _)| place).nth(usize::try_from(seq).unwrap()).unwrap()
}

fn with_header(items: &[Item], seq: u64, change: impl FnOnce(&mut Envelope)) -> Vec<Item> {
    let mut items = items.to_vec();
    let at = place(&items, seq);
    let Item::Event { header, .. } = &mut items[at] else { unreachable!() };
    let mut envelope = Envelope::parse(header).unwrap();
    change(&mut envelope);
    *header = envelope.render();
    as_exported(items)
}

/// An export keeps no nodes.
fn as_exported(mut items: Vec<Item>) -> Vec<Item> {
    for item in &mut items {
        if let Item::Event { nodes, .. } = item {
            *nodes = None;
        }
    }
    items
}

fn flip(bytes: &Bytes, bit: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes.into()
}

#[test]
fn a_good_log_is_whole_for_whoever_trusts_any_of_its_keys() {
    for known in [Known::default(), trusting(1), trusting(2)] {
        let report = check(&good(), &known);
        assert!(report.whole, "{:#?}", report.findings);
        assert_eq!((report.events, report.seals, report.size), (25, 10, 25));
        assert_eq!(report.bodies, BodyCounts { intact: 25, withheld: 0, unknown: 0 });
        let from: Vec<u64> = report.keys.iter().map(|key| key.from_size).collect();
        assert_eq!(from, [1, 18]);
        assert_eq!(report.keys[1].verifier_key, verifier_key(2).to_string());
        assert_eq!(report.truncation_excluded_to, None);
    }
}

#[test]
fn whoever_trusts_another_key_or_origin_is_told_so() {
    assert_eq!(check(&good(), &trusting(3)).first_broken.unwrap().reason, Why::Key);
    let elsewhere = VerifierKey { origin: "chancery.test/other".to_owned(), key: key(1).public() };
    let known = Known { key: Some((elsewhere, Trust::Pinned)), ..Known::default() };
    let report = check(&good(), &known);
    assert_eq!(report.first_broken.unwrap().reason, Why::Key);
    assert_eq!(report.trust, Trust::Pinned);
}

#[test]
fn a_log_signed_anew_by_another_key_is_not_the_trusted_one() {
    let mut forge = Forge::new(9);
    forge.agents(24);
    forge.seal();
    assert!(check(&forge.items, &Known::default()).whole, "it is consistent with the key it names itself");
    assert_first(&forge.items, 0, Why::Key);
    // Naming the trusted key as the next one is not enough: it must have sealed.
    forge.rotate(1);
    assert_first(&forge.items, 0, Why::Key);
}

#[test]
fn removed_repeated_moved_and_inserted_events_are_gaps() {
    let good = good();
    for seq in 1..24 {
        let at = place(&good, seq);
        let mut removed = good.clone();
        removed.remove(at);
        let report = check(&removed, &trusting(1));
        let first = report.first_broken.unwrap();
        // The last event of a commit leaves a seal that signs one more than there are.
        let is_last = matches!(good[at + 1], Item::Seal(_));
        let expected = if is_last { (seq - 1, Why::Checkpoint) } else { (seq, Why::Gap) };
        assert_eq!((first.seq, first.reason), expected);

        if seq == 16 {
            // The rotation, which ends its commit: that it goes on is found first.
            continue;
        }
        let mut repeated = good.clone();
        repeated.insert(at, good[at].clone());
        assert_first(&repeated, seq + 1, Why::Gap);
    }
    let mut moved = good.clone();
    let at = place(&good, 4);
    moved.swap(at, at + 1);
    assert_first(&moved, 4, Why::Gap);
}

#[test]
fn a_changed_header_breaks_the_link_or_the_root() {
    let good = good();
    let other = AgentId(uuid_v7(9, [9; 10]));
    // Event 4 is in the middle of a commit: the event after it no longer follows.
    assert_first(&with_header(&good, 4, |it| it.tenant = TenantId(other.0)), 5, Why::Link);
    // Event 1 is a commit of its own: its seal no longer signs it.
    assert_first(&with_header(&good, 1, |it| it.tenant = TenantId(other.0)), 1, Why::Checkpoint);
    assert_first(&with_header(&good, 4, |it| it.prev = Hash([7; 32])), 4, Why::Link);
    assert_first(&with_header(&good, 4, |it| it.body_hash = Hash([7; 32])), 4, Why::Body);
    assert_first(&with_header(&good, 4, |it| it.time = Micros(1)), 4, Why::Time);
    assert_first(&with_header(&good, 4, |it| it.seq = Seq(400)), 4, Why::Gap);
}

#[test]
fn on_disk_a_changed_header_contradicts_the_nodes_kept_with_it() {
    let mut items = good();
    let Item::Event { header, .. } = &mut items[2] else { unreachable!() };
    let mut envelope = Envelope::parse(header).unwrap();
    envelope.tenant = TenantId(uuid_v7(9, [9; 10]));
    *header = envelope.render();
    let report = check(&items, &trusting(1));
    let reasons: Vec<Why> = report.findings.iter().map(|finding| finding.reason).collect();
    assert_eq!(reasons, [Why::Tree, Why::Checkpoint, Why::Link]);
}

#[test]
fn one_fault_is_one_finding() {
    let report = check(&with_header(&good(), 4, |it| it.time = Micros(1)), &trusting(1));
    let reasons: Vec<Why> = report.findings.iter().map(|finding| finding.reason).collect();
    // The time, then what necessarily follows: the next event's link, and the root of the commit.
    assert_eq!(reasons, [Why::Time, Why::Link, Why::Checkpoint]);
}

#[test]
fn time_that_runs_backwards_under_good_signatures_is_found() {
    let mut forge = Forge::new(1);
    forge.agents(3);
    forge.time = 5;
    forge.agents(1);
    forge.seal();
    assert_first(&forge.items, 4, Why::Time);
}

#[test]
fn keys_seal_only_while_they_are_in_force() {
    // The rotated-out key goes on.
    let mut forge = Forge::new(1);
    forge.rotate(2);
    forge.key = Arc::new(key(1));
    forge.agents(1);
    forge.seal();
    assert_first(&forge.items, 2, Why::Key);
    // The new key seals the commit that names it.
    let mut forge = Forge::new(1);
    forge.add_key(2);
    forge.key = Arc::new(key(2));
    forge.seal();
    assert_first(&forge.items, 1, Why::Signature);
    // A key of nobody's.
    let mut forge = Forge::new(1);
    forge.agents(2);
    forge.key = Arc::new(key(5));
    forge.seal();
    assert_first(&forge.items, 2, Why::Signature);
    // The commit goes on after the event that ends it.
    let mut forge = Forge::new(1);
    forge.add_key(2);
    forge.agents(1);
    forge.seal();
    assert_first(&forge.items, 1, Why::Key);
}

#[test]
fn a_log_begins_once() {
    let mut forge = Forge::new(1);
    let again = forge.items[0].clone();
    let Item::Event { header, body: Some(body), .. } = again else { unreachable!() };
    let mut envelope = Envelope::parse(&header).unwrap();
    (envelope.seq, envelope.prev, envelope.time) = (Seq(1), forge.head, Micros(forge.time));
    forge.push(&envelope, body.to_vec());
    forge.seal();
    assert_first(&forge.items, 1, Why::Key);

    let headless: Vec<Item> = good().into_iter().skip(2).collect();
    assert_first(&headless, 0, Why::Gap);
    assert_first(&[], 0, Why::Gap);
}

#[test]
fn a_cut_off_tail_shows_only_against_a_head_from_elsewhere() {
    let good = good();
    let Some(Item::Seal(bytes)) = good.last() else { unreachable!() };
    let head = Seal::parse(bytes).unwrap();
    let cut = &good[..good.len() - 2];
    assert!(check(cut, &trusting(1)).whole, "a chain alone cannot show it");
    let known = Known { heads: vec![head.clone()], ..trusting(1) };
    let report = check(cut, &known);
    let first = report.first_broken.unwrap();
    assert_eq!((first.seq, first.reason), (24, Why::Truncated));
    assert_eq!(report.truncation_excluded_to, Some(25));
    assert!(check(&good, &known).whole);
    // Only the seal is gone: the last event is signed by nobody.
    assert_first(&good[..good.len() - 1], 24, Why::Checkpoint);
}

#[test]
fn a_head_that_contradicts_the_log_is_divergence() {
    let mut forge = Forge::new(1);
    forge.agents(3);
    forge.seal();
    let Some(Item::Seal(bytes)) = forge.items.last() else { unreachable!() };
    let head = Seal::parse(bytes).unwrap();
    let mut other = Forge::new(1);
    other.time = 2_000;
    other.agents(5);
    other.seal();
    let report = check(&other.items, &Known { heads: vec![head], ..trusting(1) });
    let first = report.first_broken.unwrap();
    assert_eq!((first.seq, first.reason), (3, Why::Diverged));
    assert!(report.diverged);

    let mut strange = Forge::new(8);
    strange.agents(1);
    strange.seal();
    let Some(Item::Seal(bytes)) = strange.items.last() else { unreachable!() };
    let report = check(&other.items, &Known { heads: vec![Seal::parse(bytes).unwrap()], ..trusting(1) });
    assert_eq!(report.first_broken.unwrap().reason, Why::Head);
}

#[test]
fn withheld_bodies_leave_a_whole_log_but_not_those_of_its_keys() {
    let withhold = |seq: u64| {
        let mut items = good();
        let at = place(&items, seq);
        let Item::Event { body, .. } = &mut items[at] else { unreachable!() };
        *body = None;
        items
    };
    let report = check(&withhold(4), &trusting(1));
    assert!(report.whole);
    assert_eq!(report.bodies.withheld, 1);
    assert_first(&withhold(0), 0, Why::Key);
    assert_first(&withhold(16), 16, Why::Key);
}

#[test]
fn kinds_of_a_newer_version_are_counted_and_whole() {
    let mut forge = Forge::new(1);
    let body = vec![1, 2, 3];
    let mut envelope = Envelope::parse(match &forge.items[0] {
        Item::Event { header, .. } => header,
        Item::Seal(_) => unreachable!(),
    })
    .unwrap();
    (envelope.seq, envelope.prev, envelope.time) = (Seq(1), forge.head, Micros(forge.time));
    (envelope.kind, envelope.body_hash) = (60_000, link::body_hash(&body));
    forge.push(&envelope, body);
    forge.seal();
    let report = check(&forge.items, &trusting(1));
    assert!(report.whole, "{:#?}", report.findings);
    assert_eq!(report.bodies.unknown, 1);
}

#[test]
fn a_changed_node_on_disk_is_found() {
    let mut items = good();
    let at = place(&items, 3);
    let Item::Event { nodes: Some(nodes), .. } = &mut items[at] else { unreachable!() };
    nodes[1].0[0] ^= 1;
    assert_first(&items, 3, Why::Tree);
}

#[test]
fn every_flipped_bit_is_found() {
    let good = good();
    let mut flipped = 0;
    for (at, item) in good.iter().enumerate() {
        let bits = 8 * match item {
            Item::Event { header, body, .. } => header.len() + body.as_ref().map_or(0, Bytes::len),
            Item::Seal(seal) => seal.len(),
        };
        for bit in (0..bits).step_by(11) {
            let mut items = good.clone();
            match &mut items[at] {
                Item::Event { header, body, .. } if bit < 8 * header.len() => {
                    *header = flip(header, bit);
                    let _ = body;
                }
                Item::Event { header, body: Some(body), .. } => *body = flip(body, bit - 8 * header.len()),
                Item::Event { .. } => unreachable!(),
                Item::Seal(seal) => *seal = flip(seal, bit),
            }
            assert!(!check(&items, &trusting(1)).whole, "bit {bit} of item {at}");
            flipped += 1;
        }
    }
    assert!(flipped > 5_000, "{flipped}");
}

#[test]
fn what_is_found_does_not_depend_on_how_the_log_is_cut_into_chunks() {
    let mut forge = Forge::new(1);
    for _ in 0..(2 * CHUNK_ITEMS) {
        forge.agents(1);
    }
    forge.seal();
    let last = forge.frontier.size().0 - 1;
    assert!(check(&forge.items, &trusting(1)).whole);
    let broken = with_header(&forge.items, last, |it| it.prev = Hash([1; 32]));
    assert_first(&broken, last, Why::Link);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_edit_of_the_order_is_found(
        edits in prop::collection::vec((0usize..35, 0usize..35, 0u8..3), 1..4)
    ) {
        let good = good();
        let mut items = good.clone();
        for (a, b, what) in edits {
            let (a, b) = (a % items.len(), b % items.len());
            match what {
                0 => drop(items.remove(a)),
                1 => items.swap(a, b),
                _ => items.insert(b, items[a].clone()),
            }
        }
        // A seal taken away is no fault: the next one signs the same events.
        let events = |items: &[Item]| {
            let events = items.iter().filter(|item| matches!(item, Item::Event { .. }));
            events.map(|item| format!("{item:?}")).collect::<Vec<_>>()
        };
        let last = match good.last() { Some(Item::Seal(seal)) => Seal::parse(seal).unwrap(), _ => unreachable!() };
        let known = Known { heads: vec![last], ..trusting(1) };
        if check(&items, &known).whole {
            prop_assert_eq!(events(&items), events(&good));
        } else {
            prop_assert_ne!(format!("{items:?}"), format!("{good:?}"));
        }
    }
}

mod agents {
    use super::*;
    use crate::body::field::Signature;
    use crate::body::identity::{AgentKeyAdded, AgentKeyPurpose, AgentKeyRevoked};
    use crate::body::signature::CommandSigned;
    use crate::ids::{Subject, ThingId as _, ThingKind};
    use crate::shred::Encrypted;
    use crate::signature_base::SignatureBase;

    /// When the log of these tests goes on, in seconds.
    const NOW: i64 = 1_790_000_000;

    fn ada() -> AgentId {
        AgentId(uuid_v7(7, [7; 10]))
    }

    fn ada_key() -> KeyId {
        KeyId::from_uuid(uuid_v7(7, [8; 10]))
    }

    fn added(seed: u8) -> AgentKeyAdded {
        let public = key(seed).public().as_bytes().to_vec();
        let (agent, purpose) = (ada(), AgentKeyPurpose::Identity);
        AgentKeyAdded { agent, key: ada_key(), purpose, algorithm: Algorithm::Ed25519, public }
    }

    /// What ada signed with a key, at a time.
    fn signed(seed: u8, nonce: &str, created: i64) -> CommandSigned {
        let base = format!(
            "\"@method\": POST\n\"@target-uri\": https://ledger.example/v1/commands\n\
             \"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\
             \"@signature-params\": (\"@method\" \"@target-uri\" \"content-digest\")\
             ;created={created};keyid=\"{}\";nonce=\"{nonce}\"",
            ada_key()
        );
        let signature = Signature(key(seed).sign(base.as_bytes()));
        let base = SignatureBase::parse(&base).unwrap();
        let parameters = base.parameters().clone();
        CommandSigned {
            agent: ada(),
            key: ada_key(),
            base: base.text().to_owned(),
            signature,
            nonce: parameters.nonce,
            created: parameters.created,
            expires: parameters.expires,
            content: Encrypted {
                key: Subject { kind: ThingKind::Agent, id: ada().uuid() },
                nonce: [0; 24],
                ciphertext: vec![0; 16],
            },
        }
    }

    /// A log in which ada has the key of seed 5, and these events follow.
    fn log(then: impl IntoIterator<Item = Body>) -> Vec<Item> {
        let mut forge = Forge::new(1);
        forge.event(added(5));
        forge.time = NOW * 1_000_000;
        then.into_iter().for_each(|body| forge.event(body));
        forge.seal();
        forge.items
    }

    fn reasons(items: &[Item]) -> Vec<(u64, Why)> {
        let report = check(items, &trusting(1));
        report.findings.iter().map(|finding| (finding.seq, finding.reason)).collect()
    }

    const NONCE: &str = "0123456789abcdef";

    #[test]
    fn what_an_agent_signed_is_checked_with_the_key_that_the_log_gave_it() {
        let other = "fedcba9876543210";
        let items = log([signed(5, NONCE, NOW - 300).into(), signed(5, other, NOW + 60).into()]);
        let report = check(&items, &trusting(1));
        assert!(report.whole, "{:#?}", report.findings);
        assert_eq!(report.agent_signatures, AgentSignatures { checked: 2, unchecked: 0 });
    }

    #[test]
    fn what_an_agent_did_not_sign_is_found() {
        let forged = |change: fn(&mut CommandSigned)| {
            let mut it = signed(5, NONCE, NOW);
            change(&mut it);
            reasons(&log([it.into()]))
        };
        let found = vec![(2, Why::AgentSignature)];
        assert_eq!(reasons(&log([signed(6, NONCE, NOW).into()])), found, "by another key");
        assert_eq!(forged(|it| it.base = it.base.replacen("POST", "PUT", 1)), found);
        assert_eq!(forged(|it| it.signature.0[0] ^= 1), found);
        assert_eq!(forged(|it| it.nonce.push('0')), found, "beside another nonce");
        assert_eq!(forged(|it| it.created.0 -= 1_000_000), found, "beside another time");
        assert_eq!(forged(|it| it.agent = AgentId(uuid_v7(7, [9; 10]))), found, "in another's name");
        assert_eq!(forged(|it| it.key = KeyId::from_uuid(uuid_v7(7, [9; 10]))), found, "with another's key");
    }

    #[test]
    fn a_signature_is_good_once_and_in_its_time() {
        let twice = [signed(5, NONCE, NOW).into(), signed(5, NONCE, NOW).into()];
        assert_eq!(reasons(&log(twice)), [(3, Why::AgentSignature)]);
        assert_eq!(reasons(&log([signed(5, NONCE, NOW - 301).into()])), [(2, Why::AgentSignature)]);
        assert_eq!(reasons(&log([signed(5, NONCE, NOW + 61).into()])), [(2, Why::AgentSignature)]);
    }

    #[test]
    fn a_key_that_was_revoked_signs_nothing_more() {
        let AgentKeyAdded { agent, key, purpose, algorithm, public } = added(5);
        let revoked = AgentKeyRevoked { agent, key, purpose, algorithm, public };
        assert_eq!(reasons(&log([revoked.into(), signed(5, NONCE, NOW).into()])), [(3, Why::AgentSignature)]);
    }

    #[test]
    fn without_their_bodies_signatures_are_not_checked_and_nothing_is_wrong() {
        for withheld in [1, 2] {
            let mut items = as_exported(log([signed(5, NONCE, NOW).into()]));
            let at = place(&items, withheld);
            let Item::Event { body, .. } = &mut items[at] else { unreachable!() };
            *body = None;
            let report = check(&items, &trusting(1));
            assert!(report.whole, "{:#?}", report.findings);
            assert_eq!(report.agent_signatures, AgentSignatures { checked: 0, unchecked: 1 });
        }
    }
}

mod witnessed {
    //! Cosignatures in the log and on heads, by whom the reader trusts and by whom not.

    use super::*;
    use crate::body::witness::CheckpointCosigned;
    use crate::tree::verifier_key::CosignerKey;
    use crate::witness::cosignature::Cosignature;

    fn witness(seed: u8) -> CosignerKey {
        CosignerKey { name: format!("witness.test/{seed}"), key: key(seed).public() }
    }

    fn any_of(seeds: &[u8]) -> Known {
        let policy = WitnessPolicy::any_of(seeds.iter().map(|seed| witness(*seed)).collect());
        Known { witnesses: Some(Witnessing { policy, is_required: false }), ..trusting(1) }
    }

    fn policy(text: &str) -> Known {
        let lines: Vec<_> = [21, 22, 23].map(|seed| format!("witness w{seed} {}\n", witness(seed))).into();
        let policy = WitnessPolicy::parse([&lines.concat(), text].concat().as_bytes()).unwrap();
        Known { witnesses: Some(Witnessing { policy, is_required: true }), ..trusting(1) }
    }

    fn newest(forge: &Forge) -> Seal {
        let seals = forge.items.iter().rev().find_map(|item| match item {
            Item::Seal(bytes) => Some(Seal::parse(bytes).unwrap()),
            Item::Event { .. } => None,
        });
        seals.unwrap()
    }

    fn cosigned(seal: &Seal, seed: u8) -> CheckpointCosigned {
        let (size, root) = (seal.checkpoint().size.0, Hash(seal.checkpoint().root.0));
        let cosignature = Cosignature::sign(seal.text(), &key(seed), 1_700_000_000 + size).to_bytes().to_vec();
        let ledger = LedgerId(uuid_v7(1, [1; 10]));
        CheckpointCosigned { ledger, size, root, witness: witness(seed).to_string(), cosignature }
    }

    /// Commits of which the witnesses named cosigned: 4 events by 21 and 22, 9 by 21, 12 by 23.
    fn log() -> Forge {
        let mut forge = Forge::new(1);
        forge.agents(3);
        forge.seal();
        for seeds in [&[21, 22][..], &[21], &[23]] {
            let seal = newest(&forge);
            for seed in seeds {
                forge.event(cosigned(&seal, *seed));
            }
            forge.agents(2);
            forge.seal();
        }
        forge
    }

    #[test]
    fn who_cosigned_what_is_told() {
        let items = log().items;
        let said = |known: &Known| {
            let report = check(&items, known);
            assert!(report.whole, "{:#?}", report.findings);
            (report.witnesses, report.witnessed_size)
        };
        assert_eq!(said(&trusting(1)), ("unwitnessed".to_owned(), None));
        assert_eq!(said(&any_of(&[24])), ("unwitnessed".to_owned(), None));
        assert_eq!(said(&any_of(&[21])), ("1 of 1".to_owned(), Some(8)));
        assert_eq!(said(&any_of(&[22, 24])), ("1 of 2".to_owned(), Some(4)));
        assert_eq!(said(&any_of(&[21, 22, 23])), ("1 of 3".to_owned(), Some(11)));
        // Who cosigned 11 events cosigned the first 8 of them.
        assert_eq!(said(&policy("group g 2 w21 w22 w23\nquorum g\n")), ("2 of 3".to_owned(), Some(8)));
        assert_eq!(said(&policy("group g all w21 w22 w23\nquorum g\n")), ("3 of 3".to_owned(), Some(4)));
        let by = check(&items, &any_of(&[22, 24])).cosigned_by;
        assert_eq!((by[0].size, by[0].time_secs), (Some(4), Some(1_700_000_004)));
        assert_eq!((by[1].witness.clone(), by[1].size), (witness(24).to_string(), None));
    }

    #[test]
    fn a_log_that_too_few_cosigned_is_not_what_a_policy_asks_for() {
        let mut forge = Forge::new(1);
        let seal = newest(&forge);
        forge.event(cosigned(&seal, 21));
        forge.seal();
        let report = check(&forge.items, &policy("group g 2 w21 w22 w23\nquorum g\n"));
        let first = report.first_broken.unwrap();
        assert_eq!((first.seq, first.reason, report.witnesses.as_str()), (0, Why::Unwitnessed, "unwitnessed"));
        assert_eq!(report.checks.keys_consistent, YesNo::Yes, "the log itself is whole");
        assert!(check(&forge.items, &policy("quorum w21\n")).whole);
        assert!(check(&forge.items, &policy("quorum none\n")).whole);
    }

    #[test]
    fn what_a_trusted_witness_did_not_say_is_found_and_what_others_say_is_nothing() {
        let mut forge = Forge::new(1);
        forge.agents(1);
        forge.seal();
        let mut lie = cosigned(&newest(&forge), 22);
        lie.witness = witness(21).to_string();
        forge.event(lie);
        forge.seal();
        let first = check(&forge.items, &any_of(&[21])).first_broken.unwrap();
        assert_eq!((first.seq, first.reason), (2, Why::Cosignature));
        assert!(check(&forge.items, &any_of(&[22])).whole);
        assert!(check(&forge.items, &trusting(1)).whole);
    }

    #[test]
    fn a_witness_that_saw_another_log_shows_the_divergence() {
        let mut shown = Forge::new(1);
        shown.time = 2_000;
        shown.agents(2);
        shown.seal();
        let mut forge = Forge::new(1);
        forge.agents(2);
        forge.seal();
        forge.event(cosigned(&newest(&shown), 21));
        forge.seal();
        let report = check(&forge.items, &any_of(&[21]));
        let first = report.first_broken.unwrap();
        assert_eq!((first.seq, first.reason, report.diverged), (2, Why::Diverged, true));
        assert_eq!(report.witnesses, "unwitnessed");
    }

    #[test]
    fn lines_of_a_head_count_too() {
        let mut forge = Forge::new(1);
        forge.agents(2);
        forge.seal();
        let seal = newest(&forge);
        let line = |at| Cosignature { time_secs: at, ..Cosignature::sign(seal.text(), &key(21), 7) };
        let head = |at| seal.with_lines(&line(at).line(&witness(21)).unwrap()).unwrap();
        let known = Known { heads: vec![head(7)], ..any_of(&[21]) };
        let report = check(&forge.items, &known);
        assert_eq!((report.witnesses.as_str(), report.witnessed_size), ("1 of 1", Some(3)));
        let report = check(&forge.items, &Known { heads: vec![head(8)], ..any_of(&[21]) });
        let first = report.first_broken.unwrap();
        assert_eq!((first.seq, first.reason), (2, Why::Cosignature));
    }
}
