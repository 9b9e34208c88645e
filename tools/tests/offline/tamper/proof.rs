//! Attacks on proofs: files that say that an event is in the log, or that the log only grew.

use std::fs;

use chancery_ledger::tree::tlog_proof::TlogProof;
use chancery_ledger::tree::{NodeHash, leaf_hash};

use super::attack::{StolenKeys, first_key, forged, retell, verify_proof};
use crate::forge::Forge;
use crate::world::chancery;

attacks! { "proof":
    /// The proof of one event is shown for another.
    [VerifyProof: "the path does not lead from this event to the signed root"]
    fn a_proof_is_shown_for_another_event(world) {
        let other = proof(world, world.resumed).extra;
        vec![shown(world, TlogProof { extra: other, ..proof(world, world.suspended) })]
    }

    /// The event in a proof is changed.
    [VerifyProof: "the path does not lead from this event to the signed root"]
    fn the_event_of_a_proof_is_changed(world) {
        let mut changed = proof(world, world.suspended);
        changed.extra.as_mut().unwrap()[20] ^= 1;
        vec![shown(world, changed)]
    }

    /// An event is said to stand at another place.
    [VerifyProof: "the path does not lead from this event to the signed root"]
    fn a_proof_tells_another_place(world) {
        let moved = proof(world, world.suspended);
        vec![shown(world, TlogProof { index: chancery_ledger::ids::Seq(moved.index.0 - 1), ..moved })]
    }

    /// Two nodes of the tree are passed off as an event: a second preimage.
    [VerifyProof: "the path does not lead from this event to the signed root"]
    fn nodes_are_passed_off_as_an_event(world) {
        let genuine = proof(world, 0);
        let own = leaf_hash(genuine.extra.as_ref().unwrap());
        let pair = [own.0, genuine.path[0].0].concat();
        vec![shown(world, TlogProof { extra: Some(pair), path: genuine.path[1..].to_vec(), ..genuine })]
    }

    /// A proof leads to a checkpoint that the ledger never signed.
    [VerifyProof: "no valid signature by this key"]
    fn a_proof_leads_to_another_checkpoint(world) {
        let mut note = String::from_utf8(proof(world, world.suspended).seal.bytes().to_vec()).unwrap();
        let root = note.lines().nth(2).unwrap().to_owned();
        note = note.replace(&root, &NodeHash([7; 32]).to_string());
        let seal = chancery_ledger::tree::seal::Seal::parse(note.as_bytes()).unwrap();
        vec![shown(world, TlogProof { seal, ..proof(world, world.suspended) })]
    }

    /// A log that was told anew is said to have grown out of the one that a checkpoint signs.
    [VerifyProof: "they tell two stories"]
    fn a_fork_is_said_to_be_growth(world) {
        let keys = StolenKeys::of(&world.data());
        let data = forged(world, |forge: &mut Forge| {
            retell(forge, world.suspended);
            forge.seal_by(world.suspended + 1, |size| keys.at(size));
        });
        // Both signed by the first key: the one that the verifier is given.
        let old = *world.ends.iter().find(|end| **end > world.suspended).unwrap();
        let new = *world.ends.iter().rfind(|end| **end <= world.rotated + 1).unwrap();
        let (head, file) = (world.path("old-head"), world.path("growth"));
        let kept = chancery(&["inspect", "--data-dir", &world.data(), "seal", &(old - 1).to_string()]).is(0).out;
        fs::write(&head, kept).unwrap();
        let (old, new) = (old.to_string(), new.to_string());
        chancery(&["prove", "--data-dir", &data, "--out", &file, "consistency", &old, &new]).is(0);
        vec![verify_proof(&file, &["--key", &first_key(world), "--head", &head])]
    }
}

/// The genuine proof of an event, against the checkpoint of its commit.
fn proof(world: &World, seq: u64) -> TlogProof {
    let text = chancery(&["prove", "--data-dir", &world.data(), "inclusion", &seq.to_string()]).is(0).out;
    TlogProof::parse(text.as_bytes()).unwrap()
}

/// What the verifier says of a proof that somebody made.
fn shown(world: &World, proof: TlogProof) -> Seen {
    let file = world.path("shown.proof");
    fs::write(&file, proof.render()).unwrap();
    verify_proof(&file, &["--key", &first_key(world)])
}
