//! A damaged log, and one that another process holds. Apart from the other tests, because damage can make sled's
//! threads panic, and those are shared by every log of a process.

#![allow(clippy::unwrap_used, reason = "clippy takes only the functions marked as tests for tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::store::{Group, LogStore as _, Record, StoreError};
use chancery_ledger::tree::NodeHash;

/// Names the log that [`holds_a_log`] is to hold.
const HOLD: &str = "CHANCERY_TEST_HOLD";

fn append(store: &SledStore, count: u64) {
    let size = store.size();
    let records: Vec<_> = (size.0..size.0 + count)
        .map(|seq| Record {
            header: Bytes::from_static(b"header"),
            body: Bytes::from(vec![seq as u8; 500]),
            nodes: vec![NodeHash([1; 32]); seq.trailing_ones() as usize],
        })
        .collect();
    store.append(size, &Group { records: &records, seal: b"seal" }).unwrap();
}

/// A log of 100 events, closed and opened once, so that sled has written its snapshot.
fn log() -> (tempfile::TempDir, PathBuf) {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("log");
    for _ in 0..2 {
        append(&SledStore::open(&dir).unwrap(), 50);
    }
    (data, dir)
}

fn snapshot(dir: &Path) -> PathBuf {
    let names = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap.")).unwrap()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let paths = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut files: Vec<_> = paths
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_damaged_log_is_set_aside_and_every_start_says_so() {
    let (data, dir) = log();
    std::fs::write(snapshot(&dir), b"not what sled wrote, nor its checksum").unwrap();
    let damaged = files(&dir);

    // A tool that reads leaves it in its place.
    let refused = SledStore::open_to_read(&dir);
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    assert_eq!(files(&dir), damaged);

    let mut said = Vec::new();
    for _ in 0..2 {
        let refused = SledStore::open(&dir).unwrap_err();
        said.push(refused.to_string());
        let StoreError::Quarantined { path, marker, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(path, data.path().join("quarantine/log"));
        assert_eq!(marker, data.path().join("log.quarantined"));
        assert_eq!(files(&path), damaged, "not as it was");
        assert!(!dir.exists(), "a new log was begun");
    }
    assert_eq!(said[0], said[1]);
    for part in ["quarantine/log", "log.quarantined", "backup"] {
        assert!(said[0].contains(part), "{part} is not in: {}", said[0]);
    }
    let refused = SledStore::open_to_read(&dir);
    assert!(matches!(refused, Err(StoreError::Quarantined { .. })), "{refused:?}");

    // A restored log opens once a person has removed the marker, and not before.
    append(&SledStore::open(&data.path().join("restored")).unwrap(), 3);
    std::fs::rename(data.path().join("restored"), &dir).unwrap();
    assert!(matches!(SledStore::open(&dir), Err(StoreError::Quarantined { .. })));
    std::fs::remove_file(data.path().join("log.quarantined")).unwrap();
    assert_eq!(SledStore::open(&dir).unwrap().size(), TreeSize(3));
}

#[test]
fn a_second_damaged_log_does_not_take_the_place_of_the_first() {
    let (data, dir) = log();
    std::fs::create_dir_all(data.path().join("quarantine/log")).unwrap();
    std::fs::write(snapshot(&dir), b"not what sled wrote, nor its checksum").unwrap();
    let refused = SledStore::open(&dir).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Quarantined { path, .. } if path.ends_with("quarantine/log-1")),
        "{refused}"
    );
}

/// Whatever is overwritten or cut off: the log opens with whole commits, or says what is wrong; nothing is deleted.
/// That it may be shorter is for `last_checkpoint` to see.
#[test]
fn any_damage_is_an_error_or_leaves_whole_commits() {
    // The log takes some 200 KiB of sled's first segment.
    for (at, damage) in (0..20).flat_map(|n| [(n * 10_000, Some(64)), (n * 10_000, None)]) {
        let (data, dir) = log();
        let mut file = std::fs::OpenOptions::new().write(true).open(dir.join("db")).unwrap();
        match damage {
            Some(bytes) => {
                std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at)).unwrap();
                file.write_all(&vec![0xa5; bytes]).unwrap();
            }
            None => file.set_len(at).unwrap(),
        }
        drop(file);
        match SledStore::open(&dir) {
            Ok(store) => {
                let read = store.records(Seq(0)).take_while(Result::is_ok).count();
                assert!([TreeSize(50), TreeSize(100)].contains(&store.size()), "{at} {damage:?}: part of a commit");
                assert_eq!(read as u64, store.size().0, "{at} {damage:?}");
            }
            Err(error) => {
                assert!(
                    matches!(error, StoreError::Quarantined { .. } | StoreError::Torn { .. }),
                    "{at} {damage:?}: {error}"
                );
                let kept = if dir.exists() { dir } else { data.path().join("quarantine/log") };
                assert!(kept.join("db").exists());
            }
        }
    }
}

#[test]
fn a_log_that_another_process_holds_is_in_use_and_stays() {
    let (data, dir) = log();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holds_a_log", "--nocapture", "--ignored"])
        .env(HOLD, &dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("holding")), "the other process did not open the log");
    let refused = SledStore::open(&dir).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert!(dir.exists() && !data.path().join("quarantine").exists() && !data.path().join("log.quarantined").exists());
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(SledStore::open(&dir).unwrap().size(), TreeSize(100));
}

/// The other process of the test before this.
#[test]
#[ignore = "run by a_log_that_another_process_holds_is_in_use_and_stays"]
fn holds_a_log() {
    let Some(dir) = std::env::var_os(HOLD) else { return };
    let _store = SledStore::open(Path::new(&dir)).unwrap();
    println!("holding");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
