//! Tables and lists: types over rows.
//!
//! A key is its table's id and its parts, each self-delimiting, so that no key is the beginning of another.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use chancery_ledger::codec;
use chancery_ledger::ids::{
    AgentId, ApprovalId, AuditChainId, AuditEntryId, ChallengeId, ClientId, CredentialId, ExecutionId, KeyId, LedgerId,
    MemberId, MissionId, OrganisationId, Seq, SessionId, Subject, TenantId, ThingId, TokenId,
};
use chancery_ledger::link::Hash;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Order, Rows, RowsError, RowsMut};

/// A part of a key.
pub trait Key {
    /// Appends the part, in a form that sorts as the value does and is never the beginning of another.
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! id_keys {
    ($($id:ident),*) => {$(
        impl Key for $id {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.uuid().as_bytes());
            }
        }
    )*};
}

id_keys!(
    AgentId,
    ApprovalId,
    AuditChainId,
    AuditEntryId,
    ChallengeId,
    ClientId,
    CredentialId,
    ExecutionId,
    KeyId,
    LedgerId,
    MemberId,
    MissionId,
    OrganisationId,
    SessionId,
    TenantId,
    TokenId
);

impl Key for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Key for u16 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Key for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl Key for Hash {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Key for Subject {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind.code());
        out.extend_from_slice(self.id.as_bytes());
    }
}

/// A text: its bytes, 0 as 0 255, then 0 0, so that shorter texts sort first and none begins another.
impl Key for &str {
    fn write(&self, out: &mut Vec<u8>) {
        for byte in self.bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(u8::MAX);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }
}

impl Key for () {
    fn write(&self, _: &mut Vec<u8>) {}
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }
}

/// A value with the event that last wrote it, which is its version for optimistic concurrency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<V> {
    /// The event.
    pub seq: Seq,
    /// The value.
    pub value: V,
}

/// A map from `K` to `V` in one view. Ids below [`super::FIRST_INDEX`] keep superseded values.
pub struct Table<V> {
    id: u8,
    value: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> Table<V> {
    /// The table of that id; each id stands for one table in its view.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        Self { id, value: PhantomData }
    }

    /// The value under a key.
    ///
    /// # Errors
    /// [`RowsError`] when storage fails or the row is malformed.
    pub fn get(&self, rows: &dyn Rows, key: impl Key) -> Result<Option<V>, RowsError> {
        Ok(self.get_versioned(rows, key)?.map(|row| row.value))
    }

    /// The value under a key, and the event that wrote it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_versioned(&self, rows: &dyn Rows, key: impl Key) -> Result<Option<Versioned<V>>, RowsError> {
        let Some(row) = rows.row(&self.key(key))? else { return Ok(None) };
        let Some(bytes) = row.value else { return Ok(None) };
        Ok(Some(Versioned { seq: row.seq, value: self.decode(&bytes)? }))
    }

    /// Writes the value under a key.
    ///
    /// # Errors
    /// [`RowsError`] when storage fails or the value is too large for a row.
    pub fn put(&self, rows: &mut dyn RowsMut, key: impl Key, value: &V) -> Result<(), RowsError> {
        let bytes = codec::encode_row(value).map_err(|source| RowsError::Unstorable { table: self.id, source })?;
        rows.put(self.key(key), Some(bytes))
    }

    /// Takes the value under a key away.
    ///
    /// # Errors
    /// [`RowsError::Storage`] when storage fails.
    pub fn delete(&self, rows: &mut dyn RowsMut, key: impl Key) -> Result<(), RowsError> {
        rows.put(self.key(key), None)
    }

    /// Reads the value, lets `change` change it, and writes it back; a missing row is an error, because only what
    /// an earlier event wrote is changed by a later one.
    ///
    /// # Errors
    /// [`RowsError`] as for reading and writing; [`RowsError::Missing`] when there is no such row.
    pub fn update(
        &self, rows: &mut dyn RowsMut, key: impl Key + Copy, what: &'static str, change: impl FnOnce(&mut V),
    ) -> Result<V, RowsError> {
        let mut value = self.get(&*rows, key)?.ok_or(RowsError::Missing(what))?;
        change(&mut value);
        self.put(rows, key, &value)?;
        Ok(value)
    }

    /// At most `limit` values under a key's beginning, from `from` on (inclusive), in the order asked.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list(
        &self, rows: &dyn Rows, prefix: impl Key, from: Option<&[u8]>, order: Order, limit: usize,
    ) -> Result<Vec<(Vec<u8>, V)>, RowsError> {
        let mut found = Vec::new();
        let mut fault = None;
        rows.scan(&self.key(prefix), from, order, &mut |rest, bytes| {
            if found.len() == limit {
                return ControlFlow::Break(());
            }
            match self.decode(bytes) {
                Ok(value) => found.push((rest.to_vec(), value)),
                Err(error) => {
                    fault = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(found), Err)
    }

    fn key(&self, key: impl Key) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(self.id);
        key.write(&mut out);
        out
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, RowsError> {
        codec::decode_row(bytes).map_err(|source| RowsError::Malformed { table: self.id, source })
    }
}

/// An append-only list under each prefix: members have ordinals 1, 2, 3 …, so a page and a total are arithmetic.
/// It keeps its past, so it also says how long it was as of any event.
pub struct DenseList<V> {
    lengths: Table<u64>,
    members: Table<V>,
}

impl<V: Serialize + DeserializeOwned> DenseList<V> {
    /// The list that uses the table ids `id` and `id + 1`.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        Self { lengths: Table::new(id), members: Table::new(id + 1) }
    }

    /// Appends a member and gives its ordinal.
    ///
    /// # Errors
    /// As [`Table::put`].
    pub fn append(&self, rows: &mut dyn RowsMut, prefix: impl Key + Copy, member: &V) -> Result<u64, RowsError> {
        let ordinal = self.len(&*rows, prefix)? + 1;
        self.lengths.put(rows, prefix, &ordinal)?;
        self.members.put(rows, (prefix, ordinal), member)?;
        Ok(ordinal)
    }

    /// How many members it has.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn len(&self, rows: &dyn Rows, prefix: impl Key) -> Result<u64, RowsError> {
        Ok(self.lengths.get(rows, prefix)?.unwrap_or(0))
    }

    /// The member with an ordinal.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn get(&self, rows: &dyn Rows, prefix: impl Key, ordinal: u64) -> Result<Option<V>, RowsError> {
        self.members.get(rows, (prefix, ordinal))
    }

    /// `limit` members in the order asked, after skipping `skip`, each with its ordinal.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn page(
        &self, rows: &dyn Rows, prefix: impl Key + Copy, order: Order, skip: u64, limit: usize,
    ) -> Result<Vec<(u64, V)>, RowsError> {
        let length = self.len(rows, prefix)?;
        let mut page = Vec::new();
        for position in skip..length.min(skip.saturating_add(limit as u64)) {
            let ordinal = match order {
                Order::Ascending => position + 1,
                Order::Descending => length - position,
            };
            page.push((ordinal, self.get(rows, prefix, ordinal)?.ok_or(RowsError::Missing("a list's member"))?));
        }
        Ok(page)
    }
}
