//! Whatever is cut, damaged or lost of an archive, what is read back are whole commits of the log it was made of; and no
//! archive is taken for one that is not this log's.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::follow::{Follower, LogCommits};
use super::mark::{Mark, Marked};
use super::mirror::Mirrored;
use super::restore::{RestoreError, Restoring};
use super::*;
use crate::body::ledger::{Algorithm, Purpose, SigningKeyAdded};
use crate::commit::Committer;
use crate::commit::tests::{commit, event, log, open, parts, suspended};
use crate::ids::{KeyId, Seq, uuid_v7};
use crate::keys::KeyDirectory;
use crate::store::on_sled::SledStore;
use crate::store::{Group, LogStore, Record};
use crate::verify::{Item, Known, StoreItems, verify};

type Commits = Vec<(Vec<Record>, Bytes)>;

/// Adds a commit of so many events.
fn add(committer: &mut Committer, count: u64) {
    let first = committer.size().0;
    commit(committer, (first..first + count).map(suspended));
}

/// Adds a commit that puts another sealing key in place.
fn rotate(committer: &mut Committer, dir: &Path) {
    let key = KeyDirectory::open(&dir.join("keys"), None).unwrap().create().unwrap();
    let added = SigningKeyAdded {
        key: KeyId(uuid_v7(9, [9; 10])),
        purpose: Purpose::Seal,
        algorithm: Algorithm::Ed25519,
        public: key.public().as_bytes().to_vec(),
        tenant: None,
    };
    let seq = committer.size().0;
    commit(committer, [suspended(seq), event(seq + 1, added.into())]);
}

/// A log of several commits under two keys, in a directory of its own.
fn written() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), 3, true);
    let mut committer = open(dir.path()).unwrap();
    add(&mut committer, 1);
    add(&mut committer, 2);
    rotate(&mut committer, dir.path());
    add(&mut committer, 1);
    add(&mut committer, 4);
    dir
}

fn store(dir: &Path) -> Arc<dyn LogStore> {
    parts(dir).0
}

fn keys(dir: &Path) -> KeyDirectory {
    KeyDirectory::open(&dir.join("keys"), None).unwrap()
}

/// Commits of such a log.
static COMMITS: LazyLock<Commits> = LazyLock::new(|| {
    let dir = written();
    LogCommits::new(&*store(dir.path()), TreeSize(0)).map(Result::unwrap).collect()
});

/// Sizes at which a commit ends, and 0.
fn ends(commits: &Commits) -> Vec<u64> {
    let sizes = commits.iter().scan(0, |size, (records, _)| {
        *size += records.len() as u64;
        Some(*size)
    });
    [0].into_iter().chain(sizes).collect()
}

fn write_all(archive: &mut Archive, commits: &Commits) {
    let from = archive.end().first.0;
    for ((records, seal), _) in commits.iter().zip(ends(commits)).filter(|(_, at)| *at >= from) {
        archive.append(records, seal).unwrap();
    }
    archive.sync().unwrap();
}

/// An archive of one segment that is still open, as a crash leaves it.
fn left_open(commits: &Commits) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    write_all(&mut Archive::open(dir.path(), Limits::default()).unwrap(), commits);
    let segment = dir.path().join(list(dir.path()).unwrap()[0].render());
    (dir, segment)
}

fn read(path: &Path) -> Result<Vec<(Bytes, Bytes)>, ArchiveError> {
    let mut reader = ArchiveReader::open(path)?;
    let mut events = Vec::new();
    while let Some(commit) = reader.next_commit()? {
        events.extend(commit.events.into_iter().map(|(header, body)| (header, body.unwrap())));
    }
    Ok(events)
}

fn expected(commits: &Commits) -> Vec<(Bytes, Bytes)> {
    commits.iter().flat_map(|(records, _)| records).map(|r| (r.header.clone(), r.body.clone())).collect()
}

