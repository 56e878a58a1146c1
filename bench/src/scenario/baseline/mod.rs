//! What a team would write instead of AXS, straight on PostgreSQL: without a log of requests that
//! outlives them, without order, rules, results or a cache.
//!
//! | | what |
//! |---|---|
//! | (a) | one transaction an event, by one statement ([`ONE`]) |
//! | (a2) | the same for many events a call ([`SET`]) |
//! | (b) | row by row, many events a transaction |
//! | (d) | the floor: COPY of the same bytes into a table with a primary key |
//!
//! The usual bulk form, (c), is the scenario `baseline_bulk`.

mod event;

use super::Bench;
use super::run::count;
use crate::load::{Accounts, Dice, Population};
use crate::report::number;
use crate::stage::ACCOUNTS;
use anyhow::{Context, Result};
use axs_tests::database::Database;
use axs_tests::server::Servers;
use event::Drawn;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use std::env;
use std::fmt::Write;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use url::Url;

const SCHEMA: &str = include_str!("schema.sql");
const ONE: &str = include_str!("one.sql");
const SET: &str = include_str!("set.sql");

/// Rows of one commit of the floor.
const FLOOR_ROWS: usize = 20_000;

/// Set by `make up` beside the address over TCP. The driver leaves Nagle's algorithm on, which
/// makes a COPY over TCP wait; the floor shall not be lower for that.
const SOCKET_URL: &str = "AXS_TEST_DATABASE_SOCKET_URL";

/// How events are written.
#[derive(Debug, Clone, Copy)]
enum Form {
    One,
    Set(usize),
    RowByRow(usize),
    Floor,
}

/// A baseline.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name in tables.
    pub name: &'static str,
    form: Form,
    connections: usize,
    hot: bool,
}

/// Baseline (a) over accounts that are drawn alike.
pub const ONE_A_TRANSACTION: [Case; 3] = [
    case(
        "(a) one event a transaction, 1 connection",
        Form::One,
        1,
        false,
    ),
    case("(a) 16 connections", Form::One, 16, false),
    case("(a) 64 connections", Form::One, 64, false),
];

const CASES: [Case; 11] = [
    ONE_A_TRANSACTION[0],
    ONE_A_TRANSACTION[1],
    ONE_A_TRANSACTION[2],
    case("(a) 1 connection, one hot account", Form::One, 1, true),
    case("(a) 16 connections, one hot account", Form::One, 16, true),
    case("(a) 64 connections, one hot account", Form::One, 64, true),
    case(
        "(a2) 50 events a call, 4 connections",
        Form::Set(50),
        4,
        false,
    ),
    case(
        "(a2) 200 events a call, 4 connections",
        Form::Set(200),
        4,
        false,
    ),
    case(
        "(a2) 50 events a call, 4 connections, one hot account",
        Form::Set(50),
        4,
        true,
    ),
    case(
        "(b) row by row, 500 a transaction",
        Form::RowByRow(500),
        1,
        false,
    ),
    case("(d) COPY, 20,000 a transaction", Form::Floor, 1, false),
];

const fn case(name: &'static str, form: Form, connections: usize, hot: bool) -> Case {
    Case {
        name,
        form,
        connections,
        hot,
    }
}

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let servers = Servers::from_env()?;
    let name = format!("axs_t_bench_baseline_{}", std::process::id());
    let database = Database::create(&servers, &name).await?;
    let measured = measure_all(bench, &database).await;
    Database::drop_by_name(&servers, &name).await?;
    measured
}

async fn measure_all(bench: &mut Bench, database: &Database) -> Result<()> {
    furnish(database).await?;
    for round in 1..=bench.effort.short_runs {
        for case in &CASES {
            let rate = measure(database, case, bench.effort.baseline).await?;
            bench.figures.add(case.name, "committed", "events/s", rate);
            bench.screen.say(&format!(
                "baseline: round {round} of {}: {}: {} events/s",
                bench.effort.short_runs,
                case.name,
                number(rate)
            ));
        }
    }
    Ok(())
}

/// Makes the tables, and the balances.
///
/// # Errors
/// PostgreSQL is away.
pub async fn furnish(database: &Database) -> Result<()> {
    let mut connection = connect(&database.url).await?;
    connection.execute(SCHEMA).await?;
    connection.execute("VACUUM ANALYZE").await?;
    Ok(connection.close().await?)
}

