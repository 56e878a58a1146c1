//! `bootstrap verify`: does everything that is stored tell one story?

use super::start::wait_for_schema;
use crate::cli::VerifyArgs;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use axs_application::usecase::verify_ledger::{VerifyLedger, VerifyProgress, VerifyReport};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shaku::HasComponent;
use tokio::sync::mpsc;

/// Progress messages that wait to be drawn; more are dropped.
const PROGRESS_WAITING_MAX: usize = 16;

/// Compares balances, entries, change logs, offsets and the cache.
///
/// # Errors
/// PostgreSQL is away; nothing is verified then.
pub async fn run(args: &VerifyArgs, settings: Settings) -> anyhow::Result<Ending> {
    let clients = Clients::default()
        .with_database(&settings)?
        .with_cache(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    let (progress, seen) = mpsc::channel(PROGRESS_WAITING_MAX);
    let drawing = tokio::spawn(draw(seen));
    let verify: &dyn VerifyLedger = layers.service.resolve_ref();
    let report = verify.verify(progress).await;
    drawing.await?;
    let report = report?;
    if args.json {
        print_json(&report);
    } else {
        print_table(&report);
    }
    Ok(if report.findings.is_empty() {
        Ending::Fine
    } else {
        Ending::Off
    })
}

async fn draw(mut seen: mpsc::Receiver<VerifyProgress>) {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("verify {wide_bar} shard {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    while let Some(progress) = seen.recv().await {
        bar.set_length(progress.shards as u64);
        bar.set_position(progress.shards_done as u64);
        bar.set_message(format!("{} events", progress.events));
    }
    bar.finish_and_clear();
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_table(report: &VerifyReport) {
    println!("{:<22} {:>12}", "balances", report.balances);
    println!("{:<22} {:>12}", "ledger entries", report.entries);
    println!("{:<22} {:>12}", "events", report.events);
    println!("{:<22} {:>12}", "  of them pending", report.pending);
    println!("{:<22} {:>12}", "  of them parked", report.parked);
    match report.cached_accounts {
        Some(accounts) => println!("{:<22} {accounts:>12}", "cached accounts"),
        None => println!(
            "{:<22} {:>12}",
            "cached accounts", "not checked: the cache is away"
        ),
    }
    println!(
        "\n{:<16} {:>40} {:>40}",
        "currency", "balances", "applied deltas"
    );
    for total in &report.totals {
        println!(
            "{:<16} {:>40} {:>40}",
            total.currency.as_str(),
            total.balances,
            total.entries
        );
    }
    println!();
    for note in &report.notes {
        println!("NOTE: {note}");
    }
    for finding in &report.findings {
        println!("DIFFERS: {finding}");
    }
    match report.findings.len() {
        0 => println!("Everything agrees."),
        count => println!("{count} differences."),
    }
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_json(report: &VerifyReport) {
    let totals: Vec<_> = report
        .totals
        .iter()
        .map(|total| {
            json!({
                "currency": total.currency.as_str(),
                "balances": total.balances,
                "entries": total.entries,
            })
        })
        .collect();
    println!(
        "{}",
        json!({
            "balances": report.balances,
            "entries": report.entries,
            "events": report.events,
            "pending": report.pending,
            "parked": report.parked,
            "cached_accounts": report.cached_accounts,
            "totals": totals,
            "findings": report.findings,
            "notes": report.notes,
        })
    );
}