fn is_whole(items: impl Iterator<Item = Result<Item, SourceError>> + Send) -> u64 {
    let report = verify(items, &Known::default(), |_| {}).unwrap();
    assert!(report.whole, "{:?}", report.findings);
    report.size
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_archived_reads_back_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    // Every segment is due at once, so each sync closes one.
    let mut archive = Archive::open(dir.path(), Limits { bytes: 1, ..Limits::default() }).unwrap();
    for (records, seal) in &*COMMITS {
        archive.append(records, seal).unwrap();
        archive.sync().unwrap();
        assert_eq!(archive.end(), archive.durable());
    }
    let names = list(dir.path()).unwrap();
    assert_eq!(names.iter().map(|name| name.first.0).collect::<Vec<_>>(), ends(&COMMITS)[..COMMITS.len()]);
    for name in names {
        let mode = dir.path().join(name.render()).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400, "a closed segment is written no more");
    }
    assert_eq!(read(dir.path()).unwrap(), expected(&COMMITS));
    assert_eq!(is_whole(ArchiveReader::open(dir.path()).unwrap()), *ends(&COMMITS).last().unwrap());
}

#[test]
fn an_archive_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    for upto in 1..=COMMITS.len() {
        let mut archive = Archive::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(archive.end().first.0, ends(&COMMITS)[upto - 1]);
        write_all(&mut archive, &COMMITS[..upto].to_vec());
        if upto % 2 == 0 {
            archive.close().unwrap();
        }
    }
    assert_eq!(read(dir.path()).unwrap(), expected(&COMMITS));
    assert!(
        matches!(Archive::open(&dir.path().join("none/such"), Limits::default()), Ok(archive) if archive.end().first.0 == 0)
    );
}

#[test]
fn only_one_process_writes_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Archive::open(dir.path(), Limits::default()).unwrap();
    assert!(matches!(Archive::open(dir.path(), Limits::default()), Err(ArchiveError::InUse { .. })));
}

#[test]
fn what_is_not_the_next_commit_is_not_archived() {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(dir.path(), Limits::default()).unwrap();
    let (records, seal) = &COMMITS[1];
    assert!(archive.append(records, seal).is_err());
    write_all(&mut archive, &COMMITS);
    assert_eq!(read(dir.path()).unwrap(), expected(&COMMITS));
}

/// Wherever an open segment is cut, what reads back is a prefix of whole commits, and writing goes on after it.
#[test]
fn every_cut_leaves_whole_commits_and_is_written_on_from() {
    let (_whole, segment) = left_open(&COMMITS);
    let bytes = fs::read(&segment).unwrap();
    let name = segment.file_name().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for length in (0..=bytes.len()).step_by(17).chain([bytes.len()]) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), &bytes[..length]).unwrap();
        let found = read(dir.path()).unwrap();
        assert!(ends(&COMMITS).contains(&(found.len() as u64)), "cut to {length} bytes: {} events", found.len());
        assert_eq!(found, expected(&COMMITS)[..found.len()]);
        seen.insert(found.len());
        let before = fs::read(dir.path().join(name)).unwrap();
        let mut archive = Archive::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(archive.end().first.0, found.len() as u64);
        write_all(&mut archive, &COMMITS);
        archive.close().unwrap();
        assert_eq!(read(dir.path()).unwrap(), expected(&COMMITS), "cut to {length} bytes");
        assert!(fs::read(dir.path().join(name)).unwrap().starts_with(&before), "what was written is never rewritten");
    }
    assert_eq!(seen.len(), COMMITS.len() + 1, "every commit's end was seen");
}

#[test]
fn what_follows_the_last_whole_commit_is_told() {
    let (dir, segment) = left_open(&COMMITS);
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 5]).unwrap();
    let mut reader = ArchiveReader::open(dir.path()).unwrap();
    while reader.next_commit().unwrap().is_some() {}
    let leftover = reader.leftover().unwrap();
    assert_eq!(leftover.segment, segment);
    assert!(leftover.bytes > 5 && reader.size().0 < *ends(&COMMITS).last().unwrap());
}

#[test]
fn a_torn_segment_before_the_last_is_no_excuse_for_a_gap() {
    let (dir, segment) = left_open(&COMMITS[..3].to_vec());
    write_all(&mut Archive::open(dir.path(), Limits::default()).unwrap(), &COMMITS);
    let bytes = fs::read(&segment).unwrap();
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&segment, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(read(dir.path()), Err(ArchiveError::Damaged { .. })));
    fs::remove_file(&segment).unwrap();
    assert!(matches!(read(dir.path()), Err(ArchiveError::Gap { .. })));
    // The newest alone says where to go on: older ones may have been moved to other storage.
    assert_eq!(Archive::open(dir.path(), Limits::default()).unwrap().end().first.0, *ends(&COMMITS).last().unwrap());
}

