//! Writing an export.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::{END, EVENT, FRAME_BYTES_MAX, MAGIC, SEAL, WITH_BODY, WITHHELD};
use crate::body::Kind;
use crate::event::Outline;
use crate::ids::TreeSize;
use crate::store::{LogStore, StoreError};
use crate::verify::{Item, SourceError, StoreItems};

/// Whether the bodies of events go into an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bodies {
    /// All of them.
    Included,
    /// Only those a verifier needs: of the ledger's own events.
    Withheld,
}

/// A log could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The export could not be written.
    #[error("the export could not be written: {0}")]
    Write(#[from] io::Error),
    /// The log holds what no export can.
    #[error("the log cannot be exported: {0}; run `chancery verify` on it")]
    Damaged(String),
}

/// What an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Seals.
    pub seals: u64,
}

impl Counts {
    /// The payload of the end frame.
    pub(crate) fn render(self) -> [u8; 16] {
        (u128::from(self.events) << 64 | u128::from(self.seals)).to_be_bytes()
    }

    /// Whether the payload of an end frame says these.
    pub(crate) fn are_said_by(self, payload: &[u8]) -> bool {
        payload == self.render()
    }
}

/// Writes an export, frame by frame.
pub struct ExportWriter<W: Write> {
    out: W,
    counts: Counts,
}

impl<W: Write> ExportWriter<W> {
    /// Begins an export.
    ///
    /// # Errors
    /// The writer's.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, counts: Counts::default() })
    }

    /// Adds the next event; without a body it is withheld.
    ///
    /// # Errors
    /// The writer's.
    pub fn event(&mut self, header: &[u8], body: Option<&[u8]>) -> io::Result<()> {
        write_event(&mut self.out, header, body)?;
        self.counts.events += 1;
        Ok(())
    }

    /// Adds the seal of the commit whose last event was added just before.
    ///
    /// # Errors
    /// The writer's.
    pub fn seal(&mut self, seal: &[u8]) -> io::Result<()> {
        write_frame(&mut self.out, SEAL, seal)?;
        self.counts.seals += 1;
        Ok(())
    }

    /// Ends the export: without this it reads as cut short.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> io::Result<(W, Counts)> {
        write_frame(&mut self.out, END, &self.counts.render())?;
        self.out.flush()?;
        Ok((self.out, self.counts))
    }
}

/// Writes an event's frame; without a body it is withheld.
pub(crate) fn write_event(out: &mut impl Write, header: &[u8], body: Option<&[u8]>) -> io::Result<()> {
    write_head(out, EVENT, 4 + header.len() + 1 + body.map_or(0, <[u8]>::len))?;
    out.write_all(&length_bytes(header.len())?)?;
    out.write_all(header)?;
    out.write_all(&[if body.is_some() { WITH_BODY } else { WITHHELD }])?;
    out.write_all(body.unwrap_or_default())
}

/// Writes a frame.
pub(crate) fn write_frame(out: &mut impl Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    write_head(out, kind, payload.len())?;
    out.write_all(payload)
}

fn write_head(out: &mut impl Write, kind: u8, length: usize) -> io::Result<()> {
    let [a, b, c, d] = length_bytes(length)?;
    out.write_all(&[kind, a, b, c, d])
}

fn length_bytes(length: usize) -> io::Result<[u8; 4]> {
    match u32::try_from(length) {
        Ok(length) if length <= FRAME_BYTES_MAX => Ok(length.to_be_bytes()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame is longer than a frame may be")),
    }
}

/// Writes a log up to a size, which must be that of a commit's end, and gives what was written. Memory stays constant.
///
/// # Errors
/// [`ExportError`]; what was written by then is no export.
pub fn export_log(
    log: &dyn LogStore, up_to: TreeSize, bodies: Bodies, out: impl Write, mut progress: impl FnMut(u64),
) -> Result<Counts, ExportError> {
    export_items(StoreItems::new(log, up_to), bodies, out, &mut progress)
}

/// Writes an export of items in the order of the log, and gives what was written. Memory stays constant.
///
/// # Errors
/// [`ExportError`]; what was written by then is no export.
pub fn export_items(
    items: impl IntoIterator<Item = Result<Item, SourceError>>, bodies: Bodies, out: impl Write,
    mut progress: impl FnMut(u64),
) -> Result<Counts, ExportError> {
    let mut writer = ExportWriter::new(out)?;
    for item in items {
        match item {
            Ok(Item::Event { header, body, .. }) => {
                let needed = || Outline::parse(&header).is_ok_and(|outline| needed_by_verifiers(outline.kind));
                let body = body.filter(|_| bodies == Bodies::Included || needed());
                writer.event(&header, body.as_deref())?;
                progress(writer.counts.events);
            }
            Ok(Item::Seal(seal)) => writer.seal(&seal)?,
            Err(SourceError::Store(error)) => return Err(error.into()),
            Err(other) => return Err(ExportError::Damaged(other.to_string())),
        }
    }
    Ok(writer.finish()?.1)
}

/// Whether a kind is one whose bodies a verifier must see: those of the ledger itself.
pub(crate) fn needed_by_verifiers(kind: u16) -> bool {
    let kinds = [Kind::LedgerCreated, Kind::SigningKeyAdded, Kind::SigningKeyRetired, Kind::TailLost];
    kinds.iter().any(|needed| needed.code() == kind)
}
