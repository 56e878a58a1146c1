//! Rules by name: the one line that a new rule adds outside its own file.

use crate::settings::{RulesSection, SettingsError};
use axs_domain::rule::{BalanceRule, BalanceRuleSet, CreditLimit, NonNegative};
use std::sync::Arc;

/// The rule that is configured under this name.
fn rule_by_name(name: &str, section: &RulesSection) -> Result<Arc<dyn BalanceRule>, String> {
    match name {
        NonNegative::NAME => Ok(Arc::new(NonNegative)),
        CreditLimit::NAME => {
            let limits = section.credit_limits.iter().map(|entry| entry.parse());
            Ok(Arc::new(CreditLimit::new(
                limits.collect::<Result<Vec<_>, _>>()?,
            )))
        }
        unknown => Err(format!("rules.order names {unknown:?}, which is no rule")),
    }
}

/// The configured rules, in order.
///
/// # Errors
/// [`SettingsError`] names the rule that is unknown, repeated or out of place.
pub fn rule_set(section: &RulesSection) -> Result<BalanceRuleSet, SettingsError> {
    let invalid = |problem: String| SettingsError::Invalid(vec![problem]);
    let rules = section
        .order
        .iter()
        .map(|name| rule_by_name(name, section))
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid)?;
    let granted = section.order.iter().any(|name| name == CreditLimit::NAME);
    if !granted && !section.credit_limits.is_empty() {
        return Err(invalid(format!(
            "rules.credit_limits is given, but rules.order does not name {}",
            CreditLimit::NAME
        )));
    }
    BalanceRuleSet::try_new(rules).map_err(|error| invalid(format!("rules.order: {error}")))
}
