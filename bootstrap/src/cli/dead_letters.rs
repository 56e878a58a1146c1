//! The command line of `dead-letters`.

use clap::{Args, Subcommand, ValueEnum};

/// Every reason word: of dead records, and PARKED.
const REASONS: [&str; 5] = [
    "UNDECODABLE",
    "WRONG_PARTITION",
    "NO_LOG_ROW",
    "DIFFERS_FROM_LOG",
    "PARKED",
];

/// What to do with dead records and parked events.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List entries in the order of their ids, and count them by reason.
    List(ListArgs),
    /// Show everything about one entry, and what redriving it would do.
    Show(ShowArgs),
    /// Send parked events on their way again, under their log ids. A dead record is redriven only
    /// when its event is in the change log with the same content.
    Redrive(RedriveArgs),
    /// Give entries up. A parked event becomes REJECTED for ever, with the reason given here.
    Discard(DiscardArgs),
}

/// One of the two kinds of entries.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Records of the topic that had no effect.
    Dead,
    /// Accepted events that could not be decided.
    Parked,
}

/// Which entries to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Of one kind.
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Of one partition.
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<i32>,
    /// With one reason.
    #[arg(long, value_parser = REASONS)]
    pub reason: Option<String>,
    /// Of one account.
    #[arg(long, value_name = "ID")]
    pub account: Option<i64>,
    /// Those with which something was done, too.
    #[arg(long)]
    pub all: bool,
    /// The most lines.
    #[arg(long, value_name = "LINES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Only ids behind this one, to go on after a page.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(0..))]
    pub after: Option<i64>,
    /// Print one JSON object a line; the last one holds the counts.
    #[arg(long)]
    pub json: bool,
}

/// Which entry to show.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Its id.
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub id: i64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Which entries to act on, and who does it.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Entries by their ids.
    #[arg(value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub ids: Vec<i64>,
    /// Every open parked event.
    #[arg(long, conflicts_with = "ids")]
    pub all_parked: bool,
    /// Every open entry with this reason.
    #[arg(long, value_name = "REASON", value_parser = REASONS, conflicts_with_all = ["ids", "all_parked"])]
    pub with_reason: Option<String>,
    /// Don't ask before acting on a selection.
    #[arg(long)]
    pub yes: bool,
    /// Who does it; by default the user of the operating system.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Print one JSON object a line; the last one holds the counts.
    #[arg(long)]
    pub json: bool,
}

/// What to redrive.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// Which entries.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "redriven")]
    pub note: String,
}

/// What to discard.
#[derive(Debug, Args)]
pub struct DiscardArgs {
    /// Which entries.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Why; the client of a parked event reads it as the reason of the rejection.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}
