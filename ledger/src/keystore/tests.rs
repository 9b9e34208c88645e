use std::fs::Permissions;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::ThingKind;

fn name(n: u8) -> SecretName {
    match n % 2 {
        0 => SecretName::Data(Subject { kind: ThingKind::Agent, id: Uuid::from_bytes([n; 16]) }),
        _ => SecretName::OrgCa(TenantId(Uuid::from_bytes([n; 16]))),
    }
}

fn new(n: u8, fill: u8) -> NewSecret {
    NewSecret { name: name(n), secret: Zeroizing::new([fill; 32]) }
}

fn read(keystore: &Keystore, n: u8) -> Option<u8> {
    let secret = keystore.secret(&name(n)).unwrap();
    let key = keystore.signing_key(&name(n)).unwrap();
    assert_eq!(key.map(|key| key.public()), secret.clone().map(|seed| SigningKey::from_seed(seed).public()));
    secret.map(|secret| {
        assert!(secret.iter().all(|byte| *byte == secret[0]));
        secret[0]
    })
}

fn dir(data: &tempfile::TempDir) -> PathBuf {
    data.path().join("keystore")
}

#[test]
fn names_have_the_documented_bytes() {
    assert_eq!(hex::encode(name(0x10).to_bytes()), format!("0105{}", "10".repeat(16)));
    assert_eq!(hex::encode(name(0x11).to_bytes()), format!("02{}", "11".repeat(16)));
}

#[test]
fn a_wrapped_secret_has_the_documented_bytes_and_opens_under_its_name_alone() {
    let wrapping = Secret::new([9; 32]);
    let stored = wrap(&wrapping, &name(2).to_bytes(), &[7; 32]).unwrap();
    assert_eq!(stored.len(), 72);
    assert_eq!(unwrap(&wrapping, &name(2).to_bytes(), &stored), Some(Secret::new([7; 32])));
    assert_eq!(unwrap(&wrapping, &name(4).to_bytes(), &stored), None);
    assert_eq!(unwrap(&Secret::new([8; 32]), &name(2).to_bytes(), &stored), None);
    for cut in 0..72 {
        assert_eq!(unwrap(&wrapping, &name(2).to_bytes(), &stored[..cut]), None);
    }
    // By libsodium: nonce 24 × 05, the same key, name and secret.
    let foreign = hex::decode("050505050505050505050505050505050505050505050505c3c17397b001a5b6ca5c465feeb4721c118d3456e2db17396d78fab5e84029b3a83dcf95f045551ab2c99fb69e2de2dc").unwrap();
    assert_eq!(unwrap(&wrapping, &name(2).to_bytes(), &foreign), Some(Secret::new([7; 32])));
}

#[test]
fn what_was_put_is_there_at_once_and_after_reopening() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    assert_eq!(read(&keystore, 1), None);
    keystore.put(&[new(1, 11), new(2, 12)]).unwrap();
    assert_eq!((read(&keystore, 1), read(&keystore, 2)), (Some(11), Some(12)));
    keystore.sync().unwrap();
    keystore.sync().unwrap();
    drop(keystore);
    let keystore = Keystore::open(&dir(&data)).unwrap();
    assert_eq!((read(&keystore, 1), read(&keystore, 2), read(&keystore, 3)), (Some(11), Some(12), None));
}

#[test]
fn a_destroyed_secret_is_gone_for_good() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    keystore.put(&[new(1, 11), new(2, 12)]).unwrap();
    keystore.sync().unwrap();
    assert_eq!(read(&keystore, 1), Some(11));
    assert_eq!(keystore.destroy(&[name(1)]).unwrap(), 1);
    assert_eq!(keystore.destroy(&[name(1)]).unwrap(), 0);
    assert_eq!((read(&keystore, 1), read(&keystore, 2)), (None, Some(12)));
    drop(keystore);
    let keystore = Keystore::open(&dir(&data)).unwrap();
    assert_eq!((read(&keystore, 1), read(&keystore, 2)), (None, Some(12)));
    assert_eq!([1, 2, 3].map(|n| keystore.is_destroyed(&name(n)).unwrap()), [true, false, false]);
    let again = keystore.put(&[new(3, 13), new(1, 11)]);
    assert!(matches!(again, Err(KeystoreError::Destroyed { .. })), "{again:?}");
    assert_eq!([1, 3].map(|n| read(&keystore, n)), [None, None]);
}

