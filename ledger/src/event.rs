//! The event's envelope and its canonical bytes, the **header**. This is `docs/format.md`, "Header", as code.
//!
//! A header is hashed ([`crate::link`]) and is the leaf of the tree ([`crate::tree`]); the body is bound by
//! `body_hash` alone, so that it can be withheld. Every integer is big-endian.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::actor::{Actor, Method, Principal};
use crate::body::{Body, BodyError, Prelude, SUBJECTS_MAX};
use crate::ids::{CredentialId, Seq, Subject, TenantId, ThingKind};
use crate::link::Hash;
use crate::time::Micros;

/// First byte of every header: the layout that follows.
pub const LAYOUT: u8 = 1;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Longest text of a principal that has no id, in bytes.
pub const PRINCIPAL_TEXT_BYTES_MAX: usize = 1024;

/// The wish that a command happen once: the caller's key and what was asked under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key: 1 to [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub key: String,
    /// Hash of the command, so that another command under the same key is told from a retry.
    pub command: Hash,
}

/// Everything a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Position in the log.
    pub seq: Seq,
    /// When it was decided; never before the event before it.
    pub time: Micros,
    /// Whose event it is; [`TenantId::LEDGER`] for the ledger's own.
    pub tenant: TenantId,
    /// Code of the kind; `crate::body::Kind` names those this version knows.
    pub kind: u16,
    /// Version of the kind's body.
    pub version: u16,
    /// Hash of the event before; [`Hash::ZERO`] for the first.
    pub prev: Hash,
    /// Hash of the body.
    pub body_hash: Hash,
    /// Who asked.
    pub actor: Actor,
    /// What the event concerns, in the body's order, without repeats.
    pub subjects: Vec<Subject>,
    /// Shared by all events of one request.
    pub correlation: Option<Uuid>,
    /// The event whose consequence this one is.
    pub causation: Option<Seq>,
    /// Present when the command asked to happen once.
    pub idempotency: Option<Idempotency>,
}

/// An event as deciders make it and views read it: numbered, not yet linked. Views see nothing of hashes, so that a
/// view is the same whether it is fed while a commit is on its way or from the log years later.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position in the log.
    pub seq: Seq,
    /// When it was decided.
    pub time: Micros,
    /// Whose event it is.
    pub tenant: TenantId,
    /// Who asked.
    pub actor: Actor,
    /// What the event concerns.
    pub subjects: Vec<Subject>,
    /// Shared by all events of one request.
    pub correlation: Option<Uuid>,
    /// The event whose consequence this one is.
    pub causation: Option<Seq>,
    /// Present on the first event of a command that asked to happen once.
    pub idempotency: Option<Idempotency>,
    /// What every body starts with.
    pub prelude: Prelude,
    /// What happened.
    pub body: Body,
}

impl Event {
    /// The event's envelope, given what linking adds.
    #[must_use]
    pub fn envelope(&self, prev: Hash, body_hash: Hash) -> Envelope {
        let kind = self.body.kind();
        Envelope {
            seq: self.seq,
            time: self.time,
            tenant: self.tenant,
            kind: kind.code(),
            version: kind.version(),
            prev,
            body_hash,
            actor: self.actor.clone(),
            subjects: self.subjects.clone(),
            correlation: self.correlation,
            causation: self.causation,
            idempotency: self.idempotency.clone(),
        }
    }

    /// Reads an event back from what the log keeps of it. Hashes are not checked here; that is `crate::verify`'s.
    ///
    /// # Errors
    /// [`ReadError`] when header or body are not of a shape this version knows.
    pub fn read(header: &[u8], body: &[u8]) -> Result<(Self, Envelope), ReadError> {
        let envelope = Envelope::parse(header)?;
        let (prelude, body) = Body::decode(envelope.kind, envelope.version, body)?;
        let event = Self {
            seq: envelope.seq,
            time: envelope.time,
            tenant: envelope.tenant,
            actor: envelope.actor.clone(),
            subjects: envelope.subjects.clone(),
            correlation: envelope.correlation,
            causation: envelope.causation,
            idempotency: envelope.idempotency.clone(),
            prelude,
            body,
        };
        Ok((event, envelope))
    }
}

/// Stored bytes are not an event this version can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The header is not one.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The body is not one.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// Bytes are not a header of layout 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// They end within a field, or go on after the last.
    #[error("the header's length does not fit its fields")]
    Length,
    /// The first byte names a layout this version does not know.
    #[error("header layout {0} is not known to this version")]
    Layout(u8),
    /// A field holds what it cannot hold.
    #[error("the header's field `{0}` is malformed")]
    Field(&'static str),
}

/// Stands for "none" where a sequence number can be missing.
const NO_SEQ: u64 = u64::MAX;

