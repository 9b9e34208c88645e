//! Headers and bodies.
//!
//! An input is a byte that chooses a kind, the header's length in two bytes, the header, the body.

use std::collections::HashSet;

use chancery_ledger::body::{Body, BodyError, Kind, SUBJECTS_MAX};
use chancery_ledger::codec::BODY_BYTES_MAX;
use chancery_ledger::event::{Envelope, Event, HeaderError, LAYOUT, ReadError, peek};
use chancery_ledger::link::{body_hash, header_hash};

/// `event` when header and body are ones, `header` when the header is, `body` when the body is one of the kind chosen.
///
/// # Panics
/// When a property does not hold.
pub fn hold(input: &[u8]) -> &'static str {
    let Some((choice, [high, low], rest)) = split(input) else { return "nothing" };
    let (header, body) = rest.split_at(usize::from(u16::from_be_bytes([high, low])).min(rest.len()));
    let envelope = header_holds(header);
    let kind = Kind::ALL[usize::from(choice) % Kind::ALL.len()];
    let is_body = body_holds(kind.code(), kind.version(), body);
    match envelope {
        Some(envelope) if event_holds(header, &envelope, body) => "event",
        Some(_) => "header",
        None if is_body => "body",
        None => "nothing",
    }
}

fn split(input: &[u8]) -> Option<(u8, [u8; 2], &[u8])> {
    let ([choice, length @ ..], rest) = input.split_first_chunk::<3>()?;
    Some((*choice, *length, rest))
}

/// An input of these parts.
///
/// # Panics
/// When the header is longer than an input's can be.
#[must_use]
pub fn input(choice: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_be_bytes();
    [&[choice], length.as_slice(), header, body].concat()
}

/// One envelope has one header and the reverse.
fn header_holds(header: &[u8]) -> Option<Envelope> {
    let peeked = peek(header);
    match Envelope::parse(header) {
        Ok(envelope) => {
            let rendered = envelope.render();
            assert_eq!(rendered, header, "a header that is read is written again as it was");
            assert_eq!(header_hash(&rendered), header_hash(header));
            assert_eq!(peeked, Ok((envelope.seq, envelope.time, envelope.tenant)));
            assert!(envelope.subjects.len() <= SUBJECTS_MAX);
            assert_eq!(Envelope::parse(&header[..header.len() - 1]), Err(HeaderError::Length), "cut short");
            assert_eq!(Envelope::parse(&[header, &[0]].concat()), Err(HeaderError::Length), "with a byte behind it");
            Some(envelope)
        }
        Err(error) => {
            assert_eq!(matches!(error, HeaderError::Layout(_)), header.first().is_some_and(|first| *first != LAYOUT));
            None
        }
    }
}

/// Bodies of every kind and version: what is read can be written, and that reads as the same.
fn body_holds(kind: u16, version: u16, body: &[u8]) -> bool {
    let known = Kind::from_code(kind).is_some_and(|known| (1..=known.version()).contains(&version));
    match Body::decode(kind, version, body) {
        Ok((prelude, read)) => {
            assert!(known && body.len() <= BODY_BYTES_MAX);
            assert_eq!(read.kind().code(), kind, "an upcast stays what it is");
            let written = read.encode(&prelude).expect("what was read can be written");
            let (prelude_again, again) = Body::decode(kind, read.kind().version(), &written).expect("and read again");
            assert_eq!((&prelude_again, &again), (&prelude, &read));
            assert_eq!(again.encode(&prelude_again).as_ref(), Ok(&written));
            let subjects = read.subjects();
            assert!(subjects.len() <= SUBJECTS_MAX);
            assert_eq!(subjects.iter().collect::<HashSet<_>>().len(), subjects.len(), "each subject once");
            true
        }
        Err(error) => {
            assert_eq!(matches!(error, BodyError::Unknown { .. }), !known, "{error}");
            false
        }
    }
}

/// Header and body as the log gives them: what is read of an event makes the same envelope.
fn event_holds(header: &[u8], envelope: &Envelope, body: &[u8]) -> bool {
    let is_body = body_holds(envelope.kind, envelope.version, body);
    match Event::read(header, body) {
        Ok((event, read)) => {
            assert!(is_body && read == *envelope);
            let newest = event.body.kind().version() == envelope.version;
            let again = event.envelope(envelope.prev, envelope.body_hash);
            assert!(!newest || again.render() == header, "an event that is read has the envelope it was read from");
            let next = event.envelope(header_hash(header), body_hash(body));
            assert_ne!(header_hash(&next.render()), header_hash(header), "no event is its own predecessor");
            true
        }
        Err(error) => {
            assert!(!is_body && matches!(error, ReadError::Body(_)));
            false
        }
    }
}
