//! The table of faults against promises.

use super::invariant::Invariant;
use super::row::{Count, Proves};
use super::run::{TAKE_OVER_GRACE, Verdict};
use super::scene::LEASE;
use std::fmt;

/// Columns of a row's name.
const NAME_WIDTH: usize = 30;

/// Everything that ran.
#[derive(Debug)]
pub struct Report<'v> {
    /// The seed of the run.
    pub seed: u64,
    /// One for each row, in order.
    pub verdicts: &'v [Verdict],
}

impl Report<'_> {
    /// Whether every row is green.
    #[must_use]
    pub fn is_green(&self) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(Verdict::is_green)
    }
}

/// One row's line while the suite runs.
#[must_use]
pub fn line(verdict: &Verdict) -> String {
    let mark = if verdict.is_green() { "ok  " } else { "FAIL" };
    let counts: Vec<String> = Count::ALL
        .iter()
        .map(|count| {
            let number = verdict.counts.get(count).copied().unwrap_or(0);
            format!("{count} {number}")
        })
        .collect();
    let mut line = format!(
        "{mark} {:<NAME_WIDTH$} {}; quiet {:.1} s, all {:.0} s",
        verdict.name,
        counts.join(", "),
        verdict.quiet.as_secs_f64(),
        verdict.took.as_secs_f64()
    );
    for broken in Invariant::ALL {
        let count = verdict.violations.of(broken);
        if count > 0 {
            line.push_str(&format!(", {broken} broken {count} times"));
        }
    }
    if let Some(took) = verdict.take_over {
        line.push_str(&format!(", take-over {:.2} s", took.as_secs_f64()));
    }
    line
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "faults against promises, seed {}", self.seed)?;
        write!(f, "{:<NAME_WIDTH$}", "")?;
        for invariant in Invariant::ALL {
            write!(f, " {invariant:>4}")?;
        }
        writeln!(
            f,
            " | {:>5} {:>6} {:>5} {:>6} {:>6} {:>7} {:>6}",
            "inj.", "flight", "t.o.", "redel.", "refus.", "unknown", "quiet"
        )?;
        for verdict in self.verdicts {
            row(f, verdict)?;
        }
        for verdict in self.verdicts.iter().filter(|it| !it.is_green()) {
            writeln!(f, "\nFAILED {}: {}", verdict.name, verdict.fault)?;
            for fault in &verdict.faults {
                writeln!(f, "    {fault}")?;
            }
            write!(f, "{}", verdict.violations)?;
        }
        let longest = self.verdicts.iter().filter_map(|it| it.take_over).max();
        if let Some(longest) = longest {
            writeln!(
                f,
                "\ntake-over after kill -9: {:.2} s at most (lease {:.1} s + {:.0} s)",
                longest.as_secs_f64(),
                LEASE.as_secs_f64(),
                TAKE_OVER_GRACE.as_secs_f64()
            )?;
        }
        let green = self.verdicts.iter().filter(|it| it.is_green()).count();
        let took: f64 = self.verdicts.iter().map(|it| it.took.as_secs_f64()).sum();
        write!(
            f,
            "{green} of {} rows green; {took:.0} s",
            self.verdicts.len()
        )
    }
}

fn row(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    write!(f, "{:<NAME_WIDTH$}", verdict.name)?;
    for invariant in Invariant::ALL {
        let broken = verdict.violations.of(invariant) > 0;
        let mark = match (verdict.proves, broken) {
            (Proves::Kept, false) => "ok",
            (Proves::Kept, true) => "FAIL",
            // A guard was left out: what it guards must be seen broken.
            (Proves::Caught(_), true) => "seen",
            (Proves::Caught(by), false) if by.contains(&invariant) => "?",
            (Proves::Caught(_), false) => "-",
        };
        write!(f, " {mark:>4}")?;
    }
    let number = |count: Count| verdict.counts.get(&count).copied().unwrap_or(0);
    writeln!(
        f,
        " | {:>5} {:>6} {:>5} {:>6} {:>6} {:>7} {:>4.1} s{}",
        number(Count::Injections),
        number(Count::InFlight),
        number(Count::TakeOvers),
        number(Count::Redeliveries),
        number(Count::Refusals),
        number(Count::Unknown),
        verdict.quiet.as_secs_f64(),
        if verdict.is_green() { "" } else { "  FAILED" }
    )
}
