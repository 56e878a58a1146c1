//! `bootstrap verify`: does everything that is stored tell one story?

use super::start::wait_for_schema;
use crate::cli::VerifyArgs;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use axs_application::usecase::verify_ledger::{
    Differences, VerifyLedger, VerifyProgress, VerifyReport,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shaku::HasComponent;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often the time that has passed is drawn anew: one page of a large ledger takes a while.
const REDRAWN_EVERY: Duration = Duration::from_secs(1);

/// Progress messages that wait to be drawn; more are dropped.
const PROGRESS_WAITING_MAX: usize = 16;

/// Compares balances, entries, change logs, offsets and the cache. Without the cache the rest is
/// compared, and the ending says that it was not all.
///
/// # Errors
/// PostgreSQL is away, or nothing is laid out; nothing is verified then.
pub async fn run(args: &VerifyArgs, settings: Settings) -> anyhow::Result<Ending> {
    let clients = Clients::default()
        .with_database(&settings)?
        .with_cache(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    let (progress, seen) = mpsc::channel(PROGRESS_WAITING_MAX);
    let drawing = tokio::spawn(draw(seen));
    let verify: &dyn VerifyLedger = layers.service.resolve_ref();
    let began = Instant::now();
    let report = verify.verify(progress).await;
    drawing.await?;
    let report = report?;
    if args.json {
        print_json(&report, began.elapsed());
    } else {
        print_table(&report, began.elapsed());
    }
    Ok(ending(
        report.differences.count(),
        report.cache_left_out.as_deref(),
    ))
}

/// A difference is a finding whatever could not be compared; without one, a comparison that is not
/// whole is not done.
fn ending(differences: u64, left_out: Option<&str>) -> Ending {
    if differences > 0 {
        Ending::Off
    } else if left_out.is_some() {
        Ending::Unfinished
    } else {
        Ending::Fine
    }
}

/// The last line: whether all agrees, and what was not compared.
fn verdict(differences: u64, notes: u64, left_out: Option<&str>) -> String {
    let left_out = left_out.map(|reason| format!("the cache was not compared: {reason}"));
    match (differences, left_out) {
        (0, None) if notes == 0 => "Everything agrees.".to_owned(),
        (0, None) => "Everything agrees. See the notes for what was not compared.".to_owned(),
        (0, Some(left_out)) => format!("Everything compared agrees; {left_out}"),
        (count, None) => format!("{count} differences."),
        (count, Some(left_out)) => format!("{count} differences; {left_out}"),
    }
}

/// Drawn on standard error, and only when that is a terminal.
async fn draw(mut seen: mpsc::Receiver<VerifyProgress>) {
    let bar = ProgressBar::new(100);
    let template = "verify {wide_bar} {percent:>3} %  {msg}  {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(REDRAWN_EVERY);
    let began = Instant::now();
    while let Some(progress) = seen.recv().await {
        // The planner's figures may be old: shards are always counted exactly.
        let shards = progress.shards_done as u64 * 100 / (progress.shards as u64).max(1);
        let share = match progress.events_expected {
            0 => shards,
            expected => (progress.events * 100 / expected).clamp(shards.min(99), 99),
        };
        bar.set_position(share);
        let rate = u128::from(progress.rows) * 1_000 / began.elapsed().as_millis().max(1);
        bar.set_message(format!(
            "shard {}/{}, {} rows, {rate} rows/s",
            progress.shards_done, progress.shards, progress.rows,
        ));
    }
    bar.finish_and_clear();
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_table(report: &VerifyReport, took: Duration) {
    let rows = [
        ("balances", report.balances),
        ("ledger entries", report.entries),
        ("events", report.events),
        ("  of them pending", report.pending),
        ("  of them parked", report.parked),
        ("payloads", report.payloads),
        ("dead letters", report.dead_letters),
    ];
    for (what, count) in rows {
        println!("{what:<22} {count:>12}");
    }
    match report.cached_accounts {
        Some(accounts) => println!("{:<22} {accounts:>12}", "cached accounts"),
        None => println!("{:<22} {:>12}", "cached accounts", "not compared"),
    }
    println!("{:<22} {:>12.1}", "seconds", took.as_secs_f64());
    println!(
        "\n{:<16} {:>40} {:>40}",
        "currency", "balances", "applied deltas"
    );
    for (currency, total) in &report.totals {
        println!(
            "{:<16} {:>40} {:>40}",
            currency.as_str(),
            total.balances,
            total.entries
        );
    }
    println!();
    if report.retired > 0 {
        println!(
            "Payload retired: {} events checked without content.",
            report.retired
        );
    }
    for note in report.notes.named() {
        println!("NOTE: {note}");
    }
    let unnamed = report.notes.count() - report.notes.named().len() as u64;
    if unnamed > 0 {
        println!("NOTE: and {unnamed} more");
    }
    for difference in report.differences.named() {
        println!("DIFFERS ({}): {}", difference.kind, difference.what);
    }
    for (kind, count) in report.differences.counts() {
        if *count > u64::from(Differences::NAMED_MAX) {
            println!(
                "DIFFERS ({kind}): and {} more",
                count - u64::from(Differences::NAMED_MAX)
            );
        }
    }
    if !report.differences.is_empty() {
        println!();
        for (kind, count) in report.differences.counts() {
            println!("{:<22} {count:>12}", kind.word());
        }
    }
    let verdict = verdict(
        report.differences.count(),
        report.notes.count(),
        report.cache_left_out.as_deref(),
    );
    println!("{verdict}");
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_json(report: &VerifyReport, took: Duration) {
    let totals: Vec<_> = report
        .totals
        .iter()
        .map(|(currency, total)| {
            json!({
                "currency": currency.as_str(),
                "balances": total.balances.to_string(),
                "entries": total.entries.to_string(),
            })
        })
        .collect();
    let findings: Vec<_> = report
        .differences
        .named()
        .iter()
        .map(|difference| json!({"kind": difference.kind.word(), "what": difference.what}))
        .collect();
    let counts: serde_json::Map<_, _> = report
        .differences
        .counts()
        .iter()
        .map(|(kind, count)| (kind.word().to_owned(), json!(count)))
        .collect();
    let not_compared: Vec<_> = report
        .cache_left_out
        .iter()
        .map(|reason| json!({"what": "cache", "reason": reason}))
        .collect();
    println!(
        "{}",
        json!({
            "balances": report.balances,
            "entries": report.entries,
            "events": report.events,
            "pending": report.pending,
            "parked": report.parked,
            "retired": report.retired,
            "payloads": report.payloads,
            "dead_letters": report.dead_letters,
            "cached_accounts": report.cached_accounts,
            "not_compared": not_compared,
            "totals": totals,
            "differences": report.differences.count(),
            "counts": counts,
            "findings": findings,
            "notes": report.notes.named(),
            "notes_count": report.notes.count(),
            "seconds": took.as_secs_f64(),
        })
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_compared_is_said_in_the_last_line_and_is_not_called_fine() {
        let away = Some("Redis is away");
        let rows = [
            (0, None, Ending::Fine, "Everything agrees."),
            (
                0,
                away,
                Ending::Unfinished,
                "Everything compared agrees; the cache was not compared: Redis is away",
            ),
            (7, None, Ending::Off, "7 differences."),
            (
                7,
                away,
                Ending::Off,
                "7 differences; the cache was not compared: Redis is away",
            ),
        ];
        for (differences, left_out, expected, words) in rows {
            assert_eq!(ending(differences, left_out), expected, "{words}");
            assert_eq!(verdict(differences, 0, left_out), words);
        }
        assert!(verdict(0, 1, None).contains("See the notes"));
    }
}
