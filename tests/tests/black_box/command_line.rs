//! The subcommands that people run: layout, currencies, accounts, submit, verify.

use crate::stage::{balance, deployment, deposit};
use anyhow::{Context, Result};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::{Deployment, Ran};
use rustix::process::Signal;
use std::fs;

async fn run(deployment: &Deployment, line: &str) -> Result<Ran> {
    let words: Vec<&str> = line.split_whitespace().collect();
    deployment.run(&words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_set_up_submit_and_verify_by_the_command_line() -> Result<()> {
    let deployment = deployment("command_line", 1, 1).await?;
    the_layout_is_shown_and_is_made_once(&deployment).await?;
    currencies_and_accounts_are_made_and_shown(&deployment).await?;
    a_file_is_submitted_and_faulty_lines_are_counted(&deployment).await?;
    verify_names_a_balance_that_somebody_has_touched(&deployment).await?;
    deployment.finish().await
}

async fn the_layout_is_shown_and_is_made_once(deployment: &Deployment) -> Result<()> {
    deployment.led_by(3, 1).await?;
    let shown = run(deployment, "layout show").await?;
    assert_eq!(shown.code, Some(0), "{shown}");
    assert!(
        shown.stdout.contains("retail") && shown.stdout.contains("whale"),
        "{shown}"
    );
    let consumer = format!(", pid {}", deployment.consumers[0].pid());
    assert!(shown.stdout.contains(&consumer), "{consumer}: {shown}");
    let before = deployment
        .database
        .number("SELECT count(*) FROM shards")
        .await?;
    let other = run(deployment, "layout init --pool retail=9/3 --pool whale=2/1").await?;
    assert_eq!(
        other.code,
        Some(2),
        "another layout must not replace the first: {other}"
    );
    assert_eq!(
        deployment
            .database
            .number("SELECT count(*) FROM shards")
            .await?,
        before
    );
    for pools in [
        "--pool retail",
        "--pool Retail=2/1",
        "--pool retail=2/3",
        "--pool retail=2/1 --pool retail=2/1",
    ] {
        let wrong = run(deployment, &format!("layout init {pools}")).await?;
        assert_eq!(wrong.code, Some(2), "{pools}: {wrong}");
        assert!(wrong.stderr.contains("--pool"), "{pools}: {wrong}");
        assert!(wrong.stderr.to_lowercase().contains("retail"), "{wrong}");
    }
    Ok(())
}

async fn currencies_and_accounts_are_made_and_shown(deployment: &Deployment) -> Result<()> {
    let rows = [
        ("currencies register --code EUR --decimals 2", 0),
        ("currencies register --code EUR --decimals 3", 1),
        ("currencies register --code OLD --decimals 2 --inactive", 0),
        ("accounts open --account 500 --user 1 --pool retail", 0),
        ("accounts open --account 500 --user 1 --pool retail", 0),
        ("accounts open --account 500 --user 2 --pool retail", 1),
        ("accounts open --account 501 --user 1 --pool nowhere", 1),
        ("migrate", 0),
        ("frobnicate", 2),
    ];
    for (line, code) in rows {
        let ran = run(deployment, line).await?;
        assert_eq!(ran.code, Some(code), "{line}: {ran}");
    }
    let says = [
        (
            "currencies register --code OLD --decimals 2",
            "OLD: 2 decimals, active: was inactive until now",
        ),
        (
            "currencies register --code EUR --decimals 2",
            "EUR: 2 decimals, active: was registered already",
        ),
        (
            "accounts show --account 500",
            "account 500 of user 1: pool retail, shard ",
        ),
    ];
    for (line, words) in says {
        let ran = run(deployment, line).await?;
        assert_eq!(ran.code, Some(0), "{line}: {ran}");
        assert!(ran.stdout.contains(words), "{line}: {ran}");
    }
    let listed = run(deployment, "currencies list").await?;
    assert!(
        listed.stdout.contains("EUR") && listed.stdout.contains("OLD"),
        "{listed}"
    );
    Ok(())
}

async fn a_file_is_submitted_and_faulty_lines_are_counted(deployment: &Deployment) -> Result<()> {
    let line = |number: usize, amount: &str| {
        format!(
            r#"{{"event_id":"f{number}","event_type":"deposit","account_id":1,"user_id":{user},"source_service":"file","idempotency_key":"file-{number}","created_msec":1,"changes":[{{"change_id":"c","currency_code":"JPY","available_delta":"{amount}","frozen_delta":"0"}}]}}"#,
            user = axs_tests::script::user_of(1)
        )
    };
    let sound = deployment.folder().join("sound.jsonl");
    let text: Vec<String> = (0..100).map(|number| line(number, "2")).collect();
    fs::write(&sound, text.join("\n") + "\n")?;
    for round in ["first", "again, all duplicates"] {
        let ran = deployment
            .run(&["submit", sound.to_str().context("a path")?])
            .await?;
        assert_eq!(ran.code, Some(0), "{round}: {ran}");
        assert_eq!(
            balance(deployment, 1, "JPY").await?,
            ["200", "0"],
            "{round}"
        );
    }
    let faulty = deployment.folder().join("faulty.jsonl");
    fs::write(
        &faulty,
        [line(200, "5"), line(201, "0.5"), line(202, "7")].join("\n"),
    )?;
    let ran = deployment
        .run(&["submit", faulty.to_str().context("a path")?])
        .await?;
    assert_eq!(ran.code, Some(1), "{ran}");
    assert_eq!(balance(deployment, 1, "JPY").await?, ["212", "0"]);
    let poor = deployment.folder().join("poor.jsonl");
    fs::write(&poor, ["".to_owned(), line(300, "-9999")].join("\n"))?;
    let ran = deployment
        .run(&["submit", poor.to_str().context("a path")?])
        .await?;
    assert_eq!(ran.code, Some(0), "a rejection is a result: {ran}");
    let told = "line 2: rejected, INSUFFICIENT_AVAILABLE (1): changes[0]: asked for 9999 JPY";
    assert!(ran.stdout.contains(told), "{ran}");
    for (path, words) in [("/nowhere/at/all.jsonl", "No such file"), ("/", "a folder")] {
        let ran = deployment.run(&["submit", path]).await?;
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains(path), "{ran}");
        assert!(ran.stderr.contains(words), "{ran}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_is_a_layout_a_submission_says_what_makes_one() -> Result<()> {
    let deployment = Deployment::builder("no_layout").prepare().await?;
    let ran = run(&deployment, "migrate").await?;
    assert_eq!(ran.code, Some(0), "{ran}");
    let file = deployment.folder().join("any.jsonl");
    fs::write(&file, "{}")?;
    let ran = deployment
        .run(&["submit", file.to_str().context("a path")?])
        .await?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("bootstrap layout init"), "{ran}");
    deployment.abandon();
    Ok(())
}

async fn verify_names_a_balance_that_somebody_has_touched(deployment: &Deployment) -> Result<()> {
    crate::stage::apply(deployment, deposit(2, "in", "USDT", "10")?).await?;
    deployment.verify().await?;
    let touch = |amount: &'static str| {
        sqlx::query("UPDATE account_balances SET available = $1::numeric WHERE account_id = 2")
            .bind(amount)
            .execute(&deployment.database.pool)
    };
    touch("11").await?;
    let ran = deployment.run(&["verify", "--json"]).await?;
    assert_eq!(ran.code, Some(1), "{ran}");
    let report: serde_json::Value =
        serde_json::from_str(ran.stdout.trim()).context("one object")?;
    assert!(report.is_object(), "{report}");
    assert!(
        ran.stdout.contains("account 2"),
        "the account is named: {ran}"
    );
    touch("10").await?;
    deployment.verify().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_is_interrupted_tells_what_it_has_done() -> Result<()> {
    // Nobody decides, so the command waits for results.
    let deployment = deployment("interrupted", 1, 0).await?;
    let user = axs_tests::script::user_of(1);
    let line = |number: usize| {
        format!(
            r#"{{"event_id":"f{number}","event_type":"deposit","account_id":1,"user_id":{user},"source_service":"file","idempotency_key":"file-{number}","changes":[{{"change_id":"c","currency_code":"JPY","available_delta":"2","frozen_delta":"0"}}]}}"#
        )
    };
    let file = deployment.folder().join("waiting.jsonl");
    fs::write(&file, [line(1), line(2), line(3)].join("\n"))?;
    let path = file.to_str().context("a path")?;
    let mut submitting = deployment.spawn_command(&["submit", path, "--wait-seconds", "3600"])?;
    let logged = "SELECT count(*) FROM balance_change_states";
    until("three events in the log", Patience::PROCESS, async || {
        let found = deployment.database.number(logged).await?;
        Ok(match found {
            3 => Look::There(()),
            other => Look::NotYet(other.to_string()),
        })
    })
    .await?;
    submitting.signal(Signal::INT)?;
    let ended = submitting.end(Patience::PROCESS).await?;
    let said = submitting.log();
    assert_eq!(ended.code(), Some(130), "{said}");
    for (what, count) in [("accepted", "3"), ("not decided yet", "3")] {
        let told = said
            .lines()
            .any(|line| line.trim_start().starts_with(what) && line.ends_with(count));
        assert!(told, "{what} {count}: {said}");
    }
    for words in [
        "no result seen yet: line 1-3.",
        "Submit the same file again",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    deployment.abandon();
    Ok(())
}