impl Envelope {
    /// Writes the header. What [`parse`](Self::parse) would refuse is cut off by the types and bounds of the caller:
    /// texts and lists are never longer than their documented maxima.
    #[must_use]
    pub fn render(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(240 + 17 * self.subjects.len());
        out.put_u8(LAYOUT);
        out.put_u64(self.seq.0);
        out.put_i64(self.time.0);
        out.put_slice(self.tenant.0.as_bytes());
        out.put_u16(self.kind);
        out.put_u16(self.version);
        out.put_slice(&self.prev.0);
        out.put_slice(&self.body_hash.0);
        out.put_u8(self.actor.principal.code());
        out.put_slice(self.actor.principal.uuid().as_bytes());
        put_text(&mut out, self.actor.principal.text());
        out.put_u8(self.actor.method as u8);
        put_uuid(&mut out, self.actor.credential.map(|id| id.0));
        put_uuid(&mut out, self.actor.acting_in.map(|id| id.0));
        out.put_u8(u8::try_from(self.subjects.len()).unwrap_or(u8::MAX));
        for subject in &self.subjects {
            out.put_u8(subject.kind.code());
            out.put_slice(subject.id.as_bytes());
        }
        put_uuid(&mut out, self.correlation);
        out.put_u64(self.causation.map_or(NO_SEQ, |seq| seq.0));
        match &self.idempotency {
            None => out.put_u16(0),
            Some(idempotency) => {
                put_text(&mut out, &idempotency.key);
                out.put_slice(&idempotency.command.0);
            }
        }
        out.freeze()
    }

    /// Reads what [`render`](Self::render) writes, strictly: one envelope has one header and the reverse.
    ///
    /// # Errors
    /// [`HeaderError`] names the field that is not as it must be.
    pub fn parse(header: &[u8]) -> Result<Self, HeaderError> {
        let mut r = Reader(header);
        let layout = r.u8()?;
        if layout != LAYOUT {
            return Err(HeaderError::Layout(layout));
        }
        let envelope = Self {
            seq: Seq(r.u64()?),
            time: Micros(r.i64()?),
            tenant: TenantId(r.uuid()?),
            kind: r.u16()?,
            version: r.u16()?,
            prev: Hash(r.array()?),
            body_hash: Hash(r.array()?),
            actor: r.actor()?,
            subjects: r.subjects()?,
            correlation: r.optional_uuid()?,
            causation: Some(r.u64()?).filter(|n| *n != NO_SEQ).map(Seq),
            idempotency: r.idempotency()?,
        };
        if r.0.is_empty() { Ok(envelope) } else { Err(HeaderError::Length) }
    }
}

/// What links an event to the one before it and to its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Position in the log.
    pub seq: Seq,
    /// When it was decided.
    pub time: Micros,
    /// Code of the kind.
    pub kind: u16,
    /// Version of the kind's body.
    pub version: u16,
    /// Hash of the event before.
    pub prev: Hash,
    /// Hash of the body.
    pub body_hash: Hash,
}

impl Outline {
    /// Reads a header as strictly as [`Envelope::parse`] does, with the same errors, and keeps only its outline: verifying
    /// a log reads each header once and takes no memory for what it says.
    ///
    /// # Errors
    /// [`HeaderError`] names the field that is not as it must be.
    pub fn parse(header: &[u8]) -> Result<Self, HeaderError> {
        let mut r = Reader(header);
        let layout = r.u8()?;
        if layout != LAYOUT {
            return Err(HeaderError::Layout(layout));
        }
        let (seq, time, _) = (Seq(r.u64()?), Micros(r.i64()?), r.uuid()?);
        let (kind, version) = (r.u16()?, r.u16()?);
        let (prev, body_hash) = (Hash(r.array()?), Hash(r.array()?));
        r.skip_actor()?;
        r.skip_subjects()?;
        r.take(16 + 8)?;
        r.skip_idempotency()?;
        if r.0.is_empty() { Ok(Self { seq, time, kind, version, prev, body_hash }) } else { Err(HeaderError::Length) }
    }
}

