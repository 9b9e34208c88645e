//! Tables and lists: types over rows.
//!
//! A key is its table's id and its parts, each self-delimiting, so that no key is the beginning of another.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use chancery_ledger::codec::{self, CodecError};
use chancery_ledger::ids::{
    AgentId, ApprovalId, AuditChainId, AuditEntryId, ChallengeId, ClientId, CredentialId, DestinationId, DisputeId,
    ExecutionId, IssuerId, IssuerRuleId, KeyId, LedgerId, MemberId, MembershipId, MissionId, OrganisationId, PolicyId,
    Seq, SessionId, Subject, SubscriptionId, TenantId, ThingId, TokenId, TransactionId,
};
use chancery_ledger::link::Hash;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FIRST_ONCE, Order, Rows, RowsError, RowsMut, Scan, Value};

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
    DisputeId,
    DestinationId,
    ExecutionId,
    IssuerId,
    IssuerRuleId,
    KeyId,
    LedgerId,
    MemberId,
    MembershipId,
    MissionId,
    OrganisationId,
    PolicyId,
    SessionId,
    SubscriptionId,
    TenantId,
    TokenId,
    TransactionId
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

/// A map to `V` in one view. Its id tells what becomes of a value when another is written ([`super::Keeping`]).
pub struct Table<V> {
    id: u8,
    is_for_readers: bool,
    value: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> Table<V> {
    /// The table of that id; each id stands for one table in its view.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        Self { id, is_for_readers: false, value: PhantomData }
    }

    /// The same table, of which no decider reads anything: rows kept for deciders alone do without it.
    #[must_use]
    pub const fn for_readers(mut self) -> Self {
        self.is_for_readers = true;
        self
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// A value's bytes as JSON.
    ///
    /// # Errors
    /// [`RowsError::Malformed`] when they are no value of this table.
    pub fn show(&self, bytes: &[u8]) -> Result<serde_json::Value, RowsError> {
        let malformed = |error: serde_json::Error| RowsError::Malformed {
            table: self.id,
            source: CodecError::Decode(error.to_string()),
        };
        serde_json::to_value(self.decode(bytes)?).map_err(malformed)
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
        if self.is_for_readers && rows.is_for_deciders() {
            return Ok(());
        }
        let value = Value::encode(value).map_err(|source| RowsError::Unstorable { table: self.id, source })?;
        rows.put(self.key(key), Some(value))
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
        &self, rows: &dyn Scan, prefix: impl Key, from: Option<&[u8]>, order: Order, limit: usize,
    ) -> Result<Vec<(Vec<u8>, V)>, RowsError> {
        let mut found = Vec::new();
        self.visit(rows, prefix, from, order, &mut |rest, value| {
            if found.len() == limit {
                return ControlFlow::Break(());
            }
            found.push((rest.to_vec(), value));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Visits values under a key's beginning, with the rest of their keys.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) fn visit(
        &self, rows: &dyn Scan, prefix: impl Key, from: Option<&[u8]>, order: Order,
        visit: &mut dyn FnMut(&[u8], V) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        let mut fault = None;
        rows.scan(&self.key(prefix), from, order, &mut |rest, bytes| match self.decode(bytes) {
            Ok(value) => visit(rest, value),
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        })?;
        fault.map_or(Ok(()), Err)
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
    /// The list whose lengths are the table `id`, which keeps its past; its members are the table 64 ids further on,
    /// each written once.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        assert!(id < FIRST_ONCE, "a list keeps its past");
        Self { lengths: Table::new(id), members: Table::new(FIRST_ONCE + id) }
    }

    /// The same list, of which no decider reads a member. Its length goes into rows that deciders read.
    #[must_use]
    pub const fn for_readers(mut self) -> Self {
        self.members.is_for_readers = true;
        self
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
