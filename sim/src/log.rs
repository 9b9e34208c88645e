//! A log on the simulated disk, under the contract of [`LogStore`]: one frame a group, and one sync.
//!
//! It stands in sled's place, which cannot run on a simulated disk. What it shows is that everything above the contract is
//! right; that sled keeps the contract is shown by the crash and power-cut tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::store::{Group, LogStore, Record, Records, Seals, StoreError};

use crate::canary::Canary;
use crate::disk::SimFile;
use crate::frames::{self, Frames};

/// A log in a file.
#[derive(Debug)]
pub struct SimLog {
    inner: Mutex<Inner>,
    canary: Option<Canary>,
}

#[derive(Debug)]
struct Inner {
    frames: Frames,
    /// Where each event's record lies, and how long it is.
    records: Vec<(u64, usize)>,
    /// Likewise, each seal, by the size it signs.
    seals: BTreeMap<u64, (u64, usize)>,
    stopped: Option<String>,
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |source| StoreError::Io { doing, path: PathBuf::from("log"), source }
}

impl SimLog {
    /// Opens the log in a file.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(file: SimFile, canary: Option<Canary>) -> Result<Self, StoreError> {
        let (mut records, mut seals) = (Vec::new(), BTreeMap::new());
        let is_checked = canary != Some(Canary::TornGroupsKept);
        let frames = Frames::open(file, is_checked, |at, payload| index(&mut records, &mut seals, at, payload));
        let frames = frames.map_err(failed("open"))?;
        Ok(Self { inner: Mutex::new(Inner { frames, records, seals, stopped: None }), canary })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes where the records and the seal of a frame lie. A frame that is whole holds them as they were written; one that
/// was not checked may hold anything.
fn index(records: &mut Vec<(u64, usize)>, seals: &mut BTreeMap<u64, (u64, usize)>, at: u64, payload: &[u8]) {
    let mut rest = payload;
    let place = |rest: &[u8], part: &[u8]| (at + (payload.len() - rest.len() - part.len()) as u64, part.len());
    let Some(count) = frames::take(&mut rest) else { return };
    for _ in 0..count.first_chunk().map_or(0, |count| u32::from_be_bytes(*count)) {
        let Some(record) = frames::take(&mut rest) else { return };
        records.push(place(rest, record));
    }
    if let Some(seal) = frames::take(&mut rest) {
        seals.insert(records.len() as u64, place(rest, seal));
    }
}

impl Inner {
    fn size(&self) -> TreeSize {
        TreeSize(self.records.len() as u64)
    }

    fn write(&mut self, payload: &[u8], canary: Option<Canary>) -> std::io::Result<u64> {
        let at = self.frames.append(payload)?;
        match canary {
            Some(Canary::LogNotSynced) => {}
            // What a second sync says is worth nothing.
            Some(Canary::LogSyncTriedAgain) => self.frames.sync().or_else(|_| self.frames.sync())?,
            _ => self.frames.sync()?,
        }
        Ok(at)
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        let Some((at, len)) = usize::try_from(seq.0).ok().and_then(|n| self.records.get(n)) else { return Ok(None) };
        let mut bytes = Bytes::from(self.frames.read_at(*at, *len).map_err(failed("read an event of"))?);
        Record::decode_from(seq, &mut bytes).map(Some).map_err(|source| StoreError::Malformed { seq, source })
    }

    fn seal(&self, place: Option<(&u64, &(u64, usize))>) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let Some((size, (at, len))) = place else { return Ok(None) };
        let bytes = self.frames.read_at(*at, *len).map_err(failed("read a seal of"))?;
        Ok(Some((TreeSize(*size), bytes.into())))
    }
}

impl LogStore for SimLog {
    fn size(&self) -> TreeSize {
        self.inner().size()
    }

