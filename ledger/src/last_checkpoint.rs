//! The last checkpoint signed, kept apart from the log.

use std::path::Path;

use bytes::Bytes;

use crate::ids::TreeSize;

/// The file.
pub struct LastCheckpoint;

impl LastCheckpoint {
    /// Opens or makes it.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(_path: &Path) -> std::io::Result<Self> {
        todo!()
    }
    /// The newest.
    #[must_use]
    pub fn newest(&self) -> Option<(TreeSize, Bytes)> {
        todo!()
    }
    /// Writes, without syncing.
    ///
    /// # Errors
    /// The disk's.
    pub fn record(&mut self, _size: TreeSize, _seal: &[u8]) -> std::io::Result<()> {
        todo!()
    }
    /// Syncs.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&mut self) -> std::io::Result<()> {
        todo!()
    }
}
