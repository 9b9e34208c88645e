//! Timestamps as OrgKernel signs, shows and reads them.
//!
//! # Source
//! contracts/orgkernel.md, sections 1 and 7; RFC 3339 §5.6.

use chancery_ledger::time::Micros;
pub use chancery_ledger::time::TimestampError;

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
    text.parse()
}

fn without_offset(time: Micros) -> String {
    let mut text = time.to_string();
    // Our own text always ends in a fraction and `Z`.
    text.truncate(text.len() - 1);
    match text.strip_suffix(".000000") {
        Some(whole) => whole.to_owned(),
        None => text,
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
    }
}