    fn append(&self, expected: TreeSize, group: &Group<'_>) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if let Some(why) = &inner.stopped {
            return Err(StoreError::Stopped { why: why.clone() });
        }
        let actual = inner.size();
        if expected != actual {
            return Err(StoreError::NotHead { expected, actual });
        }
        let mut payload = Vec::new();
        frames::put(&mut payload, &(group.records.len() as u32).to_be_bytes());
        let mut seq = actual.next();
        for record in group.records {
            let mut bytes = Vec::new();
            record.encode_into(seq, &mut bytes).map_err(|source| StoreError::Malformed { seq, source })?;
            frames::put(&mut payload, &bytes);
            seq = seq.next();
        }
        frames::put(&mut payload, group.seal);
        match inner.write(&payload, self.canary) {
            Ok(at) => {
                let Inner { records, seals, .. } = &mut *inner;
                index(records, seals, at, &payload);
                Ok(())
            }
            Err(error) => {
                inner.stopped = Some(format!("an earlier write failed ({error})"));
                Err(failed("write to")(error))
            }
        }
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        self.inner().record(seq)
    }

    fn records(&self, from: Seq) -> Records<'_> {
        let mut next = Some(from);
        Box::new(std::iter::from_fn(move || {
            let seq = next?;
            match self.record(seq) {
                Ok(record) => {
                    next = record.is_some().then(|| seq.next()).or(next);
                    record.map(|record| Ok((seq, record)))
                }
                Err(error) => {
                    next = None;
                    Some(Err(error))
                }
            }
        }))
    }

    fn last_seal(&self) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let inner = self.inner();
        inner.seal(inner.seals.last_key_value())
    }

    fn seal_of(&self, seq: Seq) -> Result<Option<(TreeSize, Bytes)>, StoreError> {
        let inner = self.inner();
        inner.seal(inner.seals.range(seq.0.saturating_add(1)..).next())
    }

    fn seals(&self, from: TreeSize) -> Seals<'_> {
        let mut next = Some(from.0);
        Box::new(std::iter::from_fn(move || {
            let inner = self.inner();
            let found = inner.seal(inner.seals.range(next?..).next());
            next = match &found {
                Ok(Some((size, _))) => Some(size.0 + 1),
                Ok(None) => next,
                Err(_) => None,
            };
            found.transpose()
        }))
    }

    fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.inner().frames.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, Fault};
    use crate::random::Dice;

    fn group(from: u64, count: u64) -> Vec<Record> {
        (from..from + count)
            .map(|seq| Record {
                header: vec![1; 300].into(),
                body: vec![seq as u8; 700].into(),
                nodes: vec![chancery_ledger::tree::NodeHash([9; 32]); seq.trailing_ones() as usize],
            })
            .collect()
    }

    fn append(log: &SimLog, count: u64) -> Result<(), StoreError> {
        let size = log.size();
        let records = group(size.0, count);
        log.append(size, &Group { records: &records, seal: format!("seal {}", size.0 + count).as_bytes() })
    }

    #[test]
    fn what_was_appended_is_read_and_found_again() {
        let disk = Disk::new(Dice::new(1));
        let log = SimLog::open(disk.file("log"), None).unwrap();
        for count in [1, 3, 2] {
            append(&log, count).unwrap();
        }
        for log in [log, SimLog::open(disk.file("log"), None).unwrap()] {
            assert_eq!(log.size(), TreeSize(6));
            let read: Vec<_> = log.records(Seq(1)).map(|read| read.unwrap()).collect();
            assert_eq!(read, (1..6).map(Seq).zip(group(0, 6).split_off(1)).collect::<Vec<_>>());
            assert_eq!(log.record(Seq(6)).unwrap(), None);
            assert_eq!(log.last_seal().unwrap().unwrap(), (TreeSize(6), Bytes::from("seal 6")));
            let sizes: Vec<_> = log.seals(TreeSize(2)).map(|seal| seal.unwrap().0.0).collect();
            assert_eq!(sizes, [4, 6]);
            for (seq, size) in [(0, 1), (1, 4), (3, 4), (4, 6)] {
                assert_eq!(log.seal_of(Seq(seq)).unwrap().unwrap().0, TreeSize(size));
            }
            let refused = log.append(TreeSize(5), &Group { records: &group(5, 1), seal: b"" });
            assert!(matches!(refused, Err(StoreError::NotHead { .. })), "{refused:?}");
        }
    }

    /// The contract: all of a group or nothing, what was appended stays, and after a failure there is no other append.
    #[test]
    fn whatever_fails_a_group_is_there_as_a_whole_or_not_at_all() {
        let (mut there, mut gone) = (0, 0);
        for seed in 0..400 {
            let mut dice = Dice::new(seed);
            let fault = *dice.pick(&[Fault::PowerCut, Fault::Kill, Fault::Write, Fault::Sync]).unwrap();
            let disk = Disk::new(dice.fork("disk"));
            let log = SimLog::open(disk.file("log"), None).unwrap();
            append(&log, 2).unwrap();
            disk.plan(fault, dice.below(5));
            let Err(_) = append(&log, 3) else { continue };
            assert!(append(&log, 3).is_err());
            disk.restart(fault == Fault::PowerCut || dice.chance(500));
            let log = SimLog::open(disk.file("log"), None).unwrap();
            match log.size() {
                TreeSize(2) => gone += 1,
                TreeSize(5) => there += 1,
                size => panic!("seed {seed}: {size} events"),
            }
            append(&log, 1).unwrap();
            disk.restart(true);
            let found = SimLog::open(disk.file("log"), None).unwrap();
            assert_eq!(found.size(), log.size(), "seed {seed}");
        }
        assert!(there > 20 && gone > 100, "{there} there, {gone} gone");
    }
}
