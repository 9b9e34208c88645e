//! What is not done, and how that is said: in one sentence, with exit code 2.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use crate::world::{Running, World, chancery, process, program, ran};

#[test]
fn a_data_directory_that_a_daemon_has_is_left_to_it() {
    let running = Running::start();
    let (data, out) = (running.data(), format!("{}.export", running.data()));
    let commands: [&[&str]; 4] = [
        &["verify", "--data-dir", &data],
        &["replay", "--data-dir", &data, "digests"],
        &["inspect", "--data-dir", &data, "summary"],
        &["export", "--data-dir", &data, "--out", &out],
    ];
    for command in commands {
        chancery(command).is(2).complains("is in use by another process: stop the chanceryd that runs on it");
    }
    assert!(!Path::new(&out).exists());
    running.submit("RegisterAgent", serde_json::json!({ "name": "still at work" }));
    let dir = running.stop();
    chancery(&["verify", "--data-dir", dir.path().join("data").to_str().unwrap()]).is(0);
}

#[test]
fn what_is_no_log_is_said_to_be_none_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    chancery(&["verify", "--data-dir", &path("none")]).is(2).complains("holds no log");
    fs::create_dir(path("empty")).unwrap();
    chancery(&["verify", "--data-dir", &path("empty")]).is(2).complains("holds no log");
    fs::create_dir_all(path("odd/log")).unwrap();
    chancery(&["verify", "--data-dir", &path("odd")]).is(2);
    assert_eq!(fs::read_dir(path("odd/log")).unwrap().count(), 0);
    fs::write(path("odd/log.quarantined"), "log-1\nit was damaged\n").unwrap();
    fs::remove_dir(path("odd/log")).unwrap();
    chancery(&["verify", "--data-dir", &path("odd")]).is(2).complains("it was damaged");

    chancery(&["verify", "--export", &path("none")]).is(2).complains("cannot be read");
    chancery(&["verify", "--export", &path("empty")]).is(2).complains("Is a directory");
    chancery(&["replay", "--export", &path("none"), "digests"]).is(2).complains("cannot be used");
    chancery(&["verify"]).is(2).complains("name a log");
    let both = chancery(&["verify", "--export", "a", "--data-dir", "b"]).is(2);
    assert!(both.err.contains("cannot be used with"), "{}", both.err);
}

#[test]
fn the_environment_names_the_data_directory_unless_an_option_names_a_log() {
    let world = World::new();
    let with_data_dir = |data: &str, arguments: &[&str]| {
        let mut process = process(program(), arguments);
        process.env("CHANCERY_DATA_DIR", data);
        ran(process)
    };
    with_data_dir(&world.data(), &["verify"]).is(0);
    with_data_dir("/nowhere", &["verify", "--data-dir", &world.data()]).is(0);
    with_data_dir("/nowhere", &["verify", "--export", &world.export()]).is(0);
    with_data_dir("", &["verify"]).is(2).complains("name a log");
    with_data_dir(&world.data(), &["export", "--out", &world.path("a.export")]).is(0);
    chancery(&["export", "--out", &world.path("b.export")]).is(2).complains("name a stopped daemon's --data-dir");
}

/// As a forensic copy is kept. sled writes as it opens, so a copy is opened in its place.
#[test]
fn a_data_directory_that_may_not_be_written_is_read_from_a_copy() {
    let world = World::new();
    let data = world.copy("kept");
    let before = contents(Path::new(&data));
    allow(Path::new(&data), 0o555, 0o444);
    // Whoever may do everything is somebody else for this.
    let nobody = 65_534;
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let path = world.path("chancery");
    fs::hard_link(program(), &path).or_else(|_| fs::copy(program(), &path).map(drop)).unwrap();
    let parent = Path::new(&data).parent().unwrap().to_owned();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str]| {
        let mut process = process(&path, arguments);
        if is_root {
            process.uid(nobody).gid(nobody);
        }
        ran(process)
    };
    let verify = run(&["verify", "--data-dir", &data]).is(0);
    assert!(verify.out.ends_with("WHOLE\n"), "{}", verify.out);
    assert!(verify.err.contains("may not be written by this user, so a copy of its log is read"), "{}", verify.err);
    let replay = run(&["replay", "--data-dir", &data, "agent", &world.agent]).is(0);
    assert!(replay.json()["profile"].is_null(), "secrets are not copied");
    assert!(replay.err.contains("every encrypted field shows as null"), "{}", replay.err);
    assert_eq!(contents(Path::new(&data)), before);

    fs::set_permissions(&data, fs::Permissions::from_mode(0o000)).unwrap();
    run(&["verify", "--data-dir", &data]).is(2).complains("Permission denied");
    allow(Path::new(&data), 0o755, 0o644);
}

