//! Points in time as the log keeps them: microseconds since the Unix epoch, UTC.
//!
//! Bodies and headers hold the number; JSON holds a timestamp of RFC 3339 with six fraction digits.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{DateTime, datetime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

// Civil times, because jiff's timestamps end a day before the year 9999 does, which callers send for "never".
const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);
const FIRST: DateTime = datetime(1, 1, 1, 0, 0, 0, 0);
const LAST: DateTime = datetime(9999, 12, 31, 23, 59, 59, 999_999_000);

/// Microseconds since 1970-01-01T00:00:00Z. In one log, event times never decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl Micros {
    /// Later than every time an event can have.
    pub const MAX: Self = Self(i64::MAX);

    /// This time and so many seconds, held at the ends of the range.
    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1_000_000)))
    }

    /// Whole milliseconds since the epoch, as ids hold them; times before the epoch count as 0.
    #[must_use]
    pub const fn millis(self) -> u64 {
        if self.0 < 0 { 0 } else { (self.0 / 1_000) as u64 }
    }

    /// The date and time in UTC. Times outside the years 1 to 9999 are held at the ends of that range;
    /// [`parse`](str::parse) gives none.
    #[must_use]
    pub fn utc(self) -> DateTime {
        // What civil time cannot hold at all is held at the end on its side.
        let held = if self.0 < 0 { FIRST } else { LAST };
        EPOCH.checked_add(SignedDuration::from_micros(self.0)).unwrap_or(held).clamp(FIRST, LAST)
    }
}

/// `YYYY-MM-DDThh:mm:ss.ffffffZ`, which sorts as the time does.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.utc();
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        write_digits(&mut text[..4], utc.year().into());
        write_digits(&mut text[5..7], utc.month().into());
        write_digits(&mut text[8..10], utc.day().into());
        write_digits(&mut text[11..13], utc.hour().into());
        write_digits(&mut text[14..16], utc.minute().into());
        write_digits(&mut text[17..19], utc.second().into());
        write_digits(&mut text[20..26], utc.subsec_nanosecond() / 1_000);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Writes a number that is not negative in as many digits as there is room for.
fn write_digits(into: &mut [u8], mut number: i32) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

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

/// Reads a timestamp of RFC 3339 with any offset; digits below a microsecond are dropped.
impl FromStr for Micros {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
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
        i64::try_from(utc.duration_since(EPOCH).as_micros()).map(Self).map_err(|_| TimestampError::OutOfRange)
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Micros {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_a_timestamp_and_a_stored_time_a_number() {
        let time = Micros(1_767_323_045_678_901);
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, "\"2026-01-02T03:04:05.678901Z\"");
        assert_eq!(serde_json::from_str::<Micros>(&json).unwrap(), time);
        assert_eq!(serde_json::from_str::<Micros>("\"2026-01-02T04:04:05.678901+01:00\"").unwrap(), time);
        assert!(serde_json::from_str::<Micros>("1767323045678901").is_err());
        assert_eq!(crate::codec::encode(&Micros(-1)).unwrap(), [1]);
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
            assert_eq!(text.parse::<Micros>(), Err(why), "{text}");
        }
    }

    #[test]
    fn times_without_a_spelling_are_held_at_the_ends() {
        assert_eq!(Micros::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Micros(i64::MIN).to_string(), "0001-01-01T00:00:00.000000Z");
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            prop_assert_eq!(Micros(micros).to_string().parse(), Ok(Micros(micros)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Micros>();
        }
    }
}
