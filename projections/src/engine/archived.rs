//! The log's second copy, as the engine is set up to keep one.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chancery_ledger::archive::follow::{Follower, Standing};
use chancery_ledger::archive::mark::{Mark, Marked};
use chancery_ledger::archive::mirror::Mirrored;
use chancery_ledger::archive::{Archive, Limits, Mode, reconcile};
use chancery_ledger::data_dir::DataDir;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::keys::KeyDirectory;
use chancery_ledger::store::LogStore;

use super::OpenError;
use crate::sequencer::StartError;

/// Where an archive is, and how it is kept.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// Its directory, best on another disk; made when there is none.
    pub dir: PathBuf,
    /// When a command is acknowledged.
    pub mode: Mode,
    /// When segments are closed.
    pub limits: Limits,
}

/// How the archive stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// How it is kept.
    pub mode: Mode,
    /// Events that are durable in it.
    pub size: TreeSize,
    /// Why it could not be written, if it could not when last tried.
    pub failed: Option<String>,
}

/// The archive of an engine, if it keeps one.
pub(super) enum Archived {
    /// None.
    Without,
    /// One that follows, once it was begun.
    Following { archive: Box<std::sync::Mutex<Option<Archive>>>, follower: OnceLock<Follower> },
    /// One that is part of every commit.
    Synchronous { store: Arc<Mirrored>, mark: Mark, place: PathBuf },
}

impl Archived {
    /// Opens the archive, if there is to be one, and holds it against the log; what the log lacks it is given. Comes with
    /// the store to go on with.
    pub(super) fn prepare(
        config: Option<&ArchiveConfig>, dir: &DataDir, log: Arc<dyn LogStore>, keys: &KeyDirectory,
    ) -> Result<(Self, Arc<dyn LogStore>), OpenError> {
        let mark = Mark::at(dir.archive_mark());
        let marked = mark.read().map_err(|source| unusable(&mark, source))?;
        let Some(config) = config else {
            return match marked {
                None => Ok((Self::Without, log)),
                Some(marked) => Err(expected(&mark, marked, "is not configured")),
            };
        };
        let archive = Archive::open(&config.dir, config.limits)?;
        if let Some(marked) = marked {
            if marked.archive != archive.dir() {
                return Err(expected(&mark, marked, "is not the one configured"));
            }
            if archive.end().first < marked.held || lacks_more_than_a_commit(&*log, archive.end().first)? {
                return Err(expected(&mark, marked, "holds fewer events than it did: is its disk mounted? It"));
            }
        }
        let found = reconcile(&archive, &*log, keys)?;
        tracing::info!(dir = %archive.dir().display(), archived = %found.archived, log = %found.log, "the archive is this ledger's");
        match config.mode {
            Mode::Follow => {
                mark.clear().map_err(|source| unusable(&mark, source))?;
                let archive = Box::new(std::sync::Mutex::new(Some(archive)));
                Ok((Self::Following { archive, follower: OnceLock::new() }, log))
            }
            Mode::Synchronous => {
                let place = archive.dir().to_owned();
                let store = Arc::new(Mirrored::start(archive, log).map_err(StartError::Thread)?);
                Ok((Self::Synchronous { store: store.clone(), mark, place }, store))
            }
        }
    }

    /// Begins to follow, or brings the archive up to the log, which was checked by now.
    pub(super) fn begin(&self, log: &Arc<dyn LogStore>) -> Result<(), OpenError> {
        match self {
            Self::Without => {}
            Self::Following { archive, follower } => {
                let archive = archive.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(archive) = archive {
                    let started = Follower::start(archive, log.clone()).map_err(StartError::Thread)?;
                    // Only this sets it, once.
                    let _ = follower.set(started);
                }
            }
            Self::Synchronous { store, mark, place } => {
                store.bring_up()?;
                let marked = Marked { archive: place.clone(), held: store.standing().size };
                mark.write(&marked).map_err(|source| unusable(mark, source))?;
            }
        }
        Ok(())
    }

    /// How it stands, if there is one.
    pub(super) fn status(&self) -> Option<ArchiveStatus> {
        let (mode, standing) = match self {
            Self::Without => return None,
            Self::Following { follower, .. } => (Mode::Follow, follower.get()?.standing()),
            Self::Synchronous { store, .. } => (Mode::Synchronous, store.standing()),
        };
        let Standing { size, failed } = standing;
        Some(ArchiveStatus { mode, size, failed })
    }

    /// Brings it up to the log, which takes no more, and closes it.
    pub(super) fn stop(&self) {
        match self {
            Self::Without => {}
            Self::Following { follower, .. } => {
                if let Some(follower) = follower.get() {
                    follower.stop();
                }
            }
            Self::Synchronous { store, mark, .. } => {
                if store.stop()
                    && let Err(error) = mark.clear()
                {
                    tracing::warn!(%error, "the next start needs the archive, because {} could not be removed", mark.path().display());
                }
            }
        }
    }
}

/// Whether an archive of so many events is further behind a log than one that is written with it can be: by one commit.
fn lacks_more_than_a_commit(log: &dyn LogStore, archived: TreeSize) -> Result<bool, OpenError> {
    Ok(log.seal_of(archived.next())?.is_some_and(|(size, _)| size != log.size()))
}

fn expected(mark: &Mark, marked: Marked, is: &'static str) -> OpenError {
    let Marked { archive, held } = marked;
    OpenError::ArchiveExpected { archive, held, is, mark: mark.path().to_owned() }
}

fn unusable(mark: &Mark, source: std::io::Error) -> OpenError {
    OpenError::ArchiveMark { mark: mark.path().to_owned(), source }
}
