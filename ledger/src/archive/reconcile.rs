//! An archive and the log it belongs to: are they one history, and which of them is behind?

use super::{Archive, ArchiveError, ArchiveReader, SegmentCommit};
use crate::commit::seal_key;
use crate::event::{Envelope, Event};
use crate::ids::TreeSize;
use crate::keys::{KeyDirectory, PublicKey};
use crate::link::{self, Hash};
use crate::store::{Group, LogStore, Record, StoreError, StoreNodes};
use crate::time::Micros;
use crate::tree::seal::Seal;
use crate::tree::{Frontier, leaf_hash};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Events of the archive.
    pub archived: TreeSize,
    /// Events of the log, now.
    pub log: TreeSize,
    /// Events that the log lacked and was given from the archive.
    pub recovered: u64,
}

/// Holds an archive against its log. One that is behind is left so. What the log lacks it is given: such commits were
/// written for it and sealed, and either a crash kept them from the log while the archive already had them, or the log's
/// disk lost them. Each is verified before it is appended: links, tree, and the seal under the key then in force.
///
/// # Errors
/// [`ArchiveError::Foreign`], [`ArchiveError::Diverged`], [`ArchiveError::LogEmpty`], or what reading and writing said.
pub fn reconcile(archive: &Archive, log: &dyn LogStore, keys: &KeyDirectory) -> Result<Reconciled, ArchiveError> {
    let end = archive.end();
    let unchanged = Reconciled { archived: end.first, log: log.size(), recovered: 0 };
    let Some(last) = end.first.last() else { return Ok(unchanged) };
    let dir = || archive.dir().to_owned();
    let diverged = |at: String, why: String| Err(ArchiveError::Diverged { dir: dir(), at, why });
    let seal = match Seal::parse(&end.seal) {
        Ok(seal) => seal,
        Err(error) => return diverged(format!("at event {last}"), format!("the archive's last seal is none: {error}")),
    };
    let Some((size, bytes)) = log.last_seal()? else {
        return Err(ArchiveError::LogEmpty {
            dir: dir(),
            origin: seal.checkpoint().origin.clone(),
            archived: end.first,
        });
    };
    let ours = Seal::parse(&bytes).map_err(|error| ArchiveError::Key(error.to_string()))?;
    let (ours, theirs) = (ours.checkpoint(), &seal.checkpoint().origin);
    if ours.origin != *theirs {
        return Err(ArchiveError::Foreign { dir: dir(), theirs: theirs.clone(), ours: ours.origin.clone() });
    }
    if end.first <= size {
        let record = log.record(last)?.ok_or(StoreError::Missing { seq: last })?;
        let root = Frontier::resume(end.first, &StoreNodes(log))?.root();
        if link::header_hash(&record.header) != end.prev || root != seal.checkpoint().root {
            return diverged(format!("at event {last}"), "the event there is another".to_owned());
        }
        return Ok(unchanged);
    }
    let mut extension = Extension::of(log, keys)?;
    let mut missing = ArchiveReader::open_from(archive.dir(), size)?;
    tracing::warn!(log = %size, archive = %end.first, "the log lacks events that the archive holds; they are verified and appended");
    while let Some(commit) = missing.next_commit()? {
        if let Err(fault) = extension.append(commit) {
            return match fault {
                Fault::Store(error) => Err(error.into()),
                Fault::Refused(why) => diverged(format!("after event {}", log.size()), why),
            };
        }
    }
    let log = log.size();
    tracing::warn!(events = log.0 - size.0, log = %log, "the log was brought up to the archive");
    Ok(Reconciled { archived: end.first, log, recovered: log.0 - size.0 })
}

/// Appends commits that were sealed before to a log, if they are the ones that come next.
pub struct Extension<'a> {
    log: &'a dyn LogStore,
    frontier: Frontier,
    head: Hash,
    time: Micros,
    origin: String,
    key: PublicKey,
}

/// A commit was not appended.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The log failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not what comes next.
    #[error("{0}")]
    Refused(String),
}

impl<'a> Extension<'a> {
    /// Goes on from a log's end, whose last commit one of these keys sealed.
    ///
    /// # Errors
    /// [`ArchiveError::Key`] when none did; those of reading the log.
    pub fn of(log: &'a dyn LogStore, keys: &KeyDirectory) -> Result<Self, ArchiveError> {
        let unknown = |why: String| ArchiveError::Key(why);
        let (Some(last), Some((size, bytes))) = (log.size().last(), log.last_seal()?) else {
            return Err(StoreError::Empty.into());
        };
        let seal = Seal::parse(&bytes).map_err(|error| unknown(error.to_string()))?;
        let record = log.record(last)?.ok_or(StoreError::Missing { seq: last })?;
        let envelope = Envelope::parse(&record.header).map_err(|error| unknown(error.to_string()))?;
        let sealed_by =
            keys.find_by(|public| seal.verify(public).is_ok()).map_err(|error| unknown(error.to_string()))?;
        let key = rotation(&record).unwrap_or_else(|| sealed_by.public());
        Ok(Self {
            log,
            frontier: Frontier::resume(size, &StoreNodes(log))?,
            head: link::header_hash(&record.header),
            time: envelope.time,
            origin: seal.checkpoint().origin.clone(),
            key,
        })
    }

    /// Verifies and appends the next commit.
    ///
    /// # Errors
    /// [`Fault`]; nothing was appended then, unless the log itself failed.
    pub fn append(&mut self, commit: SegmentCommit) -> Result<(), Fault> {
        let refused = |why: &str| Err(Fault::Refused(why.to_owned()));
        let mut frontier = self.frontier.clone();
        let (mut head, mut time) = (self.head, self.time);
        let mut records = Vec::with_capacity(commit.events.len());
        for (header, body) in commit.events {
            let envelope = Envelope::parse(&header).map_err(|error| Fault::Refused(error.to_string()))?;
            let Some(body) = body else { return refused("a body is withheld") };
            if envelope.seq != frontier.size().next() || envelope.prev != head || envelope.time < time {
                return refused("its next event does not go on from the log's last");
            }
            if envelope.body_hash != link::body_hash(&body) {
                return refused("a body does not have the hash in its header");
            }
            (head, time) = (link::header_hash(&header), envelope.time);
            let nodes = frontier.push(leaf_hash(&header));
            records.push(Record { header, body, nodes });
        }
        let seal = Seal::parse(&commit.seal).map_err(|error| Fault::Refused(error.to_string()))?;
        let checkpoint = seal.checkpoint();
        if checkpoint.origin != self.origin
            || checkpoint.size != frontier.size()
            || checkpoint.root != frontier.root()
            || seal.verify(&self.key).is_err()
        {
            return refused("its next seal is not the signed root of the events, by the key then in force");
        }
        let next_key = records.last().and_then(rotation);
        self.log.append(self.frontier.size(), &Group { records: &records, seal: seal.bytes() })?;
        (self.frontier, self.head, self.time) = (frontier, head, time);
        self.key = next_key.unwrap_or(self.key);
        Ok(())
    }
}

/// The sealing key that an event puts in place, if it does.
fn rotation(record: &Record) -> Option<PublicKey> {
    let (event, _) = Event::read(&record.header, &record.body).ok()?;
    PublicKey::from_slice(&seal_key(&event.body)?.public)
}
