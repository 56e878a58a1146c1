//! Dead records and parked events, from outside: `bootstrap dead-letters`.

use crate::relay::with_quick_relay;
use crate::stage::{balance, cast, deposit, final_state};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{EventState, EventStatus, submit_result};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::{Deployment, Ran};
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// A bound that the database keeps and AXS knows nothing of: what breaks it is refused as data.
const BOUND: &str = "ALTER TABLE account_balances
    ADD CONSTRAINT a_bound_of_the_database CHECK (available < 1000)";

async fn execute(deployment: &Deployment, statement: &str) -> Result<()> {
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&deployment.database.pool)
        .await
        .with_context(|| statement.to_owned())?;
    Ok(())
}

/// A deployment whose database refuses balances of 1000 and more.
async fn bounded(name: &str) -> Result<Deployment> {
    let builder = with_quick_relay(name);
    let mut deployment = builder.prepare().await?;
    builder.lay_out(&deployment).await?;
    deployment.start(1, 1).await?;
    deployment.furnish(&cast()).await?;
    execute(&deployment, BOUND).await?;
    Ok(deployment)
}

async fn with_status(
    deployment: &Deployment,
    log_id: &str,
    wanted: EventStatus,
) -> Result<EventState> {
    let what = format!("event {log_id} to be {wanted:?}");
    let client = deployment.client(0)?;
    until(&what, Patience::PROCESS, async || {
        let state = client.event(log_id).await?.state.context("no state")?;
        Ok(if state.status() == wanted {
            Look::There(state)
        } else {
            Look::NotYet(format!("{state:?}"))
        })
    })
    .await
}

async fn dead_letters(deployment: &Deployment, args: &[&str]) -> Result<Ran> {
    let mut all = vec!["dead-letters"];
    all.extend(args);
    deployment.run(&all).await
}

fn ends(ran: &Ran, code: i32, words: &[&str]) -> Result<()> {
    ensure!(ran.code == Some(code), "expected exit code {code}: {ran}");
    for word in words {
        ensure!(ran.stdout.contains(word), "expected {word:?}: {ran}");
    }
    Ok(())
}

