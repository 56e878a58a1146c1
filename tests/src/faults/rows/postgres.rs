//! PostgreSQL itself.

use crate::deadline::{Look, Patience, until};
use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use crate::faults::server::{Server, control};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

/// Serialization errors in a row.
const SERIALIZATION_ERRORS: i64 = 5;

/// Rounds in which a deadlock is tried for.
const DEADLOCK_TRIES_MAX: usize = 200;

/// Deadlocks that are enough.
const DEADLOCKS: u64 = 3;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "postgres-killed",
        "PostgreSQL dies under load and comes back",
        |scene| Box::pin(restarted(scene, "kill")),
    )
    .on_own_servers(),
    Row::new(
        "postgres-restarted",
        "PostgreSQL is restarted in order under load",
        |scene| Box::pin(restarted(scene, "stop")),
    )
    .on_own_servers(),
    Row::new(
        "postgres-promoted",
        "PostgreSQL comes back as a standby and is promoted under load",
        |scene| Box::pin(promoted(scene)),
    )
    .on_own_servers(),
    Row::new(
        "serialization-errors",
        "batches end with serialization errors",
        |scene| Box::pin(serialization(scene)),
    ),
    Row::new(
        "deadlocks",
        "batches end as victims of deadlocks",
        |scene| Box::pin(deadlocks(scene)),
    ),
];

async fn restarted(scene: &mut Scene, how: &str) -> Result<()> {
    scene.cast("", "").await?;
    scene.injected(1).await;
    control(how, Server::Postgres).await?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    control("start", Server::Postgres).await?;
    scene.led_by(2).await?;
    scene.results(200).await
}

/// Nothing is lost, and yet it is another history: another server would have come the same way.
/// What is put in is the change of the incarnation; each term must end by it and be taken over.
async fn promoted(scene: &mut Scene) -> Result<()> {
    let data = std::env::var_os("AXS_TEST_POSTGRES_DATA").map(PathBuf::from);
    let data = data.context("AXS_TEST_POSTGRES_DATA is not set: run `make faults`")?;
    scene.cast("", "").await?;
    let pool = scene.deployment.database.pool.clone();
    let history = async || -> Result<(i64, String)> {
        let history = sqlx::query_as(
            "SELECT database_incarnation(), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
        );
        Ok(history.fetch_one(&pool).await?)
    };
    let before = history().await?;
    let tokens = tokens(&pool).await?;
    // What is in flight is counted now, what was put in when it is known.
    scene.injected(0).await;
    control("stop", Server::Postgres).await?;
    std::fs::write(data.join("standby.signal"), "")?;
    control("start", Server::Postgres).await?;
    // Processes find a server that answers and takes no writes.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let promoted: bool = sqlx::query_scalar("SELECT pg_promote(true, 60)")
        .fetch_one(&pool)
        .await?;
    ensure!(promoted, "the standby was not promoted within a minute");
    let after = history().await?;
    ensure!(after.1 > before.1, "the timeline is {} still", after.1);
    scene.count(Count::Injections, u64::from(after.0 != before.0));
    scene.led_by(2).await?;
    until("every term to be another", Patience::PROCESS, async || {
        let now = self::tokens(&pool).await?;
        let old = tokens.iter().zip(&now).filter(|(old, now)| old == now);
        let partitions: Vec<i32> = old.map(|(old, _)| old.0).collect();
        Ok(if partitions.is_empty() {
            Look::There(())
        } else {
            Look::NotYet(format!("partitions {partitions:?} are led as before"))
        })
    })
    .await?;
    scene.results(200).await
}

/// The newest token of each partition.
async fn tokens(pool: &sqlx::PgPool) -> Result<Vec<(i32, i64)>> {
    let tokens = "SELECT partition, fencing_token FROM partition_leader_locks ORDER BY partition";
    Ok(sqlx::query_as(tokens).fetch_all(pool).await?)
}

/// A trigger refuses the offset of a batch a few times. A sequence counts: it is not rolled back.
async fn serialization(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let pool = scene.deployment.database.pool.clone();
    sqlx::raw_sql(
        "CREATE SEQUENCE fault_serialization;
         CREATE FUNCTION fault_serialization_fail() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.stored_offset IS DISTINCT FROM OLD.stored_offset
                AND nextval('fault_serialization') <= 5 THEN
                 RAISE EXCEPTION 'could not serialize access, says the suite'
                     USING ERRCODE = 'serialization_failure';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER fault_serialization BEFORE UPDATE ON partition_leader_locks
             FOR EACH ROW EXECUTE FUNCTION fault_serialization_fail();",
    )
    .execute(&pool)
    .await?;
    until("the errors to be through", Patience::PROCESS, async || {
        let called = scene
            .deployment
            .database
            .number("SELECT last_value FROM fault_serialization")
            .await?;
        Ok(if called > SERIALIZATION_ERRORS {
            Look::There(())
        } else {
            Look::NotYet(format!("{called}"))
        })
    })
    .await?;
    scene.injected(5).await;
    scene.results(100).await
}

/// A session of the suite locks one balance, waits until a leader waits behind it, and asks for
/// another that the leader may hold. PostgreSQL ends the one whose patience ends first: the leader.
async fn deadlocks(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let pool = scene.deployment.database.pool.clone();
    let before = scene.deployment.database.number(COUNTED).await?;
    let mut found = 0;
    for _ in 0..DEADLOCK_TRIES_MAX {
        let mut ours = pool.begin().await?;
        // Ours is patient; a leader looks for deadlocks after the server's own second.
        sqlx::raw_sql("SET LOCAL deadlock_timeout = '60s'; SET LOCAL lock_timeout = '8s'")
            .execute(&mut *ours)
            .await?;
        // Of the hot accounts' balances in one table partition, the last in the order in which a
        // batch locks them, and then the others.
        let keys: Vec<(i32, i64, String)> = sqlx::query_as(
            "SELECT shard_id, account_id, currency_code FROM account_balances
              WHERE account_id > 1000 ORDER BY shard_id DESC, account_id DESC, currency_code DESC",
        )
        .fetch_all(&mut *ours)
        .await?;
        let Some((last, others)) = keys.split_first() else {
            continue;
        };
        let lock = "SELECT FROM account_balances
                     WHERE shard_id = $1 AND account_id = $2 AND currency_code = $3 FOR UPDATE";
        let mut asked = Ok(());
        for key in std::iter::once(last).chain(others.iter().rev()) {
            let locked = sqlx::query(lock)
                .bind(key.0)
                .bind(key.1)
                .bind(&key.2)
                .execute(&mut *ours)
                .await;
            if let Err(error) = locked {
                asked = Err(error);
                break;
            }
            if key == last {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
        drop(asked);
        ours.rollback().await?;
        let now = scene.deployment.database.number(COUNTED).await?;
        if now > before + i64::try_from(found)? {
            found = u64::try_from(now - before)?;
            scene.injected(1).await;
        }
        if found >= DEADLOCKS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(found > 0, "no deadlock in {DEADLOCK_TRIES_MAX} tries");
    scene.results(100).await
}

/// Deadlocks that the server has resolved in this database.
const COUNTED: &str = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
