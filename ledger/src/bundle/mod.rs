//! Evidence bundles: chosen events in one file that proves of each that it is in the log, and where. This is
//! `docs/format.md`, section 17, as code.
//!
//! A bundle goes through the whole log in order. What was chosen is there as it is; of what was not, the roots of the
//! complete subtrees it makes up. So one pass, with memory for the tree's edge, comes to the root that a checkpoint signs,
//! and thereby proves of every event shown its bytes and its position. Where nothing in a row was left out, nothing can
//! have been.

mod manifest;
mod reader;
mod sample;
#[cfg(test)]
mod tests;
mod writer;

pub use manifest::{Choice, Edge, MANIFEST_BYTES_MAX, Manifest, Others, THINGS_MAX};
pub use reader::{BundleReader, Piece};
pub use sample::{Draw, SAMPLE_EVENTS_MAX, Seed};
pub use writer::{BundleCounts, BundleError, Bundling, bundle_items, bundle_log};

/// First bytes of every bundle, once decompressed.
pub const MAGIC: &[u8; 18] = b"chancery bundle 1\n";

/// What was asked and how it was answered: the first frame.
const MANIFEST: u8 = b'M';
/// The subtrees of events that are not shown.
const SKIPPED: u8 = b'N';
/// How many events of each kind were chosen: the frame before the end.
const KINDS: u8 = b'C';
/// Most subtrees in one frame: a run of leaves makes up at most 126.
const SUBTREES_MAX: usize = 128;
/// A subtree in a frame: its level and its root.
const SUBTREE_BYTES: usize = 33;
