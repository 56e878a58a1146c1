//! Many accounts in one transaction.

use anyhow::Result;
use axs_proto::v1::AckLevel;
use axs_tests::deployment::{Deployment, PoolShape};
use axs_tests::model::whole;
use axs_tests::replay::SubmitPlan;
use axs_tests::script::{Script, change, event, user_of};
use num_bigint::BigInt;

const ACCOUNTS: i64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_events_over_as_many_accounts_in_three_currencies_are_one_transaction()
-> Result<()> {
    let pools = [PoolShape {
        name: "retail",
        shards: 4,
        partitions: 1,
    }];
    let mut deployment = Deployment::builder("batch")
        .pools(&pools)
        // Long enough for all records to be read before the batch is closed.
        .setting("AXS__PROCESSING__BATCH_LINGER_MS", 500)
        .apis(1)
        .start()
        .await?;
    let mut script = Script::default();
    let currencies = ["BTC", "ETH", "USDT"];
    for code in currencies {
        script.register(code, 8, true);
    }
    for account in 1..=ACCOUNTS {
        script.open(account, user_of(account), "retail");
        let changes = currencies
            .iter()
            .zip(1..)
            .map(|(code, factor)| change(code, code, &whole(account * factor), &BigInt::from(0)));
        script.push(event(account, "opening", "deposit", "", changes.collect()));
    }
    deployment.furnish(&script).await?;
    let plan = SubmitPlan {
        streams: 1,
        events_a_request: 600,
        level: AckLevel::Published,
        ..SubmitPlan::default()
    };
    let submitted =
        axs_tests::replay::submit(&deployment.clients(), &script, plan, &|_| {}).await?;
    // Everything is in the topic before anybody reads it.
    deployment.start(0, 1).await?;
    let replayed = deployment.compare(&script, submitted).await?;
    assert_eq!(replayed.outcomes.applied, 600);
    assert_eq!(replayed.balances.checked, 1_800);
    let transactions = deployment
        .database
        .number("SELECT count(DISTINCT xmin::text) FROM ledger_entries")
        .await?;
    assert_eq!(transactions, 1);
    deployment.finish().await
}
