//! A JSON number: the token as it was spelled, and what it means.

use std::cmp::Ordering;

use super::JsonError;

/// A number as it was spelled. `==` tells spellings apart; [`Number::same_value`] does not.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    token: Box<str>,
    /// For a token with `.`, `e` or `E`, and finite; an integer has none.
    double: Option<f64>,
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberValue<'a> {
    /// A token without `.`, `e` and `E`: its decimal digits, of any count, behind `-` if below 0. Zero is `0`.
    Integer(&'a str),
    /// Any other token: the nearest IEEE double, finite. It may be negative zero.
    Double(f64),
}

impl Number {
    /// A double, spelled with a fraction or an exponent.
    ///
    /// # Errors
    /// [`JsonError::NotFinite`] for NaN and the infinities.
    pub fn double(value: f64) -> Result<Self, JsonError> {
        // `Debug` writes `1.0` and `1e16`, where `Display` would write integers.
        if value.is_finite() {
            Ok(Self { token: format!("{value:?}").into(), double: Some(value) })
        } else {
            Err(JsonError::NotFinite)
        }
    }

    /// `token` must be a number by the JSON grammar.
    pub(super) fn of_token(token: &str) -> Result<Self, JsonError> {
        let double = if token.contains(['.', 'e', 'E']) {
            Some(token.parse().ok().filter(|double: &f64| double.is_finite()).ok_or(JsonError::NotFinite)?)
        } else {
            None
        };
        Ok(Self { token: token.into(), double })
    }

    /// The number as it was spelled: a JSON number token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the number means.
    #[must_use]
    pub fn value(&self) -> NumberValue<'_> {
        match self.double {
            Some(double) => NumberValue::Double(double),
            None => NumberValue::Integer(without_negative_zero(&self.token)),
        }
    }

    /// The value as a double: an integer becomes the nearest one. `None` if that is not finite.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        self.double.or_else(|| self.token.parse().ok()).filter(|double| double.is_finite())
    }

    /// Whether both have the same value: `1`, `1.0` and `10e-1` do. Integers are never rounded to compare them.
    #[must_use]
    pub fn same_value(&self, other: &Self) -> bool {
        match (self.value(), other.value()) {
            (NumberValue::Integer(a), NumberValue::Integer(b)) => a == b,
            (_, NumberValue::Double(b)) => self.cmp_f64(b) == Some(Ordering::Equal),
            (NumberValue::Double(a), _) => other.cmp_f64(a) == Some(Ordering::Equal),
        }
    }

    /// Where the value lies from `other`, exactly. `None` only if `other` is NaN.
    #[must_use]
    pub fn cmp_f64(&self, other: f64) -> Option<Ordering> {
        match self.value() {
            NumberValue::Double(double) => double.partial_cmp(&other),
            NumberValue::Integer(_) if other.is_nan() => None,
            NumberValue::Integer(_) if other.is_infinite() => 0.0.partial_cmp(&other),
            NumberValue::Integer(digits) => {
                // With a precision, doubles are written out exactly, so that digits compare with digits.
                let below = other.floor();
                let order = cmp_integers(digits, without_negative_zero(&format!("{below:.0}")));
                Some(order.then(if below < other { Ordering::Less } else { Ordering::Equal }))
            }
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self { token: value.to_string().into(), double: None }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self { token: value.to_string().into(), double: None }
    }
}

fn without_negative_zero(digits: &str) -> &str {
    if digits == "-0" { "0" } else { digits }
}

/// Compares decimal integers without leading zeros.
fn cmp_integers(a: &str, b: &str) -> Ordering {
    let magnitude = |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => magnitude(a, b),
        (Some(a), Some(b)) => magnitude(b, a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(token: &str) -> Number {
        Number::of_token(token).unwrap()
    }

    #[test]
    fn numbers_compare_by_value_and_exactly() {
        for (a, b, same) in [
            ("1", "1.0", true),
            ("1", "10e-1", true),
            ("0", "-0", true),
            ("-0", "-0.0", true),
            ("9007199254740993", "9007199254740992.0", false),
            ("9007199254740992", "9007199254740993.0", true),
            ("18446744073709551616", "18446744073709551616", true),
            ("18446744073709551616", "18446744073709551617", false),
            ("100000000000000000000", "1e20", true),
            ("100000000000000000001", "1e20", false),
            ("-5", "5", false),
            ("1", "1.5", false),
        ] {
            assert_eq!(number(a).same_value(&number(b)), same, "{a} and {b}");
            assert_eq!(number(b).same_value(&number(a)), same, "{b} and {a}");
        }
    }

    #[test]
    fn integers_order_against_doubles_without_rounding() {
        use Ordering::{Equal, Greater, Less};
        for (integer, double, order) in [
            ("9007199254740993", 9_007_199_254_740_992.0, Greater),
            ("50000", 50_000.0, Equal),
            ("50001", 50_000.5, Greater),
            ("50000", 50_000.5, Less),
            ("-1", -0.5, Less),
            ("0", -0.5, Greater),
            ("-2", -1.5, Less),
            ("-1", -1.5, Greater),
            ("0", -0.0, Equal),
            ("7", f64::INFINITY, Less),
            ("7", f64::NEG_INFINITY, Greater),
        ] {
            assert_eq!(number(integer).cmp_f64(double), Some(order), "{integer} against {double}");
        }
        assert_eq!(number("1").cmp_f64(f64::NAN), None);
        let huge = format!("1{}", "0".repeat(400));
        assert_eq!(number(&huge).cmp_f64(f64::MAX), Some(Greater));
        assert_eq!(number(&huge).to_f64(), None);
    }

    #[test]
    fn doubles_that_overflow_are_refused_and_integers_are_not() {
        assert!(matches!(Number::of_token("1e400"), Err(JsonError::NotFinite)));
        assert!(matches!(Number::double(f64::NAN), Err(JsonError::NotFinite)));
        assert_eq!(number("1e-400").value(), NumberValue::Double(0.0));
        assert_eq!(number(&"9".repeat(400)).value(), NumberValue::Integer(&"9".repeat(400)));
    }

    proptest! {
        #[test]
        fn a_double_reads_back_as_itself(double in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
            let spelled = Number::double(double).unwrap();
            let read = number(spelled.token());
            prop_assert_eq!(read.to_f64().unwrap().to_bits(), double.to_bits());
            prop_assert_eq!(&read, &spelled);
        }

        #[test]
        fn integers_order_as_machine_integers_do(a in -(1_i64 << 53)..(1_i64 << 53), b in -1_000_000_i64..1_000_000) {
            prop_assert_eq!(Number::from(a).cmp_f64(b as f64), Some(a.cmp(&b)));
            prop_assert_eq!(cmp_integers(&a.to_string(), &b.to_string()), a.cmp(&b));
        }
    }
}
