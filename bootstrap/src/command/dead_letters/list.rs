//! `bootstrap dead-letters list`.

use crate::cli::{Kind, ListArgs};
use crate::exit::{Ending, UsageError};
use crate::module::layers::Layers;
use axs_application::port::dead_letters::{
    DeadLetterFilter, DeadLetterId, DeadLetterKind, DeadLetterSummary, DeadLetters, ReasonCount,
};
use axs_domain::id::{AccountId, PartitionId};
use serde_json::{Value, json};
use shaku::HasComponent;

/// So much of a message fits into a line of the table.
const MESSAGE_CHARS_MAX: usize = 60;

/// What the arguments ask for.
///
/// # Errors
/// A number that can't be.
pub(super) fn filter(args: &ListArgs) -> Result<DeadLetterFilter, UsageError> {
    let partition = args.partition.map(PartitionId::try_new).transpose();
    let account_id = args.account.map(AccountId::try_new).transpose();
    Ok(DeadLetterFilter {
        kind: args.kind.map(|kind| match kind {
            Kind::Dead => DeadLetterKind::Dead,
            Kind::Parked => DeadLetterKind::Parked,
        }),
        partition: partition.map_err(|error| UsageError(format!("--partition {error}")))?,
        reason: args.reason.clone(),
        account_id: account_id.map_err(|error| UsageError(format!("--account {error}")))?,
        open_only: !args.all,
    })
}

pub(super) async fn run(
    args: &ListArgs,
    filter: DeadLetterFilter,
    layers: &Layers,
) -> anyhow::Result<Ending> {
    let dead_letters: &dyn DeadLetters = layers.repo.resolve_ref();
    let after = args.after.map(DeadLetterId);
    let page = dead_letters.list(filter.clone(), after, args.limit).await?;
    let counts = dead_letters.count_by_reason(filter).await?;
    // A full page may have more behind it.
    let next = page
        .last()
        .filter(|_| u32::try_from(page.len()).is_ok_and(|lines| lines == args.limit))
        .map(|last| last.id);
    if args.json {
        print_json(&page, &counts, next);
    } else {
        print_table(&page, &counts, next);
    }
    Ok(Ending::Fine)
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_table(page: &[DeadLetterSummary], counts: &[ReasonCount], next: Option<DeadLetterId>) {
    if !page.is_empty() {
        println!(
            "{:>8}  {:<6} {:<9} {:>9} {:>12} {:>12}  {:<27}  {:<16} message",
            "id", "kind", "state", "partition", "offset", "account", "at", "reason"
        );
    }
    for entry in page {
        let account = entry.account_id.map_or("-".to_owned(), |id| id.to_string());
        let message: String = entry.message.chars().take(MESSAGE_CHARS_MAX).collect();
        println!(
            "{:>8}  {:<6} {:<9} {:>9} {:>12} {account:>12}  {:<27}  {:<16} {message}",
            entry.id.0,
            entry.kind.word(),
            entry.state.word(),
            entry.partition.value(),
            entry.offset.value(),
            entry.at.to_string(),
            entry.reason,
        );
    }
    if let Some(next) = next {
        println!("there may be more: --after {next}");
    }
    if counts.is_empty() {
        println!("Nothing waits.");
    }
    for count in counts {
        println!("{:<16} {:>8}", count.reason, count.entries);
    }
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_json(page: &[DeadLetterSummary], counts: &[ReasonCount], next: Option<DeadLetterId>) {
    for entry in page {
        println!("{}", summary_json(entry));
    }
    let counts: serde_json::Map<String, Value> = counts
        .iter()
        .map(|count| (count.reason.clone(), json!(count.entries)))
        .collect();
    println!(
        "{}",
        json!({ "counts": counts, "next": next.map(|id| id.0) })
    );
}

/// An entry's line as JSON.
pub(super) fn summary_json(entry: &DeadLetterSummary) -> Value {
    json!({
        "id": entry.id.0,
        "kind": entry.kind.word(),
        "state": entry.state.word(),
        "partition": entry.partition.value(),
        "offset": entry.offset.value(),
        "log_id": entry.log_id.map(|id| id.to_string()),
        "account_id": entry.account_id.map(|id| id.value()),
        "reason": entry.reason,
        "message": entry.message,
        "at": entry.at.to_string(),
        "times": entry.times,
    })
}