#[test]
fn a_copy_is_read_in_place_of_evidence_when_that_is_asked_for() {
    let world = World::new();
    let data = world.data();
    let before = contents(Path::new(&data));
    for _ in 0..2 {
        let verify = chancery(&["verify", "--data-dir", &data, "--copy"]).is(0);
        assert_eq!(verify.err, "");
    }
    chancery(&["inspect", "--data-dir", &data, "--copy", "summary"]).is(0);
    assert_eq!(contents(Path::new(&data)), before);

    // sled cuts off what follows damage, in the copy.
    let db = format!("{data}/log/db");
    let mut bytes = fs::read(&db).unwrap();
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    bytes[middle] ^= 1;
    fs::write(&db, &bytes).unwrap();
    let verdict = chancery(&["verify", "--data-dir", &data, "--copy", "--json"]).is(1).json();
    assert_eq!(verdict["whole"], false);
    assert!(fs::read(&db).unwrap() == bytes, "what is left of the evidence is untouched");
    // Where nothing was copied, too, the damage is bad news: the checkpoint beside the log tells of the lost tail.
    chancery(&["verify", "--data-dir", &data]).is(1);
}

/// Every file below a directory, with its bytes.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Gives directories and files below a path these modes.
fn allow(path: &Path, dirs: u32, files: u32) {
    let is_dir = path.is_dir();
    fs::set_permissions(path, fs::Permissions::from_mode(if is_dir { dirs | 0o200 } else { files })).unwrap();
    if is_dir {
        fs::read_dir(path).unwrap().for_each(|entry| allow(&entry.unwrap().path(), dirs, files));
        fs::set_permissions(path, fs::Permissions::from_mode(dirs)).unwrap();
    }
}

#[test]
fn a_keystore_that_is_not_whole_is_not_made_whole() {
    let world = World::new();
    let data = world.copy("without-key");
    let wrapping = format!("{data}/keystore/wrapping.key");
    fs::remove_file(&wrapping).unwrap();
    let replay = ["replay", "--data-dir", &data, "agent", &world.agent];
    chancery(&replay).is(2).complains("is no whole keystore");
    assert!(!Path::new(&wrapping).exists());
    let without = ["replay", "--data-dir", &data, "agent", &world.agent, "--without-keys"];
    assert!(chancery(&without).is(0).json()["profile"].is_null());
    // Verifying needs none.
    chancery(&["verify", "--data-dir", &data]).is(0);
}

#[test]
fn a_daemon_that_is_not_there_and_a_key_that_is_missing_are_said() {
    // A port that nobody listens on, because this process has it and does not.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    let url = format!("http://127.0.0.1:{port}");
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("log.export");
    let commands: [&[&str]; 4] = [
        &["submit", "--url", &url, "OpenMission"],
        &["keys", "--url", &url, "list"],
        &["keys", "list", "--url", &url],
        &["export", "--url", &url, "--out", out.to_str().unwrap()],
    ];
    for command in commands {
        let without_key = chancery(command).is(2);
        assert!(without_key.err.contains("--api-key"), "{}", without_key.err);
        let mut process = process(program(), command);
        process.env("CHANCERY_API_KEY", "none");
        ran(process).is(2).complains("cannot be reached: is it running");
    }
    assert!(!out.exists());
}

#[test]
fn help_tells_the_exit_codes_and_nothing_at_all_tells_how_to_go_on() {
    let help = chancery(&["--help"]).is(0);
    assert!(help.out.contains("Exit codes: 0 "), "{}", help.out);
    let nothing = chancery(&[]).is(2);
    assert!(nothing.err.contains("Usage: chancery"), "{}", nothing.err);
    for command in ["verify", "replay", "export", "inspect", "submit", "keys"] {
        chancery(&[command, "--help"]).is(0);
    }
}