/// A segment begun and torn before it held anything caps what the one before it counts for, in every later reading too.
#[test]
fn a_segment_torn_at_its_head_is_passed_over() {
    let (dir, _) = left_open(&COMMITS[..3].to_vec());
    let at = ends(&COMMITS)[2];
    fs::write(dir.path().join(Name { first: TreeSize(at), number: 0 }.render()), b"chancery arch").unwrap();
    let mut archive = Archive::open(dir.path(), Limits::default()).unwrap();
    assert_eq!(archive.end().first.0, at);
    write_all(&mut archive, &COMMITS);
    assert_eq!(read(dir.path()).unwrap(), expected(&COMMITS));
    drop(archive);
    assert_eq!(Archive::open(dir.path(), Limits::default()).unwrap().end().first.0, *ends(&COMMITS).last().unwrap());
}

#[test]
fn names_are_read_in_their_one_spelling() {
    let name = Name { first: TreeSize(42), number: 3 };
    assert_eq!(name.render(), "segment-00000000000000000042-3.archive");
    assert_eq!(Name::parse(name.render().as_ref()), Some(name));
    for other in ["segment-42-3.archive", "segment-00000000000000000042-03.archive", "lock", "segment-+0-0.archive"] {
        assert_eq!(Name::parse(other.as_ref()), None, "{other}");
    }
}

#[test]
fn a_log_that_lacks_what_the_archive_holds_is_given_it() {
    for kept in 0..COMMITS.len() {
        let whole = written();
        let commits: Commits = LogCommits::new(&*store(whole.path()), TreeSize(0)).map(Result::unwrap).collect();
        let (archived, _) = left_open(&commits);
        // The log as it was after its first commits, with the keys of today.
        let dir = tempfile::tempdir().unwrap();
        let behind = SledStore::open(&dir.path().join("log")).unwrap();
        for (records, seal) in &commits[..=kept] {
            behind.append(behind.size(), &Group { records, seal }).unwrap();
        }
        let archive = Archive::open(archived.path(), Limits::default()).unwrap();
        let found = reconcile(&archive, &behind, &keys(whole.path())).unwrap();
        let size = *ends(&commits).last().unwrap();
        assert_eq!(found.recovered, size - ends(&commits)[kept + 1]);
        assert_eq!((found.log, found.archived), (TreeSize(size), TreeSize(size)));
        assert_eq!(is_whole(StoreItems::new(&behind, TreeSize(u64::MAX))), size);
        assert_eq!(reconcile(&archive, &behind, &keys(whole.path())).unwrap().recovered, 0);
    }
}

