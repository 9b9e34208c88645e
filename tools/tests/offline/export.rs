//! `chancery export` from a stopped data directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::forge::{Forge, event_key, sled_of};
use crate::world::{World, chancery};

#[test]
fn an_export_holds_all_of_the_log_and_is_for_its_owner() {
    let world = World::new();
    let path = world.path("whole.export");
    let ran = chancery(&["export", "--data-dir", &world.data(), "--out", &path]).is(0);
    let (events, seals) = (world.size(), world.ends.len());
    assert_eq!(
        ran.out,
        format!("{path}: {events} events, {seals} seals; `chancery verify --export {path}` verifies it\n")
    );
    assert_eq!(ran.err, "");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let verdict = chancery(&["verify", "--export", &path, "--json"]).is(0).json();
    assert_eq!(verdict, chancery(&["verify", "--data-dir", &world.data(), "--json"]).is(0).json());
}

#[test]
fn an_export_without_bodies_verifies_and_tells_nothing() {
    let world = World::new();
    let path = world.path("bare.export");
    chancery(&["export", "--data-dir", &world.data(), "--out", &path, "--without-bodies"]).is(0);
    let verdict = chancery(&["verify", "--export", &path, "--json"]).is(0).json();
    // Genesis and the rotation are what a verifier needs; the tenants' CA keys are of the same kinds.
    let withheld = verdict["bodies"]["withheld"].as_u64().unwrap();
    assert!(withheld > world.size() / 2 && withheld < world.size());
    let whole = chancery(&["verify", "--data-dir", &world.data(), "--json"]).is(0).json();
    assert_eq!((&verdict["root"], &verdict["keys"]), (&whole["root"], &whole["keys"]));
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"invoices"));
    assert!(fs::read(world.export()).unwrap().windows(8).any(|window| window == b"invoices"));

    let said = "is withheld from this export";
    chancery(&["replay", "--export", &path, "--without-keys", "agent", &world.agent]).is(2).complains(said);
    let seq = world.suspended.to_string();
    chancery(&["inspect", "--export", &path, "--without-keys", "events", &seq]).is(2).complains(said);
    let shown = chancery(&["inspect", "--export", &path, "bytes", &seq]).is(0).json();
    let with_body = chancery(&["inspect", "--data-dir", &world.data(), "bytes", &seq]).is(0).json();
    assert!(shown["body"].is_null() && with_body["body"].is_string());
    for member in ["header", "body_hash", "hash", "leaf_hash"] {
        assert_eq!(shown[member], with_body[member], "{member}");
    }
}

#[test]
fn an_export_replaces_nothing_and_leaves_nothing_when_it_fails() {
    let world = World::new();
    let path = world.path("mine");
    fs::write(&path, "mine").unwrap();
    chancery(&["export", "--data-dir", &world.data(), "--out", &path]).is(2).complains("exists already");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

    let dir = world.path("exports");
    fs::create_dir(&dir).unwrap();
    let path = format!("{dir}/log.export");
    let data = world.copy("damaged");
    Forge::spread(&data);
    sled_of(&data).remove(event_key(9)).unwrap().unwrap();
    chancery(&["export", "--data-dir", &data, "--out", &path]).is(2).complains("was not written");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);

    chancery(&["export", "--data-dir", &world.data(), "--out", &world.path("none/log.export")]).is(2).complains("none");
    assert!(!Path::new(&world.path("none")).exists());
}
