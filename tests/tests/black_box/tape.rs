//! The tape of 2,001 real trades, whole.

use anyhow::{Context, Result};
use axs_tests::deployment::Deployment;
use axs_tests::model::{Outcome, parse, print};
use axs_tests::replay::{SubmitPlan, Tally};
use axs_tests::tape::{read, script};
use num_bigint::BigInt;
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tape_leaves_every_balance_and_the_total_money_as_the_model_says() -> Result<()> {
    let trades = read()?;
    assert_eq!(trades.len(), 2_001);
    let script = script(&trades);
    let tally = Tally::expected(&script);
    assert_eq!((tally.rejected, tally.refused, tally.duplicates), (0, 0, 0));
    assert!(tally.applied > 8_000, "{tally:?}");

    let deployment = Deployment::builder("tape")
        .apis(2)
        .consumers(2)
        .start()
        .await?;
    deployment.furnish(&script).await?;
    let replayed = deployment.replay(&script, SubmitPlan::default()).await?;
    assert_eq!(replayed.balances.checked, 56 * 3);

    // Money comes in by deposits and goes out by fees: nothing else changes the totals.
    let client = deployment.client(0)?;
    let mut money: BTreeMap<String, BigInt> = BTreeMap::new();
    let mut fees_in_usdt = 0;
    for (account, key) in replayed.submission.log_ids.keys() {
        let is_opening = key == "opening";
        let pays_fee = matches!(
            script.model.outcome(*account, key),
            Some(Outcome::Applied(entries)) if entries.len() == 3
        );
        if !is_opening && !pays_fee {
            continue;
        }
        let found = client.event_by_key(*account, key).await?;
        for entry in found.state.context("a state")?.entries {
            if is_opening || entry.change_id == "fee" {
                let amount = parse(&entry.available_delta).context("an amount")?;
                *money.entry(entry.currency_code).or_default() += amount;
                fees_in_usdt += u32::from(entry.fallback_taken);
            }
        }
    }
    assert!(fees_in_usdt > 0, "some fee must have fallen back");
    let text = |totals: &BTreeMap<String, BigInt>| {
        let printed = totals
            .iter()
            .map(|(code, units)| (code.clone(), print(units)));
        printed.collect::<Vec<_>>()
    };
    assert_eq!(text(&replayed.balances.totals), text(&money));
    deployment.finish().await
}