fn lines(ran: &Ran) -> Result<Vec<Value>> {
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

/// The id of the one open parked event.
async fn parked_id(deployment: &Deployment) -> Result<String> {
    let ran = dead_letters(deployment, &["list", "--kind", "parked", "--json"]).await?;
    let lines = lines(&ran)?;
    ensure!(lines.len() == 2, "expected one parked event: {ran}");
    Ok(lines[0]["id"].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_database_refuses_is_parked_and_takes_effect_once_it_is_redriven()
-> Result<()> {
    let deployment = bounded("redrive").await?;
    let client = deployment.client(0)?;
    let before = client.accept(deposit(1, "before", "USDT", "10")?).await?;
    let refused = client
        .accept(deposit(1, "refused", "USDT", "5000")?)
        .await?;
    let later = client.accept(deposit(1, "later", "USDT", "7")?).await?;
    with_status(&deployment, &refused, EventStatus::Parked).await?;
    for log_id in [&before, &later] {
        with_status(&deployment, log_id, EventStatus::Applied).await?;
    }
    assert_eq!(balance(&deployment, 1, "USDT").await?, ["17", "0"]);

    let id = parked_id(&deployment).await?;
    let list = dead_letters(&deployment, &["list"]).await?;
    ends(&list, 0, &["PARKED", "the database refuses the event", &id])?;
    let show = dead_letters(&deployment, &["show", &id, "--json"]).await?;
    ends(&show, 0, &[])?;
    let shown = &lines(&show)?[0];
    assert_eq!(shown["log_row"]["status"], "PARKED");
    assert_eq!(shown["event"]["changes"][0]["available_delta"], "5000");
    assert_eq!(shown["log_id"], refused.as_str());

    // Still refused by the database: it comes back under the same id.
    let redrive = dead_letters(&deployment, &["redrive", &id, "--by", "ann"]).await?;
    ends(&redrive, 0, &["1 redriven"])?;
    let what = "the event to be parked again";
    until(what, Patience::PROCESS, async || {
        let times = "SELECT times::bigint FROM parked_events WHERE state = 0";
        let again = sqlx::query_scalar::<_, i64>(times)
            .fetch_optional(&deployment.database.pool)
            .await?;
        Ok(match again {
            Some(2) => Look::There(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })
    .await?;
    assert_eq!(parked_id(&deployment).await?, id);

    execute(
        &deployment,
        "ALTER TABLE account_balances DROP CONSTRAINT a_bound_of_the_database",
    )
    .await?;
    let all = [
        "redrive",
        "--all-parked",
        "--yes",
        "--json",
        "--by",
        "ann",
        "--note",
        "fixed",
    ];
    let redrive = dead_letters(&deployment, &all).await?;
    ends(&redrive, 0, &[])?;
    assert_eq!(lines(&redrive)?[1]["counts"]["redriven"], 1);
    with_status(&deployment, &refused, EventStatus::Applied).await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?, ["5017", "0"]);

    let again = dead_letters(&deployment, &["redrive", &id]).await?;
    ends(&again, 0, &["already", "APPLIED"])?;
    let discard = dead_letters(&deployment, &["discard", &id, "--reason", "too late"]).await?;
    ends(&discard, 0, &["already", "APPLIED"])?;
    let show = dead_letters(&deployment, &["show", &id]).await?;
    ends(&show, 0, &["redriven", "fixed", "ann", "APPLIED"])?;
    let list = dead_letters(&deployment, &["list"]).await?;
    ends(&list, 0, &["Nothing waits."])?;
    let entries = deployment
        .database
        .number("SELECT count(*) FROM ledger_entries WHERE account_id = 1")
        .await?;
    assert_eq!(entries, 3);
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_event_is_rejected_for_ever_and_its_key_says_so() -> Result<()> {
    let deployment = bounded("discard").await?;
    let client = deployment.client(0)?;
    let refused = deposit(1, "refused", "USDT", "5000")?;
    let log_id = client.accept(refused.clone()).await?;
    with_status(&deployment, &log_id, EventStatus::Parked).await?;
    let id = parked_id(&deployment).await?;

    let no_reason = dead_letters(&deployment, &["discard", &id]).await?;
    assert_eq!(no_reason.code, Some(2), "{no_reason}");
    let nobody_agrees =
        dead_letters(&deployment, &["discard", "--all-parked", "--reason", "x"]).await?;
    assert_eq!(nobody_agrees.code, Some(2), "{nobody_agrees}");
    let nothing = dead_letters(&deployment, &["redrive"]).await?;
    assert_eq!(nothing.code, Some(2), "{nothing}");
    let unknown = dead_letters(&deployment, &["redrive", "999999"]).await?;
    ends(&unknown, 1, &["there is no entry 999999"])?;

    let discard = [
        "discard",
        &id,
        "--reason",
        "asked by the client",
        "--by",
        "ann",
    ];
    let done = dead_letters(&deployment, &discard).await?;
    ends(&done, 0, &["1 discarded"])?;
    let again = dead_letters(&deployment, &discard).await?;
    ends(&again, 0, &["already", "published again"])?;

    let state = final_state(&deployment, &log_id).await?;
    assert_eq!(state.status(), EventStatus::Rejected);
    let reason = state.reason.context("no reason")?;
    assert_eq!(
        (reason.name.as_str(), reason.message.as_str()),
        ("DISCARDED", "asked by the client")
    );
    let replay = client
        .submit(&[refused], axs_proto::v1::AckLevel::Logged)
        .await?;
    let Some(submit_result::Outcome::Accepted(accepted)) = &replay.results[0].outcome else {
        anyhow::bail!("{replay:?}");
    };
    assert!(accepted.duplicate && accepted.log_id == log_id);
    let replayed = accepted.state.clone().context("no state")?;
    assert_eq!(replayed.status(), EventStatus::Rejected);
    let (operator, acts): (String, i64) = sqlx::query_as(
        "SELECT min(operator), count(*) FROM dead_letter_actions WHERE action = 'DISCARDED'",
    )
    .fetch_one(&deployment.database.pool)
    .await?;
    assert_eq!((operator.as_str(), acts), ("ann", 1));
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_records_survive_a_stored_offset_that_is_set_back_and_are_settled_one_by_one()
-> Result<()> {
    let mut deployment = Deployment::builder("dead_letters")
        .apis(1)
        .consumers(1)
        .start()
        .await?;
    deployment.furnish(&cast()).await?;
    let partition: i32 = sqlx::query_scalar(
        "SELECT partition FROM accounts JOIN shards USING (shard_id) WHERE account_id = 1",
    )
    .fetch_one(&deployment.database.pool)
    .await?;
    let garbage = b"\xff\x00 no envelope";
    deployment.topic.write(partition, "1", garbage).await?;
    let first = deployment
        .client(0)?
        .accept(deposit(1, "first", "USDT", "10")?)
        .await?;
    with_status(&deployment, &first, EventStatus::Applied).await?;

    // The consumer goes, the offset is set back, another comes.
    for mut consumer in std::mem::take(&mut deployment.consumers) {
        consumer.kill()?;
    }
    execute(
        &deployment,
        "UPDATE partition_leader_locks SET stored_offset = 0, results_offset = 0,
                stored_record_digest = NULL",
    )
    .await?;
    deployment.start(0, 1).await?;
    let second = deployment
        .client(0)?
        .accept(deposit(1, "second", "USDT", "5")?)
        .await?;
    with_status(&deployment, &second, EventStatus::Applied).await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?, ["15", "0"]);
    let list = dead_letters(&deployment, &["list", "--json"]).await?;
    let listed = lines(&list)?;
    ensure!(listed.len() == 2, "expected one dead record: {list}");
    assert_eq!(listed[0]["reason"], "UNDECODABLE");
    assert_eq!(listed[1]["counts"]["UNDECODABLE"], 1);

    let id = listed[0]["id"].to_string();
    let show = dead_letters(&deployment, &["show", &id]).await?;
    ends(
        &show,
        0,
        &["ff00206e6f", "refused", "never was an accepted event"],
    )?;
    let redrive = dead_letters(&deployment, &["redrive", &id]).await?;
    ends(&redrive, 1, &["refused", "never was an accepted event"])?;
    let by_reason = [
        "discard",
        "--with-reason",
        "UNDECODABLE",
        "--yes",
        "--reason",
        "noise",
    ];
    let discard = dead_letters(&deployment, &by_reason).await?;
    ends(&discard, 0, &["1 discarded"])?;
    let list = dead_letters(&deployment, &["list", "--all"]).await?;
    ends(&list, 0, &["discarded", "UNDECODABLE"])?;
    let kept = deployment
        .database
        .number("SELECT count(*) FROM dead_letters WHERE length(payload) > 0")
        .await?;
    assert_eq!(kept, 1);
    deployment.finish().await
}
