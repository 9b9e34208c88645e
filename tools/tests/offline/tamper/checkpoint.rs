//! Attacks on checkpoints: signed tree heads, in the log, beside it, and elsewhere.

use std::fs;
use std::path::Path;

use chancery_ledger::tree::NodeHash;
use chancery_ledger::tree::seal::{Checkpoint, Seal};

use super::attack::{StolenKeys, forged, kept_head, start, verify, verify_head};
use super::log::at;
use crate::forge::{Forge, foreign_key};

attacks! { "checkpoint":
    /// The tree size in a checkpoint is changed.
    [Verify: "checkpoint"]
    fn a_size_is_changed(world) {
        let data = forged(world, |forge| reword(forge, |lines| lines[1] = "1".to_owned()));
        vec![verify(&data)]
    }

    /// The root in a checkpoint is changed.
    [Verify: "checkpoint"]
    fn a_root_is_changed(world) {
        let data = forged(world, |forge| reword(forge, |lines| lines[2] = NodeHash([7; 32]).to_string()));
        vec![verify(&data)]
    }

    /// A checkpoint's signature is changed.
    [Verify: "signature"]
    fn a_signature_is_changed(world) {
        let data = forged(world, |forge| {
            let other = forge.seals[3].1.clone();
            let other = String::from_utf8(other.to_vec()).unwrap().lines().last().unwrap().to_owned();
            reword(forge, |lines| lines[4] = other);
        });
        vec![verify(&data)]
    }

    /// A checkpoint is signed by a key that is none of the ledger's.
    [Verify: "signature"]
    fn a_checkpoint_is_signed_by_another_key(world) {
        let data = forged(world, |forge| resign(forge, |it| it, &foreign_key()));
        vec![verify(&data)]
    }

    /// A checkpoint is signed, with the stolen key, in another ledger's name.
    [Verify: "checkpoint"]
    fn a_checkpoint_has_another_origin(world) {
        let keys = StolenKeys::of(&world.data());
        let renamed = |it: Checkpoint| Checkpoint { origin: "chancery.test/other".to_owned(), ..it };
        let data = forged(world, |forge| resign(forge, renamed, keys.first()));
        vec![verify(&data)]
    }

    /// The checkpoint over the last events is taken away.
    [Verify: "checkpoint"]
    fn the_last_checkpoint_is_taken_away(world) {
        let data = forged(world, |forge| drop(forge.seals.pop()));
        vec![verify(&data)]
    }

    /// Two readers are shown two checkpoints of one size, both signed with the ledger's key: a split view.
    [VerifyHead: "diverged"]
    fn two_checkpoints_of_one_size_are_signed(world) {
        let keys = StolenKeys::of(&world.data());
        let shown = Seal::parse(&fs::read(kept_head(world)).unwrap()).unwrap();
        let other = Checkpoint { root: NodeHash([7; 32]), ..shown.checkpoint().clone() };
        let other = Seal::sign(&other, keys.at(other.size.0)).unwrap();
        let head = world.path("other-head");
        fs::write(&head, other.bytes()).unwrap();
        vec![verify_head(&world.data(), &head)]
    }

    /// A checkpoint by a key that the log never named is shown as one of its own.
    [VerifyHead: "head"]
    fn a_checkpoint_is_made_up(world) {
        let shown = Seal::parse(&fs::read(kept_head(world)).unwrap()).unwrap();
        let head = world.path("made-up");
        fs::write(&head, Seal::sign(shown.checkpoint(), &foreign_key()).unwrap().bytes()).unwrap();
        vec![verify_head(&world.data(), &head)]
    }

    /// The last checkpoint that the daemon keeps beside the log is overwritten.
    [Start: "cannot be read"]
    fn the_kept_checkpoint_is_overwritten(world) {
        let data = world.copy("scribbled");
        let file = Path::new(&data).join("last-checkpoint");
        let size = fs::metadata(&file).unwrap().len();
        fs::write(&file, vec![0x55; at(size)]).unwrap();
        vec![start(&data)]
    }
}

/// Changes the lines of the third checkpoint: origin, size, root, an empty one, signature.
fn reword(forge: &mut Forge, change: impl FnOnce(&mut Vec<String>)) {
    let text = String::from_utf8(forge.seals[2].1.to_vec()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    forge.seals[2].1 = format!("{}\n", lines.join("\n")).into();
}

/// Signs the third checkpoint anew, as it is or changed.
fn resign(forge: &mut Forge, change: impl FnOnce(Checkpoint) -> Checkpoint, by: &chancery_ledger::keys::SigningKey) {
    let signed = change(Seal::parse(&forge.seals[2].1).unwrap().checkpoint().clone());
    forge.seals[2].1 = Seal::sign(&signed, by).unwrap().bytes().clone();
}
