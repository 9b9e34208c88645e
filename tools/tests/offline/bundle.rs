//! Evidence bundles: made from a stopped data directory, an export or an archive, and verified alone.

use std::fs;

use serde_json::Value;

use crate::world::{World, chancery};

fn made(world: &World, name: &str, asked: &[&str]) -> String {
    let (path, data) = (world.path(name), world.data());
    let ran = chancery(&[&["export", "--data-dir", &data, "--out", &path], asked].concat()).is(0);
    assert!(ran.out.contains(&format!("`chancery verify {path}` verifies it")), "{}", ran.out);
    path
}

fn verdict(path: &str) -> Value {
    chancery(&["verify", path, "--json"]).is(0).json()
}

#[test]
fn what_concerns_an_agent_is_proved_without_the_rest() {
    let world = World::new();
    let whole = verdict(&world.export());
    let found = verdict(&made(&world, "agent.bundle", &["--agent", &world.agent]));
    for member in ["root", "size", "origin", "keys"] {
        assert_eq!(found[member], whole[member], "{member}");
    }
    let population = &found["bundle"];
    assert!(found["events"].as_u64().unwrap() < world.size());
    assert_eq!(population["kinds"]["132"], 1, "it was suspended once");
    assert_eq!((&population["complete"], &population["choice"]["things"][0]["kind"]), (&"no".into(), &"agent".into()));

    let with_headers = verdict(&made(&world, "headers.bundle", &["--agent", &world.agent, "--headers"]));
    assert_eq!(with_headers["bundle"]["chosen"], population["chosen"]);
    assert_eq!(with_headers["bundle"]["complete"], "yes");
    assert_eq!(with_headers["events"], world.size());

    let mission = format!("mission:{}", world.mission);
    let one = verdict(&made(&world, "mission.bundle", &["--mission", &world.mission]));
    let same = verdict(&made(&world, "thing.bundle", &["--thing", &mission]));
    assert_eq!(one, same);
}

#[test]
fn a_period_has_every_event_and_says_so() {
    let world = World::new();
    let (from, to) = (world.suspended.to_string(), world.resumed.to_string());
    let path = made(&world, "period.bundle", &["--from", &from, "--to", &to]);
    let said = chancery(&["verify", &path]).is(0).out;
    let events = world.resumed - world.suspended + 1;
    assert!(said.contains(&format!("bundle of {events} events")), "{said}");
    assert!(said.contains(&format!("nothing asked for is missing from event {from} to {to}")), "{said}");
    assert!(said.contains("1 × AgentSuspended") && said.ends_with("WHOLE\n"), "{said}");

    let by_time = made(&world, "time.bundle", &["--from", "2026-01-02T03:04:08Z", "--to", "2026-01-02T03:04:20Z"]);
    let found = verdict(&by_time);
    assert_eq!(found["bundle"]["period_complete"], "yes", "{found}");
    let none = made(&world, "none.bundle", &["--from", "2025-01-01T00:00:00Z", "--to", "2025-12-31T00:00:00Z"]);
    let found = verdict(&none);
    assert_eq!((&found["bundle"]["chosen"], &found["bundle"]["period_complete"]), (&0.into(), &"yes".into()));
}

#[test]
fn data_directory_export_and_withheld_bodies_give_the_same_proof() {
    let world = World::new();
    let export = world.export();
    let ours = made(&world, "ours.bundle", &["--all"]);
    let theirs = world.path("theirs.bundle");
    chancery(&["export", "--export", &export, "--out", &theirs, "--all"]).is(0);
    assert_eq!(fs::read(ours).unwrap(), fs::read(&theirs).unwrap());

    let bare = world.path("bare.export");
    chancery(&["export", "--data-dir", &world.data(), "--out", &bare, "--without-bodies"]).is(0);
    let out = world.path("of-bare.bundle");
    let all = ["export", "--export", &bare, "--out", &out, "--all"];
    chancery(&all).is(2).complains("ask for a bundle without bodies");
    chancery(&[&all[..], &["--without-bodies"]].concat()).is(0);
    let found = verdict(&out);
    assert_eq!(found["bundle"]["complete"], "yes");
    assert!(found["bodies"]["withheld"].as_u64().unwrap() > 0);
}

#[test]
fn a_head_is_compared_where_the_bundle_shows_the_tree_and_no_pin_is_moved_by_a_part() {
    let world = World::new();
    let (head, pin) = (world.path("head"), world.path("pin"));
    let export = world.export();
    chancery(&["verify", &export, "--pin", &pin]).is(0);
    let pinned = fs::read(&pin).unwrap();
    let size = world.ends[world.ends.len() / 2];
    let checkpoint = chancery(&["prove", "--data-dir", &world.data(), "consistency", "1", &size.to_string()]).is(0).out;
    fs::write(&head, checkpoint.split_once("\n\n").unwrap().1).unwrap();

    let without = made(&world, "without.bundle", &["--agent", &world.agent]);
    let found = chancery(&["verify", &without, "--head", &head, "--json"]).is(0).json();
    assert_eq!(found["bundle"]["heads_not_compared"], serde_json::json!([size]));
    let with = made(&world, "with.bundle", &["--agent", &world.agent, "--head", &head]);
    let found = chancery(&["verify", &with, "--head", &head, "--json"]).is(0).json();
    assert_eq!(found["truncation_excluded_to"], size);

    // Another log's of the same size.
    fs::write(&head, {
        let other = World::new();
        let text = chancery(&["prove", "--data-dir", &other.data(), "consistency", "1", &size.to_string()]).is(0).out;
        text.split_once("\n\n").unwrap().1.to_owned()
    })
    .unwrap();
    let out = world.path("contradicted.bundle");
    chancery(&["export", "--data-dir", &world.data(), "--out", &out, "--all", "--head", &head])
        .is(2)
        .complains("contradicts the log");

    chancery(&["verify", &with, "--pin", &pin]).is(0);
    assert_eq!(fs::read(&pin).unwrap(), pinned);
}

#[test]
fn a_damaged_bundle_is_none() {
    let world = World::new();
    let path = made(&world, "good.bundle", &["--all"]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    assert!(chancery(&["verify", &path]).is(1).out.contains("cut short"));
    fs::write(&path, &bytes[..20]).unwrap();
    chancery(&["verify", &path]).is(2).complains("is no bundle");
    chancery(&["export", "--data-dir", &world.data(), "--out", &world.path("x"), "--thing", "planet:x"]).is(2);
}
