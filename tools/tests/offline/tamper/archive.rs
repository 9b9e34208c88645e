//! Attacks on copies: the archive that follows the log, and what is restored from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chancery_ledger::archive::{Limits, Mode};
use chancery_projections::command::RegisterAgent;
use chancery_projections::engine::{ArchiveConfig, Engine, EngineConfig};

use super::attack::{StolenKeys, forged, kept_head_of, retell, start, start_with, without_last_checkpoint};
use crate::world::{chancery, copy_dir, send};

attacks! { "archive":
    /// A segment of an archive is changed.
    [Restore: "is damaged"]
    fn a_segment_is_changed(world) {
        let archive = archived(world, &world.data());
        let segment = &segments(&archive)[1];
        let mut bytes = fs::read(segment).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(segment, bytes).unwrap();
        vec![restore(world, &archive, &[])]
    }

    /// A segment in the middle of an archive is taken away.
    [Restore: "it ends before the next segment begins"]
    fn a_segment_is_taken_away(world) {
        let archive = archived(world, &world.data());
        fs::remove_file(&segments(&archive)[1]).unwrap();
        vec![restore(world, &archive, &[])]
    }

    /// The newest segments of an archive are withheld when the log is restored from it.
    [Restore: "truncated"]
    fn the_newest_segments_are_withheld(world) {
        let archive = archived(world, &world.data());
        let head = kept_head_of(world, &world.data());
        segments(&archive)[3..].iter().for_each(|segment| fs::remove_file(segment).unwrap());
        vec![restore(world, &archive, &["--head", &head])]
    }

    /// An archive of a history that was told anew is put in place of the ledger's own.
    [Start: "They are two histories of one ledger"]
    fn an_archive_of_another_history_is_put_in_place(world) {
        let keys = StolenKeys::of(&world.data());
        let data = forged(world, |forge| {
            retell(forge, world.suspended);
            forge.seal_by(world.suspended + 1, |size| keys.at(size));
        });
        without_last_checkpoint(&data);
        let archive = archived(world, &data);
        vec![start_with(with_archive(&world.data(), &archive))]
    }

    /// Another ledger's archive is put in place.
    [Start: "is of another ledger"]
    fn another_ledger_s_archive_is_put_in_place(world) {
        let archive = PathBuf::from(world.path("archive"));
        let mut other = with_archive(&world.path("other"), &archive);
        other.origin = Some("chancery.test/other".to_owned());
        Engine::open(other).unwrap().0.stop();
        vec![start_with(with_archive(&world.data(), &archive))]
    }

    /// The daemon is started without the archive that may hold what its log lacks, after a crash.
    [Start: "did not stop in order, so it may hold a sealed commit that the log lacks"]
    fn the_archive_is_left_out_after_a_crash(world) {
        let (data, archive) = (world.copy("crashed"), world.path("archive"));
        let (engine, _) = Engine::open(with_archive(&data, Path::new(&archive))).unwrap();
        // As a crash leaves it: copied while the engine runs, after its last commit.
        let left = world.path("left");
        copy_dir(Path::new(&data), Path::new(&left));
        engine.stop();
        vec![start(&left)]
    }
}

/// An engine's settings with an archive whose segments are small.
fn with_archive(data: &str, dir: &Path) -> EngineConfig {
    let limits = Limits { bytes: 1, age: Duration::from_secs(3600) };
    let mut config = EngineConfig::new(data);
    config.archive = Some(ArchiveConfig { dir: dir.to_owned(), mode: Mode::Synchronous, limits });
    config
}

/// An archive that followed a data directory's log for some commits, each with a segment of its own.
fn archived(world: &World, data: &str) -> PathBuf {
    let archive = PathBuf::from(world.path("archive"));
    let names = (0..4).map(|n| RegisterAgent::named(format!("archived {n}")).into());
    send(with_archive(data, &archive), names);
    archive
}

/// The archive's segments, the oldest first.
fn segments(archive: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(archive).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "archive"));
    found.sort();
    assert!(found.len() > 4, "{found:?}");
    found
}

/// Restores an archive into a data directory whose log was lost; it must be refused.
fn restore(world: &World, archive: &Path, arguments: &[&str]) -> Seen {
    let data = world.copy("restored");
    fs::remove_dir_all(Path::new(&data).join("log")).unwrap();
    without_last_checkpoint(&data);
    let ran = chancery(&[&["restore", "--from", archive.to_str().unwrap(), "--data-dir", &data], arguments].concat());
    assert_ne!(ran.code, 0, "{}", ran.out);
    Seen(By::Restore, ran.out + &ran.err)
}
