//! How much an agent may move over time, beside what one transaction may: rules as a document.

use chancery_ledger::body::field::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::decide::agent::{check_amount, check_currency};
use crate::rejection::Rejection;

/// Most windows.
const WINDOWS_MAX: usize = 8;
/// Longest window in hours: a year and a day.
const HOURS_MAX: u32 = 366 * 24;

/// What an agent's transactions may move over time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spending {
    /// All of them must hold: at most 8.
    pub windows: Vec<Window>,
}

/// At most so much in so many hours. What was reversed later still counts: it was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// In the hours that end with the transaction: 1 to 8784.
    pub hours: u32,
    /// At most this, the transaction included.
    pub amount: Decimal,
    /// Of this currency; others do not count.
    pub currency: String,
}

impl Spending {
    /// Checks rules that somebody would set.
    ///
    /// # Errors
    /// The path of what is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.windows.len() > WINDOWS_MAX {
            return Err(("windows", format!("at most {WINDOWS_MAX}")));
        }
        for window in &self.windows {
            if !(1..=HOURS_MAX).contains(&window.hours) {
                return Err(("windows.hours", format!("must be 1 to {HOURS_MAX}")));
            }
            check_amount("windows.amount", window.amount)
                .and_then(|()| check_currency("windows.currency", &window.currency))
                .map_err(|rejection| match rejection {
                    Rejection::Invalid { field, why } => (field, why),
                    other => ("windows", other.to_string()),
                })?;
        }
        Ok(())
    }
}
