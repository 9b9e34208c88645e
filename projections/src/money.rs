//! Sums of amounts, exact however many there are.

use chancery_ledger::body::field::Decimal;
use serde::{Deserialize, Serialize};

/// What makes a whole in [`Sum::fraction`].
const WHOLE: i128 = 10_i128.pow(28);

/// A sum of decimals. Sums compare as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Sum {
    whole: i128,
    /// What it is above that, in units of ten to the power of -28: below one whole.
    fraction: i128,
}

impl From<Decimal> for Sum {
    fn from(amount: Decimal) -> Self {
        let (whole, fraction) = amount.parts();
        Self { whole, fraction }
    }
}

impl std::ops::Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let fraction = self.fraction + other.fraction;
        let whole = self.whole.saturating_add(other.whole).saturating_add(fraction.div_euclid(WHOLE));
        Self { whole, fraction: fraction.rem_euclid(WHOLE) }
    }
}

impl std::ops::Sub for Sum {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let fraction = self.fraction - other.fraction;
        let whole = self.whole.saturating_sub(other.whole).saturating_add(fraction.div_euclid(WHOLE));
        Self { whole, fraction: fraction.rem_euclid(WHOLE) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(texts: &[&str]) -> Sum {
        texts.iter().map(|text| Sum::from(text.parse::<Decimal>().unwrap())).fold(Sum::default(), |a, b| a + b)
    }

    #[test]
    fn nothing_is_lost_beside_what_is_large() {
        let one = "0.0000000000000000000000000001";
        assert_eq!(sum(&["1e15", one]) - sum(&["1e15"]), sum(&[one]));
        assert_eq!(sum(&["0.1", "0.2"]), sum(&["0.3"]));
        assert!(sum(&["0.1", "0.2", one]) > sum(&["0.3"]));
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_numbers(amounts in prop::collection::vec((0..1_i128 << 60, 0..12_u8), 0..40)) {
            let total = amounts.iter().map(|(mantissa, scale)| Sum::from(Decimal { mantissa: *mantissa, scale: *scale }));
            let total = total.fold(Sum::default(), |a, b| a + b);
            let wanted: i128 = amounts.iter().map(|(mantissa, scale)| mantissa * 10_i128.pow(12 - u32::from(*scale))).sum();
            prop_assert_eq!(total.whole * 10_i128.pow(12) + total.fraction / 10_i128.pow(16), wanted);
            prop_assert_eq!(total - total, Sum::default());
        }
    }
}
