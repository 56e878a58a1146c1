//! What one event does to balances, row by row.

use crate::stage::{apply, balance, deployment, deposit, final_state, moves};
use anyhow::{Context, Result};
use axs_proto::v1::EventStatus;
use axs_tests::cache;
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::model::parse;
use axs_tests::script::or_else;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn decisions_hold_row_by_row() -> Result<()> {
    let deployment = deployment("decision", 1, 1).await?;
    an_event_whose_third_change_lacks_funds_is_rejected_with_its_figures(&deployment).await?;
    a_hold_settled_and_released_is_exact_at_each_step(&deployment).await?;
    a_first_change_in_a_new_currency_makes_the_balance(&deployment).await?;
    a_fee_falls_back_only_when_the_coin_is_short(&deployment).await?;
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_struck_leaves_no_balance_in_the_cache() -> Result<()> {
    let deployment = deployment("struck", 1, 1).await?;
    apply(&deployment, deposit(1, "in", "USDT", "1")?).await?;
    let (redis, prefix) = (
        deployment.servers.redis.clone(),
        deployment.key_prefix.clone(),
    );
    until("a cached balance", Patience::PROCESS, async || {
        let keys = cache::keys(&redis, &prefix).await?;
        let is_there = keys.iter().any(|key| key.contains(":balances:"));
        Ok(if is_there {
            Look::There(())
        } else {
            Look::NotYet(format!("{keys:?}"))
        })
    })
    .await?;
    deployment.finish().await?;
    assert_eq!(cache::keys(&redis, &prefix).await?, BTreeSet::new());
    Ok(())
}

type Deployment = axs_tests::deployment::Deployment;

async fn an_event_whose_third_change_lacks_funds_is_rejected_with_its_figures(
    deployment: &Deployment,
) -> Result<()> {
    apply(deployment, deposit(1, "in", "USDT", "100.5")?).await?;
    let rows = [
        ("USDT", "-40", "40"),
        ("BNB", "3", "0"),
        ("USDT", "-60.75", "0"),
    ];
    let log_id = deployment
        .client(0)?
        .accept(moves(1, "three", &rows)?)
        .await?;
    let state = final_state(deployment, &log_id).await?;
    assert_eq!(state.status(), EventStatus::Rejected);
    let reason = state.reason.context("a rejection without a reason")?;
    assert_eq!(
        (reason.code, reason.name.as_str()),
        (1, "INSUFFICIENT_AVAILABLE")
    );
    for figure in ["changes[2]", "60.75 USDT", "60.5 available"] {
        assert!(
            reason.message.contains(figure),
            "{figure} in {}",
            reason.message
        );
    }
    assert!(state.entries.is_empty());
    assert_eq!(balance(deployment, 1, "USDT").await?, ["100.5", "0"]);
    assert_eq!(balance(deployment, 1, "BNB").await?, ["0", "0"]);
    Ok(())
}

async fn a_hold_settled_and_released_is_exact_at_each_step(deployment: &Deployment) -> Result<()> {
    apply(deployment, deposit(2, "in", "USDT", "250")?).await?;
    let steps = [
        ("hold", ("-100", "100"), ["150", "100"]),
        ("settle", ("0", "-40"), ["150", "60"]),
        ("release", ("60", "-60"), ["210", "0"]),
    ];
    for (key, (available, frozen), after) in steps {
        let state = apply(deployment, moves(2, key, &[("USDT", available, frozen)])?).await?;
        let entry = &state.entries[0];
        assert_eq!(
            [entry.available_after.as_str(), &entry.frozen_after],
            after,
            "{key}"
        );
        assert_eq!(balance(deployment, 2, "USDT").await?, after, "{key}");
    }
    Ok(())
}

async fn a_first_change_in_a_new_currency_makes_the_balance(deployment: &Deployment) -> Result<()> {
    let state = apply(deployment, deposit(3, "in", "BTC", "0.00000001")?).await?;
    assert_eq!(state.entries[0].version, 1);
    assert_eq!(balance(deployment, 3, "BTC").await?, ["0.00000001", "0"]);
    let rows = deployment
        .database
        .number("SELECT count(*) FROM account_balances WHERE account_id = 3")
        .await?;
    assert_eq!(rows, 1);
    Ok(())
}

async fn a_fee_falls_back_only_when_the_coin_is_short(deployment: &Deployment) -> Result<()> {
    apply(
        deployment,
        moves(4, "in", &[("USDT", "10", "0"), ("BNB", "0.5", "0")])?,
    )
    .await?;
    let in_quote = parse("-3").context("three")?;
    for (key, asked, is_fallback) in [("enough", "-0.4", false), ("short", "-0.4", true)] {
        let mut fee = moves(4, key, &[("BNB", asked, "0")])?;
        fee.changes[0] = or_else(fee.changes[0].clone(), "USDT", &in_quote);
        let state = apply(deployment, fee).await?;
        assert_eq!(state.entries[0].fallback_taken, is_fallback, "{key}");
    }
    assert_eq!(balance(deployment, 4, "BNB").await?, ["0.1", "0"]);
    assert_eq!(balance(deployment, 4, "USDT").await?, ["7", "0"]);
    Ok(())
}
