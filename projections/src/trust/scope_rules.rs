//! What nobody may use an execution token for, whatever the token says: rules as a document.

use chancery_ledger::body::token::Bound;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::Members;
use crate::token::scope;

/// Most tools of one list, as of one token.
const TOOLS_MAX: usize = 256;
/// Most bounds.
const BOUNDS_MAX: usize = 64;
/// Longest name of a tool or a parameter, in characters: that of a scope check's tool.
const NAME_CHARS_MAX: usize = 128;

/// What scope checks are held against beside the token's own terms.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeRules {
    /// The only tools that may be used, compared as exact strings: at most 256; any, if absent.
    pub tools: Option<Vec<String>>,
    /// Tools that may not be used: at most 256.
    pub refused_tools: Vec<String>,
    /// Parameters that must lie within these, in the use of every tool: at most 64.
    pub bounds: Vec<Bound>,
}

impl ScopeRules {
    /// Checks rules that somebody would set.
    ///
    /// # Errors
    /// The path of what is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let lists = [("tools", self.tools.as_ref()), ("refused_tools", Some(&self.refused_tools))];
        for (path, list) in lists.into_iter().filter_map(|(path, list)| Some((path, list?))) {
            if list.len() > TOOLS_MAX {
                return Err((path, format!("at most {TOOLS_MAX}")));
            }
            list.iter().try_for_each(|tool| check_name(path, tool))?;
        }
        if self.bounds.len() > BOUNDS_MAX {
            return Err(("bounds", format!("at most {BOUNDS_MAX}")));
        }
        for bound in &self.bounds {
            check_name("bounds.name", &bound.name)?;
            // JSON has no number that is not finite.
            if bound.lower.zip(bound.upper).is_some_and(|(lower, upper)| lower > upper) {
                return Err(("bounds", "the upper end must not be below the lower".to_owned()));
            }
        }
        Ok(())
    }

    /// Everything in a use that the rules do not permit, in the words of [`scope::Terms::violations`].
    #[must_use]
    pub fn violations(&self, tool: &str, params: &Members) -> Vec<String> {
        let is_named = |list: &[String]| list.iter().any(|named| named == tool);
        let is_refused = is_named(&self.refused_tools) || self.tools.as_ref().is_some_and(|tools| !is_named(tools));
        let refused = is_refused.then(|| format!("tool_not_in_scope: {tool} is not permitted by the tenant's rules"));
        let outside = self
            .bounds
            .iter()
            .map(scope::Bound::of)
            .filter(|bound| params.get(bound.name).is_some_and(|value| !bound.permits(value)));
        let outside = outside.map(|bound| {
            format!("bounded_param_violation: {} is not a number in the range of the tenant's rules", bound.name)
        });
        refused.into_iter().chain(outside).collect()
    }
}

fn check_name(path: &'static str, name: &str) -> Result<(), (&'static str, String)> {
    if (1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Ok(());
    }
    Err((path, format!("must have 1 to {NAME_CHARS_MAX} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn rules(document: &str) -> ScopeRules {
        serde_json::from_str(document).unwrap()
    }

    #[test]
    fn what_the_rules_refuse_is_named() {
        let rules = rules(
            r#"{"tools":["read","pay"],"refused_tools":["pay"],"bounds":[{"name":"amount","lower":null,"upper":10.0,"unit":null}]}"#,
        );
        rules.check().unwrap();
        let codes = |tool: &str, params: &str| {
            let found = rules.violations(tool, &Json::parse_members(params).unwrap());
            found.iter().map(|text| text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert!(codes("read", r#"{"amount":10}"#).is_empty());
        assert_eq!(codes("pay", "{}"), ["tool_not_in_scope: pay"]);
        assert_eq!(codes("write", "{}"), ["tool_not_in_scope: write"]);
        assert_eq!(codes("pay", r#"{"amount":"10"}"#), ["tool_not_in_scope: pay", "bounded_param_violation: amount"]);
        assert!(ScopeRules::default().violations("anything", &Members::new()).is_empty());
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let bound =
            |lower: f64, upper: f64| Bound { name: "n".into(), lower: Some(lower), upper: Some(upper), unit: None };
        let wrong = |rules: ScopeRules| rules.check().unwrap_err().0;
        assert_eq!(wrong(ScopeRules { tools: Some(vec![String::new()]), ..ScopeRules::default() }), "tools");
        assert_eq!(
            wrong(ScopeRules { refused_tools: vec!["x".into(); 257], ..ScopeRules::default() }),
            "refused_tools"
        );
        assert_eq!(wrong(ScopeRules { bounds: vec![bound(2.0, 1.0)], ..ScopeRules::default() }), "bounds");
        ScopeRules { bounds: vec![bound(1.0, 1.0)], ..ScopeRules::default() }.check().unwrap();
    }
}
