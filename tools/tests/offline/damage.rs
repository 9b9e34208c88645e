//! Every sort of damage to a data directory, and the event and reason that are named for it.

use chancery_ledger::tree::seal::Seal;
use serde_json::Value;

use crate::forge::{Forge, event_key, foreign_key, sled_of};
use crate::world::{World, chancery};

/// The verdict on a damaged log: not whole, first broken there, for that reason.
#[track_caller]
fn first_broken(data: &str, what: &str, seq: u64, reason: &str) {
    let ran = chancery(&["verify", "--data-dir", data, "--json"]).is(1);
    let verdict = ran.json();
    let first = &verdict["first_broken"];
    assert_eq!((first["seq"].as_u64(), first["reason"].as_str()), (Some(seq), Some(reason)), "{what}: {verdict:#}");
    assert_eq!(verdict["whole"], Value::Bool(false));
    assert!(first["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    assert_eq!(ran.err, "");
}

/// Changes one stored value, has it noticed, and puts it back.
#[track_caller]
fn flip(data: &str, key: [u8; 8], place: usize, bit: u8, what: &str, seq: u64, reason: &str) {
    let change = || {
        let db = sled_of(data);
        let mut value = db.get(key).unwrap().unwrap().to_vec();
        value[place] ^= bit;
        db.insert(key, value).unwrap();
        db.flush().unwrap();
    };
    change();
    first_broken(data, what, seq, reason);
    change();
}

/// Where the parts of an event begin that has a run of its own: its header, its body, its nodes, the seal after it.
pub struct Parts {
    header: usize,
    body: usize,
    pub nodes: usize,
    pub end: usize,
    /// The seal's bytes, if there is one.
    seal: Vec<u8>,
}

pub fn parts(data: &str, seq: u64) -> Parts {
    let value = sled_of(data).get(event_key(seq)).unwrap().unwrap().to_vec();
    let length = |at: usize| u32::from_be_bytes(value[at..at + 4].try_into().unwrap()) as usize;
    let header = 8 + 1 + 4;
    let body = header + length(header - 4) + 4;
    let nodes = body + length(body - 4);
    let end = nodes + 32 * seq.trailing_ones() as usize;
    Parts { header, body, nodes, end, seal: value.get(end + 5..).unwrap_or_default().to_vec() }
}

#[test]
fn a_flipped_bit_is_found_by_what_it_breaks() {
    let world = World::new();
    let data = world.data();
    Forge::spread(&data);
    // In the middle of the first commit, and without nodes of its own, as every even event.
    let even = 4;
    let Parts { header, body, nodes, end, .. } = parts(&data, even);
    assert_eq!(nodes, end);
    let flip_header = |at, bit, what, seq, reason| flip(&data, event_key(even), header + at, bit, what, seq, reason);
    flip_header(0, 1, "layout", even, "header");
    flip_header(8, 2, "seq", even, "gap");
    flip_header(9, 0x80, "time, earlier", even, "time");
    flip_header(14, 1, "time, not earlier", even + 1, "link");
    flip_header(20, 1, "tenant", even + 1, "link");
    flip_header(40, 1, "prev", even, "link");
    flip_header(70, 1, "body_hash", even, "body");
    flip(&data, event_key(even), header - 1, 1, "header's length", even, "header");
    flip(&data, event_key(even), header - 5, 1, "what sort of part it is", even, "record");
    flip(&data, event_key(even), 7, 1, "where the commit ends", even + 1, "record");
    flip(&data, event_key(even), body, 1, "first byte of the body", even, "body");
    flip(&data, event_key(even), nodes - 1, 0x80, "last byte of the body", even, "body");

    // Its nodes are compared before the next event is looked at.
    let Parts { header, nodes, end, .. } = parts(&data, 7);
    assert_eq!(end - nodes, 3 * 32);
    flip(&data, event_key(7), header + 20, 1, "tenant", 7, "tree");
    flip(&data, event_key(7), nodes, 1, "first node", 7, "tree");
    flip(&data, event_key(7), end - 1, 1, "last node", 7, "tree");

    // The last event of a commit is broken by the seal that signs it.
    let last = world.ends.iter().map(|end| end - 1).find(|seq| seq % 2 == 0).unwrap();
    flip(&data, event_key(last), header + 20, 1, "tenant", last, "checkpoint");
    chancery(&["verify", "--data-dir", &data]).is(0);
}

#[test]
fn a_flipped_bit_of_a_seal_is_found() {
    let world = World::new();
    let data = world.data();
    Forge::spread(&data);
    let size = world.ends[2];
    let Parts { end, seal, .. } = parts(&data, size - 1);
    let seal = String::from_utf8(seal).unwrap();
    let lines: Vec<usize> = seal.match_indices('\n').map(|(at, _)| at + 1).collect();
    let flip = |at, bit, what, reason| flip(&data, event_key(size - 1), end + 5 + at, bit, what, size - 1, reason);
    flip(0, 1, "origin", "checkpoint");
    flip(lines[0], 1, "size", "checkpoint");
    flip(lines[1], 1, "root", "checkpoint");
    // A letter or digit of the signature that stays one.
    let is_text = |byte: u8| byte.is_ascii_alphanumeric();
    let signature = (seal.len() - 60..seal.len() - 8)
        .find(|at| is_text(seal.as_bytes()[*at] ^ 1) && is_text(seal.as_bytes()[*at] ^ 2));
    flip(signature.unwrap(), 1, "signature", "signature");
    flip(lines[2], 1, "the empty line", "checkpoint");
    chancery(&["verify", "--data-dir", &data]).is(0);
}

#[test]
fn events_taken_away_and_exchanged_are_found() {
    let world = World::new();
    let data = world.data();
    Forge::spread(&data);
    for seq in [0, 5, world.suspended] {
        let db = sled_of(&data);
        let taken = db.remove(event_key(seq)).unwrap().unwrap();
        drop(db);
        first_broken(&data, "taken away", seq, "record");
        sled_of(&data).insert(event_key(seq), taken).unwrap();
    }
    let exchange = |one, other| {
        let db = sled_of(&data);
        let (a, b) = (db.get(event_key(one)).unwrap().unwrap(), db.get(event_key(other)).unwrap().unwrap());
        db.insert(event_key(one), b).unwrap();
        db.insert(event_key(other), a).unwrap();
    };
    exchange(4, 6);
    first_broken(&data, "exchanged", 4, "gap");
    exchange(4, 6);
    exchange(4, 5);
    first_broken(&data, "exchanged, with nodes at the wrong one", 4, "gap");
    exchange(4, 5);
    chancery(&["verify", "--data-dir", &data]).is(0);
}

type Change = fn(&mut Forge, usize);

/// By somebody who keeps the tree's nodes right, and then also links and numbers.
#[test]
fn events_put_in_taken_out_and_changed_with_care_are_found() {
    let world = World::new();
    let at = usize::try_from(world.suspended).unwrap();
    let cases: [(&str, Change); 3] = [
        ("put in", |forge, at| forge.events.insert(at, forge.events[at].clone())),
        ("taken out", |forge, at| drop(forge.events.remove(at))),
        ("put elsewhere", |forge, at| forge.events.swap(at, at + 1)),
    ];
    for (number, (what, change)) in cases.into_iter().enumerate() {
        let data = world.copy(&format!("forged-{number}"));
        let mut forge = Forge::of(&data);
        change(&mut forge, at);
        forge.write(&data);
        // One more stands where the same one was already, one fewer makes the next come too early.
        let seq = if what == "put in" { world.suspended + 1 } else { world.suspended };
        first_broken(&data, what, seq, "gap");

        forge.link();
        forge.write(&data);
        // The first of two that are the same is the one that was signed.
        let broken = if what == "put in" { world.suspended + 1 } else { world.suspended };
        let sealed_at = *world.ends.iter().find(|end| **end > broken).unwrap();
        first_broken(&data, what, sealed_at - 1, "checkpoint");
    }

    // An event at the end, which nothing signs.
    let data = world.copy("longer");
    let mut forge = Forge::of(&data);
    forge.events.push(forge.events.last().unwrap().clone());
    forge.link();
    forge.write(&data);
    first_broken(&data, "put at the end", world.size(), "checkpoint");
}

#[test]
fn a_tail_that_was_cut_off_is_found_where_anything_tells_of_it() {
    let world = World::new();
    let data = world.copy("cut");
    let head = world.path("head");
    std::fs::write(
        &head,
        chancery(&["inspect", "--data-dir", &data, "seal", &(world.size() - 1).to_string()]).is(0).out,
    )
    .unwrap();
    let (kept, end) = (world.ends[world.ends.len() - 2], world.size());
    let mut forge = Forge::of(&data);
    forge.events.truncate(usize::try_from(kept).unwrap());
    forge.write(&data);
    // Its seals are still there.
    first_broken(&data, "events cut off", kept - 1, "checkpoint");

    let mut forge = Forge::of(&data);
    forge.seals.retain(|(_, seal)| Seal::parse(seal).unwrap().checkpoint().size.0 <= kept);
    forge.write(&data);
    // The checkpoint that the daemon keeps beside the log is still there.
    first_broken(&data, "events and seals cut off", kept, "truncated");

    std::fs::remove_file(std::path::Path::new(&data).join("last-checkpoint")).unwrap();
    let verdict = chancery(&["verify", "--data-dir", &data, "--json"]).is(0).json();
    assert_eq!(verdict["truncation_excluded_to"], Value::Null, "nothing is left that could tell");
    let verdict = chancery(&["verify", "--data-dir", &data, "--head", &head, "--json"]).is(1).json();
    assert_eq!(verdict["first_broken"]["reason"], "truncated");
    assert_eq!(verdict["first_broken"]["seq"], kept);
    assert_eq!(verdict["truncation_excluded_to"], end);

    // A head by a key that the log no longer names is of no log that it could be.
    let before_rotation = *world.ends.iter().rfind(|end| **end <= world.rotated).unwrap();
    let shorter = world.copy("shorter");
    let mut forge = Forge::of(&shorter);
    forge.events.truncate(usize::try_from(before_rotation).unwrap());
    forge.seals.retain(|(size, _)| *size <= before_rotation);
    forge.write(&shorter);
    first_broken(&shorter, "cut off before the key was rotated", end - 1, "head");

    // Without its last seal, what it signed is not signed.
    let mut forge = Forge::of(&data);
    forge.seals.pop();
    forge.write(&data);
    first_broken(&data, "last seal taken away", world.ends[world.ends.len() - 3], "checkpoint");
}

#[test]
fn a_log_signed_anew_is_found_by_whoever_knows_its_key() {
    let world = World::new();
    let data = world.copy("signed-anew");
    let key = chancery(&["inspect", "--data-dir", &data, "summary"]).is(0).json()["verifier_key"].clone();
    let key = key.as_str().unwrap();
    chancery(&["verify", "--data-dir", &data, "--key", key]).is(0);

    // Only the seals are another's.
    let mut forge = Forge::of(&data);
    forge.seal(&foreign_key());
    forge.write(&data);
    first_broken(&data, "sealed by another key", world.ends[0] - 1, "signature");

    // A whole other history.
    forge.name_key(&foreign_key());
    forge.link();
    forge.seal(&foreign_key());
    forge.write(&data);
    first_broken(&data, "signed anew", world.size() - 1, "head");
    std::fs::remove_file(std::path::Path::new(&data).join("last-checkpoint")).unwrap();
    let verdict = chancery(&["verify", "--data-dir", &data, "--json"]).is(0).json();
    assert_eq!(
        (&verdict["trust"], &verdict["whole"]),
        (&"self".into(), &true.into()),
        "nobody is there to know better"
    );
    let verdict = chancery(&["verify", "--data-dir", &data, "--key", key, "--json"]).is(1).json();
    assert_eq!((&verdict["first_broken"]["seq"], &verdict["first_broken"]["reason"]), (&0.into(), &"key".into()));
}

/// No reason is asked for here: only that nothing passes, wherever it is.
#[test]
fn no_flipped_bit_passes_wherever_it_is() {
    let world = World::new();
    let data = world.data();
    let keys: Vec<(Vec<u8>, usize)> = {
        let db = sled_of(&data);
        db.iter().map(|entry| entry.unwrap()).map(|(key, value)| (key.to_vec(), value.len())).collect()
    };
    let bits: usize = keys.iter().map(|(_, length)| 8 * length).sum();
    // A step that shares no factor with eight visits every bit of a byte.
    for place in (0..bits).step_by((bits / 40) | 1) {
        let mut left = place / 8;
        let (key, _) = keys
            .iter()
            .find(|(_, length)| {
                let here = left < *length;
                left = if here { left } else { left - length };
                here
            })
            .unwrap();
        let change = || {
            let db = sled_of(&data);
            let mut value = db.get(key).unwrap().unwrap().to_vec();
            value[left] ^= 1 << (place % 8);
            db.insert(key, value).unwrap();
        };
        change();
        let ran = chancery(&["verify", "--data-dir", &data]).is(1);
        assert!(ran.out.lines().last().unwrap().starts_with("NOT WHOLE: first broken at event "), "{}", ran.out);
        change();
    }
}
