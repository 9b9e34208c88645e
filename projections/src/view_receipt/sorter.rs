//! Leaves in the order of their places, however many: sorted in runs, and the runs merged from a file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::vec;

use super::leaf::{LEAF_BYTES, Leaf};

/// Leaves sorted at a time: ten megabytes of them.
pub const RUN_LEAVES: usize = 128 * 1024;
/// Leaves of a run that are read at a time while runs are merged. Ten million rows are 80 runs, which takes two megabytes;
/// a thousand million, two hundred.
const READ_LEAVES: usize = 256;

/// Takes leaves in any order.
pub struct Sorter {
    /// Where runs go when there are more leaves than one takes.
    spill: File,
    run_leaves: usize,
    run: Vec<Leaf>,
    /// How many leaves each run in the file has.
    runs: Vec<usize>,
    written: u64,
}

impl Sorter {
    /// Nothing yet. `spill` is an empty file, which nobody else uses.
    pub const fn new(spill: File, run_leaves: usize) -> Self {
        Self { spill, run_leaves, run: Vec::new(), runs: Vec::new(), written: 0 }
    }

    /// Adds a leaf.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, leaf: Leaf) -> io::Result<()> {
        self.run.push(leaf);
        if self.run.len() < self.run_leaves { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_unstable();
        let bytes: Vec<u8> = self.run.iter().flat_map(|leaf| leaf.to_bytes()).collect();
        self.spill.write_all_at(&bytes, self.written)?;
        self.written += bytes.len() as u64;
        self.runs.push(self.run.len());
        self.run.clear();
        Ok(())
    }

    /// Calls `visit` with all leaves in order.
    ///
    /// # Errors
    /// When the file cannot be written or read, and whatever `visit` gives.
    pub fn finish(mut self, mut visit: impl FnMut(Leaf) -> io::Result<()>) -> io::Result<()> {
        if self.runs.is_empty() {
            self.run.sort_unstable();
            return self.run.into_iter().try_for_each(visit);
        }
        if !self.run.is_empty() {
            self.spill()?;
        }
        drop(std::mem::take(&mut self.run));
        let mut runs: Vec<Run<'_>> = Vec::new();
        let mut offset = 0;
        for leaves in &self.runs {
            runs.push(Run { file: &self.spill, offset, left: *leaves, read: Vec::new().into_iter() });
            offset += (leaves * LEAF_BYTES) as u64;
        }
        let mut next = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            next.extend(run.next()?.map(|leaf| Reverse((leaf, at))));
        }
        while let Some(Reverse((leaf, at))) = next.pop() {
            visit(leaf)?;
            next.extend(runs[at].next()?.map(|leaf| Reverse((leaf, at))));
        }
        Ok(())
    }
}

/// A run that is being merged.
struct Run<'a> {
    file: &'a File,
    offset: u64,
    left: usize,
    read: vec::IntoIter<Leaf>,
}

impl Run<'_> {
    fn next(&mut self) -> io::Result<Option<Leaf>> {
        if self.read.len() == 0 && self.left > 0 {
            let leaves = self.left.min(READ_LEAVES);
            let read = read_leaves(self.file, self.offset, leaves)?;
            self.offset += (leaves * LEAF_BYTES) as u64;
            self.left -= leaves;
            self.read = read.into_iter();
        }
        Ok(self.read.next())
    }
}

/// So many leaves of a file, from a place in it on.
pub fn read_leaves(file: &File, offset: u64, leaves: usize) -> io::Result<Vec<Leaf>> {
    let mut bytes = vec![0; leaves * LEAF_BYTES];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.as_chunks().0.iter().map(Leaf::from_bytes).collect())
}
