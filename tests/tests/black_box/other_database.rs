//! Two databases on one key prefix, and a cache that is forgotten: no reader is given a balance
//! that its database does not have.

use crate::stage::{apply, deployment, deposit, put_into_cache};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{AccountBalances, ReadConsistency, ReadSource};
use axs_tests::client::ApiClient;
use axs_tests::database::Database;
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::faults::failpoint::{HitLog, environment};
use axs_tests::ops;
use axs_tests::script::{Script, user_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Beyond the second in which API processes learn of another incarnation.
const LEARNT_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_database_is_read_as_itself_on_the_same_prefix() -> Result<()> {
    let on_copy = first_cached_on_a_copy("copy", "").await?;
    ensure!(
        on_copy == "100",
        "the copy has 100, the cache gave {on_copy}"
    );
    Ok(())
}

/// What the test above must be able to see.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_incarnation_in_the_keys_a_copy_is_given_the_others_balance() -> Result<()> {
    let on_copy = first_cached_on_a_copy("copy_break", "break.cache_incarnation=on").await?;
    ensure!(on_copy == "150", "the break is not seen: {on_copy}");
    Ok(())
}

/// A database with 100 is copied and then gets 50 more, which are cached; the first cached balance
/// that an API process over the copy gives, on the same prefix. With a plan of failpoints for all
/// processes.
async fn first_cached_on_a_copy(name: &str, plan: &str) -> Result<String> {
    let mut first = deployment(name, 1, 1).await?;
    if !plan.is_empty() {
        let log = HitLog::in_folder(first.folder());
        for (variable, value) in environment(plan, log.path()) {
            first.environment.set(&variable, value);
        }
    }
    apply(&first, deposit(1, "before", "USDT", "100")?).await?;
    // A database that somebody uses can't be copied.
    first.stop().await?;
    let copy = first.database.copy(&first.servers).await?;
    first.start(1, 1).await?;
    apply(&first, deposit(1, "after", "USDT", "50")?).await?;
    let here = cached(&first.client(0)?).await?;
    ensure!(
        here == "150",
        "the first database has 150, its cache {here}"
    );

    let url = copy.url.to_string();
    let mut api = first.spawn_api(&[("AXS__DATABASE__URL", &url)])?;
    api.process.ready().await?;
    let there = cached(&api.client).await?;
    if plan.is_empty() {
        // Beside each other, again and again: each its own.
        for _ in 0..20 {
            ensure!(cached(&api.client).await? == "100");
            ensure!(cached(&first.client(0)?).await? == "150");
        }
    }
    drop(api);
    Database::drop_by_name(&first.servers, &copy.name).await?;
    if plan.is_empty() {
        first.finish().await?;
    } else {
        first.abandon();
    }
    Ok(there)
}

/// Puts a balance that no commit made into the cache, under load, and forgets it.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_cache_is_right_again_while_the_load_goes_on() -> Result<()> {
    let deployment = deployment("forget", 1, 2).await?;
    let client = deployment.client(0)?;
    apply(&deployment, deposit(1, "in", "USDT", "100")?).await?;
    ensure!(cached(&client).await? == "100");
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let sender = client.clone();
    let load = tokio::spawn(async move {
        let mut sent = 0_i64;
        while !stop.load(Ordering::Relaxed) {
            let event = deposit(2 + sent % 15, &format!("k{sent}"), "USDT", "1")?;
            sender.accept(event).await?;
            sent += 1;
        }
        anyhow::Ok(sent)
    });
    put_into_cache(&deployment, "99|999|0").await?;
    ensure!(cached(&client).await? == "999", "it is served until then");
    let found = deployment.run(&["verify"]).await?;
    ensure!(found.code == Some(1), "{found}");
    ensure!(found.stdout.contains("DIFFERS (cache)"), "{found}");

    let began = Instant::now();
    let forgotten = deployment.run(&["cache", "forget"]).await?;
    ensure!(forgotten.code == Some(0), "{forgotten}");
    for words in ["forgotten: what was cached", "3 partitions", "about 1 s"] {
        ensure!(
            forgotten.stdout.contains(words),
            "no {words:?}: {forgotten}"
        );
    }
    until(
        "the true balance",
        Patience::of(LEARNT_WITHIN),
        async || {
            Ok(match cached(&client).await?.as_str() {
                "100" => Look::There(()),
                other => Look::NotYet(other.to_owned()),
            })
        },
    )
    .await?;
    println!("right again after {:?}", began.elapsed());
    ensure!(cached(&client).await? == "100", "and stays right");
    // The leaders of before have ended their terms, and others write on.
    let written = apply(&deployment, deposit(1, "more", "USDT", "11")?).await;
    written.context("after the cache was forgotten")?;
    until("the new balance", Patience::PROCESS, async || {
        Ok(match cached(&client).await?.as_str() {
            "111" => Look::There(()),
            other => Look::NotYet(other.to_owned()),
        })
    })
    .await?;
    over.store(true, Ordering::Relaxed);
    ensure!(load.await?? > 0, "there was no load");
    let page = ops::get(deployment.apis[0].process.ops(), "/metrics").await?;
    let changes = ops::metric(&page.body, "axs_incarnation_changes_total");
    ensure!(changes >= Some(1.0), "{changes:?}");
    deployment.finish().await
}