#[test]
fn a_secret_is_never_replaced() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    keystore.put(&[new(1, 11)]).unwrap();
    keystore.put(&[new(1, 11), new(2, 12), new(2, 12)]).unwrap();
    for refused in [vec![new(3, 13), new(1, 99)], vec![new(3, 13), new(3, 14)]] {
        let refused = keystore.put(&refused);
        assert!(matches!(refused, Err(KeystoreError::Exists { .. })), "{refused:?}");
    }
    assert_eq!([1, 2, 3].map(|n| read(&keystore, n)), [Some(11), Some(12), None]);
}

#[test]
fn the_wrapping_key_is_for_its_owner_alone() {
    let data = tempfile::tempdir().unwrap();
    drop(Keystore::open(&dir(&data)).unwrap());
    let path = dir(&data).join(WRAPPING_KEY);
    let metadata = path.metadata().unwrap();
    assert_eq!((metadata.permissions().mode() & 0o7777, metadata.len()), (0o600, 32));
    for (wider, mode, right) in [(&path, 0o640, 0o600), (&dir(&data), 0o755, 0o700)] {
        std::fs::set_permissions(wider, Permissions::from_mode(mode)).unwrap();
        let refused = Keystore::open(&dir(&data));
        assert!(matches!(refused, Err(KeystoreError::KeyFile(KeyFileError::Mode { .. }))), "{refused:?}");
        std::fs::set_permissions(wider, Permissions::from_mode(right)).unwrap();
    }
    Keystore::open(&dir(&data)).unwrap();
}

#[test]
fn secrets_without_their_wrapping_key_are_not_begun_anew() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    keystore.put(&[new(1, 11)]).unwrap();
    keystore.sync().unwrap();
    drop(keystore);
    let path = dir(&data).join(WRAPPING_KEY);
    let key = std::fs::read(&path).unwrap();
    std::fs::write(&path, [1; 31]).unwrap();
    let refused = Keystore::open(&dir(&data));
    assert!(matches!(refused, Err(KeystoreError::WrappingKeyMalformed { .. })), "{refused:?}");
    std::fs::write(&path, [1; 32]).unwrap();
    let refused = Keystore::open(&dir(&data));
    assert!(matches!(refused, Err(KeystoreError::WrappingKeyWrong { .. })), "{refused:?}");
    std::fs::remove_file(&path).unwrap();
    let refused = Keystore::open(&dir(&data));
    assert!(matches!(refused, Err(KeystoreError::WrappingKeyMissing { .. })), "{refused:?}");
    assert!(!path.exists());
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read(&Keystore::open(&dir(&data)).unwrap(), 1), Some(11));
}

#[test]
fn a_first_start_that_was_cut_short_is_done_again() {
    let data = tempfile::tempdir().unwrap();
    let path = dir(&data).join(WRAPPING_KEY);
    std::fs::DirBuilder::new().mode(0o700).create(dir(&data)).unwrap();
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    Keystore::open(&dir(&data)).unwrap();
    assert_eq!(path.metadata().unwrap().len(), 32);
}

#[test]
fn only_one_has_a_keystore_open() {
    let data = tempfile::tempdir().unwrap();
    let _keystore = Keystore::open(&dir(&data)).unwrap();
    let refused = Keystore::open(&dir(&data));
    assert!(matches!(refused, Err(KeystoreError::InUse { .. })), "{refused:?}");
}

