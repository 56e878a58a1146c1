//! Business rules: which, in which order.

use axs_domain::amount::Amount;
use axs_domain::currency::CurrencyCode;
use axs_domain::id::AccountId;
use serde::Deserialize;

/// Business rules: which, in which order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesSection {
    /// Names of rules in the order in which they are asked; `non-negative` is always the first.
    pub order: Vec<String>,
    /// Limits of the rule `credit-limit`.
    #[serde(default)]
    pub credit_limits: Vec<CreditLimitEntry>,
}

/// How far below zero one balance may go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditLimitEntry {
    /// Whose balance.
    pub account_id: i64,
    /// In which currency.
    pub currency: String,
    /// How far, a decimal text of zero or more.
    pub limit: String,
}

impl CreditLimitEntry {
    /// The limit in the domain's terms.
    ///
    /// # Errors
    /// What is wrong, with the key inside the entry.
    pub fn parse(&self) -> Result<(AccountId, CurrencyCode, Amount), String> {
        let account =
            AccountId::try_new(self.account_id).map_err(|error| format!("account_id {error}"))?;
        let currency =
            CurrencyCode::parse(&self.currency).map_err(|error| format!("currency {error}"))?;
        let limit = Amount::parse(&self.limit).map_err(|error| format!("limit {error}"))?;
        if limit.is_negative() {
            return Err("limit is negative".into());
        }
        Ok((account, currency, limit))
    }
}

impl RulesSection {
    /// What is wrong with the limits. The order itself is checked where rules are known by name.
    pub(super) fn problems(&self) -> Vec<String> {
        self.credit_limits
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| {
                let problem = entry.parse().err()?;
                Some(format!("rules.credit_limits[{index}].{problem}"))
            })
            .collect()
    }
}
