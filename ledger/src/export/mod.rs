//! A whole log as one file. This is `docs/format.md`, section 10, as code.

mod log;
mod reader;
mod writer;

pub use log::ExportLog;
pub use reader::ExportReader;
pub use writer::{Bodies, Counts, ExportError, ExportWriter, export_log};

/// First bytes of every export.
pub const MAGIC: &[u8; 18] = b"chancery export 1\n";
/// Longest payload of a frame; a header and the largest body take a fifteenth of it.
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;

const EVENT: u8 = b'E';
const SEAL: u8 = b'S';
const END: u8 = b'Z';
const WITH_BODY: u8 = 1;
const WITHHELD: u8 = 0;

#[cfg(test)]
mod tests;