/// Reads only a header's sequence number, time and tenant, which stand at fixed places.
///
/// # Errors
/// [`HeaderError`] when the bytes are too short or of another layout.
pub fn peek(header: &[u8]) -> Result<(Seq, Micros, TenantId), HeaderError> {
    let mut r = Reader(header);
    match r.u8()? {
        LAYOUT => Ok((Seq(r.u64()?), Micros(r.i64()?), TenantId(r.uuid()?))),
        other => Err(HeaderError::Layout(other)),
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

fn put_uuid(out: &mut BytesMut, id: Option<Uuid>) {
    out.put_slice(id.unwrap_or(Uuid::nil()).as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], HeaderError> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(HeaderError::Length)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(HeaderError::Length)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, HeaderError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, HeaderError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, HeaderError> {
        self.array().map(i64::from_be_bytes)
    }

    fn uuid(&mut self) -> Result<Uuid, HeaderError> {
        self.array().map(Uuid::from_bytes)
    }

    fn optional_uuid(&mut self) -> Result<Option<Uuid>, HeaderError> {
        Ok(Some(self.uuid()?).filter(|id| !id.is_nil()))
    }

    fn text(&mut self, max: usize, field: &'static str) -> Result<&'a str, HeaderError> {
        let len = usize::from(self.u16()?);
        if len > max {
            return Err(HeaderError::Field(field));
        }
        std::str::from_utf8(self.take(len)?).map_err(|_| HeaderError::Field(field))
    }

    fn actor(&mut self) -> Result<Actor, HeaderError> {
        let (code, id) = (self.u8()?, self.uuid()?);
        let text = self.text(PRINCIPAL_TEXT_BYTES_MAX, "principal")?;
        Ok(Actor {
            principal: Principal::from_parts(code, id, text).ok_or(HeaderError::Field("principal"))?,
            method: Method::from_code(self.u8()?).ok_or(HeaderError::Field("method"))?,
            credential: self.optional_uuid()?.map(CredentialId),
            acting_in: self.optional_uuid()?.map(TenantId),
        })
    }

    fn skip_actor(&mut self) -> Result<(), HeaderError> {
        let (code, id) = (self.u8()?, self.uuid()?);
        let text = self.text(PRINCIPAL_TEXT_BYTES_MAX, "principal")?;
        if !Principal::has_shape(code, id, text) {
            return Err(HeaderError::Field("principal"));
        }
        Method::from_code(self.u8()?).ok_or(HeaderError::Field("method"))?;
        self.take(16 + 16).map(drop)
    }

    fn skip_subjects(&mut self) -> Result<(), HeaderError> {
        let count = usize::from(self.u8()?);
        if count > SUBJECTS_MAX {
            return Err(HeaderError::Field("subjects"));
        }
        for _ in 0..count {
            ThingKind::from_code(self.u8()?).ok_or(HeaderError::Field("subjects"))?;
            self.take(16)?;
        }
        Ok(())
    }

    fn skip_idempotency(&mut self) -> Result<(), HeaderError> {
        let key = self.text(IDEMPOTENCY_KEY_BYTES_MAX, "idempotency_key")?;
        if key.is_empty() { Ok(()) } else { self.take(32).map(drop) }
    }

    fn subjects(&mut self) -> Result<Vec<Subject>, HeaderError> {
        let count = usize::from(self.u8()?);
        if count > SUBJECTS_MAX {
            return Err(HeaderError::Field("subjects"));
        }
        (0..count)
            .map(|_| {
                let kind = ThingKind::from_code(self.u8()?).ok_or(HeaderError::Field("subjects"))?;
                Ok(Subject { kind, id: self.uuid()? })
            })
            .collect()
    }

    fn idempotency(&mut self) -> Result<Option<Idempotency>, HeaderError> {
        let key = self.text(IDEMPOTENCY_KEY_BYTES_MAX, "idempotency_key")?;
        if key.is_empty() {
            return Ok(None);
        }
        Ok(Some(Idempotency { key: key.to_owned(), command: Hash(self.array()?) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{AgentId, ThingId as _, uuid_v7};

    fn envelope(principal: Principal, subjects: usize, key: &str) -> Envelope {
        let id = uuid_v7(1_767_323_045_678, [7; 10]);
        Envelope {
            seq: Seq(7),
            time: Micros(-3),
            tenant: TenantId(id),
            kind: 130,
            version: 1,
            prev: Hash([1; 32]),
            body_hash: Hash([2; 32]),
            actor: Actor { principal, method: Method::Token, credential: Some(CredentialId(id)), acting_in: None },
            subjects: vec![AgentId(id).subject(); subjects],
            correlation: Some(id),
            causation: None,
            idempotency: (!key.is_empty()).then(|| Idempotency { key: key.to_owned(), command: Hash([3; 32]) }),
        }
    }

    proptest! {
        #[test]
        fn an_outline_is_read_from_exactly_the_headers_that_envelopes_are_read_from(
            which in 0usize..4, subjects in 0usize..66, key in "[a-zä]{0,5}", at in any::<prop::sample::Index>(),
            byte in any::<u8>(), length in any::<prop::sample::Index>(), cut in any::<bool>(),
        ) {
            let id = uuid_v7(1, [9; 10]);
            let principal = match which {
                0 => Principal::System,
                1 => Principal::Anonymous,
                2 => Principal::Agent(AgentId(id)),
                _ => Principal::Subject("https://issuer.example\nÄda".to_owned()),
            };
            let mut header = envelope(principal, subjects, &key).render().to_vec();
            let same = |header: &[u8]| {
                let whole = Envelope::parse(header);
                let expected = whole.map(|whole| Outline {
                    seq: whole.seq,
                    time: whole.time,
                    kind: whole.kind,
                    version: whole.version,
                    prev: whole.prev,
                    body_hash: whole.body_hash,
                });
                prop_assert_eq!(Outline::parse(header), expected);
                Ok(())
            };
            same(&header)?;
            let at = at.index(header.len());
            header[at] = byte;
            same(&header)?;
            // The parts whose values decide, small ones rather than any.
            header[at] = byte % 9;
            same(&header)?;
            if cut {
                header.truncate(length.index(header.len()));
            } else {
                header.push(byte);
            }
            same(&header)?;
        }
    }
}
