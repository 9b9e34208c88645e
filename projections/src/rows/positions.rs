//! Positions: at which places of the log something happened, under each prefix.
//!
//! Places come in ascending order and often close together, so they are kept in blocks: one row tells which of 256 places
//! of the log are meant. Which rows there are depends on the places alone, not on how they came to be written.

use std::ops::ControlFlow;

use chancery_ledger::ids::Seq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::table::{Key, Table};
use super::{Order, RowsError, RowsMut, Scan};

/// Places to a block.
const BLOCK_PLACES: u64 = 256;
/// Bytes of a block with a bit for each place.
const BITMAP_BYTES: usize = 32;
/// Bytes of a block's number at the end of its key.
const NUMBER_BYTES: usize = 8;

/// Places of the log under each prefix, for readers.
pub struct Positions {
    blocks: Table<Block>,
}

/// Places within a block, from 0: each as a byte, ascending; or, from [`BITMAP_BYTES`] of them on, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Block(Vec<u8>);

impl Block {
    fn add(&mut self, place: u8) {
        if self.0.len() == BITMAP_BYTES {
            self.set(place);
        } else if self.0.len() + 1 < BITMAP_BYTES {
            if self.0.last() != Some(&place) {
                self.0.push(place);
            }
        } else {
            let places = std::mem::replace(&mut self.0, vec![0; BITMAP_BYTES]);
            places.into_iter().chain([place]).for_each(|place| self.set(place));
        }
    }

    fn set(&mut self, place: u8) {
        if let Some(byte) = self.0.get_mut(usize::from(place / 8)) {
            *byte |= 1 << (place % 8);
        }
    }

    fn places(&self) -> Vec<u8> {
        if self.0.len() < BITMAP_BYTES {
            return self.0.clone();
        }
        let is_set = |place: &u8| self.0.get(usize::from(place / 8)).is_some_and(|byte| byte >> (place % 8) & 1 == 1);
        (0..=u8::MAX).filter(is_set).collect()
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "at most {BITMAP_BYTES} bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                if bytes.len() > BITMAP_BYTES { Err(E::invalid_length(bytes.len(), &self)) } else { Ok(bytes.to_vec()) }
            }
        }
        deserializer.deserialize_bytes(Bytes).map(Self)
    }
}

impl Positions {
    /// The positions that use the table `id`, an index.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        assert!(id >= super::FIRST_INDEX, "only the newest block is kept");
        Self { blocks: Table::new(id).for_readers() }
    }

    /// Adds a place; under one prefix, none that is before another.
    ///
    /// # Errors
    /// As [`Table::get`] and [`Table::put`].
    pub fn add(&self, rows: &mut dyn RowsMut, prefix: impl Key + Copy, seq: Seq) -> Result<(), RowsError> {
        if rows.is_for_deciders() {
            return Ok(());
        }
        let key = (prefix, seq.0 / BLOCK_PLACES);
        let mut block = self.blocks.get(&*rows, key)?.unwrap_or_default();
        block.add((seq.0 % BLOCK_PLACES) as u8);
        self.blocks.put(rows, key, &block)
    }

    /// At most `limit` places under a prefix, from `from` on (inclusive), in the order asked.
    ///
    /// # Errors
    /// As [`Table::list`].
    pub fn list(
        &self, rows: &dyn Scan, prefix: impl Key, from: Option<Seq>, order: Order, limit: usize,
    ) -> Result<Vec<Seq>, RowsError> {
        let mut found = Vec::new();
        let block = from.map(|seq| (seq.0 / BLOCK_PLACES).to_be_bytes());
        self.visit(rows, prefix, block.as_ref().map(<[u8; 8]>::as_slice), order, &mut |_, seq| {
            let is_before = from.is_some_and(|from| match order {
                Order::Ascending => seq < from,
                Order::Descending => seq > from,
            });
            if found.len() == limit {
                return ControlFlow::Break(());
            }
            if !is_before {
                found.push(seq);
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Visits places with what stands between the prefix and their block's number in the key; `from` is the rest of the
    /// key of the first block, from [`rest`](Self::rest).
    ///
    /// # Errors
    /// As [`Table::list`].
    pub fn visit(
        &self, rows: &dyn Scan, prefix: impl Key, from: Option<&[u8]>, order: Order,
        visit: &mut dyn FnMut(&[u8], Seq) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        self.blocks.visit(rows, prefix, from, order, &mut |rest, block| {
            let Some((rest, number)) = rest.split_last_chunk::<NUMBER_BYTES>() else {
                return ControlFlow::Continue(());
            };
            let first = u64::from_be_bytes(*number).saturating_mul(BLOCK_PLACES);
            let mut places = block.places();
            if order == Order::Descending {
                places.reverse();
            }
            places.into_iter().try_for_each(|place| visit(rest, Seq(first.saturating_add(u64::from(place)))))
        })
    }

    /// The rest of the key of the block that a place belongs to, for [`visit`](Self::visit).
    #[must_use]
    pub fn rest(between: impl Key, seq: Seq) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        (between, seq.0 / BLOCK_PLACES).write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chancery_ledger::codec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_holds_what_was_added(places in proptest::collection::btree_set(any::<u8>(), 0..256)) {
            let mut block = Block::default();
            for place in &places {
                block.add(*place);
                block.add(*place);
            }
            prop_assert!(block.0.len() <= BITMAP_BYTES);
            let mut bytes = Vec::new();
            codec::encode_row_after(&mut bytes, &block).unwrap();
            let read: Block = codec::decode_row(&bytes).unwrap();
            prop_assert_eq!(read.places().into_iter().collect::<BTreeSet<_>>(), places);
            prop_assert!(block.places().is_sorted());
        }
    }

    #[test]
    fn a_block_that_is_too_long_is_malformed() {
        let mut bytes = vec![33];
        bytes.extend_from_slice(&[0; 33]);
        assert!(codec::decode_row::<Block>(&bytes).is_err());
    }
}
