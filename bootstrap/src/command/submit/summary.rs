//! What became of a file.

use crate::exit::Ending;
use axs_application::usecase::event_state::EventState;
use axs_application::usecase::submit_balance_changes::AcceptedEvent;
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use std::collections::BTreeMap;

/// Refused lines that are shown; more are only counted.
const REFUSED_SHOWN_MAX: usize = 20;

/// Counts over one file.
#[derive(Debug, Default)]
pub struct Summary {
    /// Lines that are not blank.
    pub lines: u64,
    /// Events logged, now or earlier.
    pub accepted: u64,
    /// Events whose key was known with the same content.
    pub duplicates: u64,
    /// Whether some events were still unpublished at the end.
    pub left_to_relay: bool,
    /// Events whose result is not known yet.
    pub waiting: Vec<LogId>,
    refused: u64,
    refused_shown: Vec<String>,
    applied: u64,
    parked: u64,
    rejected: BTreeMap<i16, u64>,
}

impl Summary {
    /// Notes an accepted event.
    pub fn accept(&mut self, event: &AcceptedEvent) {
        self.accepted += 1;
        self.duplicates += u64::from(event.duplicate);
        if !self.note_result(&event.state) {
            self.waiting.push(event.log_id);
        }
    }

    /// Notes a line that was not taken.
    pub fn refuse(&mut self, line: u64, why: &str) {
        self.refused += 1;
        if self.refused_shown.len() < REFUSED_SHOWN_MAX {
            self.refused_shown.push(format!("line {line}: {why}"));
        }
    }

    /// Notes a result; `false` while there is none.
    pub fn note_result(&mut self, state: &EventState) -> bool {
        match state.status {
            LogStatus::Init => return false,
            LogStatus::Applied => self.applied += 1,
            LogStatus::Parked => self.parked += 1,
            LogStatus::Rejected => {
                let code = state.reason.as_ref().map_or(0, |reason| reason.code);
                *self.rejected.entry(code).or_default() += 1;
            }
        }
        true
    }

    /// Fine when every line was taken and, if results were waited for, every event is final.
    pub fn ending(&self, no_wait: bool) -> Ending {
        let undecided = !no_wait && !self.waiting.is_empty();
        if self.refused > 0 || self.parked > 0 || undecided {
            Ending::Off
        } else {
            Ending::Fine
        }
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "the command's own output")]
    pub fn print(&self) {
        for refused in &self.refused_shown {
            println!("{refused}");
        }
        if self.refused > self.refused_shown.len() as u64 {
            println!(
                "and {} more",
                self.refused - self.refused_shown.len() as u64
            );
        }
        println!("{:<22} {:>10}", "lines", self.lines);
        println!("{:<22} {:>10}", "refused", self.refused);
        println!("{:<22} {:>10}", "accepted", self.accepted);
        println!("{:<22} {:>10}", "  known before", self.duplicates);
        println!("{:<22} {:>10}", "  applied", self.applied);
        for (code, count) in &self.rejected {
            println!("{:<22} {count:>10}", format!("  rejected, code {code}"));
        }
        println!("{:<22} {:>10}", "  parked", self.parked);
        println!("{:<22} {:>10}", "  not decided yet", self.waiting.len());
        if self.left_to_relay {
            println!(
                "Some events were logged but not published; a consumer's relay publishes them."
            );
        }
    }
}