#[test]
fn nothing_on_disk_shows_a_secret() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    keystore.put(&[new(1, 0xc5)]).unwrap();
    keystore.sync().unwrap();
    drop(keystore);
    let mut dirs = vec![dir(&data)];
    while let Some(dir) = dirs.pop() {
        for entry in dir.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                assert!(!std::fs::read(&path).unwrap().windows(32).any(|w| w == [0xc5; 32]), "{}", path.display());
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(u8, u8),
    Destroy(u8),
    Sync,
    Purge,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..8u8, any::<u8>()).prop_map(|(n, fill)| Op::Put(n, fill)),
        2 => (0..8u8).prop_map(Op::Destroy),
        1 => Just(Op::Sync),
        1 => Just(Op::Purge),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Any history agrees with a plain map.
    #[test]
    fn any_history_agrees_with_a_map(ops in proptest::collection::vec(op(), 1..40)) {
        let data = tempfile::tempdir().unwrap();
        let mut keystore = Keystore::open(&dir(&data)).unwrap();
        let mut model = std::collections::BTreeMap::new();
        let mut destroyed = std::collections::BTreeSet::new();
        for op in ops {
            match op {
                Op::Put(n, fill) => {
                    let put = keystore.put(&[new(n, fill)]);
                    let fits = !destroyed.contains(&n) && *model.entry(n).or_insert(fill) == fill;
                    prop_assert_eq!(put.is_ok(), fits);
                }
                Op::Destroy(n) => {
                    let existed = model.remove(&n).is_some();
                    prop_assert_eq!(keystore.destroy(&[name(n)]).unwrap(), usize::from(existed));
                    destroyed.insert(n);
                }
                Op::Sync => keystore.sync().unwrap(),
                Op::Purge => keystore.purge().unwrap(),
                Op::Reopen => {
                    drop(keystore);
                    keystore = Keystore::open(&dir(&data)).unwrap();
                }
            }
            for n in 0..8 {
                prop_assert_eq!(read(&keystore, n), model.get(&n).copied());
                prop_assert_eq!(keystore.is_destroyed(&name(n)).unwrap(), destroyed.contains(&n));
            }
        }
    }
}

fn backup_of(keystore: &Keystore) -> (Vec<u8>, u64) {
    let mut bytes = Vec::new();
    let count = keystore.back_up(&mut bytes).unwrap();
    (bytes, count)
}

#[test]
fn a_backup_is_wrapped_and_opens_with_the_wrapping_key_alone() {
    let at = tempfile::TempDir::new().unwrap();
    let dir = at.path().join("keystore");
    let keystore = Keystore::open(&dir).unwrap();
    keystore.put(&[new(1, 11), new(2, 12), new(3, 13)]).unwrap();
    keystore.destroy(&[name(2)]).unwrap();
    keystore.note_carried_out(Seq(7)).unwrap();
    let (bytes, count) = backup_of(&keystore);
    assert_eq!(count, 3);
    assert!(!bytes.windows(32).any(|window| window == [11; 32]), "a secret is in clear");

    let to = at.path().join("other");
    std::fs::create_dir(&to).unwrap();
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::copy(dir.join("wrapping.key"), to.join("wrapping.key")).unwrap();
    assert_eq!(backup::restore(&bytes[..], &to).unwrap(), 3);
    let restored = Keystore::open(&to).unwrap();
    assert_eq!([1, 2, 3].map(|n| read(&restored, n)), [Some(11), None, Some(13)]);
    assert!(restored.is_destroyed(&name(2)).unwrap());
    assert_eq!(restored.carried_out().unwrap(), Seq(7));
    assert_eq!(backup_of(&restored).0, bytes);
    let again = backup::restore(&bytes[..], &to);
    assert!(matches!(again, Err(backup::BackupError::Exists(_))), "a backup replaces nothing");
    let wrong = backup::restore(&bytes[..], &at.path().join("another key"));
    assert!(wrong.unwrap_err().to_string().contains("not the key of this keystore"));
}

