//! `CJ`: the one JSON text of a value that OrgKernel hashes and signs.
//!
//! ASCII only, keys in code point order (not the UTF-16 order of RFC 8785), no spaces; integers exact, doubles as
//! Python's `repr` spells them.
//!
//! # Source
//! contracts/orgkernel.md, section 7.

use std::fmt::Write as _;

use crate::json::{Escape, Json, Members, Number, NumberValue, Style, write_members, write_text};

const STYLE: Style = Style { escape: Escape::ToAscii, number: write_number };

/// The canonical text of a value.
#[must_use]
pub fn canonical(value: &Json) -> String {
    let mut out = String::new();
    value.write(&mut out, &STYLE);
    out
}

/// The canonical text of an object.
#[must_use]
pub fn canonical_members(members: &Members) -> String {
    let mut out = String::new();
    write_members(&mut out, members, &STYLE);
    out
}

/// The canonical text of a string.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_text(&mut out, text, STYLE.escape);
    out
}

/// The canonical text of a string, or `null`.
pub(super) fn text_or_null(value: Option<&str>) -> String {
    value.map_or_else(|| "null".to_owned(), text)
}

/// The canonical text of a double, or `null`.
pub(super) fn double_or_null(value: Option<f64>) -> String {
    value.map_or_else(
        || "null".to_owned(),
        |value| {
            let mut out = String::new();
            write_double(&mut out, value);
            out
        },
    )
}

/// An array of canonical texts, in their order.
pub(super) fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

/// An object of canonical texts under plain ASCII keys, which it sorts.
pub(super) fn object<const N: usize>(mut members: [(&str, String); N]) -> String {
    members.sort_unstable_by_key(|(key, _)| *key);
    let members = members.map(|(key, value)| format!("\"{key}\":{value}"));
    format!("{{{}}}", members.join(","))
}

fn write_number(out: &mut String, number: &Number) {
    match number.value() {
        NumberValue::Integer(digits) => out.push_str(digits),
        NumberValue::Double(double) => write_double(out, double),
    }
}

/// Shortest digits that read back as the same double, positional while the first digit's exponent is −4…15. The value
/// must be finite; numbers read from JSON are.
fn write_double(out: &mut String, double: f64) {
    let scientific = shortest(double);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut digits = digits.replace('.', "");
    out.push_str(sign);
    // Digits before the point; at most 0 for a value below 1.
    let whole = exponent + 1;
    let leading_zeros = usize::try_from(1 - whole).unwrap_or(0);
    digits.insert_str(0, &"0".repeat(leading_zeros));
    let point = usize::try_from(whole.max(1)).unwrap_or(1);
    while digits.len() <= point {
        digits.push('0');
    }
    digits.insert(point, '.');
    out.push_str(&digits);
}

/// `d[.ddd]e[-]X`, as few digits as read back, and of these the nearest; of two equally near the even one.
fn shortest(double: f64) -> String {
    let shortest = format!("{double:e}");
    let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    // Of two equally near Rust's shortest form may take the odd one. With a precision it takes the even one as Python
    // does, but without asking what reads back, which just above a power of two may be another double.
    let rounded = format!("{double:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(double) { rounded } else { shortest }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::tests::any_json;

    fn cj(text: &str) -> String {
        canonical(&Json::parse(text).unwrap())
    }

    #[test]
    fn doubles_are_spelled_as_python_spells_them() {
        for (sent, spelled) in [
            ("1.0", "1.0"),
            ("1e2", "100.0"),
            ("1E+2", "100.0"),
            ("-0.0", "-0.0"),
            ("-0e5", "-0.0"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00012345", "0.00012345"),
            ("0.00001", "1e-05"),
            ("0.00009999999999999999", "9.999999999999999e-05"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("-1e16", "-1e+16"),
            ("12345678901234567.0", "1.2345678901234568e+16"),
            ("123456789012345678.0", "1.2345678901234568e+17"),
            ("5e-324", "5e-324"),
            ("1e-400", "0.0"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("2.2250738585072014e-308", "2.2250738585072014e-308"),
            ("1e23", "1e+23"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e100", "1e+100"),
            // Exactly between two shortest candidates.
            ("2.98023223876953125e-08", "2.9802322387695312e-08"),
            ("562949953421312.25", "562949953421312.2"),
            ("562949953421312.75", "562949953421312.8"),
            // Next to a power of two, where the nearest of so few digits is another double.
            ("7.120236347223045e-307", "7.120236347223045e-307"),
        ] {
            assert_eq!(cj(sent), spelled, "{sent}");
        }
    }

    #[test]
    fn integers_are_exact_at_any_size() {
        let huge = "9".repeat(5000);
        for text in ["0", "1", "-1", "-9223372036854775808", "18446744073709551615", "18446744073709551616", &huge] {
            assert_eq!(cj(text), text);
        }
        assert_eq!(cj("-0"), "0");
    }

    #[test]
    fn keys_are_sorted_by_code_point_at_every_level() {
        assert_eq!(
            cj(r#"{"😀":1,"\uffff":2,"b":{"é":1,"z":2,"Z":3,"":4},"a":[{"y":0,"x":0}]}"#),
            r#"{"a":[{"x":0,"y":0}],"b":{"":4,"Z":3,"z":2,"\u00e9":1},"\uffff":2,"\ud83d\ude00":1}"#
        );
    }

    #[test]
    fn only_printable_ascii_remains() {
        assert_eq!(
            cj(r#""\" \\ \/ \b \f \n \r \t \u0000 \u001f \u007f \u0080 é \u2028 \ud800\udf48 ~""#),
            r#""\" \\ / \b \f \n \r \t \u0000 \u001f \u007f \u0080 \u00e9 \u2028 \ud800\udf48 ~""#
        );
    }

    proptest! {
        #[test]
        fn canonical_text_is_its_own_canonical_text(json in any_json()) {
            let text = canonical(&json);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read = Json::parse(&text).unwrap();
            prop_assert!(read.same_value(&json));
            prop_assert_eq!(&canonical(&read), &text);
            // Neither spaces nor the spelling of strings and numbers matter, nor does the plain rendering.
            prop_assert_eq!(canonical(&Json::parse(&json.render()).unwrap()), text);
        }

        #[test]
        fn doubles_read_back_exactly(double in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
            let text = double_or_null(Some(double));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits());
            prop_assert!(text.contains(['.', 'e']));
        }

        #[test]
        fn the_order_of_members_does_not_matter(members in prop::collection::btree_map(any::<String>(), any_json(), 0..6)) {
            let pairs = members.iter().rev().map(|(key, value)| format!("{} : {}", text(key), value.render()));
            let reversed = format!("{{ {} }}", pairs.collect::<Vec<_>>().join(" , "));
            prop_assert_eq!(cj(&reversed), canonical_members(&members));
        }
    }
}