#[test]
fn an_archive_that_is_behind_is_this_logs_and_others_are_not() {
    let dir = written();
    let log = store(dir.path());
    let commits: Commits = LogCommits::new(&*log, TreeSize(0)).map(Result::unwrap).collect();
    let archive_of = |commits: &Commits| {
        let (dir, _) = left_open(commits);
        let archive = Archive::open(dir.path(), Limits::default()).unwrap();
        (dir, archive)
    };
    for count in 1..commits.len() {
        let (_dir, archive) = archive_of(&commits[..count].to_vec());
        assert_eq!(reconcile(&archive, &*log, &keys(dir.path())).unwrap().recovered, 0);
    }
    // Another history of one ledger's name: other keys sealed it.
    for count in 1..=COMMITS.len() {
        let (_dir, archive) = archive_of(&COMMITS[..count].to_vec());
        let refused = reconcile(&archive, &*log, &keys(dir.path()));
        assert!(matches!(refused, Err(ArchiveError::Diverged { .. })), "{refused:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let empty = SledStore::open(&empty.path().join("log")).unwrap();
    let (_dir, archive) = archive_of(&commits);
    assert!(matches!(reconcile(&archive, &empty, &keys(dir.path())), Err(ArchiveError::LogEmpty { .. })));
    assert_eq!(log.size().0, *ends(&commits).last().unwrap());
}

#[test]
fn what_goes_on_from_another_history_is_not_appended() {
    // Two histories with a beginning in common, as two copies of one data directory make them.
    let ours = tempfile::tempdir().unwrap();
    log(ours.path(), 2, true);
    let common: Commits = LogCommits::new(&*store(ours.path()), TreeSize(0)).map(Result::unwrap).collect();
    let mut committer = open(ours.path()).unwrap();
    add(&mut committer, 1);
    add(&mut committer, 1);
    let theirs = tempfile::tempdir().unwrap();
    let restored = SledStore::open(&theirs.path().join("log")).unwrap();
    for (records, seal) in &common {
        restored.append(restored.size(), &Group { records, seal }).unwrap();
    }
    drop(restored);
    fs::create_dir(theirs.path().join("keys")).unwrap();
    fs::set_permissions(theirs.path().join("keys"), fs::Permissions::from_mode(0o700)).unwrap();
    for key in fs::read_dir(ours.path().join("keys")).unwrap().map(Result::unwrap) {
        fs::copy(key.path(), theirs.path().join("keys").join(key.file_name())).unwrap();
    }
    let mut other = open(theirs.path()).unwrap();
    let mut event = suspended(7);
    event.seq = Seq(3);
    commit(&mut other, [event]);
    drop(other);
    let (archived, _) = left_open(&LogCommits::new(&*committer.store(), TreeSize(0)).map(Result::unwrap).collect());
    let archive = Archive::open(archived.path(), Limits::default()).unwrap();
    let log = store(theirs.path());
    let refused = reconcile(&archive, &*log, &keys(ours.path()));
    assert!(matches!(refused, Err(ArchiveError::Diverged { .. })), "{refused:?}");
    assert_eq!(log.size(), TreeSize(4));
}

#[test]
fn a_log_is_followed_while_it_grows() {
    let dir = written();
    let archived = tempfile::tempdir().unwrap();
    let mut committer = open(dir.path()).unwrap();
    let log = committer.store();
    let archive = Archive::open(archived.path(), Limits { bytes: 600, ..Limits::default() }).unwrap();
    let follower = Follower::start(archive, log.clone()).unwrap();
    for count in [1, 5, 1, 30] {
        add(&mut committer, count);
    }
    wait_until("the archive did not follow", || follower.standing().size == log.size());
    add(&mut committer, 2);
    follower.stop();
    assert_eq!(follower.standing().size, log.size());
    assert_eq!(is_whole(ArchiveReader::open(archived.path()).unwrap()), log.size().0);
}

#[test]
fn a_follower_that_cannot_write_says_so_and_goes_on_later() {
    let dir = written();
    let archived = tempfile::tempdir().unwrap();
    let place = archived.path().join("disk");
    let mut committer = open(dir.path()).unwrap();
    let log = committer.store();
    let follower = Follower::start(Archive::open(&place, Limits::default()).unwrap(), log.clone()).unwrap();
    wait_until("the archive did not follow", || follower.standing().size == log.size());
    // The disk goes away: the segment under way is still open, the next cannot be made.
    let before = log.size();
    let aside = archived.path().join("aside");
    fs::rename(&place, &aside).unwrap();
    fs::write(&place, "no directory").unwrap();
    follower.stop();
    let archive = Archive::open(&aside, Limits { bytes: 1, ..Limits::default() }).unwrap();
    let follower = Follower::start(archive, log.clone()).unwrap();
    fs::rename(&aside, archived.path().join("gone")).unwrap();
    add(&mut committer, 2);
    wait_until("nothing was said", || follower.standing().failed.is_some());
    assert_eq!(follower.standing().size, before);
    add(&mut committer, 1);
    fs::rename(archived.path().join("gone"), &aside).unwrap();
    wait_until("the archive did not go on", || follower.standing().size == log.size());
    assert_eq!(follower.standing().failed, None);
    follower.stop();
    assert_eq!(is_whole(ArchiveReader::open(&aside).unwrap()), log.size().0);
}

#[test]
fn two_copies_are_one_store() {
    let dir = written();
    let archived = tempfile::tempdir().unwrap();
    let (sled, keys, last) = parts(dir.path());
    let archive = Archive::open(archived.path(), Limits::default()).unwrap();
    let both = Arc::new(Mirrored::start(archive, sled).unwrap());
    both.bring_up().unwrap();
    let mut committer = Committer::open(both.clone(), keys, last).unwrap();
    for count in [1, 3, 20] {
        add(&mut committer, count);
        assert_eq!(both.standing().size, both.size(), "durable in both before it is durable");
    }
    let refused = both.append(TreeSize(1), &Group { records: &COMMITS[1].0, seal: b"seal" });
    assert!(matches!(refused, Err(StoreError::NotHead { .. })));
    assert!(both.stop());
    assert_eq!(is_whole(StoreItems::new(&*both, TreeSize(u64::MAX))), both.size().0);
    assert_eq!(is_whole(ArchiveReader::open(archived.path()).unwrap()), both.size().0);
    assert!(matches!(
        both.append(both.size(), &Group { records: &COMMITS[1].0, seal: b"s" }),
        Err(StoreError::Archive { .. })
    ));
}

#[test]
fn nothing_is_seen_that_the_archive_lacks_and_writing_stops() {
    let dir = written();
    let archived = tempfile::tempdir().unwrap();
    let (sled, keys, last) = parts(dir.path());
    let archive = Archive::open(&archived.path().join("disk"), Limits { bytes: 1, ..Limits::default() }).unwrap();
    let both = Arc::new(Mirrored::start(archive, sled.clone()).unwrap());
    both.bring_up().unwrap();
    let size = both.size();
    let mut committer = Committer::open(both.clone(), keys, last).unwrap();
    fs::rename(archived.path().join("disk"), archived.path().join("gone")).unwrap();
    let mut group = crate::commit::Numbered::default();
    group.push(suspended(size.0)).unwrap();
    let failed = committer.commit(Arc::new(group)).unwrap_err();
    assert!(failed.to_string().contains("archive"), "{failed}");
    // The log itself has it; readers do not see it, and nothing more is taken.
    assert_eq!(sled.size().0, size.0 + 1);
    assert_eq!(both.size(), size);
    assert_eq!(both.record(size.next()).unwrap(), None);
    assert_eq!(both.records(Seq(0)).count() as u64, size.0);
    assert!(both.seals(TreeSize(0)).all(|seal| seal.unwrap().0 <= size));
    assert_eq!(both.last_seal().unwrap().unwrap().0, size);
    assert_eq!(both.seal_of(size.next()).unwrap(), None);
    let refused = both.append(size, &Group { records: &COMMITS[1].0, seal: b"seal" });
    assert!(matches!(refused, Err(StoreError::Stopped { .. })), "{refused:?}");
    assert!(!both.stop());
}

#[test]
fn a_mark_says_which_archive_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mark = Mark::at(dir.path().join("archived-in"));
    assert_eq!(mark.read().unwrap(), None);
    for held in [0, 17] {
        let marked = Marked { archive: "/mnt/a disk".into(), held: TreeSize(held) };
        mark.write(&marked).unwrap();
        assert_eq!(mark.read().unwrap(), Some(marked));
    }
    fs::write(mark.path(), "nothing").unwrap();
    assert_eq!(mark.read().unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    mark.clear().unwrap();
    mark.clear().unwrap();
    assert_eq!(mark.read().unwrap(), None);
}

#[test]
fn a_log_made_of_its_archive_is_the_log() {
    let dir = written();
    let log = store(dir.path());
    let archived = tempfile::tempdir().unwrap();
    write_all(
        &mut Archive::open(archived.path(), Limits { bytes: 500, ..Limits::default() }).unwrap(),
        &LogCommits::new(&*log, TreeSize(0)).map(Result::unwrap).collect(),
    );
    let made = tempfile::tempdir().unwrap();
    let place = made.path().join("log");
    let mut restoring = Restoring::begin(&place).unwrap();
    restoring.write(ArchiveReader::open(archived.path()).unwrap(), |_| {}).unwrap();
    assert_eq!(restoring.log().size(), log.size());
    drop(restoring);
    let restored = SledStore::open(&place).unwrap();
    let all = |log: &dyn LogStore| log.records(Seq(0)).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(all(&restored), all(&*log));
    let seals = |log: &dyn LogStore| log.seals(TreeSize(0)).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(seals(&restored), seals(&*log));
    assert_eq!(is_whole(StoreItems::new(&restored, TreeSize(u64::MAX))), log.size().0);
}

/// The archive ends before a damaged log does: what is intact beyond is not given up.
#[test]
fn what_a_damaged_log_still_holds_is_salvaged() {
    let dir = written();
    let log = store(dir.path());
    let commits: Commits = LogCommits::new(&*log, TreeSize(0)).map(Result::unwrap).collect();
    for kept in 1..commits.len() {
        let (archived, _) = left_open(&commits[..kept].to_vec());
        let made = tempfile::tempdir().unwrap();
        let mut restoring = Restoring::begin(&made.path().join("log")).unwrap();
        restoring.write(ArchiveReader::open(archived.path()).unwrap(), |_| {}).unwrap();
        assert_eq!(restoring.salvage(&*log).unwrap(), log.size().0 - ends(&commits)[kept]);
        assert_eq!(is_whole(StoreItems::new(restoring.log(), TreeSize(u64::MAX))), log.size().0);
        // Another log's events go on from nothing here.
        let mut restoring = Restoring::begin(&made.path().join("other")).unwrap();
        restoring.write(ArchiveReader::open(archived.path()).unwrap(), |_| {}).unwrap();
        let other = written();
        assert_eq!(restoring.salvage(&*store(other.path())).unwrap(), 0);
    }
}

#[test]
fn what_is_no_whole_copy_makes_no_log() {
    let seal = || Ok(Item::Seal(COMMITS[0].1.clone()));
    let event = |body: Option<Bytes>| Ok(Item::Event { header: COMMITS[0].0[0].header.clone(), body, nodes: None });
    let whole = || event(Some(COMMITS[0].0[0].body.clone()));
    let made = |items: Vec<Result<Item, SourceError>>| {
        let dir = tempfile::tempdir().unwrap();
        let mut restoring = Restoring::begin(&dir.path().join("log")).unwrap();
        restoring.write(items, |_| {}).map(|()| restoring.log().size())
    };
    assert_eq!(made(vec![whole(), seal()]).unwrap(), TreeSize(1));
    assert!(matches!(made(vec![event(None), seal()]), Err(RestoreError::Withheld { seq: Seq(0) })));
    assert!(matches!(made(vec![whole(), seal(), whole()]), Err(RestoreError::Unsealed { seq: Seq(1) })));
    assert!(matches!(made(vec![whole(), seal(), seal()]), Err(RestoreError::Misplaced { seq: Seq(1) })));
    let broken = Err(SourceError::Container("cut short"));
    assert!(matches!(made(vec![whole(), broken]), Err(RestoreError::Source(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever befalls a segment's bytes, each commit that reads back is one that was written, in its place.
    #[test]
    fn damage_never_reads_as_a_commit(at in any::<prop::sample::Index>(), change in 1_u8.., cut in any::<prop::sample::Index>()) {
        static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(left_open(&COMMITS).1).unwrap());
        let mut bytes = BYTES.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        bytes.truncate(at + cut.index(bytes.len() - at) + 1);
        let mut segment = Segment::new(Cursor::new(&bytes)).unwrap();
        let mut read = Vec::new();
        while let Some(commit) = segment.next_commit().unwrap() {
            read.push(commit);
        }
        prop_assert!(segment.end() != Some(&SegmentEnd::Closed));
        for (read, (records, seal)) in read.iter().zip(&*COMMITS) {
            let written: Vec<_> = records.iter().map(|r| (r.header.clone(), Some(r.body.clone()))).collect();
            prop_assert_eq!(&read.events, &written);
            prop_assert_eq!(&read.seal, seal);
        }
        prop_assert!(segment.whole_bytes() as usize <= at || read.len() == COMMITS.len());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), keep in 0_usize..400) {
        static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(left_open(&COMMITS).1).unwrap());
        let mut damaged = BYTES[..keep.min(BYTES.len())].to_vec();
        damaged.extend(bytes);
        let mut segment = Segment::new(Cursor::new(&damaged)).unwrap();
        while segment.next_commit().unwrap().is_some() {}
    }
}
