//! What a person reads at the end, and what a program reads on the last line.

use axs_tests::replay::{Mismatches, Percentiles};
use serde::Serialize;
use std::fmt;

/// The last line.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Events sent, copies and faulty ones included.
    pub submitted: u64,
    /// Events known under their key.
    pub duplicates: u64,
    /// Events not taken.
    pub refused: u64,
    /// New events that took effect.
    pub applied: u64,
    /// New events decided to have no effect.
    pub rejected: u64,
    /// Records without effect on the topic.
    pub dead_letters: u64,
    /// Balances compared with the model, each as committed and as cached.
    pub balances_checked: u64,
    /// Outcomes compared with the model, with entries or reason.
    pub outcomes_checked: u64,
    /// What was not as the model says.
    pub mismatches: u64,
    /// From the first submit to the last final result.
    pub seconds: f64,
    /// Final results a second over that time.
    pub events_per_second: f64,
    /// From submit to a client seeing the result, half of the samples, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The same, 99 of a hundred samples.
    pub p99_ms: Option<f64>,
    /// From submit to the decision's time in PostgreSQL, half of all events, in milliseconds.
    pub decided_p50_ms: Option<f64>,
    /// The same, 99 of a hundred events.
    pub decided_p99_ms: Option<f64>,
    /// Which Kafka: apache or mock.
    pub kafka: &'static str,
    /// The session's seed.
    pub seed: u64,
}

/// The whole report.
#[derive(Debug)]
pub struct Report {
    /// The last line.
    pub summary: Summary,
    /// What is not as the model says.
    pub mismatches: Mismatches,
    /// Submit to final, as a client that keeps asking sees it.
    pub seen: Option<Percentiles>,
    /// Submit, by our clock, to decision, by PostgreSQL's: all events.
    pub decided: Option<Percentiles>,
    /// What `bootstrap verify` said, and whether it found nothing.
    pub verify: (bool, String),
    /// More lines: a name and what was read or counted.
    pub facts: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether nothing is off.
    pub fn is_sound(&self) -> bool {
        let expected = self.summary.duplicates
            + self.summary.refused
            + self.summary.applied
            + self.summary.rejected;
        self.mismatches.is_empty()
            && self.summary.dead_letters == 0
            && self.verify.0
            && self.summary.submitted == expected
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        let counts = [
            ("events submitted", summary.submitted),
            ("  applied", summary.applied),
            ("  rejected, with a reason", summary.rejected),
            ("  duplicates of a key", summary.duplicates),
            ("  refused, never logged", summary.refused),
            ("dead letters", summary.dead_letters),
            ("balances compared, twice", summary.balances_checked),
            ("outcomes compared", summary.outcomes_checked),
            ("mismatches", summary.mismatches),
        ];
        writeln!(f)?;
        for (name, count) in counts {
            writeln!(f, "  {name:<38}{count:>10}")?;
        }
        writeln!(
            f,
            "  {:<38}{:>10.2}",
            "first submit to last final, s", summary.seconds
        )?;
        writeln!(
            f,
            "  {:<38}{:>10.0}",
            "final events a second", summary.events_per_second
        )?;
        for (name, percentiles) in [
            ("submit to final, seen by clients, ms", self.seen),
            ("submit to decision's time, all, ms", self.decided),
        ] {
            if let Some(Percentiles { p50, p99, count }) = percentiles {
                let (p50, p99) = (p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
                writeln!(f, "  {name:<38}p50 {p50:.1}, p99 {p99:.1} of {count}")?;
            }
        }
        for (name, fact) in &self.facts {
            writeln!(f, "  {name:<38}{fact}")?;
        }
        let (sound, text) = &self.verify;
        writeln!(
            f,
            "  {:<38}{}",
            "bootstrap verify",
            if *sound { "fine" } else { "FOUND SOMETHING" }
        )?;
        if !sound {
            writeln!(f, "{text}")?;
        }
        if !self.mismatches.is_empty() {
            writeln!(f, "\n  {}", self.mismatches)?;
        }
        Ok(())
    }
}
