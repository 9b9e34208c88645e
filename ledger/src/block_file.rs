//! A file that is written in place, as [`last_checkpoint`](crate::last_checkpoint) needs one: so that a simulation can
//! put a disk of its own under it.

use std::fmt::Debug;
use std::fs::File;
use std::io;

/// A file that is read and written at positions. What was written is durable after the next [`sync`](Self::sync) alone;
/// until then a power cut may leave any of it, in any order.
pub trait BlockFile: Debug + Send + Sync {
    /// Fills a buffer from a position on.
    ///
    /// # Errors
    /// The disk's; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all of a buffer from a position on, making the file longer where it must be.
    ///
    /// # Errors
    /// The disk's; some of it may have been written.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes everything written before durable, and the file's length with it.
    ///
    /// # Errors
    /// The disk's; what is on it is unknown from then on, and another sync proves nothing.
    fn sync(&self) -> io::Result<()>;
}

impl BlockFile for File {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
