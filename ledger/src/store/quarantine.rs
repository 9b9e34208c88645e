//! What cannot be opened is set aside in `quarantine/`, beside the log, and explained; it is never deleted.
//!
//! A log that was set aside leaves a marker, `log.quarantined`: while it is there, every start says the same, and none
//! begins a new log where there was one. Only a person removes it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Longest text kept of why a log could not be opened, in characters.
const CAUSE_CHARS_MAX: usize = 4096;

/// Where the log of one data directory goes when it cannot be opened.
pub(super) struct Quarantine {
    log: PathBuf,
    data: PathBuf,
    dir: PathBuf,
    marker: PathBuf,
}

impl Quarantine {
    /// For the log in this directory, whose parent is the data directory.
    pub(super) fn of(log: &Path) -> Result<Self, StoreError> {
        let log = std::path::absolute(log).map_err(failed("find", log))?;
        let no_parent = || failed("use", &log)(io::Error::other("a log lies in a directory below the data directory"));
        let data = log.parent().ok_or_else(no_parent)?.to_owned();
        let mut marker = log.clone().into_os_string();
        marker.push(".quarantined");
        let marker = PathBuf::from(marker);
        Ok(Self { dir: data.join("quarantine"), data, marker, log })
    }

    /// Says again what an earlier start said, if it set the log aside.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let text = match std::fs::read(&self.marker) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("read", &self.marker)(error)),
        };
        let (name, cause) = text.split_once('\n').unwrap_or((&text, ""));
        Err(self.quarantined(name, cause.trim_end()))
    }

    /// Moves half-written snapshots out of sled's way; the caller holds the lock of the log. sled takes the newest
    /// snapshot by name, so that after a crash it would read one of these and fail (upstream issues 1527, 1533). The
    /// snapshot before it, or the log itself, has all that it says.
    pub(super) fn set_aside_half_written(&self) -> Result<(), StoreError> {
        for entry in std::fs::read_dir(&self.log).map_err(failed("list", &self.log))? {
            let name = entry.map_err(failed("list", &self.log))?.file_name();
            let Some(text) = name.to_str().filter(|n| n.starts_with("snap.") && n.ends_with(".generating")) else {
                continue;
            };
            let from = self.log.join(text);
            self.make_dir()?;
            let to = self.dir.join(self.free_name(text));
            std::fs::rename(&from, &to).map_err(failed("set aside", &from))?;
            self.sync()?;
            tracing::warn!(from = %from.display(), to = %to.display(), "set aside a snapshot that a crash left half-written");
        }
        Ok(())
    }

    /// Moves the whole log aside, and says so. Where it cannot be moved it stays, and the answer says that.
    pub(super) fn set_aside_log(&self, cause: &str) -> StoreError {
        let cause: String = cause.chars().take(CAUSE_CHARS_MAX).collect();
        let base = self.log.file_name().map_or_else(|| "log".into(), |name| name.to_string_lossy());
        let moved = self.make_dir().and_then(|()| {
            let name = self.free_name(&base);
            // The marker first: at no moment may a start find neither it nor the log.
            self.mark(&name, &cause)?;
            std::fs::rename(&self.log, self.dir.join(&name)).map_err(failed("set aside", &self.log))?;
            self.sync()?;
            Ok(name)
        });
        match moved {
            Ok(name) => self.quarantined(&name, &cause),
            Err(error) => {
                tracing::warn!(%error, "the damaged log could not be set aside; it stays where it is");
                StoreError::Damaged { path: self.log.clone(), cause }
            }
        }
    }

    /// Moves the log aside, because another takes its place; what an earlier start said of it stays said.
    fn replace_log(&self, cause: &str) -> Result<PathBuf, StoreError> {
        self.make_dir()?;
        let base = self.log.file_name().map_or_else(|| "log".into(), |name| name.to_string_lossy());
        let to = self.dir.join(self.free_name(&base));
        let mut said = to.clone().into_os_string();
        said.push(".cause");
        std::fs::write(&said, format!("{cause}\n")).map_err(failed("write", Path::new(&said)))?;
        std::fs::rename(&self.log, &to).map_err(failed("set aside", &self.log))?;
        self.sync()?;
        Ok(to)
    }

    /// Takes the marker away, since there is a log again; what it said is kept beside the log it is about.
    fn lift(&self) -> Result<(), StoreError> {
        if !self.marker.exists() {
            return Ok(());
        }
        self.make_dir()?;
        let to = self.dir.join(self.free_name("log.quarantined"));
        std::fs::rename(&self.marker, &to).map_err(failed("set aside", &self.marker))?;
        self.sync()
    }

    fn quarantined(&self, name: &str, cause: &str) -> StoreError {
        // A crash between marker and move, or a file system that cannot move it, leaves the log in its place.
        let aside = self.dir.join(name);
        let path = if !name.is_empty() && aside.exists() { aside } else { self.log.clone() };
        StoreError::Quarantined { path, cause: cause.to_owned(), marker: self.marker.clone() }
    }

    fn mark(&self, name: &str, cause: &str) -> Result<(), StoreError> {
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.marker)?;
            file.write_all(format!("{name}\n{cause}\n").as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed("write", &self.marker))?;
        sync_dir(&self.data)
    }

    fn make_dir(&self) -> Result<(), StoreError> {
        make_private_dir(&self.dir)
    }

    /// A name nothing in the quarantine has.
    fn free_name(&self, base: &str) -> String {
        let numbered = (1u64..).map(|n| format!("{base}-{n}"));
        std::iter::once(base.to_owned()).chain(numbered).find(|name| !self.dir.join(name).exists()).unwrap_or_default()
    }

    fn sync(&self) -> Result<(), StoreError> {
        sync_dir(&self.dir)?;
        sync_dir(&self.data)
    }
}

/// Sets aside the log in a directory, with the reason beside it in `quarantine/`, because another is to take its place.
/// Gives where it lies then.
///
/// # Errors
/// [`StoreError::Io`].
pub fn set_aside(log: &Path, cause: &str) -> Result<PathBuf, StoreError> {
    Quarantine::of(log)?.replace_log(cause)
}

/// Puts a log that was made beside it, and checked, in the place where there is none, in one step; it can be opened from
/// then on, whatever an earlier start said.
///
/// # Errors
/// [`StoreError::Io`].
pub fn put_in_place(made: &Path, log: &Path) -> Result<(), StoreError> {
    let quarantine = Quarantine::of(log)?;
    std::fs::rename(made, log).map_err(failed("put in place", made))?;
    sync_dir(&quarantine.data)?;
    quarantine.lift()
}

/// Says that the log which is in its place may be opened, whatever an earlier start said.
///
/// # Errors
/// [`StoreError::Io`].
pub fn lift(log: &Path) -> Result<(), StoreError> {
    Quarantine::of(log)?.lift()
}

/// Makes a directory that only its owner may enter, with those above it, unless it is there.
pub(super) fn make_private_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make", dir))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", dir))
}

/// The error of a file operation.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { doing, path, source }
}
