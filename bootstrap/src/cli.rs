//! The command line.

mod dead_letters;

pub use dead_letters::{
    DeadLettersCommand, DiscardArgs, Kind, ListArgs, RedriveArgs, SelectionArgs, ShowArgs,
};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// This build: its version, and the commit that it is of.
pub const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("AXS_BUILD_COMMIT"),
    ")"
);

/// AXS: the balance core of an exchange or a fintech.
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version = BUILD, about, max_term_width = 100)]
pub struct Cli {
    /// A settings file (TOML). Every key can also be set as AXS__SECTION__KEY.
    #[arg(long, env = "AXS_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API: take requests, log them, publish them, answer reads.
    Grpc,
    /// Lead partitions: decide events in batches and write them.
    Consumer,
    /// Bring the database's schema to this version. Run it before the others; it is safe to repeat.
    Migrate,
    /// Lay out shards and partitions, or show the layout.
    #[command(subcommand)]
    Layout(LayoutCommand),
    /// Open accounts, or show them.
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Register currencies, or list them.
    #[command(subcommand)]
    Currencies(CurrenciesCommand),
    /// Forget what is cached.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Submit events from a file: one JSON object a line, fields as in axs.v1.BalanceChangeEvent.
    Submit(SubmitArgs),
    /// Look through dead records and parked events, redrive or discard them.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Check that balances, ledger entries, change logs, offsets and the cache agree.
    Verify(VerifyArgs),
}

/// What to do with the layout.
#[derive(Debug, Subcommand)]
pub enum LayoutCommand {
    /// Make the layout, once, and both topics if the brokers don't have them. Safe to repeat.
    Init {
        /// A pool of shards: its name, shards and Kafka partitions, e.g. retail=36/9. May repeat.
        #[arg(long = "pool", value_name = "NAME=SHARDS/PARTITIONS", required = true)]
        pools: Vec<String>,
        /// Take topics that hold records of before, and lead on from their ends; what is on them is
        /// not read. Topics that another database claims are taken too. Without this, both are
        /// refused.
        #[arg(long)]
        adopt_records: bool,
        /// Don't claim the topics for this database. For brokers without transactions: another
        /// database is then not kept from being laid out on the same topics before they hold
        /// records.
        #[arg(long)]
        unclaimed: bool,
    },
    /// Show pools, shards, partitions and who leads them.
    Show,
    /// Raise the number of partitions while clients go on sending. Writes are refused for a moment,
    /// with a delay to try again after; run it again when it died.
    Raise {
        /// Partitions of the layout afterwards.
        #[arg(value_name = "PARTITIONS")]
        partitions: usize,
        /// A pool that grows and its partitions afterwards, e.g. retail=12. May repeat; not needed
        /// with one pool.
        #[arg(long = "pool", value_name = "NAME=PARTITIONS")]
        pools: Vec<String>,
        /// How long what is logged may take to become final; by default a minute longer than the
        /// relay needs for what was lost.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        drain_seconds: Option<u64>,
    },
    /// Lead on from the topic as it is now, after it was lost or made anew for good: what was
    /// logged and never decided is published again. Stop the API processes first.
    AdoptTopic {
        /// This partition alone, after retention removed records before they were processed.
        #[arg(long, value_name = "PARTITION")]
        partition: Option<i32>,
        /// Do it. Without this, only what would be done is shown.
        #[arg(long)]
        yes: bool,
        /// Let writing go on at once. Newer events may then overtake those that were lost.
        #[arg(long)]
        no_wait: bool,
        /// How long what is published again may take to become final.
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        drain_seconds: Option<u64>,
    },
    /// Let writing go on after a change of the layout that died, and take that change back.
    Resume,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// Open an account.
    Open {
        /// Its id, 1 or more.
        #[arg(long, value_name = "ID")]
        account: i64,
        /// The user that owns it, 1 or more.
        #[arg(long, value_name = "ID")]
        user: i64,
        /// The pool of shards it is to live in.
        #[arg(long, value_name = "NAME")]
        pool: String,
    },
    /// Show an account and its balances, as committed.
    Show {
        /// Its id.
        #[arg(long, value_name = "ID")]
        account: i64,
    },
}

/// What to do with currencies.
#[derive(Debug, Subcommand)]
pub enum CurrenciesCommand {
    /// Register a currency, or switch a registered one on or off.
    Register {
        /// Its code, e.g. USDT.
        #[arg(long)]
        code: String,
        /// Decimals that an amount of it may have, 0 to 18. Never changes.
        #[arg(long)]
        decimals: u8,
        /// Take no new changes in it.
        #[arg(long)]
        inactive: bool,
    },
    /// List the registered currencies.
    List,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Make every cached balance invalid, on the running system: after tables were put back by SQL,
    /// after the database's machine was resumed with its memory, or when `verify` says that the
    /// cache differs.
    Forget,
}

/// How to submit a file.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The file; - for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// End when everything is logged, without waiting for the results.
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for the results, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait_seconds: u64,
    /// Print every refused, rejected and parked line as it is found, not only the first 20 of each.
    #[arg(long)]
    pub all: bool,
}

/// How to verify.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}
