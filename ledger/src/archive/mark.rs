//! Which archive may be ahead of the log.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::ids::TreeSize;

/// A file in the data directory that names the archive which may be ahead of the log: written before a log of two copies
/// takes anything, taken away when it stopped with both equal. While it is there no start goes on without that archive,
/// because the log would be sealed anew from where it ends, and the archive would contradict it.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
}

/// What a mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The archive.
    pub archive: PathBuf,
    /// How many events it held at least.
    pub held: TreeSize,
}

impl Mark {
    /// The one at a path.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says, if it is there.
    ///
    /// # Errors
    /// When it cannot be read; [`io::ErrorKind::InvalidData`] when it says nothing.
    pub fn read(&self) -> io::Result<Option<Marked>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = bytes.strip_suffix(b"\n").and_then(|bytes| {
            let at = bytes.iter().rposition(|byte| *byte == b'\n')?;
            let held = str::from_utf8(&bytes[at + 1..]).ok()?.parse().ok()?;
            Some(Marked { archive: OsStr::from_bytes(&bytes[..at]).into(), held: TreeSize(held) })
        });
        parsed.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it names no archive"))
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, marked: &Marked) -> io::Result<()> {
        let unfinished = self.path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(marked.archive.as_os_str().as_bytes())?;
        writeln!(file, "\n{}", marked.held)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        self.sync()
    }

    /// Takes it away, if it is there.
    ///
    /// # Errors
    /// When it cannot be taken away.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    }
}
