//! How processes start on what is not as they need it, and how they stop.

use crate::stage::deployment;
use anyhow::{Context, Result, ensure};
use axs_tests::deadline::Patience;
use axs_tests::deployment::Deployment;
use axs_tests::ops;
use rustix::process::Signal;
use sqlx::AssertSqlSafe;

const SECRET: &str = "correct-horse-battery";

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_is_told_what_it_lacks_and_by_which_setting() -> Result<()> {
    let deployment = Deployment::builder("denied").prepare().await?;
    let role = deployment.database.name.clone();
    let execute = async |statement: String| {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&deployment.database.pool)
            .await
    };
    execute(format!("CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")).await?;
    let mut url = deployment.database.url.clone();
    url.set_username(&role).ok().context("a user")?;
    url.set_password(Some(SECRET)).ok().context("a password")?;
    let as_role = [("AXS__DATABASE__URL", url.as_str())];

    let unmade = deployment.run_with(&["migrate"], &as_role).await;
    let made = deployment.run(&["migrate"]).await;
    let unread = deployment.run_with(&["layout", "show"], &as_role).await;
    execute(format!("DROP ROLE {role}")).await?;
    let made = made?;
    ensure!(made.code == Some(0), "bootstrap migrate {made}");
    for ran in [unmade?, unread?] {
        assert_eq!(ran.code, Some(2), "{ran}");
        for words in ["permission denied", "42501", "database.url", "grant"] {
            assert!(ran.stderr.contains(words), "{words}: {ran}");
        }
        assert!(!ran.stderr.contains("at line"), "{ran}");
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wait_at_the_start_the_first_attempt_still_has_its_time() -> Result<()> {
    let deployment = Deployment::builder("no_wait").prepare().await?;
    let no_wait = [("AXS__DATABASE__START_WAIT_MS", "0")];
    let ran = deployment.run_with(&["migrate"], &no_wait).await?;
    assert_eq!(ran.code, Some(0), "{ran}");
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_not_escaped_is_refused_with_the_escapes_and_is_not_printed()
-> Result<()> {
    let deployment = Deployment::builder("unescaped").prepare().await?;
    for letter in ["/", "#", "?"] {
        let url = format!("postgres://axs:12{letter}{SECRET}@127.0.0.1:5432/axs");
        let settings = [("AXS__DATABASE__URL", url.as_str())];
        let ran = deployment.run_with(&["migrate"], &settings).await?;
        assert_eq!(ran.code, Some(2), "{letter}: {ran}");
        for words in ["database.url", "%2F for /", "%23 for #"] {
            assert!(ran.stderr.contains(words), "{letter}: {words}: {ran}");
        }
        assert!(!ran.to_string().contains(SECRET), "{letter}: {ran}");
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_processes_tell_their_dependencies_and_the_layout_with_help() -> Result<()> {
    let deployment = deployment("gauges", 1, 1).await?;
    let apis = deployment.apis.iter().map(|api| &api.process);
    for process in apis.chain(&deployment.consumers) {
        let metrics = ops::get(process.ops(), "/metrics").await?.body;
        for line in [
            "# HELP axs_layout_partitions partitions: ",
            "axs_layout_partitions 3",
            "axs_dependency_up{dependency=\"postgresql\"} 1",
            "axs_dependency_up{dependency=\"kafka\"} 1",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
        let unhelped = metrics.lines().find(|line| {
            let name = line
                .strip_prefix("# TYPE ")
                .and_then(|rest| rest.split(' ').next());
            name.is_some_and(|name| !metrics.contains(&format!("# HELP {name} ")))
        });
        assert_eq!(unhelped, None);
        assert!(!process.log().contains("CONFWARN"), "{}", process.log());
    }
    deployment.finish().await
}

/// GNU timeout signals its child and then the child's group: two SIGTERMs, a moment apart.
#[tokio::test(flavor = "multi_thread")]
async fn two_signals_at_once_are_one_and_the_processes_drain() -> Result<()> {
    let mut deployment = deployment("two_signals", 1, 1).await?;
    let apis = deployment.apis.drain(..).map(|api| api.process);
    let mut processes: Vec<_> = apis.chain(deployment.consumers.drain(..)).collect();
    for process in &mut processes {
        for _ in 0..3 {
            process.signal(Signal::TERM)?;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let ended = process.end(Patience::PROCESS).await?;
        assert_eq!(ended.code(), Some(0), "{}", process.log());
        assert!(process.log().contains("stopping"), "{}", process.log());
    }
    deployment.finish().await
}
