//! The fault suite: `make faults`. `docs/faults.md` tells the rest.

use anyhow::{Context, Result, bail};
use axs_tests::faults::report::{Report, line};
use axs_tests::faults::run::run;
use axs_tests::faults::{row::Row, rows};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The whole suite.
const BOUND: Duration = Duration::from_secs(30 * 60);

const USAGE: &str = "usage: faults [--seed S] [--rows NAME,NAME…] [--list]";

/// What to run.
struct Options {
    seed: u64,
    /// Rows whose name holds one of these; all when there is none.
    rows: Vec<String>,
    list: bool,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            seed: 1,
            rows: Vec::new(),
            list: false,
        };
        while let Some(word) = words.next() {
            if word == "--list" {
                options.list = true;
                continue;
            }
            let value = words.next().context(USAGE)?;
            match word.as_str() {
                "--seed" => {
                    options.seed = value
                        .parse()
                        .with_context(|| format!("{value:?} is no number\n{USAGE}"))?;
                }
                "--rows" => options.rows = value.split(',').map(str::to_owned).collect(),
                _ => bail!(USAGE),
            }
        }
        Ok(options)
    }

    fn chosen(&self) -> Result<Vec<&'static Row>> {
        let wanted = |row: &&Row| {
            self.rows.is_empty()
                || self
                    .rows
                    .iter()
                    .any(|part| row.name.contains(part.as_str()))
        };
        let rows: Vec<_> = rows::all().into_iter().filter(wanted).collect();
        if rows.is_empty() {
            bail!("no row's name holds {:?}; --list shows them", self.rows);
        }
        Ok(rows)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match suite().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "[faults] {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn suite() -> Result<bool> {
    let options = Options::parse(std::env::args().skip(1))?;
    let rows = options.chosen()?;
    let mut out = std::io::stdout();
    if options.list {
        for row in rows {
            writeln!(out, "{:<32} {}", row.name, row.fault)?;
        }
        return Ok(true);
    }
    let began = Instant::now();
    let mut verdicts = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        if began.elapsed() > BOUND {
            bail!("{number} rows took longer than {BOUND:?}");
        }
        writeln!(
            std::io::stderr(),
            "[faults] {}/{} {}",
            number + 1,
            rows.len(),
            row.name
        )?;
        let verdict = run(row, options.seed).await;
        writeln!(std::io::stderr(), "[faults]   {}", line(&verdict))?;
        verdicts.push(verdict);
    }
    let report = Report {
        seed: options.seed,
        verdicts: &verdicts,
    };
    writeln!(out, "{report}")?;
    Ok(report.is_green())
}
