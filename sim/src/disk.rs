//! A disk that forgets what was not synced, and fails when it is told to.
//!
//! A file is what the system would show of it (the cache), what is on the disk for certain, and every version of every
//! sector written since the last sync. A power cut leaves, of each such sector, any one of its versions: so writes are
//! lost, kept, torn between sectors and reordered, and the file is as long as any write since the sync had made it. A
//! process that is killed loses nothing, because the system lives on; what it had not synced is still not on the disk.
//!
//! A sync that fails leaves on the disk what it likes of what was to be synced, and the cache is dropped at the next
//! start: it is the disk that is asked then. A sector is written whole or not at all.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chancery_ledger::block_file::BlockFile;

use crate::random::Dice;

/// What is written whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power is cut.
    PowerCut,
    /// The process is killed.
    Kill,
    /// A write fails half-way.
    Write,
    /// A sync fails.
    Sync,
    /// A read fails.
    Read,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 5] = [Self::PowerCut, Self::Kill, Self::Write, Self::Sync, Self::Read];

    /// Its name in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PowerCut => "power cut",
            Self::Kill => "kill",
            Self::Write => "write fails",
            Self::Sync => "sync fails",
            Self::Read => "read fails",
        }
    }
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Read,
    Write,
    Sync,
}

impl Fault {
    /// Whether it strikes when that is done. Power and process end at any time; what they do while reading shows nowhere.
    fn strikes(self, doing: Doing) -> bool {
        match self {
            Self::PowerCut | Self::Kill => doing != Doing::Read,
            Self::Write => doing == Doing::Write,
            Self::Sync => doing == Doing::Sync,
            Self::Read => doing == Doing::Read,
        }
    }
}

/// A disk. Clones share it.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    files: BTreeMap<&'static str, Contents>,
    dice: Dice,
    /// What is to go wrong, and after how many more occasions.
    planned: Option<(usize, Fault)>,
    /// Since the last start: what went wrong.
    struck: Option<Fault>,
    /// The process is over, and nothing more is done.
    is_over: bool,
}