/// Events a second that all connections commit. They are new each time, and the logs empty, so that
/// the order of the cases does not matter.
///
/// # Errors
/// A statement fails.
pub async fn measure(database: &Database, case: &Case, time: Duration) -> Result<f64> {
    let mut connection = connect(&database.url).await?;
    connection
        .execute("TRUNCATE baseline_logs, baseline_entries, baseline_floor")
        .await?;
    connection.close().await?;
    let url = match (case.form, env::var(SOCKET_URL)) {
        (Form::Floor, Ok(socket)) => {
            let mut url = Url::parse(&socket).context(SOCKET_URL)?;
            url.set_path(&database.name);
            url
        }
        _ => database.url.clone(),
    };
    let mut connections = Vec::with_capacity(case.connections);
    for _ in 0..case.connections {
        connections.push(connect(&url).await?);
    }
    let accounts = if case.hot {
        Accounts::new(vec![1], Population::Uniform)
    } else {
        Accounts::new((1..=ACCOUNTS).collect::<Vec<_>>(), Population::Uniform)
    };
    let began = Instant::now();
    let mut writers: JoinSet<Result<u64>> = JoinSet::new();
    for (nth, connection) in (1u64..).zip(connections) {
        let seed = Dice::new(u64::from(std::process::id()) << 32 | nth).number();
        let drawn = Drawn::new(accounts.clone(), seed);
        writers.spawn(write_for(connection, case.form, drawn, began, time));
    }
    let mut events = 0;
    while let Some(written) = writers.join_next().await {
        events += written??;
    }
    Ok(count(events) / began.elapsed().as_secs_f64())
}

async fn write_for(
    mut connection: PgConnection,
    form: Form,
    mut drawn: Drawn,
    began: Instant,
    time: Duration,
) -> Result<u64> {
    let mut written = 0;
    while began.elapsed() < time {
        let events = match form {
            Form::One => {
                one(&mut connection, &mut drawn).await?;
                1
            }
            Form::Set(events) => {
                set(&mut connection, &mut drawn, events).await?;
                events
            }
            Form::RowByRow(events) => {
                connection.execute("BEGIN").await?;
                for _ in 0..events {
                    one(&mut connection, &mut drawn).await?;
                }
                connection.execute("COMMIT").await?;
                events
            }
            Form::Floor => {
                floor(&mut connection, &mut drawn, written).await?;
                FLOOR_ROWS
            }
        };
        written += u64::try_from(events)?;
    }
    connection.close().await?;
    Ok(written)
}

async fn one(connection: &mut PgConnection, drawn: &mut Drawn) -> Result<()> {
    let event = drawn.next();
    sqlx::query(ONE)
        .bind(event.log_id)
        .bind(event.account)
        .bind(event.key)
        .bind(event.delta)
        .execute(connection)
        .await?;
    Ok(())
}

async fn set(connection: &mut PgConnection, drawn: &mut Drawn, events: usize) -> Result<()> {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..events {
        let event = drawn.next();
        columns.0.push(event.log_id);
        columns.1.push(event.account);
        columns.2.push(event.key);
        columns.3.push(event.delta);
    }
    sqlx::query(SET)
        .bind(columns.0)
        .bind(columns.1)
        .bind(columns.2)
        .bind(columns.3)
        .execute(connection)
        .await?;
    Ok(())
}

async fn floor(connection: &mut PgConnection, drawn: &mut Drawn, written: u64) -> Result<()> {
    let mut text = String::new();
    for nth in 0..u64::try_from(FLOOR_ROWS)? {
        let event = drawn.next();
        writeln!(
            text,
            "{}\t{}\t{}\t{}\tUSDT\t{}",
            written + nth,
            event.log_id,
            event.account,
            event.key,
            event.delta
        )?;
    }
    let mut copy = connection
        .copy_in_raw("COPY baseline_floor FROM STDIN")
        .await?;
    copy.send(text.into_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

async fn connect(url: &Url) -> Result<PgConnection> {
    let mut connection = PgConnectOptions::from_str(url.as_str())?
        .disable_statement_logging()
        .connect()
        .await?;
    // Durable whatever the server's default is.
    connection.execute("SET synchronous_commit = on").await?;
    Ok(connection)
}
