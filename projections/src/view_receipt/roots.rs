//! Roots of views, and the trees on disk that they are roots of.
//!
//! A tree is over the rows that a view keeps for good, as they were when it had read so many events; so whoever reads the
//! same events gets the same root, then or later, from that view or from another. Rows of which only the newest is kept
//! are indexes over those, and are in no root: of these a view's digest tells. The journal has no others, so it has no root.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chancery_ledger::body::view_roots::ViewRoot;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::tree::Frontier;

use super::leaf::{Leaf, place_of, row_hash};
use super::sorter::{RUN_LEAVES, Sorter};
use super::thing::owner_of;
use super::tree::{TreeFile, TreeWriter};
use crate::rows::RowsError;
use crate::rows::store::ViewSnapshot;
use crate::views::View;

/// The views that have roots.
pub const ROOTED: [View; 4] = [View::Identity, View::Token, View::Trust, View::Execution];

/// Rows after which a walk over a view asks whether to go on.
const BREATHE_ROWS: u64 = 4096;
/// Publications whose trees are kept: the newest, and the one before, which somebody may still be reading.
const KEPT: usize = 2;

/// Roots could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The view could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The trees could not be written or read.
    #[error("the trees over the views cannot be written or read: {0}; is there room on the disk?")]
    Io(#[from] io::Error),
    /// Whoever wanted them wants them no more.
    #[error("it was told to stop")]
    Stopped,
}

/// Asked now and then during a walk over a view: whether to go on. It may take its time.
pub type Breathe<'a> = dyn FnMut() -> ControlFlow<()> + 'a;

/// The root of a view's rows as they were when it had read `size` events, which the snapshot has. `scratch` is a directory
/// in which a file may be made.
///
/// # Errors
/// [`RootsError`].
pub fn root_of(
    view: View, snapshot: ViewSnapshot, size: TreeSize, scratch: &Path, breathe: &mut Breathe<'_>,
) -> Result<ViewRoot, RootsError> {
    let mut frontier = Frontier::empty();
    each_leaf(view, &as_of(snapshot, size), scratch, breathe, |leaf| {
        frontier.push(leaf.hash());
        Ok(())
    })?;
    Ok(ViewRoot { view: view.name().to_owned(), rows: frontier.size().0, root: frontier.root().0 })
}

/// Visits the leaf of each of a view's rows, in the order of their places. Takes ten megabytes of memory and some for
/// merging, and a file.
fn each_leaf(
    view: View, snapshot: &ViewSnapshot, scratch: &Path, breathe: &mut Breathe<'_>,
    mut visit: impl FnMut(Leaf) -> io::Result<()>,
) -> Result<(), RootsError> {
    let mut sorter = Sorter::new(unnamed(scratch)?, RUN_LEAVES);
    let (mut seen, mut stopped, mut pushed) = (0_u64, false, Ok(()));
    let mut go_on = |breathe: &mut Breathe<'_>| {
        seen += 1;
        stopped |= seen.is_multiple_of(BREATHE_ROWS) && breathe().is_break();
        !stopped
    };
    snapshot.each_kept(&mut |key, seq, value| {
        let leaf = Leaf { place: place_of(owner_of(view, key, value), key), seq, row: row_hash(value) };
        pushed = sorter.push(leaf);
        if pushed.is_ok() && go_on(breathe) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    pushed?;
    let mut interrupted = false;
    let sorted = sorter.finish(|leaf| {
        if !go_on(breathe) {
            interrupted = true;
            return Err(io::ErrorKind::Interrupted.into());
        }
        visit(leaf)
    });
    if interrupted {
        return Err(RootsError::Stopped);
    }
    Ok(sorted?)
}

/// A view as it was when it had read so many events.
fn as_of(snapshot: ViewSnapshot, size: TreeSize) -> ViewSnapshot {
    match size.last() {
        Some(last) => snapshot.at(last),
        None => snapshot,
    }
}

/// A file that nobody finds, gone when it is closed.
fn unnamed(dir: &Path) -> io::Result<File> {
    let path = dir.join("unsorted");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// The trees of the roots that were published last.
#[derive(Debug, Clone)]
pub struct Trees {
    dir: PathBuf,
}

impl Trees {
    /// Those in a directory, which need not exist.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Makes the trees of views as they were when they had read `size` events, which the snapshots have, in place of any
    /// that are there of that size; their roots. One at a time.
    ///
    /// # Errors
    /// [`RootsError`]; then there are no trees of that size.
    pub fn build(
        &self, size: TreeSize, views: impl IntoIterator<Item = (View, ViewSnapshot)>, breathe: &mut Breathe<'_>,
    ) -> Result<Vec<ViewRoot>, RootsError> {
        let building = self.dir.join("building");
        remove(&building)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&building)?;
        let mut roots = Vec::new();
        for (view, snapshot) in views {
            let mut tree = TreeWriter::create(&leaves(&building, view), &nodes(&building, view))?;
            each_leaf(view, &as_of(snapshot, size), &building, breathe, |leaf| tree.push(leaf))?;
            let (rows, root) = tree.finish()?;
            roots.push(ViewRoot { view: view.name().to_owned(), rows, root: root.0 });
        }
        let place = self.place(size);
        remove(&place)?;
        fs::rename(building, place)?;
        Ok(roots)
    }

    /// The tree of a view at a size; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self, size: TreeSize, view: View) -> io::Result<Option<TreeFile>> {
        let place = self.place(size);
        match TreeFile::open(&leaves(&place, view), &nodes(&place, view)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Whether there are trees of these roots.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn hold(&self, size: TreeSize, roots: &[ViewRoot]) -> io::Result<bool> {
        for root in roots {
            let Some(view) = View::from_name(&root.view) else { return Ok(false) };
            let Some(tree) = self.open(size, view)? else { return Ok(false) };
            match tree.root() {
                Ok(found) if tree.rows() == root.rows && found.0 == root.root => {}
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Removes trees of sizes other than the newest.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn prune(&self) -> io::Result<()> {
        let mut sizes = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let size: Option<u64> = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            sizes.extend(size);
        }
        sizes.sort_unstable();
        sizes.iter().rev().skip(KEPT).try_for_each(|size| remove(&self.place(TreeSize(*size))))
    }

    fn place(&self, size: TreeSize) -> PathBuf {
        self.dir.join(size.to_string())
    }
}

fn leaves(place: &Path, view: View) -> PathBuf {
    place.join(format!("{}.leaves", view.name()))
}

fn nodes(place: &Path, view: View) -> PathBuf {
    place.join(format!("{}.nodes", view.name()))
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
