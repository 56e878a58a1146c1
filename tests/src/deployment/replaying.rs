//! A script sent through a deployment, where everything must come out as the model says.

use super::Deployment;
use crate::client::ApiClient;
use crate::replay::{
    BalanceComparison, OutcomeComparison, Submission, SubmitPlan, Tally, compare_balances,
    compare_outcomes, submit,
};
use crate::script::Script;
use anyhow::{Result, ensure};

/// What a replay left, all as the model says.
#[derive(Debug)]
pub struct Replayed {
    /// The answers.
    pub submission: Submission,
    /// The results.
    pub outcomes: OutcomeComparison,
    /// The balances.
    pub balances: BalanceComparison,
}

impl Deployment {
    /// The clients of all API processes.
    #[must_use]
    pub fn clients(&self) -> Vec<ApiClient> {
        self.apis.iter().map(|api| api.client.clone()).collect()
    }

    /// Registers the script's currencies and opens its accounts.
    ///
    /// # Errors
    /// A request fails, or something is refused.
    pub async fn furnish(&self, script: &Script) -> Result<()> {
        let client = self.client(0)?;
        client.register(&script.currencies).await?;
        client.open(&script.accounts).await
    }

    /// Sends a script, waits until all is final, and compares everything.
    ///
    /// # Errors
    /// A request fails, something does not end in time, or anything is not as the model says.
    pub async fn replay(&self, script: &Script, plan: SubmitPlan) -> Result<Replayed> {
        let submission = submit(&self.clients(), script, plan, &|_| {}).await?;
        self.compare(script, submission).await
    }

    /// Waits until all is final, and compares everything with what the script expects.
    ///
    /// # Errors
    /// Something does not end in time, or anything is not as the model says.
    pub async fn compare(&self, script: &Script, submission: Submission) -> Result<Replayed> {
        let clients = self.clients();
        ensure!(
            submission.mismatches.is_empty(),
            "answers: {}",
            submission.mismatches
        );
        self.all_final().await?;
        let outcomes = compare_outcomes(&clients, script, &submission, &|_| {}).await?;
        ensure!(
            outcomes.mismatches.is_empty(),
            "outcomes: {}",
            outcomes.mismatches
        );
        let balances = compare_balances(&clients[clients.len() - 1], &script.model).await?;
        ensure!(
            balances.mismatches.is_empty(),
            "balances: {}",
            balances.mismatches
        );
        let expected = Tally::expected(script);
        let found = Tally {
            submitted: expected.submitted,
            duplicates: submission.duplicates,
            refused: submission.refused,
            applied: outcomes.applied,
            rejected: outcomes.rejected,
        };
        ensure!(found == expected, "{found:?}, the model says {expected:?}");
        Ok(Replayed {
            submission,
            outcomes,
            balances,
        })
    }
}
