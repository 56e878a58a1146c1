//! Measures AXS: the real release binaries, on the real servers, under a load from outside.
//!
//! Progress is shown on standard error. The figures go to `bench/latest.json`, the tables to
//! `bench/latest.md` and the plots to `bench/plots/`; a quick run writes `quick` in place of
//! `latest`. A run of some scenarios replaces those alone.

mod commit_delay;
mod fill;
mod load;
mod options;
mod report;
mod scenario;
mod screen;
mod stage;
mod watch;

use anyhow::{Context, Result, ensure};
use axs_tests::server::Servers;
use options::Options;
use report::{Figures, Machine, Report, ScenarioReport, commit, draw, load_average, table};
use scenario::{Bench, SCENARIOS};
use screen::Screen;
use sqlx::{Connection, PgConnection};
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after Ctrl-C or SIGTERM, as shells give it.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let screen = Screen::new();
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            let _ = writeln!(std::io::stderr(), "{usage}");
            return ExitCode::from(2);
        }
    };
    // The run is dropped when a signal comes first, and its processes die with it.
    let ended = tokio::select! {
        ended = measure(&options, screen) => ended,
        () = interruption() => {
            screen.say("interrupted; its processes are stopped");
            return ExitCode::from(INTERRUPTED);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs what is asked for; says whether all of it could be measured.
async fn measure(options: &Options, screen: Screen) -> Result<bool> {
    ensure!(
        !cfg!(debug_assertions),
        "only a release build is measured: use make bench"
    );
    let wanted: Vec<&str> = SCENARIOS
        .into_iter()
        .filter(|name| options.wants(name))
        .collect();
    ensure!(!wanted.is_empty(), "the scenarios are {SCENARIOS:?}");
    options.prepare_folder()?;
    let machine = Machine::here(check_durability().await?);
    let file = if options.quick { "quick" } else { "latest" };
    let path = options.folder.join(format!("{file}.json"));
    let mut report = Report::read_or_new(&path, machine)?;
    // Of the whole run: the report is a file of the checkout, which it changes, and somebody may
    // commit meanwhile.
    let commit = commit();
    let mut sustained = None;
    let mut sound = true;
    for name in wanted {
        let mut bench = Bench {
            effort: options.effort(),
            screen,
            figures: Figures::default(),
            sustained,
        };
        let taken_at = chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string();
        let (load_before, began) = (load_average(), Instant::now());
        if let Err(error) = scenario::run(name, &mut bench).await {
            screen.say(&format!("{name} failed: {error:#}"));
            sound = false;
            continue;
        }
        sustained = bench.sustained;
        let (figures, series) = bench.figures.into_parts();
        let scenario = ScenarioReport {
            taken_at,
            commit: commit.clone(),
            command: options.command(),
            load_before,
            took_s: began.elapsed().as_secs_f64().round(),
            figures,
            series,
        };
        report.scenarios.insert(name.to_owned(), scenario);
        // After each, so that an interruption loses one scenario at most.
        report.write(&path)?;
    }
    let tables = table(&report);
    std::fs::write(options.folder.join(format!("{file}.md")), &tables)?;
    let plots = if options.quick {
        "plots-quick"
    } else {
        "plots"
    };
    let plots = options.folder.join(plots);
    std::fs::create_dir_all(&plots)?;
    draw(&report, &plots)?;
    writeln!(std::io::stdout(), "{tables}")?;
    Ok(sound)
}

/// A figure without durability is worth nothing: refuses to measure, or says what PostgreSQL it is.
async fn check_durability() -> Result<String> {
    let servers = Servers::from_env()?;
    let mut connection = PgConnection::connect(servers.database.as_str())
        .await
        .context("PostgreSQL does not answer")?;
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        ensure!(value == "on", "{name} is {value} in this PostgreSQL");
    }
    let version: String =
        sqlx::query_scalar("SELECT 'PostgreSQL ' || current_setting('server_version')")
            .fetch_one(&mut connection)
            .await?;
    connection.close().await?;
    Ok(version)
}

async fn interruption() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