/// What a failover that lost a tail leaves an API process with: accounts that it remembers, and
/// that live elsewhere now. Each round is over long before the process asks which history stands.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_after_a_lost_tail_stands_where_its_account_lives_now() -> Result<()> {
    const FIRST: i64 = 500;
    const ROUNDS: i64 = 8;
    let deployment = deployment("lost_tail", 1, 1).await?;
    let client = deployment.client(0)?;
    let mut script = Script::default();
    script.register("USDT", 6, true);
    for account in FIRST..FIRST + ROUNDS {
        script.open(account, user_of(account), "retail");
    }
    deployment.furnish(&script).await?;
    let pool = &deployment.database.pool;
    let whale: i32 = sqlx::query_scalar("SELECT max(shard_id) FROM accounts WHERE pool = 'whale'")
        .fetch_one(pool)
        .await?;
    for account in FIRST..FIRST + ROUNDS {
        // From now on the process remembers it.
        client
            .balances(&[account], ReadConsistency::Committed)
            .await?;
        let mut other_history = pool.begin().await?;
        sqlx::query("UPDATE accounts SET pool = 'whale', shard_id = $2 WHERE account_id = $1")
            .bind(account)
            .bind(whale)
            .execute(&mut *other_history)
            .await?;
        sqlx::query("UPDATE layout SET installation_id = gen_random_uuid()")
            .execute(&mut *other_history)
            .await?;
        other_history.commit().await?;
        apply(&deployment, deposit(account, "once", "USDT", "1")?).await?;
    }
    let homes =
        "SELECT count(*) FROM balance_change_states WHERE account_id >= $1 AND shard_id = $2";
    let at_home: i64 = sqlx::query_scalar(homes)
        .bind(FIRST)
        .bind(whale)
        .fetch_one(pool)
        .await?;
    ensure!(at_home == ROUNDS, "{at_home} of {ROUNDS} stand at home");
    let page = ops::get(deployment.apis[0].process.ops(), "/metrics").await?;
    let anew = ops::metric(&page.body, "axs_submits_checked_anew_total");
    ensure!(anew >= Some(1.0), "nothing was checked anew: {anew:?}");
    deployment.finish().await
}

/// The USDT of account 1, once it comes from the cache.
async fn cached(client: &ApiClient) -> Result<String> {
    until("a cached balance", Patience::PROCESS, async || {
        let read = client.balances(&[1], ReadConsistency::Cached).await?;
        let read: AccountBalances = read.into_iter().next().context("no answer")?;
        let usdt = read.balances.iter().find(|it| it.currency_code == "USDT");
        let available = usdt.map(|it| it.available.clone()).context("no USDT")?;
        Ok(match read.source() {
            ReadSource::Cache => Look::There(available),
            other => Look::NotYet(format!("{available} from {other:?}")),
        })
    })
    .await
}
