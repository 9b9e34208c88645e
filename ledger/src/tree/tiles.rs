//! The tree as others read it: C2SP [`tlog-tiles`](https://c2sp.org/tlog-tiles).
//!
//! A hash tile holds up to 256 neighbouring nodes of every eighth level; an entry bundle holds the leaves, which are the
//! events' headers, of a tile of level 0. Whoever has a checkpoint can check any tile against it, so nobody who passes one
//! on needs to be trusted.

use std::fmt;
use std::str::FromStr;

use super::{NodeHash, Nodes};
use crate::ids::TreeSize;

/// Nodes, or entries, of a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree that a tile stands for.
const TILE_HEIGHT: u8 = 8;
/// The highest level of tiles in a tree of less than 2⁶⁴ leaves.
pub const TILE_LEVEL_MAX: u8 = 7;
/// What the path of a tile begins with.
const PREFIX: &str = "tile/";
/// What the level is in the path of an entry bundle.
const ENTRIES: &str = "entries";

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Nodes of the tree's level `8 * level`.
    Hashes {
        /// The tiles' level.
        level: u8,
    },
    /// Entries: the bytes of leaves.
    Entries,
}

/// Names a tile.
///
/// ```
/// use chancery_ledger::tree::tiles::TilePath;
///
/// let path: TilePath = "tile/0/x001/x234/067.p/3".parse().unwrap();
/// assert_eq!((path.index(), path.width()), (1_234_067, 3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// A text is no tile's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tile's path is tile/<level 0 to {TILE_LEVEL_MAX}, or entries>/<index>[.p/<width 1 to 255>]")]
pub struct TilePathError;

impl TilePath {
    /// The tile of a kind at an index with so many of its 256 places taken; `None` when there can be none.
    #[must_use]
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let path = Self { kind, index, width };
        let exists = (1..=TILE_WIDTH).contains(&width) && path.leaves().is_some();
        (path.level() <= TILE_LEVEL_MAX && exists).then_some(path)
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its place among the tiles of its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many nodes or entries it holds.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether nothing will ever be added to it.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The first node or entry in it.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.index * TILE_WIDTH as u64
    }

    /// Whether a tree of so many leaves has it.
    #[must_use]
    pub fn is_in(&self, size: TreeSize) -> bool {
        self.leaves().is_some_and(|leaves| leaves <= size.0)
    }

    /// How many leaves a tree must have for it; `None` when no tree has so many.
    fn leaves(&self) -> Option<u64> {
        let end = self.index.checked_mul(TILE_WIDTH.into())?.checked_add(self.width.into())?;
        end.checked_mul(1_u64.checked_shl((self.level() * TILE_HEIGHT).into())?)
    }

    const fn level(&self) -> u8 {
        match self.kind {
            TileKind::Hashes { level } => level,
            TileKind::Entries => 0,
        }
    }

    /// The bytes of a hash tile: its nodes, 32 bytes each. Reads as many nodes as it is wide. Of an entry bundle it is the
    /// tile of level 0 that its entries hash to.
    ///
    /// # Errors
    /// Whatever reading a node gives.
    pub fn hashes<N: Nodes>(&self, nodes: &N) -> Result<Vec<u8>, N::Error> {
        let mut tile = Vec::with_capacity(usize::from(self.width) * size_of::<NodeHash>());
        for place in 0..u64::from(self.width) {
            tile.extend_from_slice(&nodes.node(self.level() * TILE_HEIGHT, self.first() + place)?.0);
        }
        Ok(tile)
    }
}

/// Adds an entry to a bundle: its length in two bytes, big-endian, and itself. `None` when it is longer than that can say.
#[must_use]
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    bundle.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

/// The entries of a bundle; `None` when it does not end where an entry does.
#[must_use]
pub fn entries_of(bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut entries, mut rest) = (Vec::new(), bundle);
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk()?;
        let (entry, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        rest = tail;
    }
    Some(entries)
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match self.kind {
            TileKind::Hashes { level } => write!(f, "{level}")?,
            TileKind::Entries => f.write_str(ENTRIES)?,
        }
        let mut above = Vec::new();
        let mut rest = self.index / 1000;
        while rest > 0 {
            above.push(rest % 1000);
            rest /= 1000;
        }
        for group in above.into_iter().rev() {
            write!(f, "/x{group:03}")?;
        }
        write!(f, "/{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    /// Reads what [`Display`](fmt::Display) writes, the one spelling of each path, and nothing else.
    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let (level, index) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).ok_or(TilePathError)?;
        let kind = match level {
            ENTRIES => TileKind::Entries,
            level => TileKind::Hashes { level: level.parse().map_err(|_| TilePathError)? },
        };
        let (index, width) = match index.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok().filter(|width| *width < TILE_WIDTH)),
            None => (index, Some(TILE_WIDTH)),
        };
        let index = index.split('/').try_fold(0_u64, |index, group| {
            let group: u16 = group.strip_prefix('x').unwrap_or(group).parse().ok().filter(|group| *group < 1000)?;
            index.checked_mul(1000)?.checked_add(group.into())
        });
        let path = index.zip(width).and_then(|(index, width)| Self::new(kind, index, width)).ok_or(TilePathError)?;
        if path.to_string() == text { Ok(path) } else { Err(TilePathError) }
    }
}
