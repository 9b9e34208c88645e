//! A whole log as one file. This is `docs/format.md`, section 10, as code.

pub(crate) mod frame;
mod log;
mod reader;
mod writer;

pub use log::ExportLog;
pub use reader::ExportReader;
pub(crate) use reader::event_item;
pub use writer::{Bodies, Counts, ExportError, ExportWriter, export_items, export_log};
pub(crate) use writer::{needed_by_verifiers, write_event, write_frame};

/// First bytes of every export.
pub const MAGIC: &[u8; 18] = b"chancery export 1\n";
/// Longest payload of a frame; a header and the largest body take a fifteenth of it.
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;

pub(crate) const EVENT: u8 = b'E';
pub(crate) const SEAL: u8 = b'S';
pub(crate) const END: u8 = b'Z';
const WITH_BODY: u8 = 1;
const WITHHELD: u8 = 0;

#[cfg(test)]
mod tests;
