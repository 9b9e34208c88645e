//! Decimal numbers, exact: what amounts of money are.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most digits, in all and behind the point.
const DIGITS_MAX: u8 = 28;

/// A decimal number: `mantissa` divided by ten to the power of `scale`. In JSON it is a text such as `"12.5"`.
///
/// Read from text it has no needless zeros, so equal numbers are equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decimal {
    /// All digits, as one integer.
    pub mantissa: i128,
    /// How many of them stand behind the point, at most 28.
    pub scale: u8,
}

/// A text is no decimal number that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point, a sign before and an exponent behind.
    #[error("must be a decimal number, for example 12.5")]
    Malformed,
    /// It has more digits than are kept.
    #[error("must have at most {DIGITS_MAX} digits, and as many behind the point")]
    TooLong,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };

    /// A whole number.
    #[must_use]
    pub const fn whole(number: i64) -> Self {
        Self { mantissa: number as i128, scale: 0 }
    }

    /// Whether it is above zero.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.mantissa > 0
    }

    /// The integer at or below it, and what it is above that in units of ten to the power of -28.
    #[must_use]
    pub fn parts(&self) -> (i128, i128) {
        let scale = u32::from(self.scale.min(DIGITS_MAX));
        let one = 10_i128.pow(scale);
        (self.mantissa.div_euclid(one), self.mantissa.rem_euclid(one) * 10_i128.pow(u32::from(DIGITS_MAX) - scale))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.parts().cmp(&other.parts()))
    }
}

/// Reads what JSON numbers can look like: `12`, `12.50`, `-1e3`, `1.5E-7`.
impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| DecimalError::Malformed)?),
            None => (text, 0),
        };
        let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(DecimalError::Malformed);
        }
        let digits: String = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        if significant.len() > usize::from(DIGITS_MAX) {
            return Err(DecimalError::TooLong);
        }
        // What stands behind the point once the zeros at the end are gone; below 0, zeros are to be put back.
        let length = |count: usize| i64::try_from(count).map_err(|_| DecimalError::TooLong);
        let scale = length(fraction.len())? - length(digits.len() - significant.len())? - i64::from(exponent);
        let mantissa: i128 = significant.parse().map_err(|_| DecimalError::Malformed)?;
        let zeros = u32::try_from(-scale).unwrap_or(0);
        if scale > i64::from(DIGITS_MAX) || zeros as usize + significant.len() > usize::from(DIGITS_MAX) {
            return Err(DecimalError::TooLong);
        }
        let magnitude = mantissa * 10_i128.pow(zeros);
        Ok(Self {
            mantissa: if negative { -magnitude } else { magnitude },
            scale: u8::try_from(scale.max(0)).map_err(|_| DecimalError::TooLong)?,
        })
    }
}

/// Digits, and a point where there is a fraction.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        if self.mantissa < 0 {
            f.write_str("-")?;
        }
        let scale = usize::from(self.scale);
        if scale == 0 {
            return f.write_str(&digits);
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    mantissa: i128,
    scale: u8,
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            Stored { mantissa: self.mantissa, scale: self.scale }.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            let Stored { mantissa, scale } = Stored::deserialize(deserializer)?;
            Ok(Self { mantissa, scale })
        }
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^-?[0-9]+(\\.[0-9]+)?$",
            "description": "A decimal number as text, exact: at most 28 digits."
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_exactly_and_without_needless_zeros() {
        for (text, wanted) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("100.00", "100"),
            ("1e3", "1000"),
            ("1.50E+2", "150"),
            ("1.5e-07", "0.00000015"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("-12.30", "-12.3"),
            ("1000000000000000.0", "1000000000000000"),
            ("9999999999999999999999999999", "9999999999999999999999999999"),
        ] {
            let read: Decimal = text.parse().unwrap();
            assert_eq!(read.to_string(), wanted, "{text}");
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for text in ["", "-", ".5", "1.", "1e", "+1", "0x1", "1 ", "NaN", "1e1.5"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Malformed), "{text}");
        }
        for text in ["1e28", "1e-29", "12345678901234567890123456789", "1e999999999", "1e-999999999"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_and_order_are_those_of_the_number(
            (a, b) in (-(1_i128 << 90)..1 << 90, -(1_i128 << 90)..1 << 90), (x, y) in (0_u8..10, 0_u8..10)
        ) {
            let (left, right) = (Decimal { mantissa: a, scale: x }, Decimal { mantissa: b, scale: y });
            let wanted = (a * 10_i128.pow(u32::from(y))).cmp(&(b * 10_i128.pow(u32::from(x))));
            prop_assert_eq!(left.partial_cmp(&right), Some(wanted));
            let read: Decimal = left.to_string().parse().unwrap();
            prop_assert_eq!(read.partial_cmp(&left), Some(Ordering::Equal));
        }
    }
}
