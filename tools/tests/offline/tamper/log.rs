//! Attacks on the log: events changed, put in, taken out, and told anew.

use std::fs;
use std::path::Path;

use chancery_ledger::tree::seal::Seal;

use super::attack::{
    StolenKeys, ask, first_key, forged, kept_head, passes, retell, start, verify, verify_head, verify_key,
    without_last_checkpoint,
};
use crate::forge::{Forge, event_key, foreign_key, sled_of};
use crate::world::{chancery, copy_dir};

attacks! { "log":
    /// An event's header is changed, and with it every node of the tree above.
    [Verify: "link"]
    fn a_header_is_changed(world) {
        let data = forged(world, |forge| flip(&mut forge.events[4].0, 20));
        vec![verify(&data)]
    }

    /// An event's body is changed.
    [Verify: "body"]
    fn a_body_is_changed(world) {
        let data = forged(world, |forge| flip(&mut forge.events[at(world.suspended)].1, 0));
        vec![verify(&data)]
    }

    /// An event is given the body of another of its kind.
    [Verify: "body"]
    fn a_body_is_exchanged(world) {
        let data = forged(world, |forge| forge.events[at(world.registered)].1 = forge.events[at(world.size() - 1)].1.clone());
        vec![verify(&data)]
    }

    /// An event is taken out.
    [Verify: "gap"]
    fn an_event_is_taken_out(world) {
        let data = forged(world, |forge| drop(forge.events.remove(at(world.suspended))));
        vec![verify(&data)]
    }

    /// An event is taken out, and all after it are numbered and linked anew.
    [Verify: "checkpoint"]
    fn an_event_is_taken_out_with_care(world) {
        let data = forged(world, |forge| {
            forge.events.remove(at(world.suspended));
            forge.link();
        });
        vec![verify(&data)]
    }

    /// An event is put in, and all after it are numbered and linked anew.
    [Verify: "checkpoint"]
    fn an_event_is_put_in_with_care(world) {
        let data = forged(world, |forge| {
            let repeated = forge.events[at(world.suspended)].clone();
            forge.events.insert(at(world.suspended), repeated);
            forge.link();
        });
        vec![verify(&data)]
    }

    /// Two events change places.
    [Verify: "gap"]
    fn two_events_change_places(world) {
        let data = forged(world, |forge| forge.events.swap(at(world.suspended), at(world.resumed)));
        vec![verify(&data)]
    }

    /// An event is put behind the last, linked, and signed by nobody.
    [Verify: "checkpoint"]
    fn an_event_is_put_at_the_end(world) {
        let data = forged(world, |forge| {
            forge.events.push(forge.events[at(world.size() - 1)].clone());
            forge.link();
        });
        vec![verify(&data)]
    }

    /// What lies in an event's place is no event.
    [Verify: "record"]
    fn a_record_is_overwritten(world) {
        let data = world.copy("scribbled");
        Forge::spread(&data);
        sled_of(&data).insert(event_key(world.suspended), vec![0x55; 64]).unwrap();
        vec![verify(&data)]
    }

    /// The log's end is cut off, with the signatures over it.
    [Verify: "truncated"]
    [Start: "was signed and may have left this machine"]
    fn the_tail_is_cut_off(world) {
        let data = forged(world, |forge| cut(forge, world));
        vec![verify(&data), start(&data)]
    }

    /// The log's end is cut off, and everything that tells of it on that machine.
    [VerifyHead: "truncated"]
    fn the_tail_is_cut_off_without_a_trace(world) {
        let head = kept_head(world);
        let data = forged(world, |forge| cut(forge, world));
        without_last_checkpoint(&data);
        passes(&data);
        vec![verify_head(&data, &head)]
    }

    /// The whole log is deleted, and a new ledger is to be founded in its place.
    [Start: "is empty, but a checkpoint for"]
    fn the_log_is_deleted(world) {
        let data = world.copy("deleted");
        fs::remove_dir_all(Path::new(&data).join("log")).unwrap();
        vec![start(&data)]
    }

    /// Another ledger's log is put in place of this one's.
    [VerifyKey: "key"]
    [Start: "contradicts the last checkpoint signed for it"]
    fn another_ledger_s_log_is_put_in_place(world) {
        let (data, other) = (world.copy("exchanged"), World::new());
        let log = Path::new(&data).join("log");
        fs::remove_dir_all(&log).unwrap();
        copy_dir(&Path::new(&other.data()).join("log"), &log);
        vec![verify_key(&data, &first_key(world)), start(&data)]
    }

    /// All of history is told anew, linked, and signed with another key.
    [VerifyKey: "key"]
    [VerifyPin: "key"]
    fn all_of_history_is_signed_by_another_key(world) {
        let pin = world.path("pin");
        chancery(&["verify", "--data-dir", &world.data(), "--pin", &pin]).is(0);
        let data = forged(world, |forge| {
            forge.name_key(&foreign_key());
            retell(forge, world.suspended);
            forge.seal(&foreign_key());
        });
        without_last_checkpoint(&data);
        passes(&data);
        vec![verify_key(&data, &first_key(world)), ask(By::VerifyPin, &["--data-dir", &data, "--pin", &pin])]
    }

    /// Whoever has stolen the signing keys tells history anew from some event on.
    [Verify: "diverged"]
    [Start: "contradicts the last checkpoint signed for it"]
    fn history_is_told_anew_with_stolen_keys(world) {
        let data = forged(world, |forge| tell_anew(forge, world));
        vec![verify(&data), start(&data)]
    }

    /// The same, and the daemon's last checkpoint is taken away.
    [VerifyHead: "diverged"]
    fn history_is_told_anew_without_a_trace(world) {
        let head = kept_head(world);
        let data = forged(world, |forge| tell_anew(forge, world));
        without_last_checkpoint(&data);
        passes(&data);
        vec![verify_head(&data, &head)]
    }

    /// An export is cut off.
    [Verify: "container"]
    fn an_export_is_cut_off(world) {
        let (export, bytes) = (world.path("cut.export"), fs::read(world.export()).unwrap());
        fs::write(&export, &bytes[..bytes.len() - 1]).unwrap();
        vec![ask(By::Verify, &["--export", &export])]
    }
}

/// The index of an event.
pub fn at(seq: u64) -> usize {
    usize::try_from(seq).unwrap()
}

/// Changes a bit.
pub fn flip(bytes: &mut bytes::Bytes, place: usize) {
    let mut changed = bytes.to_vec();
    changed[place] ^= 1;
    *bytes = changed.into();
}

/// Takes the last commit away.
fn cut(forge: &mut Forge, world: &World) {
    let kept = world.ends[world.ends.len() - 2];
    forge.events.truncate(at(kept));
    forge.seals.retain(|(_, seal)| Seal::parse(seal).unwrap().checkpoint().size.0 <= kept);
}

fn tell_anew(forge: &mut Forge, world: &World) {
    let keys = StolenKeys::of(&world.data());
    retell(forge, world.suspended);
    forge.seal_by(world.suspended + 1, |size| keys.at(size));
}
