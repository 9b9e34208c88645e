//! Timestamps as OrgKernel signs, shows and reads them.
//!
//! # Source
//! contracts/orgkernel.md, sections 1 and 7; RFC 3339 §5.6.

use chancery_ledger::time::Micros;
use jiff::SignedDuration;
use jiff::civil::{DateTime, datetime};

// Civil times, because jiff's timestamps end a day before the year 9999 does, which callers send for "never".
const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);
const FIRST: DateTime = datetime(1, 1, 1, 0, 0, 0, 0);
const LAST: DateTime = datetime(9999, 12, 31, 23, 59, 59, 999_999_000);

/// Why a text is not a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Local time without an offset names no instant.
    #[error("the timestamp has no UTC offset; end it with Z or ±hh:mm")]
    NoOffset,
    /// Not a date and time of RFC 3339. Leap seconds count among these: no microsecond of ours names one.
    #[error("the timestamp is not YYYY-MM-DDThh:mm:ss[.fraction] and an offset (RFC 3339)")]
    NotRfc3339,
    /// In UTC it lies outside the years 1 to 9999.
    #[error("the timestamp lies outside the years 1 to 9999")]
    OutOfRange,
}

/// `TO(t)`, as certificates and tokens are signed: `+00:00` at the end; six fraction digits, or none if they are zero.
///
/// Times outside the years 1 to 9999 are held at the ends of that range; [`parse_timestamp`] gives none.
#[must_use]
pub fn to_offset(time: Micros) -> String {
    format!("{}+00:00", without_offset(time))
}

/// `TZ(t)`, as audit entries are hashed: as [`to_offset`], with `Z` at the end.
#[must_use]
pub fn to_zulu(time: Micros) -> String {
    format!("{}Z", without_offset(time))
}

/// Reads a timestamp of RFC 3339 with any offset; digits below a microsecond are dropped.
///
/// # Errors
/// [`TimestampError`], by what is wrong with the text.
pub fn parse_timestamp(text: &str) -> Result<Micros, TimestampError> {
    let (local, rest) = text.split_at_checked(LOCAL.len()).ok_or(TimestampError::NotRfc3339)?;
    if !has_shape(local, LOCAL) {
        return Err(TimestampError::NotRfc3339);
    }
    let number = |at: usize| local[at..at + 2].parse::<i8>().map_err(|_| TimestampError::NotRfc3339);
    let year = local[..4].parse::<i16>().map_err(|_| TimestampError::NotRfc3339)?;
    let (micros, offset) = parse_fraction(rest)?;
    let local = DateTime::new(year, number(5)?, number(8)?, number(11)?, number(14)?, number(17)?, micros * 1_000)
        .map_err(|_| TimestampError::NotRfc3339)?;
    let utc = local.checked_sub(parse_offset(offset)?).map_err(|_| TimestampError::OutOfRange)?;
    if !(FIRST..=LAST).contains(&utc) {
        return Err(TimestampError::OutOfRange);
    }
    i64::try_from(utc.duration_since(EPOCH).as_micros()).map(Micros).map_err(|_| TimestampError::OutOfRange)
}

// `0` stands for a digit, `T` for what RFC 3339 allows in its place.
const LOCAL: &str = "0000-00-00T00:00:00";
const OFFSET: &str = "00:00";

fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't' | b' '),
            _ => byte == shape,
        })
}

/// Microseconds of the fraction, if there is one, and what follows it.
fn parse_fraction(rest: &str) -> Result<(i32, &str), TimestampError> {
    let Some(fraction) = rest.strip_prefix('.') else { return Ok((0, rest)) };
    let end = fraction.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(fraction.len());
    let (digits, offset) = fraction.split_at(end);
    if digits.is_empty() {
        return Err(TimestampError::NotRfc3339);
    }
    let micros = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
    Ok((micros.fold(0, |micros, digit| micros * 10 + i32::from(digit - b'0')), offset))
}

fn parse_offset(text: &str) -> Result<SignedDuration, TimestampError> {
    let (sign, offset) = match text.as_bytes() {
        [] => return Err(TimestampError::NoOffset),
        [b'Z' | b'z'] => return Ok(SignedDuration::ZERO),
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return Err(TimestampError::NotRfc3339),
    };
    if !has_shape(offset, OFFSET) {
        return Err(TimestampError::NotRfc3339);
    }
    let number = |at: usize| offset[at..at + 2].parse::<i64>().map_err(|_| TimestampError::NotRfc3339);
    match (number(0)?, number(3)?) {
        (hours @ 0..24, minutes @ 0..60) => Ok(SignedDuration::from_mins(sign * (hours * 60 + minutes))),
        _ => Err(TimestampError::NotRfc3339),
    }
}

