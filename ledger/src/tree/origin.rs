//! A log's name: first line of its seals, and the name of the keys that make them.

/// Longest origin, in bytes: as long as a host name can be.
pub const ORIGIN_BYTES_MAX: usize = 255;

/// Whether a text can be a log's origin, and thereby the name of its keys.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    text.len() <= ORIGIN_BYTES_MAX && signed_note::is_key_name_valid(text) && !text.contains(char::is_control)
}