#[test]
fn what_is_struck_out_of_a_backup_is_gone_from_it_and_the_rest_is_as_it_was() {
    let at = tempfile::TempDir::new().unwrap();
    let keystore = Keystore::open(&at.path().join("keystore")).unwrap();
    keystore.put(&[new(1, 11), new(2, 12), new(3, 13)]).unwrap();
    let (bytes, _) = backup_of(&keystore);
    let gone = wrapped(&keystore, 2);
    let mut struck = Vec::new();
    let erased = [name(2).to_bytes(), name(9).to_bytes()];
    let done = backup::strike(&bytes[..], |name| erased.iter().any(|erased| erased == name), &mut struck).unwrap();
    assert_eq!(done, backup::Struck { secrets: 3, struck: 1 });
    assert!(bytes.windows(gone.len()).any(|window| window == gone));
    assert!(!struck.windows(gone.len()).any(|window| window == gone));
    keystore.destroy(&[name(2)]).unwrap();
    assert_eq!(struck, backup_of(&keystore).0, "as if it had been destroyed before");
    let cut = backup::strike(&bytes[..bytes.len() - 1], |_| true, &mut Vec::new());
    assert!(cut.is_err(), "what is not whole stays as it is");
}

#[test]
fn a_backup_that_is_not_whole_is_none() {
    let at = tempfile::TempDir::new().unwrap();
    let keystore = Keystore::open(&at.path().join("keystore")).unwrap();
    keystore.put(&[new(1, 11), new(2, 12)]).unwrap();
    let (bytes, _) = backup_of(&keystore);
    let whole = |bytes: &[u8]| backup::read(bytes, |_, _| Ok(())).is_ok();
    assert!(whole(&bytes));
    for at in 0..bytes.len() {
        assert!(!whole(&bytes[..at]), "cut to {at} bytes");
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(!whole(&changed), "byte {at} changed");
    }
    assert!(!whole(&[&bytes[..], &[0]].concat()));
}

/// A shelf in memory, which notes what is done with it.
#[derive(Default)]
struct NotedShelf {
    entries: Mutex<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>,
    done: Arc<Mutex<Vec<&'static str>>>,
}

impl Shelf for NotedShelf {
    fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>, KeystoreError> {
        Ok(self.entries.lock().unwrap().get(name).cloned())
    }

    fn put(&self, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), KeystoreError> {
        self.entries.lock().unwrap().extend(entries);
        self.done.lock().unwrap().push("put");
        Ok(())
    }

    fn each(&self, each: &mut shelf::Each<'_>) -> Result<(), KeystoreError> {
        let entries = self.entries.lock().unwrap();
        let _ = entries.iter().try_for_each(|(name, value)| each(name, value));
        Ok(())
    }

    fn sync(&self) -> Result<(), KeystoreError> {
        self.done.lock().unwrap().push("sync");
        Ok(())
    }

    fn purge(&self) -> Result<(), KeystoreError> {
        self.done.lock().unwrap().push("purge");
        Ok(())
    }
}

/// Symptom: after a kill, a restart and then a power cut, an encrypted field of an acknowledged event could not be read any
/// more. Cause: its key was put by the process that was killed and never synced; the next one found it, used it, and synced
/// only keys of its own. Opening syncs what is found.
#[test]
fn keys_left_unsynced_by_a_process_that_was_killed_are_synced_when_the_keystore_opens() {
    let wrapping = || Secret::new([9; 32]);
    let done = Arc::new(Mutex::new(Vec::new()));
    let before = NotedShelf { done: done.clone(), ..NotedShelf::default() };
    let killed = Keystore::over(Box::new(before), wrapping()).unwrap();
    killed.put(&[new(2, 7)]).unwrap();
    assert_eq!(std::mem::take(&mut *done.lock().unwrap()), ["put", "sync", "put"]);
    let left = [CHECK.to_vec(), name(2).to_bytes()].map(|name| (killed.shelf.get(&name).unwrap(), name));
    drop(killed);
    let found = NotedShelf { done: done.clone(), ..NotedShelf::default() };
    found.entries.lock().unwrap().extend(left.map(|(value, name)| (name, value.unwrap())));
    let keystore = Keystore::over(Box::new(found), wrapping()).unwrap();
    assert_eq!(*done.lock().unwrap(), ["sync"]);
    assert_eq!(read(&keystore, 2), Some(7));
}

