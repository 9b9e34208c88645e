//! Cosignatures: of this ledger's checkpoints by others, and of other logs' by this ledger.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Kind;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::ids::{KeyId, TreeSize};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::keystore::{SecretName, Secrets as _};
use chancery_ledger::link::Hash;
use chancery_ledger::tree::proof::consistency;
use chancery_ledger::tree::seal::Checkpoint;
use chancery_ledger::tree::verifier_key::CosignerKey;
use chancery_ledger::tree::{Frontier, NodeHash, Nodes, leaf_hash};
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_ledger::witness::policy::NAMED_MAX;
use chancery_projections::command::*;
use chancery_projections::context::Caller;
use chancery_projections::identity::decide::witness::SAME_COSIGNATURE_SECS;
use chancery_projections::identity::state::{COSIGNED, LEDGER, SIGNING_KEYS, WITNESSED, WitnessedLog, purpose_code};
use chancery_projections::output::Output;
use chancery_projections::rejection::Rejection;
use chancery_projections::views::View;
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::the;
use crate::world::*;

const LOG: &str = "log.example/other";

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([seed; 32]))
}

fn cosigner(seed: u8) -> CosignerKey {
    CosignerKey { name: format!("witness.example/{seed}"), key: signer(seed).public() }
}

fn ask(w: &mut World, command: impl Into<Command>) -> Outcome {
    let system = Caller { tenant: w.root, actor: Actor::system() };
    w.when_as(&system, w.root, command)
}

/// What a witness says of this ledger's checkpoint of a size and a root.
fn cosigned(w: &World, seed: u8, size: u64, root: u8) -> RecordCosignature {
    let origin = LEDGER.get(w.views.get(View::Identity), ()).unwrap().unwrap().origin;
    let checkpoint = Checkpoint { origin, size: TreeSize(size), root: NodeHash([root; 32]) };
    let text = format!("{}\n{}\n{}\n", checkpoint.origin, checkpoint.size, checkpoint.root);
    let cosignature = Cosignature::sign(text.as_bytes(), &signer(seed), 1_767_323_045).to_bytes().to_vec();
    RecordCosignature { size, root: Hash([root; 32]), witness: cosigner(seed).to_string(), cosignature }
}

#[test]
fn what_witnesses_say_is_recorded_once_if_it_holds() {
    let mut w = World::new();
    for seed in [1, 2] {
        let command = cosigned(&w, seed, 9, 7);
        let event = the!(&ask(&mut w, command.clone()).then(&[Kind::CheckpointCosigned]), CheckpointCosigned);
        assert_eq!((event.size, event.witness), (9, cosigner(seed).to_string()));
        assert!(matches!(ask(&mut w, command).then_unchanged(), Output::Done), "said twice, recorded once");
    }
    let row = COSIGNED.get(w.views.get(View::Identity), 9_u64).unwrap().unwrap();
    assert_eq!(row.root, Hash([7; 32]));
    let by: Vec<_> = row.cosignatures.iter().map(|it| it.witness.clone()).collect();
    assert_eq!(by, [cosigner(1).to_string(), cosigner(2).to_string()]);

    let good = cosigned(&w, 3, 9, 7);
    let other_root = cosigned(&w, 3, 9, 8);
    ask(&mut w, other_root).then_invalid("root");
    ask(&mut w, RecordCosignature { size: 8, ..good.clone() }).then_invalid("cosignature");
    ask(&mut w, RecordCosignature { witness: cosigner(4).to_string(), ..good.clone() }).then_invalid("cosignature");
    ask(&mut w, RecordCosignature { witness: "nobody".into(), ..good.clone() }).then_invalid("witness");
    ask(&mut w, RecordCosignature { cosignature: vec![0; 72], ..good }).then_invalid("cosignature");
}

#[test]
fn a_checkpoint_has_only_so_many_witnesses() {
    let mut w = World::new();
    for seed in 0..NAMED_MAX {
        let command = cosigned(&w, u8::try_from(seed).unwrap(), 9, 7);
        ask(&mut w, command).then_decided();
    }
    let one_more = cosigned(&w, 200, 9, 7);
    ask(&mut w, one_more).then_rejected(Rejection::LimitReached { limit: "witnesses of a checkpoint", max: NAMED_MAX });
}

#[test]
fn the_key_to_cosign_with_is_provided_once_and_can_be_rotated() {
    let mut w = World::new();
    let key = the!(&ask(&mut w, ProvideWitnessKey {}).then(&[Kind::SigningKeyAdded]), SigningKeyAdded);
    assert_eq!(key.purpose, Purpose::Witness);
    let seed = w.keys.secret(&SecretName::TokenSigning(key.key)).unwrap().unwrap();
    assert_eq!(SigningKey::from_seed(seed).public().as_bytes()[..], key.public);
    let Output::SigningKey(same) = ask(&mut w, ProvideWitnessKey {}).then_unchanged() else { panic!("no key") };
    assert_eq!(same.key, key.key);
    let rotated = w.when(RotateSigningKey { purpose: Purpose::Witness, public: Vec::new() });
    let events = rotated.then(&[Kind::SigningKeyRetired, Kind::SigningKeyAdded]);
    let now = SIGNING_KEYS.get(w.views.get(View::Identity), purpose_code(Purpose::Witness)).unwrap().unwrap();
    assert_eq!(now.key, the!(&events, SigningKeyAdded).key);
}

/// Another log, whose leaves are texts.
#[derive(Default)]
struct Other {
    nodes: RefCell<HashMap<(u8, u64), NodeHash>>,
    edges: Vec<Frontier>,
}

