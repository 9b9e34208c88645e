//! base64url without padding (RFC 4648 §5): keys, signatures and nonces as text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes as text: 43 characters for a 32-byte key, 86 for a 64-byte signature.
#[must_use]
pub fn render(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Exactly `N` bytes from text; `None` for padding, another alphabet, another length, or unused bits that are not 0.
#[must_use]
pub fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_43_characters_and_comes_back() {
        let text = render(&[0xfb; 32]);
        assert_eq!(text.len(), 43);
        assert!(text.starts_with("-_v7"));
        assert_eq!(parse(&text), Some([0xfb; 32]));
    }

    #[test]
    fn what_is_not_exactly_n_bytes_is_refused() {
        let text = render(&[7; 32]);
        assert_eq!(parse::<31>(&text), None);
        assert_eq!(parse::<32>(&format!("{text}=")), None);
        assert_eq!(parse::<32>(&text.replace('c', "+")), None);
        // The last character carries four unused bits.
        assert_eq!(parse::<1>("AA"), Some([0]));
        assert_eq!(parse::<1>("AB"), None);
    }
}