/// Every file below a directory, read.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in dir.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

/// The stored value of a secret, nonce and all.
fn wrapped(keystore: &Keystore, n: u8) -> Vec<u8> {
    keystore.shelf.get(&name(n).to_bytes()).unwrap().unwrap()
}

#[test]
fn after_a_purge_no_file_holds_what_was_destroyed() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    keystore.put(&[new(1, 11), new(2, 12), new(3, 13)]).unwrap();
    keystore.sync().unwrap();
    let (gone, kept) = (wrapped(&keystore, 2), wrapped(&keystore, 3));
    let holds = |bytes: &[u8]| {
        files(&dir(&data)).iter().any(|(_, file)| file.windows(bytes.len()).any(|window| window == bytes))
    };
    assert_eq!(keystore.destroy(&[name(2), name(9)]).unwrap(), 1);
    assert!(holds(&gone), "the test finds what is there");
    keystore.purge().unwrap();
    assert!(!holds(&gone), "wrapped bytes of a destroyed secret are on the disk");
    assert!(holds(&kept), "the test finds what is there");
    // It goes on as it was, and after the next start, too.
    keystore.put(&[new(4, 14)]).unwrap();
    keystore.sync().unwrap();
    drop(keystore);
    let keystore = Keystore::open(&dir(&data)).unwrap();
    assert_eq!([1, 2, 3, 4].map(|n| read(&keystore, n)), [Some(11), None, Some(13), Some(14)]);
    assert!(keystore.is_destroyed(&name(2)).unwrap() && keystore.is_destroyed(&name(9)).unwrap());
    assert!(!holds(&gone));
}

#[test]
fn what_is_put_while_a_purge_runs_is_not_lost() {
    let data = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir(&data)).unwrap();
    keystore.put(&(0..100).map(|n| new(n, n)).collect::<Vec<_>>()).unwrap();
    std::thread::scope(|scope| {
        let purging = scope.spawn(|| (0..3).try_for_each(|_| keystore.purge()));
        for n in 100..200 {
            keystore.put(&[new(n, n)]).unwrap();
            assert_eq!(read(&keystore, n - 100), Some(n - 100));
            keystore.destroy(&[name(n - 100)]).unwrap();
        }
        purging.join().unwrap().unwrap();
    });
    drop(keystore);
    let keystore = Keystore::open(&dir(&data)).unwrap();
    for n in 0..200 {
        assert_eq!(read(&keystore, n), (n >= 100).then_some(n), "{n}");
    }
}

/// After a crash between any two steps of a purge, everything is there.
#[test]
fn a_purge_that_was_cut_short_is_ended_or_undone_by_the_next_start() {
    let names = |dir: &Path, from: &str, to: &str| std::fs::rename(dir.join(from), dir.join(to)).unwrap();
    let steps: [&[(&str, &str)]; 3] = [
        // A copy is half made: one that lacks everything stands for it.
        &[("other", "db.new")],
        // It is whole, and the old one is still there.
        &[("other", "db.whole")],
        // The old one has made room.
        &[("db", "db.whole"), ("other", "db.old")],
    ];
    for step in steps {
        let data = tempfile::tempdir().unwrap();
        let keystore = Keystore::open(&dir(&data)).unwrap();
        keystore.put(&[new(1, 11)]).unwrap();
        keystore.sync().unwrap();
        drop(keystore);
        let other = tempfile::tempdir().unwrap();
        drop(Keystore::open(&dir(&other)).unwrap());
        std::fs::rename(dir(&other).join("db"), dir(&data).join("other")).unwrap();
        step.iter().for_each(|(from, to)| names(&dir(&data), from, to));
        let keystore = Keystore::open(&dir(&data)).unwrap();
        assert_eq!(read(&keystore, 1), Some(11), "{step:?}");
        keystore.purge().unwrap();
        assert_eq!(read(&keystore, 1), Some(11), "{step:?}");
        let left: Vec<_> = dir(&data).read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.iter().filter(|name| name.to_string_lossy().starts_with("db")).count(), 1, "{left:?}");
    }
}
