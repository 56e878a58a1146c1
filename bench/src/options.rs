//! What the command line asks for.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How to call it.
const USAGE: &str = "usage: axs-bench [--quick] [--only part,of,names] [--folder FOLDER]";

/// The options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Shorter and with fewer runs: for a look, not for figures in docs.
    pub quick: bool,
    /// Parts of names of scenarios; empty for all.
    pub only: Vec<String>,
    /// Where the report goes.
    pub folder: PathBuf,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// The usage, when they are not understood.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            quick: false,
            only: Vec::new(),
            folder: PathBuf::from("bench"),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), arguments.next_if_value(&argument)) {
                ("--quick", None) => options.quick = true,
                ("--only", Some(names)) => {
                    let names = names.split(',').map(str::trim).filter(|it| !it.is_empty());
                    options.only = names.map(str::to_owned).collect();
                }
                ("--folder", Some(folder)) => options.folder = folder.into(),
                _ => bail!("{argument} is not understood\n{USAGE}"),
            }
        }
        Ok(options)
    }

    /// Whether a scenario is asked for.
    pub fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|part| scenario.contains(part.as_str()))
    }

    /// Makes the folder where it is missing and tries to write there, before an hour is spent on
    /// figures that could not be kept.
    ///
    /// # Errors
    /// The folder, and why nothing can be written there.
    pub fn prepare_folder(&self) -> Result<()> {
        let tried = self.folder.join(".axs-bench");
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&tried, ""))
            .and_then(|()| fs::remove_file(&tried))
            .with_context(|| format!("--folder {}", self.folder.display()))
    }

    /// How the run is called by a person.
    pub fn command(&self) -> String {
        let only = self.only.join(",");
        let prefix = if only.is_empty() {
            String::new()
        } else {
            format!("BENCH={only} ")
        };
        let target = if self.quick { "bench-quick" } else { "bench" };
        format!("{prefix}make {target}")
    }

    /// How much is done.
    pub const fn effort(&self) -> Effort {
        if self.quick {
            Effort::QUICK
        } else {
            Effort::FULL
        }
    }
}

/// The value after an argument that takes one.
trait NextIfValue: Iterator<Item = String> {
    fn next_if_value(&mut self, argument: &str) -> Option<String> {
        match argument {
            "--only" | "--folder" => self.next(),
            _ => None,
        }
    }
}

impl<I: Iterator<Item = String>> NextIfValue for I {}

/// How often and how long things are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Runs of each figure.
    pub runs: usize,
    /// Runs of figures that take long and matter less.
    pub short_runs: usize,
    /// How long the base case submits.
    pub base: Duration,
    /// How long each other case submits.
    pub case: Duration,
    /// How long the base case submits where it is compared with itself under other conditions.
    pub compared: Duration,
    /// How long one load of the latency scenario lasts.
    pub latency: Duration,
    /// How long one baseline runs.
    pub baseline: Duration,
    /// Events of the drained backlog.
    pub backlog_events: u64,
    /// Events of the backlog that is drained again and again, each time in a copy of the database.
    pub copied_events: u64,
    /// Accounts of a deployment that has grown.
    pub grown_accounts: i64,
    /// Its log rows, no more than accounts.
    pub grown_log_rows: i64,
}

impl Effort {
    const FULL: Self = Self {
        runs: 5,
        short_runs: 5,
        base: Duration::from_secs(60),
        case: Duration::from_secs(8),
        compared: Duration::from_secs(16),
        latency: Duration::from_secs(20),
        baseline: Duration::from_secs(4),
        backlog_events: 1_000_000,
        copied_events: 400_000,
        grown_accounts: 10_000_000,
        grown_log_rows: 5_000_000,
    };

    const QUICK: Self = Self {
        runs: 2,
        short_runs: 1,
        base: Duration::from_secs(15),
        case: Duration::from_secs(4),
        compared: Duration::from_secs(8),
        latency: Duration::from_secs(8),
        baseline: Duration::from_secs(2),
        backlog_events: 150_000,
        copied_events: 150_000,
        grown_accounts: 1_000_000,
        grown_log_rows: 500_000,
    };
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(arguments: &[&str]) -> anyhow::Result<Options> {
        Options::parse(arguments.iter().map(|it| (*it).to_owned()))
    }

    #[test]
    fn scenarios_are_chosen_by_parts_of_their_names() {
        let options = parse(&["--quick", "--only", "end, drain"]).expect("understood");
        assert!(options.wants("end_to_end") && options.wants("drain"));
        assert!(!options.wants("accept"));
        assert_eq!(options.command(), "BENCH=end,drain make bench-quick");
        assert!(parse(&[]).expect("understood").wants("accept"));
    }

    #[test]
    fn a_missing_folder_is_made_and_one_that_can_not_be_made_is_refused_by_its_name() {
        let place = tempfile::tempdir().expect("a folder");
        let missing = place.path().join("a/b");
        let folder = missing.to_str().expect("a text");
        let options = parse(&["--folder", folder]).expect("understood");
        options.prepare_folder().expect("made");
        assert_eq!(std::fs::read_dir(&missing).expect("a folder").count(), 0);

        let file = place.path().join("file");
        std::fs::write(&file, "").expect("written");
        let inside = file.join("folder");
        let folder = inside.to_str().expect("a text");
        let options = parse(&["--folder", folder]).expect("understood");
        let refused = options.prepare_folder().expect_err("refused").to_string();
        assert_eq!(refused, format!("--folder {folder}"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(parse(&["--fast"]).is_err());
        assert!(parse(&["--only"]).is_err());
    }
}
