//! Checks of texts that several commands share.

use crate::rejection::Rejection;

/// Checks that a text has a length, in characters, within bounds.
///
/// # Errors
/// [`Rejection::Invalid`] names the field and the bounds.
pub fn check_len(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), Rejection> {
    if (min..=max).contains(&text.chars().count()) {
        Ok(())
    } else {
        Err(Rejection::Invalid { field, why: format!("must have {min} to {max} characters") })
    }
}

/// Checks an optional text as [`check_len`] does, from 0 characters on.
///
/// # Errors
/// As [`check_len`].
pub fn check_optional(field: &'static str, text: Option<&str>, max: usize) -> Result<(), Rejection> {
    text.map_or(Ok(()), |text| check_len(field, text, 0, max))
}

/// Checks a slug: 2 to 64 of `a-z0-9-`, starting with a letter.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn check_slug(field: &'static str, slug: &str) -> Result<(), Rejection> {
    let letters = slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if (2..=64).contains(&slug.len()) && letters && slug.as_bytes()[0].is_ascii_lowercase() {
        Ok(())
    } else {
        Err(Rejection::Invalid { field, why: "must have 2 to 64 of a-z, 0-9 and -, and start with a letter".into() })
    }
}
