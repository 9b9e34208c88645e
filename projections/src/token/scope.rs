//! What an execution token permits: which tools, with which parameters. Whether the token lives is asked elsewhere.

use std::cmp::Ordering;

use crate::json::{Json, Members};

/// What an execution token permits.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Names of tools, compared as exact strings.
    pub tools: &'a [String],
    /// Parameters that must have these values in every call.
    pub immutable: &'a Members,
    /// Parameters held to a range.
    pub bounds: &'a [Bound<'a>],
}

/// The range of one parameter. Both ends belong to it; a missing end is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound<'a> {
    /// The parameter's name.
    pub name: &'a str,
    /// The least value.
    pub lower: Option<f64>,
    /// The greatest value.
    pub upper: Option<f64>,
    /// What the numbers count; never compared.
    pub unit: Option<&'a str>,
}

impl Terms<'_> {
    /// Everything in a call that the terms do not permit, in this order; empty if they permit it. Each text is a code, a
    /// colon and a sentence for people.
    ///
    /// 1. `tool_not_in_scope`, if it is not;
    /// 2. `immutable_param_mismatch` for each immutable parameter, by name, whose value differs; a missing one
    ///    counts as `null`;
    /// 3. `bounded_param_violation` for each bound, in the token's order, whose parameter is present, not
    ///    `null`, and not a number inside the range.
    ///
    /// Numbers compare by value and exactly ([`Json::same_value`]). Booleans are no numbers, and neither is text, not
    /// even `"5"`: what a tool makes of such text is not ours to guess, so a bound denies it. No value is repeated in
    /// a violation, because violations are kept in the open and parameters encrypted.
    ///
    /// # Source
    /// contracts/orgkernel.md, section 6, "Scope check", step 4.
    #[must_use]
    pub fn violations(&self, tool: &str, params: &Members) -> Vec<String> {
        let foreign = (!self.tools.iter().any(|permitted| permitted == tool))
            .then(|| format!("tool_not_in_scope: {tool} is not among the token's tools"));
        let differing = self
            .immutable
            .iter()
            .filter(|(name, value)| !params.get(*name).unwrap_or(&Json::Null).same_value(value))
            .map(|(name, _)| format!("immutable_param_mismatch: {name} is not what the token fixes"));
        let outside = self
            .bounds
            .iter()
            .filter(|bound| params.get(bound.name).is_some_and(|value| !bound.permits(value)))
            .map(|bound| format!("bounded_param_violation: {} is not a number in the token's range", bound.name));
        foreign.into_iter().chain(differing).chain(outside).collect()
    }
}

impl Bound<'_> {
    /// Whether a value lies in the range. `null` does: it is a parameter not given.
    #[must_use]
    pub fn permits(&self, value: &Json) -> bool {
        match value {
            Json::Null => true,
            // `is_some_and`, so that an end which is NaN permits nothing.
            Json::Number(number) => {
                self.lower.is_none_or(|lower| number.cmp_f64(lower).is_some_and(Ordering::is_ge))
                    && self.upper.is_none_or(|upper| number.cmp_f64(upper).is_some_and(Ordering::is_le))
            }
            Json::Bool(_) | Json::Text(_) | Json::Array(_) | Json::Object(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: Bound<'static> = Bound { name: "amount", lower: None, upper: Some(50_000.0), unit: None };
    const RATIO: Bound<'static> = Bound { name: "ratio", lower: Some(1e-5), upper: Some(1e16), unit: Some("pct") };

    /// The codes of the violations, each with the name it is about.
    fn check(tool: &str, params: &str) -> Vec<String> {
        let immutable = Json::parse_members(r#"{"n":1,"currency":"USD","to":{"ids":[1,2.0]},"none":null}"#).unwrap();
        let tools = ["read_invoice".to_owned(), "write_payment_draft".to_owned()];
        let terms = Terms { tools: &tools, immutable: &immutable, bounds: &[RATIO, AMOUNT] };
        let found = terms.violations(tool, &Json::parse_members(params).unwrap());
        found.iter().map(|text| text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
    }

    const GOOD: &str = r#""n":1.0,"currency":"USD","to":{"ids":[1.0,2]}"#;

    #[test]
    fn what_the_terms_permit_has_no_violations() {
        assert!(check("read_invoice", &format!("{{{GOOD}}}")).is_empty());
        assert!(
            check("write_payment_draft", &format!("{{{GOOD},\"amount\":50000,\"ratio\":1e-05,\"more\":[]}}"))
                .is_empty()
        );
        assert!(check("read_invoice", &format!("{{{GOOD},\"amount\":null,\"none\":null}}")).is_empty());
    }

    #[test]
    fn all_violations_are_collected_in_order() {
        let found = check("Read_invoice", r#"{"n":true,"to":{"ids":[2,1]},"none":0,"amount":50000.01,"ratio":0}"#);
        assert_eq!(
            found,
            [
                "tool_not_in_scope: Read_invoice",
                "immutable_param_mismatch: currency",
                "immutable_param_mismatch: n",
                "immutable_param_mismatch: none",
                "immutable_param_mismatch: to",
                "bounded_param_violation: ratio",
                "bounded_param_violation: amount",
            ]
        );
    }

    #[test]
    fn a_bound_holds_numbers_only() {
        let permits = |value: &str| AMOUNT.permits(&Json::parse(value).unwrap());
        for value in ["50000", "50000.0", "5e4", "-1e300", "null"] {
            assert!(permits(value), "{value}");
        }
        let huge = "9".repeat(400);
        for value in ["50001", "50000.00001", "\"5\"", "\"x\"", "true", "[1]", "{}", &huge] {
            assert!(!permits(value), "{value}");
        }
        assert!(RATIO.permits(&Json::parse("10000000000000000").unwrap()));
        assert!(!RATIO.permits(&Json::parse("10000000000000001").unwrap()), "no rounding");
        let broken = Bound { upper: Some(f64::NAN), ..AMOUNT };
        assert!(!broken.permits(&Json::parse("1").unwrap()));
    }
}
