//! `bootstrap dead-letters redrive` and `discard`.
//!
//! Exit codes: 0 everything was done or had been done before; 1 something was refused, or is
//! discarded without its result being published; 2 wrong arguments; 3 a server is away.
//!
//! Each entry is a transaction of its own: a command that is ended in between has done what it
//! printed, and is run again for the rest.

use super::select::{Selection, agreed, operator};
use crate::cli::{DiscardArgs, RedriveArgs, SelectionArgs};
use crate::exit::{Ending, UsageError};
use crate::module::layers::Layers;
use axs_application::port::dead_letters::{DeadLetterId, DeadLetters, OperatorNote};
use axs_application::port::store_error::StoreError;
use axs_application::usecase::settle_dead_letters::{SettleDeadLetters, SettleOutcome};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shaku::HasComponent;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Redrive,
    Discard,
}

/// What is to be done, with arguments that were found sound.
pub(super) struct Task {
    verb: Verb,
    selection: Selection,
    note: OperatorNote,
    json: bool,
    agreed: bool,
}

impl Task {
    /// # Errors
    /// Arguments that can't be.
    pub(super) fn redrive(args: &RedriveArgs) -> Result<Self, UsageError> {
        Self::new(Verb::Redrive, &args.selection, ("--note", &args.note))
    }

    /// # Errors
    /// Arguments that can't be.
    pub(super) fn discard(args: &DiscardArgs) -> Result<Self, UsageError> {
        Self::new(Verb::Discard, &args.selection, ("--reason", &args.reason))
    }

    fn new(
        verb: Verb,
        args: &SelectionArgs,
        (flag, why): (&str, &str),
    ) -> Result<Self, UsageError> {
        let operator = operator(args.by.as_deref())?;
        Ok(Self {
            verb,
            selection: Selection::of(args)?,
            note: OperatorNote::parse(&operator, why)
                .map_err(|error| UsageError(format!("--by, {flag}: {error}")))?,
            json: args.json,
            agreed: args.yes || !args.ids.is_empty(),
        })
    }
}

pub(super) async fn run(mut task: Task, layers: &Layers) -> anyhow::Result<Ending> {
    let dead_letters: &dyn DeadLetters = layers.repo.resolve_ref();
    let settle: &dyn SettleDeadLetters = layers.service.resolve_ref();
    let entries = task.selection.count(dead_letters).await?;
    let doing = match task.verb {
        Verb::Redrive => "redrive",
        Verb::Discard => "discard",
    };
    if entries > 0 && !task.agreed && !agreed(&format!("{doing} {entries} entries?"))? {
        return Ok(Ending::Off);
    }
    let bar = progress(doing, entries);
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let page = task.selection.page(dead_letters, after).await?;
        if page.is_empty() {
            break;
        }
        after = page.last().copied();
        for id in page {
            let outcome = act(settle, &task, id).await;
            // What was done so far is said before the failure is.
            if outcome.is_err() {
                bar.finish_and_clear();
                tally.print(task.json);
            }
            let outcome = outcome?;
            bar.suspend(|| print_outcome(id, &outcome, task.json));
            tally.count(&outcome);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    tally.print(task.json);
    Ok(tally.ending())
}

async fn act(
    settle: &dyn SettleDeadLetters,
    task: &Task,
    id: DeadLetterId,
) -> Result<SettleOutcome, StoreError> {
    match task.verb {
        Verb::Redrive => settle.redrive(id, task.note.clone()).await,
        Verb::Discard => settle.discard(id, task.note.clone()).await,
    }
}

fn progress(doing: &'static str, entries: u64) -> ProgressBar {
    let bar = ProgressBar::new(entries);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar.set_message(doing);
    bar
}

const fn word(outcome: &SettleOutcome) -> &'static str {
    match outcome {
        SettleOutcome::Redriven => "redriven",
        SettleOutcome::Discarded => "discarded",
        SettleOutcome::Settled => "settled",
        SettleOutcome::Unpublished(_) => "unpublished",
        SettleOutcome::Already(_) => "already",
        SettleOutcome::Refused(_) => "refused",
    }
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_outcome(id: DeadLetterId, outcome: &SettleOutcome, as_json: bool) {
    let word = word(outcome);
    let detail = match outcome {
        SettleOutcome::Already(detail)
        | SettleOutcome::Unpublished(detail)
        | SettleOutcome::Refused(detail) => Some(detail.as_str()),
        SettleOutcome::Settled => Some("its event was final already"),
        SettleOutcome::Redriven | SettleOutcome::Discarded => None,
    };
    if as_json {
        println!(
            "{}",
            json!({ "id": id.0, "outcome": word, "detail": detail })
        );
    } else {
        match detail {
            Some(detail) => println!("{:>8}  {word}: {detail}", id.0),
            None => println!("{:>8}  {word}", id.0),
        }
    }
}

/// How many entries came to what.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, outcome: &SettleOutcome) {
        *self.0.entry(word(outcome)).or_default() += 1;
    }

    #[expect(clippy::print_stdout, reason = "the command's own output")]
    fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", json!({ "counts": self.0 }));
        } else if self.0.is_empty() {
            println!("There was nothing to do.");
        } else {
            let counts = self.0.iter().map(|(word, count)| format!("{count} {word}"));
            println!("{}", counts.collect::<Vec<_>>().join(", "));
        }
    }

    fn ending(&self) -> Ending {
        if self.0.contains_key("refused") || self.0.contains_key("unpublished") {
            Ending::Off
        } else {
            Ending::Fine
        }
    }
}