/// What there is of a file.
#[derive(Default)]
struct Contents {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Versions of sectors written since the last sync, oldest first.
    pending: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Lengths the file had since the last sync, oldest first.
    lengths: Vec<usize>,
    /// A sync failed, so that the cache is not to be believed.
    is_suspect: bool,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(dice: Dice) -> Self {
        let state = State { files: BTreeMap::new(), dice, planned: None, struck: None, is_over: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The file of a name, which is empty at first.
    #[must_use]
    pub fn file(&self, name: &'static str) -> SimFile {
        self.state().files.entry(name).or_default();
        SimFile { disk: self.clone(), name }
    }

    /// Has something go wrong at an occasion to come, after so many others.
    pub fn plan(&self, fault: Fault, after: usize) {
        self.state().planned = Some((after, fault));
    }

    /// Has nothing go wrong any more.
    pub fn calm(&self) {
        self.state().planned = None;
    }

    /// Does something to which nothing that is planned happens.
    pub fn calmly<T>(&self, work: impl FnOnce() -> T) -> T {
        let planned = self.state().planned.take();
        let done = work();
        self.state().planned = planned;
        done
    }

    /// What went wrong since the last start.
    #[must_use]
    pub fn struck(&self) -> Option<Fault> {
        self.state().struck
    }

    /// Whether the process is over: nothing it does from here on has any effect.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Starts anew, after the power was cut or the process ended.
    pub fn restart(&self, power_cut: bool) {
        let mut state = self.state();
        let State { files, dice, planned, struck, is_over } = &mut *state;
        (*planned, *struck, *is_over) = (None, None, false);
        // Whether a cut is kind, cruel or neither is thrown once: all that is lost together is a case of its own.
        let kept = *dice.pick(&[0, 500, 900, 1000]).unwrap_or(&500);
        for contents in files.values_mut() {
            if power_cut {
                contents.cut_power(dice, kept);
            } else if contents.is_suspect {
                contents.cached.clone_from(&contents.durable);
                contents.is_suspect = false;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether what was planned strikes now.
    fn strike(&mut self, doing: Doing) -> io::Result<Option<Fault>> {
        if self.is_over {
            return Err(io::Error::other("the process is over"));
        }
        let Some((after, fault)) = self.planned.filter(|(_, fault)| fault.strikes(doing)) else { return Ok(None) };
        if after > 0 {
            self.planned = Some((after - 1, fault));
            return Ok(None);
        }
        self.planned = None;
        self.struck = Some(fault);
        self.is_over = matches!(fault, Fault::PowerCut | Fault::Kill);
        Ok(Some(fault))
    }
}

impl Contents {
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if bytes.is_empty() {
            return;
        }
        if end > self.cached.len() {
            self.cached.resize(end, 0);
            self.lengths.push(end);
        }
        self.cached[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR..=(end - 1) / SECTOR {
            let sector_end = self.cached.len().min((sector + 1) * SECTOR);
            let version = self.cached[sector * SECTOR..sector_end].to_vec();
            self.pending.entry(sector).or_default().push(version);
        }
    }

    /// What a sync writes out is what was written since the one before, also when that failed.
    fn sync(&mut self) {
        if let Some(length) = self.lengths.last() {
            self.durable.resize(*length, 0);
        }
        self.lengths.clear();
        for (sector, versions) in std::mem::take(&mut self.pending) {
            if let Some(newest) = versions.last() {
                self.put(sector, newest);
            }
        }
    }

    /// Puts a version of a sector on the disk, as far as the file reaches.
    fn put(&mut self, sector: usize, version: &[u8]) {
        let from = sector * SECTOR;
        let end = self.durable.len().min(from + version.len());
        if from < end {
            self.durable[from..end].copy_from_slice(&version[..end - from]);
        }
    }

    /// Leaves on the disk some version of each sector: `kept` in a thousand are the newest, others any.
    fn settle(&mut self, dice: &mut Dice, kept: usize) {
        let mut lengths = vec![self.durable.len()];
        lengths.append(&mut self.lengths);
        let length = if dice.chance(kept) { lengths.last() } else { dice.pick(&lengths) };
        self.durable.resize(length.copied().unwrap_or(0), 0);
        for (sector, versions) in std::mem::take(&mut self.pending) {
            let version = if kept == 0 {
                None
            } else if dice.chance(kept) {
                versions.last()
            } else {
                versions.get(dice.below(versions.len() + 1))
            };
            if let Some(version) = version {
                self.put(sector, version);
            }
        }
    }

    fn cut_power(&mut self, dice: &mut Dice, kept: usize) {
        self.settle(dice, kept);
        self.cached.clone_from(&self.durable);
        self.is_suspect = false;
    }
}

/// A file on a simulated disk.
#[derive(Clone)]
pub struct SimFile {
    disk: Disk,
    name: &'static str,
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SimFile").field(&self.name).finish()
    }
}

fn failed(what: &str) -> io::Error {
    io::Error::other(format!("the simulated disk's {what} failed"))
}

impl SimFile {
    /// How long it is.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.disk.state().files.get(self.name).map_or(0, |contents| contents.cached.len() as u64)
    }

    /// Whether nothing was ever written to it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl BlockFile for SimFile {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.strike(Doing::Read)?.is_some() {
            return Err(failed("read"));
        }
        let contents = state.files.entry(self.name).or_default();
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let found = at.checked_add(bytes.len()).and_then(|end| contents.cached.get(at..end));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let struck = state.strike(Doing::Write)?;
        let State { files, dice, .. } = &mut *state;
        let contents = files.entry(self.name).or_default();
        let at = usize::try_from(at).map_err(io::Error::other)?;
        match struck {
            None => {
                contents.write(bytes, at);
                Ok(())
            }
            Some(_) => {
                contents.write(&bytes[..dice.below(bytes.len() + 1)], at);
                Err(failed("write"))
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let struck = state.strike(Doing::Sync)?;
        let State { files, dice, .. } = &mut *state;
        let contents = files.entry(self.name).or_default();
        match struck {
            None => {
                contents.sync();
                Ok(())
            }
            Some(Fault::Sync) => {
                contents.settle(dice, 500);
                contents.is_suspect = true;
                Err(failed("sync"))
            }
            // All of it may have reached the disk before anybody was told, or nothing.
            Some(_) => {
                if dice.chance(500) {
                    contents.sync();
                }
                Err(failed("sync"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &SimFile) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_was_synced_survives_and_what_was_not_may_not() {
        let (mut lost, mut kept, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let disk = Disk::new(Dice::new(seed));
            let file = disk.file("f");
            file.write_all_at(&[1; 3 * SECTOR], 0).unwrap();
            file.sync().unwrap();
            file.write_all_at(&[2; 3 * SECTOR], 0).unwrap();
            assert_eq!(read(&file), [2; 3 * SECTOR]);
            disk.restart(false);
            assert_eq!(read(&file), [2; 3 * SECTOR], "a killed process loses nothing");
            disk.restart(true);
            let left = read(&file);
            assert!(left.chunks(SECTOR).all(|sector| sector == [1; SECTOR] || sector == [2; SECTOR]));
            match left.iter().filter(|byte| **byte == 2).count() {
                0 => lost += 1,
                count if count == 3 * SECTOR => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 20 && kept > 20 && torn > 20, "{lost} lost, {kept} kept, {torn} torn");
    }

    #[test]
    fn a_file_that_grew_may_have_any_length_it_had() {
        let lengths: std::collections::BTreeSet<u64> = (0..100)
            .map(|seed| {
                let disk = Disk::new(Dice::new(seed));
                let file = disk.file("f");
                file.write_all_at(&[1; 100], 0).unwrap();
                file.write_all_at(&[1; 900], 100).unwrap();
                disk.restart(true);
                file.len()
            })
            .collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 100, 1000]);
    }

    #[test]
    fn a_failed_sync_is_no_sync_and_another_proves_nothing() {
        let mut lost = 0;
        for seed in 0..100 {
            let disk = Disk::new(Dice::new(seed));
            let file = disk.file("f");
            disk.plan(Fault::Sync, 0);
            file.write_all_at(&[1; 100], 0).unwrap();
            assert!(file.sync().is_err());
            assert_eq!(disk.struck(), Some(Fault::Sync));
            file.sync().unwrap();
            disk.restart(false);
            lost += usize::from(file.is_empty() || read(&file)[0] == 0);
        }
        assert!((20..80).contains(&lost), "{lost} of 100 lost");
    }

    #[test]
    fn nothing_has_an_effect_once_the_process_is_over() {
        for fault in [Fault::PowerCut, Fault::Kill] {
            let disk = Disk::new(Dice::new(1));
            let file = disk.file("f");
            disk.plan(fault, 1);
            file.write_all_at(&[1], 0).unwrap();
            assert!(file.write_all_at(&[2], 1).is_err() && disk.is_over());
            let len = file.len();
            assert!(file.write_all_at(&[3], 2).is_err() && file.sync().is_err());
            assert!(file.read_exact_at(&mut [0], 0).is_err());
            assert_eq!(file.len(), len);
            disk.restart(fault == Fault::PowerCut);
            assert!(!disk.is_over() && disk.struck().is_none());
            file.write_all_at(&[4], 0).unwrap();
        }
    }
}
