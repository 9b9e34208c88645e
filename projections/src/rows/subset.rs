//! Subsets: which members of a [dense list](super::table::DenseList) have some property, and until when.
//!
//! Members come and go, so their places in the subset are not arithmetic as in the list itself. A subset keeps sums over
//! blocks of 16 ordinals, of 16 such blocks, and so on: a count, a page far into it and the newest member that lasts until
//! some time each take a number of reads that grows with the logarithm of the list. It keeps its past, as lists do.

use chancery_ledger::time::Micros;
use serde::{Deserialize, Serialize};

use super::table::{Key, Table};
use super::{Order, Rows, RowsError, RowsMut};

/// 16 children to a block.
const BITS: u32 = 4;

/// Members of dense lists, under a prefix for each list and property.
pub struct Subset {
    /// By prefix, level and index: a member has level 0 and its ordinal, a block the ordinals from `index << 4 * level`.
    blocks: Table<Block>,
    is_for_readers: bool,
}

/// What lies in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    members: u64,
    /// The last instant at which any of them still has the property.
    until: Micros,
}

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    level: u8,
    index: u64,
}

impl Place {
    const fn bits(self) -> u32 {
        BITS * self.level as u32
    }

    fn first(self) -> u64 {
        self.index.checked_shl(self.bits()).unwrap_or(u64::MAX)
    }

    fn last(self) -> u64 {
        self.first().saturating_add(1_u64.checked_shl(self.bits()).map_or(u64::MAX, |size| size - 1))
    }

    fn child(self, nth: u64) -> Self {
        Self { level: self.level - 1, index: (self.index << BITS) + nth }
    }

    /// The block of a level that an ordinal belongs to.
    fn holding(ordinal: u64, level: u8) -> Self {
        let place = Self { level, index: 0 };
        Self { index: ordinal.checked_shr(place.bits()).unwrap_or(0), ..place }
    }
}

/// The level whose block 0 holds every ordinal of a list of that length.
fn height(length: u64) -> u8 {
    (1..).find(|level| Place::holding(length, *level).index == 0).unwrap_or(u8::MAX)
}

/// Which members a page holds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Greatest first, or smallest.
    pub order: Order,
    /// Only what follows this ordinal in that order.
    pub after: Option<u64>,
    /// So many are left out before the first.
    pub skip: u64,
    /// At most so many.
    pub limit: usize,
}

