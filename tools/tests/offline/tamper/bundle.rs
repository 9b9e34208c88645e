//! Attacks on evidence bundles: a part of the log, in other hands than the ledger's.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};

use chancery_ledger::tree::{NodeHash, leaf_hash};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::attack::{ask, first_key};
use crate::world::chancery;

attacks! { "bundle":
    /// An event that a bundle shows among hidden ones is changed.
    [Verify: "checkpoint"]
    fn an_event_in_a_bundle_is_changed(world) {
        let path = tampered(world, &["--agent", &world.agent], |frames| event(frames, world.resumed)[4 + 20] ^= 1);
        vec![ask(By::Verify, &[&path])]
    }

    /// The body of an event in a bundle is changed.
    [Verify: "body"]
    fn a_body_in_a_bundle_is_changed(world) {
        let path = tampered(world, &["--agent", &world.agent], |frames| {
            *event(frames, world.suspended).last_mut().unwrap() ^= 1;
        });
        vec![ask(By::Verify, &[&path])]
    }

    /// An event is taken out of a bundle.
    [Verify: "gap"]
    fn an_event_is_taken_out_of_a_bundle(world) {
        let path = tampered(world, &period(world), |frames| {
            let place = place(frames, world.suspended);
            frames.remove(place);
        });
        vec![ask(By::Verify, &[&path])]
    }

    /// An event of a period is hidden, as events may be that nobody asked for: its leaf stands in its place.
    [Verify: "choice"]
    fn an_event_of_a_period_is_hidden(world) {
        let path = tampered(world, &period(world), |frames| hide(frames, world.suspended));
        vec![ask(By::Verify, &[&path])]
    }

    /// A bundle is said to be of a longer period than it shows.
    [Verify: "choice"]
    fn a_bundle_is_said_to_be_of_a_longer_period(world) {
        let path = tampered(world, &period(world), |frames| {
            let mut manifest: Value = serde_json::from_slice(&frames[0].1).unwrap();
            manifest["choice"]["end"] = manifest["size"].clone();
            frames[0].1 = manifest.to_string().into_bytes();
        });
        vec![ask(By::Verify, &[&path])]
    }

    /// A chosen event's body is left out, though the bundle says that it has the bodies.
    [Verify: "choice"]
    fn a_body_is_left_out_of_a_bundle(world) {
        let path = tampered(world, &period(world), |frames| {
            let payload = event(frames, world.suspended);
            let header = 4 + header(payload).len();
            payload.truncate(header);
            payload.push(0);
        });
        vec![ask(By::Verify, &[&path])]
    }

    /// What stands for the hidden events of a bundle is changed.
    [Verify: "checkpoint"]
    fn a_hidden_part_of_a_bundle_is_changed(world) {
        let path = tampered(world, &period(world), |frames| {
            let hidden = frames.iter_mut().find(|(kind, _)| *kind == b'N').unwrap();
            hidden.1[32] ^= 1;
        });
        vec![ask(By::Verify, &[&path])]
    }

    /// A bundle is made to count more events of a kind than it shows.
    [Verify: "container"]
    fn a_bundle_counts_more_than_it_shows(world) {
        let path = tampered(world, &period(world), |frames| {
            let counts = frames.iter_mut().find(|(kind, _)| *kind == b'C').unwrap();
            *counts.1.last_mut().unwrap() += 1;
        });
        vec![ask(By::Verify, &[&path])]
    }

    /// The event by which the next key is named is hidden in a bundle.
    [Verify: "signature"]
    fn a_rotation_is_hidden_in_a_bundle(world) {
        let path = tampered(world, &period(world), |frames| hide(frames, world.rotated));
        vec![ask(By::Verify, &[&path])]
    }

    /// Another ledger's bundle is shown as this one's.
    [VerifyKey: "key"]
    fn another_ledger_s_bundle_is_shown(world) {
        let other = World::new();
        let path = tampered(&other, &period(&other), |_| {});
        chancery(&["verify", &path]).is(0);
        vec![ask(By::VerifyKey, &[&path, "--key", &first_key(world)])]
    }

    /// A bundle is cut off.
    [Verify: "container"]
    fn a_bundle_is_cut_off(world) {
        let path = tampered(world, &["--all"], |_| {});
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
        vec![ask(By::Verify, &[&path])]
    }
}

/// A frame's type and payload.
type Frame = (u8, Vec<u8>);
/// Bytes before the first frame.
const MAGIC: &str = "chancery bundle 1\n";

/// What is asked for a period without gaps: from the suspension to the end of it.
fn period(world: &World) -> [String; 4] {
    ["--from".to_owned(), world.suspended.to_string(), "--to".to_owned(), world.resumed.to_string()]
}

/// A bundle with what was asked, changed by somebody who knows the format.
fn tampered(world: &World, asked: &[impl AsRef<str>], change: impl FnOnce(&mut Vec<Frame>)) -> String {
    let (path, data) = (world.path("tampered.bundle"), world.data());
    let asked: Vec<&str> = asked.iter().map(AsRef::as_ref).collect();
    chancery(&[&["export", "--data-dir", &data, "--out", &path], &asked[..]].concat()).is(0);
    let mut plain = Vec::new();
    GzDecoder::new(File::open(&path).unwrap()).read_to_end(&mut plain).unwrap();
    let (mut frames, mut rest) = (Vec::new(), plain.strip_prefix(MAGIC.as_bytes()).unwrap());
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        frames.push((head[0], tail[..length].to_vec()));
        rest = &tail[length..];
    }
    change(&mut frames);
    let mut out = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
    out.write_all(MAGIC.as_bytes()).unwrap();
    for (kind, payload) in frames {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        out.write_all(&[&[kind], &length[..], &payload].concat()).unwrap();
    }
    out.finish().unwrap();
    path
}

/// The header within an event's frame.
fn header(payload: &[u8]) -> &[u8] {
    let (length, rest) = payload.split_first_chunk::<4>().unwrap();
    &rest[..u32::from_be_bytes(*length) as usize]
}

/// Where the frame of an event stands.
fn place(frames: &[Frame], seq: u64) -> usize {
    let is_it = |(kind, payload): &Frame| *kind == b'E' && header(payload)[1..9] == seq.to_be_bytes();
    frames.iter().position(is_it).unwrap()
}

/// The payload of an event's frame.
fn event(frames: &mut [Frame], seq: u64) -> &mut Vec<u8> {
    let place = place(frames, seq);
    &mut frames[place].1
}

/// Puts an event's leaf in its place.
fn hide(frames: &mut [Frame], seq: u64) {
    let place = place(frames, seq);
    let NodeHash(leaf) = leaf_hash(header(&frames[place].1));
    frames[place] = (b'N', [&[0], &leaf[..]].concat());
}
