//! A disk that is slower than this machine's, as a cloud volume is.
//!
//! By PostgreSQL's own `commit_delay`: a backend that is about to flush the WAL sleeps first, while
//! it holds the lock under which everybody flushes. So it is with a slow disk: one flush at a time,
//! each so much longer, and whoever commits meanwhile goes out with the next one. Only
//! `commit_siblings` makes it depend on others, and at 0 it does not. PostgreSQL's own processes
//! (checkpoints, the WAL writer) don't sleep: they have nobody who waits for them.

use crate::watch::commits;
use anyhow::{Context, Result, ensure};
use axs_tests::database::Database;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::Duration;

/// How long commits are timed, to see that they are delayed.
const SEEN_FOR: Duration = Duration::from_millis(500);

/// Delays every commit of every connection that is made to the database from now on, and makes sure
/// that it does.
///
/// # Errors
/// The role may not set it (a superuser may), or commits take no longer for it.
pub async fn delay_commits(database: &Database, delay: Duration) -> Result<()> {
    let (name, micros) = (&database.name, delay.as_micros());
    let mut connection = PgConnection::connect(database.url.as_str()).await?;
    for setting in [
        format!("commit_delay = {micros}"),
        "commit_siblings = 0".to_owned(),
    ] {
        let statement = format!("ALTER DATABASE {name} SET {setting}");
        connection
            .execute(AssertSqlSafe(statement.clone()))
            .await
            .with_context(|| format!("{statement}: only a superuser may"))?;
    }
    connection.close().await?;
    let seen = commits(database, SEEN_FOR).await?;
    let median = Duration::from_micros(seen.value_at_quantile(0.5));
    ensure!(
        median >= delay,
        "a commit should take {delay:?} longer, but takes {median:?} in all"
    );
    Ok(())
}