fn without_offset(time: Micros) -> String {
    let since_epoch = SignedDuration::from_micros(time.0);
    // What civil time cannot hold at all is held at the end on its side.
    let utc = EPOCH.checked_add(since_epoch).unwrap_or(if time.0 < 0 { FIRST } else { LAST }).clamp(FIRST, LAST);
    let (date, time) = (utc.date(), utc.time());
    let whole = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    match time.subsec_nanosecond() / 1_000 {
        0 => whole,
        micros => format!("{whole}.{micros:06}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_are_converted_and_fractions_cut() {
        for (text, zulu) in [
            ("2026-01-02T07:04:05Z", "2026-01-02T07:04:05Z"),
            ("2026-01-02t07:04:05z", "2026-01-02T07:04:05Z"),
            ("2026-01-02 07:04:05+00:00", "2026-01-02T07:04:05Z"),
            ("2026-01-02T07:04:05-00:00", "2026-01-02T07:04:05Z"),
            ("2026-01-01T23:30:00-05:45", "2026-01-02T05:15:00Z"),
            ("2026-01-02T00:30:00+14:00", "2026-01-01T10:30:00Z"),
            ("2026-01-02T07:04:05.1Z", "2026-01-02T07:04:05.100000Z"),
            ("2026-01-02T07:04:05.000001999Z", "2026-01-02T07:04:05.000001Z"),
            ("2026-01-02T07:04:05.0000009Z", "2026-01-02T07:04:05Z"),
            ("1969-12-31T23:59:59.9999999999999+00:00", "1969-12-31T23:59:59.999999Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse_timestamp(text).map(to_zulu).as_deref(), Ok(zulu), "{text}");
        }
    }

    #[test]
    fn what_names_no_instant_is_refused() {
        use TimestampError::{NoOffset, NotRfc3339, OutOfRange};
        for (text, why) in [
            ("2026-01-02T07:04:05", NoOffset),
            ("2026-01-02T07:04:05.25", NoOffset),
            ("", NotRfc3339),
            ("2026-01-02", NotRfc3339),
            ("2026-01-02T07:04Z", NotRfc3339),
            ("20260102T070405Z", NotRfc3339),
            ("2026-1-02T07:04:05.0Z", NotRfc3339),
            ("+026-01-02T07:04:05Z", NotRfc3339),
            ("2026-13-02T07:04:05Z", NotRfc3339),
            ("2026-02-29T07:04:05Z", NotRfc3339),
            ("2026-01-02T24:00:00Z", NotRfc3339),
            ("2026-01-02T23:59:60Z", NotRfc3339),
            ("2026-01-02T07:04:05.Z", NotRfc3339),
            ("2026-01-02T07:04:05,5Z", NotRfc3339),
            ("2026-01-02T07:04:05 Z", NotRfc3339),
            ("2026-01-02T07:04:05ZZ", NotRfc3339),
            ("2026-01-02T07:04:05+0100", NotRfc3339),
            ("2026-01-02T07:04:05+01", NotRfc3339),
            ("2026-01-02T07:04:05+24:00", NotRfc3339),
            ("2026-01-02T07:04:05+01:60", NotRfc3339),
            ("2026-01-02T07:04:05+01:00[Europe/Berlin]", NotRfc3339),
            ("2026-01-02T07:04:0٥Z", NotRfc3339),
            ("2026-01-02T07:04:05é", NotRfc3339),
            ("1767337445", NotRfc3339),
            ("0001-01-01T00:00:00+00:01", OutOfRange),
            ("9999-12-31T23:59:59-00:01", OutOfRange),
            ("0000-06-01T00:00:00Z", OutOfRange),
        ] {
            assert_eq!(parse_timestamp(text), Err(why), "{text}");
        }
    }

    #[test]
    fn times_without_a_spelling_are_held_at_the_ends() {
        assert_eq!(to_zulu(Micros::MAX), "9999-12-31T23:59:59.999999Z");
        assert_eq!(to_offset(Micros(i64::MIN)), "0001-01-01T00:00:00+00:00");
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let time = Micros(micros);
            prop_assert_eq!(parse_timestamp(&to_zulu(time)), Ok(time));
            prop_assert_eq!(parse_timestamp(&to_offset(time)), Ok(time));
            prop_assert_eq!(to_zulu(time).contains('.'), micros % 1_000_000 != 0);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = parse_timestamp(&text);
        }
    }
}
