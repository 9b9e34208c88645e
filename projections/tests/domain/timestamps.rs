//! Timestamps of checkpoints: what is recorded of what an authority said. That it said so, the edge looks at.

use chancery_ledger::actor::Actor;
use chancery_ledger::body::Kind;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_ledger::timestamp::{Imprint, Nonce, Token};
use chancery_ledger::tree::NodeHash;
use chancery_ledger::tree::seal::Checkpoint;
use chancery_projections::command::RecordTimestamp;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::TIMESTAMPED;
use chancery_projections::views::View;

use crate::the;
use crate::world::*;

/// A golden token, made to be over a checkpoint of the world's log; its signature holds no more.
fn token(size: u64, root: Hash) -> Vec<u8> {
    const GOLDEN: &[u8] = include_bytes!("../../../ledger/tests/golden/timestamp/ecdsa.tsr");
    let root_of_vectors = hex::decode("c1a7bf56cb5cae26f5ecdf449fa0b28d9b1aaa437354dc92e1e8dd26517e75d4").unwrap();
    let imprint = |origin: &str, size, root| {
        Imprint::of(&Checkpoint { origin: origin.to_owned(), size: TreeSize(size), root: NodeHash(root) })
    };
    let from = imprint("chancery.example/vectors", 3, root_of_vectors.try_into().unwrap());
    let to = imprint("chancery.test/log", size, root.0);
    let mut token = Token::of_response(GOLDEN, from, Nonce::new([0x0B; 8])).unwrap().as_bytes().to_vec();
    let at = token.windows(32).position(|bytes| bytes == from.as_bytes()).unwrap();
    token[at..at + 32].copy_from_slice(to.as_bytes());
    token
}

#[test]
fn a_checkpoint_s_timestamp_is_recorded_once_and_only_if_it_is_of_that() {
    let mut w = World::new();
    let (caller, root) = (Caller { tenant: w.root, actor: Actor::system() }, Hash([7; 32]));
    let command = |size, token| RecordTimestamp { size, root, token };
    let tenant = w.root;
    let recorded = w.when_as(&caller, tenant, command(5, token(5, root)));
    let recorded = the!(&recorded.then(&[Kind::CheckpointTimestamped]), CheckpointTimestamped);
    assert_eq!((recorded.size, recorded.root), (5, root));
    let row = TIMESTAMPED.get(w.views.get(View::Identity), 5_u64).unwrap().unwrap();
    assert_eq!((row.root, row.at, row.token), (root, recorded.at, token(5, root)));
    assert!(row.at > Micros(0));
    w.when_as(&caller, tenant, command(5, token(5, root))).then_unchanged();
    w.when_as(&caller, tenant, command(6, token(5, root))).then_invalid("token");
    w.when_as(&caller, tenant, command(6, b"no token".to_vec())).then_invalid("token");
}