impl Subset {
    /// The subset that uses the table `id`.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        Self { blocks: Table::new(id), is_for_readers: false }
    }

    /// The same subset, which no decider asks anything.
    #[must_use]
    pub const fn for_readers(mut self) -> Self {
        self.is_for_readers = true;
        self
    }

    /// Takes a member in, until a time ([`Micros::MAX`]: for good). `length` is that of the list.
    ///
    /// # Errors
    /// As [`Table::put`].
    pub fn enter(
        &self, rows: &mut dyn RowsMut, prefix: impl Key + Copy, length: u64, ordinal: u64, until: Micros,
    ) -> Result<(), RowsError> {
        if self.is_for_readers && rows.is_for_deciders() {
            return Ok(());
        }
        let entered = Block { members: 1, until };
        let fresh = self.at(&*rows, prefix, Place::holding(ordinal, 0))?.is_none();
        self.put(rows, prefix, Place::holding(ordinal, 0), Some(entered))?;
        for level in 1..=height(length) {
            let place = Place::holding(ordinal, level);
            let sum = match self.at(&*rows, prefix, place)?.filter(|_| fresh) {
                Some(before) => Some(Block { members: before.members + 1, until: before.until.max(until) }),
                None => self.sum(&*rows, prefix, place)?,
            };
            self.put(rows, prefix, place, sum)?;
        }
        Ok(())
    }

    /// Lets a member go; one that is not in it changes nothing.
    ///
    /// # Errors
    /// As [`Table::put`].
    pub fn leave(
        &self, rows: &mut dyn RowsMut, prefix: impl Key + Copy, length: u64, ordinal: u64,
    ) -> Result<(), RowsError> {
        if self.is_for_readers && rows.is_for_deciders() {
            return Ok(());
        }
        if self.at(&*rows, prefix, Place::holding(ordinal, 0))?.is_none() {
            return Ok(());
        }
        self.put(rows, prefix, Place::holding(ordinal, 0), None)?;
        for level in 1..=height(length) {
            let place = Place::holding(ordinal, level);
            let sum = self.sum(&*rows, prefix, place)?;
            self.put(rows, prefix, place, sum)?;
        }
        Ok(())
    }

    /// How many members it has.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn len(&self, rows: &dyn Rows, prefix: impl Key + Copy, length: u64) -> Result<u64, RowsError> {
        Ok(self.top(rows, prefix, length)?.map_or(0, |(_, block)| block.members))
    }

    /// Whether a member of the list is in it.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn contains(&self, rows: &dyn Rows, prefix: impl Key + Copy, ordinal: u64) -> Result<bool, RowsError> {
        Ok(self.at(rows, prefix, Place::holding(ordinal, 0))?.is_some())
    }

    /// The ordinals of members.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn page(
        &self, rows: &dyn Rows, prefix: impl Key + Copy, length: u64, span: Span,
    ) -> Result<Vec<u64>, RowsError> {
        let mut found = Vec::new();
        if let Some((place, block)) = self.top(rows, prefix, length)? {
            self.collect(rows, prefix, place, block, &span, &mut span.skip.clone(), &mut found)?;
        }
        Ok(found)
    }

    /// The greatest ordinal below `before` whose member has the property until `at` or longer.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn newest(
        &self, rows: &dyn Rows, prefix: impl Key + Copy, length: u64, before: u64, at: Micros,
    ) -> Result<Option<u64>, RowsError> {
        match self.top(rows, prefix, length)? {
            Some((place, block)) => self.newest_in(rows, prefix, place, block, before, at),
            None => Ok(None),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "where, what is there, what is wanted, what is found")]
    fn collect(
        &self, rows: &dyn Rows, prefix: impl Key + Copy, place: Place, block: Block, span: &Span, skip: &mut u64,
        found: &mut Vec<u64>,
    ) -> Result<(), RowsError> {
        let (outside, inside) = match (span.after, span.order) {
            (None, _) => (false, true),
            (Some(after), Order::Ascending) => (place.last() <= after, place.first() > after),
            (Some(after), Order::Descending) => (place.first() >= after, place.last() < after),
        };
        if outside || found.len() == span.limit {
            return Ok(());
        }
        if inside && *skip >= block.members {
            *skip -= block.members;
            return Ok(());
        }
        if place.level == 0 {
            found.push(place.index);
            return Ok(());
        }
        for nth in 0..1 << BITS {
            let child = place.child(if span.order == Order::Ascending { nth } else { (1 << BITS) - 1 - nth });
            if let Some(block) = self.at(rows, prefix, child)? {
                self.collect(rows, prefix, child, block, span, skip, found)?;
            }
        }
        Ok(())
    }

    fn newest_in(
        &self, rows: &dyn Rows, prefix: impl Key + Copy, place: Place, block: Block, before: u64, at: Micros,
    ) -> Result<Option<u64>, RowsError> {
        if block.until < at || place.first() >= before {
            return Ok(None);
        }
        if place.level == 0 {
            return Ok(Some(place.index));
        }
        for nth in (0..1 << BITS).rev() {
            let child = place.child(nth);
            let Some(block) = self.at(rows, prefix, child)? else { continue };
            // Only a block that `before` cuts through can disappoint, and there is one such a level.
            if let Some(found) = self.newest_in(rows, prefix, child, block, before, at)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The block that holds every member. The list may have outgrown the highest block that a member ever wrote.
    fn top(&self, rows: &dyn Rows, prefix: impl Key + Copy, length: u64) -> Result<Option<(Place, Block)>, RowsError> {
        for level in (1..=height(length)).rev() {
            let place = Place { level, index: 0 };
            if let Some(block) = self.at(rows, prefix, place)? {
                return Ok(Some((place, block)));
            }
        }
        Ok(None)
    }

    fn sum(&self, rows: &dyn Rows, prefix: impl Key + Copy, place: Place) -> Result<Option<Block>, RowsError> {
        let mut sum: Option<Block> = None;
        for nth in 0..1 << BITS {
            let Some(child) = self.at(rows, prefix, place.child(nth))? else { continue };
            let before = sum.unwrap_or(Block { members: 0, until: child.until });
            sum = Some(Block { members: before.members + child.members, until: before.until.max(child.until) });
        }
        Ok(sum)
    }

    fn at(&self, rows: &dyn Rows, prefix: impl Key + Copy, place: Place) -> Result<Option<Block>, RowsError> {
        self.blocks.get(rows, (prefix, place.level, place.index))
    }

    fn put(
        &self, rows: &mut dyn RowsMut, prefix: impl Key + Copy, place: Place, block: Option<Block>,
    ) -> Result<(), RowsError> {
        let key = (prefix, place.level, place.index);
        match block {
            Some(block) => self.blocks.put(rows, key, &block),
            None => self.blocks.delete(rows, key),
        }
    }
}