impl Other {
    fn of(leaves: impl IntoIterator<Item = String>) -> Self {
        let mut edge = Frontier::empty();
        let mut other = Self { edges: vec![edge.clone()], ..Self::default() };
        for (index, leaf) in (0..).zip(leaves) {
            let leaf = leaf_hash(leaf.as_bytes());
            other.nodes.get_mut().insert((0, index), leaf);
            for (node, level) in edge.push(leaf).into_iter().zip(1..) {
                other.nodes.get_mut().insert((level, index >> level), node);
            }
            other.edges.push(edge.clone());
        }
        other
    }

    /// One that has the same leaves up to some size, and others after it.
    fn forked_at(size: u64) -> Self {
        Self::of((0..40).map(|leaf| if leaf < size { format!("{leaf}") } else { format!("forked {leaf}") }))
    }

    fn root(&self, size: u64) -> Hash {
        Hash(self.edges[usize::try_from(size).unwrap()].root().0)
    }

    fn grows(&self, old: u64, size: u64, key: KeyId) -> WitnessCheckpoint {
        let path = consistency(TreeSize(old.min(size)), TreeSize(size), self).unwrap();
        WitnessCheckpoint {
            log: LOG.to_owned(),
            old,
            size,
            root: self.root(size),
            path: path.iter().map(|node| Hash(node.0)).collect(),
            checkpoint: format!("{LOG}\n{size}\n"),
            key,
            cosignature: vec![u8::try_from(size).unwrap(); 72],
        }
    }
}

impl Nodes for Other {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<NodeHash, Infallible> {
        Ok(self.nodes.borrow()[&(level, index)])
    }
}

/// A ledger that witnesses, and the key it cosigns by.
fn witness() -> (World, KeyId) {
    let mut w = World::new();
    let key = the!(&ask(&mut w, ProvideWitnessKey {}).then_decided(), SigningKeyAdded).key;
    (w, key)
}

fn newest(w: &World) -> Option<WitnessedLog> {
    WITNESSED.get(w.views.get(View::Identity), LOG).unwrap()
}

#[track_caller]
fn answered(outcome: Outcome) -> Option<u64> {
    match outcome.then_unchanged() {
        Output::Witnessed(newest) => newest.map(|newest| newest.size),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_is_cosigned_as_it_grows_and_told_where_it_was() {
    let (mut w, key) = witness();
    let log = Other::forked_at(40);
    assert_eq!(answered(ask(&mut w, log.grows(3, 5, key))), None, "it was never cosigned");
    for (old, size) in [(0, 5), (5, 9), (9, 32)] {
        let event = the!(&ask(&mut w, log.grows(old, size, key)).then_decided(), WitnessedCheckpoint);
        assert_eq!((event.log.as_str(), event.size, event.root), (LOG, size, log.root(size)));
        assert_eq!(newest(&w).unwrap().size, size);
    }
    assert_eq!(answered(ask(&mut w, log.grows(9, 33, key))), Some(32));
    assert_eq!(answered(ask(&mut w, log.grows(0, 33, key))), Some(32));
    let broken = WitnessCheckpoint { path: vec![Hash([1; 32])], ..log.grows(32, 33, key) };
    ask(&mut w, broken).then_invalid("path");
    // Another log's are its own.
    let other = WitnessCheckpoint { log: "log.example/third".into(), ..log.grows(0, 3, key) };
    ask(&mut w, other).then_decided();
    assert_eq!(newest(&w).unwrap().size, 32);
}

#[test]
fn the_same_again_is_a_new_cosignature_only_after_a_while_or_by_another_key() {
    let (mut w, key) = witness();
    let log = Other::forked_at(40);
    ask(&mut w, log.grows(0, 5, key)).then_decided();
    assert_eq!(answered(ask(&mut w, log.grows(5, 5, key))), Some(5));
    w.advance_secs(SAME_COSIGNATURE_SECS);
    ask(&mut w, log.grows(5, 5, key)).then_decided();
    let rotated = w.when(RotateSigningKey { purpose: Purpose::Witness, public: Vec::new() }).then_decided();
    let key = the!(&rotated, SigningKeyAdded).key;
    ask(&mut w, log.grows(5, 5, key)).then_decided();
    assert_eq!(newest(&w).unwrap().key, key);
}

#[test]
fn an_empty_log_can_be_cosigned() {
    let (mut w, key) = witness();
    let log = Other::forked_at(40);
    let wrong = WitnessCheckpoint { root: log.root(1), ..log.grows(0, 0, key) };
    ask(&mut w, wrong).then_invalid("path");
    ask(&mut w, log.grows(0, 0, key)).then_decided();
    ask(&mut w, log.grows(0, 7, key)).then_decided();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever two forks of a log ask for in whatever order, all that is ever cosigned is one growing tree.
    #[test]
    fn no_two_trees_of_a_log_are_cosigned(
        fork in 0..40_u64, asks in prop::collection::vec((any::<bool>(), 0..40_u64, 0..40_u64, any::<bool>()), 1..30),
    ) {
        let (mut w, key) = witness();
        let logs = [Other::forked_at(40), Other::forked_at(fork)];
        for (which, old, size, knows_newest) in asks {
            let newest_size = newest(&w).map_or(0, |newest| newest.size);
            let old = if knows_newest { newest_size } else { old };
            let log = &logs[usize::from(which)];
            drop(ask(&mut w, log.grows(old, size.max(old), key)));
        }
        let cosigned: Vec<_> = w.events.iter().filter_map(|event| match &event.body {
            chancery_ledger::body::Body::WitnessedCheckpoint(it) => Some((it.size, it.root)),
            _ => None,
        }).collect();
        prop_assert!(cosigned.is_sorted_by_key(|(size, _)| *size));
        let is_of = |log: &Other| cosigned.iter().all(|(size, root)| log.root(*size) == *root);
        prop_assert!(is_of(&logs[0]) || is_of(&logs[1]));
    }
}
