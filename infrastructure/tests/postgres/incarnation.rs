//! What tells one history of the database from another, and renewing it.

use crate::laid_out::on_laid_out_database;
use crate::support::{TestDatabase, on_database};
use axs_application::port::balance_store::BalanceStore;
use axs_application::port::installation::Installation;
use axs_application::port::partition_leadership::{PartitionLeadership, TakeOver};
use axs_domain::fencing::Claim;
use axs_domain::id::{AccountId, OwnerId, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_infrastructure::postgres::balance_store::PgBalanceStore;
use axs_infrastructure::postgres::installation::PgInstallation;
use axs_infrastructure::postgres::leadership::{LeadershipSettings, PgPartitionLeadership};
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(120);

async fn standing(test: &TestDatabase) -> Incarnation {
    let store = PgBalanceStore::new(test.database());
    store.incarnation().await.unwrap()
}

async fn lead(test: &TestDatabase, owner: OwnerId) -> Claim {
    let leadership = PgPartitionLeadership::new(test.database(), LeadershipSettings::default());
    let taken = leadership.take_over(PartitionId::MIN, owner, LEASE).await;
    match taken.unwrap() {
        TakeOver::Taken { claim, .. } => claim,
        TakeOver::Held => panic!("it is held"),
    }
}

#[tokio::test]
async fn every_session_sees_the_same_one_whatever_its_settings() {
    on_laid_out_database(async |test| {
        let expected = standing(&test).await;
        let mut session = test.database().queries().acquire().await.unwrap();
        for setting in [
            "SET timezone = 'Asia/Tokyo'",
            "SET datestyle = 'German'",
            "SET extra_float_digits = -15",
        ] {
            session.execute(setting).await.unwrap();
            let seen: i64 = sqlx::query_scalar("SELECT database_incarnation()")
                .fetch_one(&mut *session)
                .await
                .unwrap();
            assert_eq!(Incarnation::new(seen), expected, "{setting}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_ordinary_role_that_reads_the_layout_may_ask_for_it() {
    on_laid_out_database(async |test| {
        let role = format!("axs_t_{}", Uuid::now_v7().simple());
        let mut session = test.database().queries().acquire().await.unwrap();
        let begin =
            format!("CREATE ROLE {role}; GRANT SELECT ON layout TO {role}; SET ROLE {role}");
        session.execute(AssertSqlSafe(begin)).await.unwrap();
        let seen = sqlx::query_scalar("SELECT database_incarnation()")
            .fetch_one(&mut *session)
            .await;
        let end = format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}");
        session.execute(AssertSqlSafe(end)).await.unwrap();
        assert_eq!(Incarnation::new(seen.unwrap()), standing(&test).await);
    })
    .await;
}

#[tokio::test]
async fn balances_come_with_it_also_when_there_are_none() {
    on_laid_out_database(async |test| {
        test.execute("INSERT INTO account_balances VALUES (3, 7, 'USD', 1, 0, 1)")
            .await;
        let store = PgBalanceStore::new(test.database());
        let place = |account| {
            (
                ShardId::try_new(3).unwrap(),
                AccountId::try_new(account).unwrap(),
            )
        };
        let expected = standing(&test).await;
        for (asked, balances) in [(vec![place(7)], 1), (vec![place(8)], 0), (Vec::new(), 0)] {
            let loaded = store.load_accounts(asked.clone()).await.unwrap();
            assert_eq!(loaded.incarnation, expected);
            assert_eq!(loaded.accounts.len(), asked.len());
            let found: usize = loaded.accounts.iter().map(|it| it.balances.len()).sum();
            assert_eq!(found, balances);
        }
    })
    .await;
}

#[tokio::test]
async fn renewing_begins_another_and_ends_every_leaders_term() {
    on_laid_out_database(async |test| {
        let owner = OwnerId::new(Uuid::new_v4());
        let claim = lead(&test, owner).await;
        let before = standing(&test).await;
        assert_eq!(claim.incarnation, before);
        let installation = PgInstallation::new(test.database());
        let renewal = installation.renew().await.unwrap().unwrap();
        assert_eq!((renewal.before, renewal.fenced), (before, 3));
        assert_ne!(renewal.now, before);
        assert_eq!(renewal.now, standing(&test).await);
        let leadership = PgPartitionLeadership::new(test.database(), LeadershipSettings::default());
        let renewed = leadership
            .renew(vec![(PartitionId::MIN, claim)], LEASE)
            .await;
        assert_eq!(renewed, Ok(Vec::new()), "its lease is over");
        let next = lead(&test, OwnerId::new(Uuid::new_v4())).await;
        assert_eq!(next.incarnation, renewal.now);
        assert_eq!(next.token.value(), claim.token.value() + 2);
    })
    .await;
}

/// Else it could commit after a read under the new one, and be cached under the old one alone.
#[tokio::test]
async fn renewing_waits_for_an_open_batch_and_fences_one_that_waits_for_it() {
    on_laid_out_database(async |test| {
        let claim = lead(&test, OwnerId::new(Uuid::new_v4())).await;
        let fence = include_str!("../../src/postgres/sql/batch/fence.sql");
        let mut open = test.database().writer().begin().await.unwrap();
        sqlx::query(fence)
            .bind(0)
            .execute(&mut *open)
            .await
            .unwrap();
        let renewing = tokio::spawn({
            let installation = PgInstallation::new(test.database());
            async move { installation.renew().await }
        });
        until_waiting(&test, 1).await;
        let waiting = tokio::spawn({
            let pool = test.elsewhere().database().writer().clone();
            async move {
                sqlx::query_as::<_, (i32, i64, Option<Uuid>, i64, i64)>(fence)
                    .bind(0)
                    .fetch_one(&pool)
                    .await
            }
        });
        until_waiting(&test, 2).await;
        assert!(!renewing.is_finished());
        open.commit().await.unwrap();
        renewing.await.unwrap().unwrap();
        let (_, token, ..) = waiting.await.unwrap().unwrap();
        assert_eq!(token, claim.token.value() + 1, "it sees that it is fenced");
    })
    .await;
}

#[tokio::test]
async fn without_a_layout_there_is_nothing_to_renew() {
    on_database(async |test| {
        let before = standing(&test).await;
        let installation = PgInstallation::new(test.database());
        assert_eq!(installation.renew().await, Ok(None));
        assert_eq!(standing(&test).await, before);
    })
    .await;
}

/// Waits until so many sessions of this database wait for a lock.
async fn until_waiting(test: &TestDatabase, sessions: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..1_000 {
        if test.number(waiting).await == sessions {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {sessions} that wait");
}
