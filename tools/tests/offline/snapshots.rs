//! `chancery replay --snapshots`: where a replay begins, and what it does not begin at.

use std::fs;
use std::path::Path;

use crate::world::{Ran, World, chancery};

/// What replays of one log over one directory of snapshots say.
struct Replays {
    world: World,
    data: String,
    dir: String,
}

impl Replays {
    fn new() -> Self {
        let world = World::new();
        Self { data: world.data(), dir: world.path("snapshots"), world }
    }

    fn ask(&self, question: &[&str]) -> Ran {
        let mut arguments = vec!["replay", "--data-dir", &self.data, "--snapshots", &self.dir];
        arguments.extend(question);
        chancery(&arguments)
    }

    fn early(&self) -> String {
        self.world.registered.to_string()
    }

    /// Snapshots of an early moment and of the end.
    fn two(&self) {
        self.ask(&["digests", "--at", &self.early(), "--snapshot-every", "1"]).is(0);
        self.ask(&["digests", "--snapshot-every", "1"]).is(0);
        assert_eq!(self.kept(), [self.world.registered + 1, self.world.size()]);
    }

    fn kept(&self) -> Vec<u64> {
        let names = fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut sizes: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
        sizes.sort_unstable();
        sizes
    }

    fn of(&self, size: u64) -> String {
        format!("{}/{size}", self.dir)
    }

    /// From the first event, without any snapshot.
    fn afresh(&self, question: &[&str]) -> String {
        let mut arguments = vec!["replay", "--data-dir", &self.data];
        arguments.extend(question);
        chancery(&arguments).is(0).out
    }
}

#[test]
fn a_replay_begins_at_the_nearest_snapshot_and_says_the_same() {
    let it = Replays::new();
    it.two();
    let early = it.early();
    for question in [
        &["agent", &*it.world.agent, "--at", &early][..],
        &["agent", &*it.world.agent],
        &["digests", "--at", &early],
        &["digests"],
        &["diff", "--from", "0"],
        &["view", "identity", "--at", &early],
    ] {
        let asked = it.ask(question).is(0);
        assert_eq!((asked.out, asked.err), (it.afresh(question), String::new()), "{question:?}");
    }
    assert_eq!(it.kept(), [it.world.registered + 1, it.world.size()]);
    // What lies between two is looked up in the later one; only digests are of exactly one moment, and make a third.
    let between = it.world.suspended.to_string();
    it.ask(&["agent", &it.world.agent, "--at", &between]).is(0);
    assert_eq!(it.kept().len(), 2);
    assert_eq!(
        it.ask(&["digests", "--at", &between, "--snapshot-every", "1"]).is(0).out,
        it.afresh(&["digests", "--at", &between])
    );
    assert_eq!(it.kept(), [it.world.registered + 1, it.world.suspended + 1, it.world.size()]);
}

#[test]
fn a_snapshot_that_is_not_far_behind_is_moved_on() {
    let it = Replays::new();
    it.ask(&["digests", "--at", &it.early()]).is(0);
    assert_eq!(it.ask(&["digests"]).is(0).out, it.afresh(&["digests"]));
    assert_eq!(it.kept(), [it.world.size()]);
    // Cut short while it was moved on, it is no snapshot any more, and is begun anew.
    fs::rename(it.of(it.world.size()), format!("{}/building", it.dir)).unwrap();
    assert_eq!(it.ask(&["digests"]).is(0).out, it.afresh(&["digests"]));
    assert_eq!(it.kept(), [it.world.size()]);
}

#[test]
fn a_snapshot_that_was_tampered_with_is_refused_and_made_anew() {
    let it = Replays::new();
    it.two();
    let (early, late) = (it.of(it.world.registered + 1), it.of(it.world.size()));
    let question = ["agent", &*it.world.agent];
    let asks = |why: &str| {
        let asked = it.ask(&question).is(0);
        assert!(asked.err.contains(why), "{}", asked.err);
        assert_eq!(asked.out, it.afresh(&question));
        assert_eq!(it.ask(&question).is(0).err, "", "the one that was made anew is believed");
    };
    // Rows of another moment.
    swap(Path::new(&early).join("identity"), Path::new(&late).join("identity"));
    asks("its rows are not those that it was made of");
    assert_eq!(it.kept(), [it.world.size()], "the early one was not believed either");

    let manifest = format!("{late}/snapshot.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for (from, to, why) in [
        ("\"digest\":\"", "\"digest\":\"0", "its rows are not those"),
        ("\"root\":\"", "\"root\":\"A", "of another log"),
        ("\"format\":1", "\"format\":2", "its manifest cannot be read"),
        ("{", "", "its manifest cannot be read"),
    ] {
        fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        asks(why);
    }
    // A view whose files are gone.
    fs::remove_dir_all(format!("{late}/token")).unwrap();
    asks("its rows are not those");
}

#[test]
fn snapshots_are_of_one_log_and_lie_alone() {
    let it = Replays::new();
    it.two();
    let other = World::new();
    let data = other.data();
    let asked = chancery(&["replay", "--data-dir", &data, "--snapshots", &it.dir, "digests"]).is(0);
    assert!(asked.err.contains("it is of another log"), "{}", asked.err);
    assert_eq!(asked.out, chancery(&["replay", "--data-dir", &data, "digests"]).is(0).out);

    let mine = it.world.path("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(format!("{mine}/letter"), "dear").unwrap();
    chancery(&["replay", "--data-dir", &it.data, "--snapshots", &mine, "digests"])
        .is(2)
        .complains("which is no snapshot");
    assert!(Path::new(&mine).join("letter").exists());
    // Somebody's years of letters.
    let years = it.world.path("years");
    fs::create_dir_all(format!("{years}/2025")).unwrap();
    chancery(&["replay", "--data-dir", &it.data, "--snapshots", &years, "digests"]).is(2).complains("holds `2025`");
    assert!(Path::new(&years).join("2025").exists());
}

fn swap(one: impl AsRef<Path>, other: impl AsRef<Path>) {
    let aside = one.as_ref().with_extension("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(&aside, &other).unwrap();
}
