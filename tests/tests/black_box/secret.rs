//! Passwords are never printed: not in help, not at the start, not in errors, not to probes.

use anyhow::{Context, Result};
use axs_tests::deployment::{Deployment, binary_under_test, run};
use axs_tests::{ops, port};
use std::process::Command;

const SECRET: &str = "correct-horse-battery";

#[tokio::test(flavor = "multi_thread")]
async fn help_is_printed_without_settings_and_without_secrets() -> Result<()> {
    for arguments in [
        vec!["--help"],
        vec!["grpc", "--help"],
        vec!["submit", "--help"],
    ] {
        let mut command = Command::new(binary_under_test()?);
        command
            .args(&arguments)
            .env(
                "AXS__DATABASE__URL",
                format!("postgres://axs:{SECRET}@127.0.0.1/axs"),
            )
            .env("AXS__CACHE__URL", format!("redis://:{SECRET}@127.0.0.1/"));
        let ran = run(command).await?;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran}");
        assert!(ran.stdout.contains("Usage"), "{arguments:?}: {ran}");
        assert!(!ran.to_string().contains(SECRET), "{arguments:?}: {ran}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_shows_addresses_without_passwords() -> Result<()> {
    let mut deployment = Deployment::builder("secret").prepare().await?;
    Deployment::builder("secret").lay_out(&deployment).await?;
    // A user of the database whose password is the secret.
    let role = deployment.database.name.clone();
    let statements = [format!(
        "CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{SECRET}'"
    )];
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&deployment.database.pool)
            .await?;
    }
    let mut url = deployment.database.url.clone();
    url.set_username(&role).ok().context("a user")?;
    url.set_password(Some(SECRET)).ok().context("a password")?;
    deployment.environment.set("AXS__DATABASE__URL", &url);
    // Redis is away, so that its address appears in complaints too.
    let nowhere = format!("redis://:{SECRET}@{}/", port::free()?);
    deployment.environment.set("AXS__CACHE__URL", &nowhere);
    deployment.environment.set("AXS__LOG__FILTER", "debug");
    let started = deployment.start(1, 1).await;

    let mut said = String::new();
    for process in deployment
        .apis
        .iter()
        .map(|api| &api.process)
        .chain(&deployment.consumers)
    {
        said.push_str(&process.log());
        for path in ["/readyz", "/livez", "/metrics"] {
            said.push_str(&ops::get(process.ops(), path).await?.body);
        }
    }
    let drained = deployment.stop().await;
    let drop_role = format!("DROP ROLE {role}");
    sqlx::query(sqlx::AssertSqlSafe(drop_role))
        .execute(&deployment.database.pool)
        .await?;
    started?;
    drained?;
    assert!(said.contains("127.0.0.1"), "addresses are shown");
    let line = said.lines().find(|line| line.contains(SECRET));
    assert_eq!(line, None);
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_ends_the_process_with_its_name_and_without_other_values() -> Result<()> {
    let deployment = Deployment::builder("wrong").prepare().await?;
    let rows = [
        ("AXS__LEASE__TTL_MS", "soon", "lease.ttl_ms"),
        ("AXS__LEASE__TTL_MS", "1", "lease.ttl_ms"),
        ("AXS__LEASE__TTL", "9000", "lease.ttl"),
        ("AXS__GRPC__LISTEN", "everywhere", "grpc.listen"),
        ("AXS_LEASE_TTL_MS", "9000", "AXS__LEASE__TTL_MS"),
        (
            "AXS__DATABASE__URL",
            "mysql://axs:correct-horse-battery@h/axs",
            "database.url",
        ),
    ];
    for (name, value, key) in rows {
        let ran = deployment.run_with(&["grpc"], &[(name, value)]).await?;
        assert_eq!(ran.code, Some(2), "{name}={value}: {ran}");
        assert!(
            ran.stderr.contains(key),
            "{name}={value} does not name {key}: {ran}"
        );
        assert!(!ran.to_string().contains(SECRET), "{name}={value}: {ran}");
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_or_database_that_postgresql_refuses_ends_the_process_with_the_settings_name()
-> Result<()> {
    let deployment = Deployment::builder("refused").prepare().await?;
    let mut role = deployment.database.url.clone();
    role.set_username("axs_nobody").ok().context("a user")?;
    role.set_password(Some(SECRET)).ok().context("a password")?;
    let mut database = deployment.database.url.clone();
    database.set_path("axs_missing");
    for (url, named) in [(role, "axs_nobody"), (database, "axs_missing")] {
        for command in ["grpc", "migrate"] {
            let settings = [("AXS__DATABASE__URL", url.as_str())];
            let ran = deployment.run_with(&[command], &settings).await?;
            assert_eq!(ran.code, Some(2), "{command}: {ran}");
            assert!(ran.stderr.contains("database.url"), "{command}: {ran}");
            assert!(ran.stderr.contains(named), "{command}: {ran}");
            assert!(!ran.to_string().contains(SECRET), "{command}: {ran}");
            assert!(!ran.stderr.contains("waiting for"), "{command}: {ran}");
        }
    }
    deployment.abandon();
    Ok(())
}
