//! The private servers, stopped and started one at a time.

use anyhow::{Context, Result, ensure};
use std::env;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// One action; a start waits until the server answers.
const BOUND: Duration = Duration::from_secs(180);

/// A private server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Apache Kafka.
    Kafka,
}

/// Asks the script that started the servers to `start`, `stop`, `kill`, `pause` or `resume` one.
///
/// # Errors
/// The servers are not private, or the script fails: with what it says.
pub async fn control(action: &str, server: Server) -> Result<()> {
    let script = env::var_os("AXS_TEST_SERVER_CONTROL").map(PathBuf::from);
    let script = script.context("AXS_TEST_SERVER_CONTROL is not set: run `make faults`")?;
    let name = match server {
        Server::Postgres => "postgres",
        Server::Redis => "redis",
        Server::Kafka => "kafka",
    };
    let running = Command::new(script).args([action, name]).output();
    let ran = tokio::time::timeout(BOUND, running)
        .await
        .with_context(|| format!("{action} {name} took longer than {BOUND:?}"))??;
    ensure!(
        ran.status.success(),
        "{action} {name}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(())
}
