//! What became of a file.

use crate::exit::Ending;
use axs_application::usecase::event_state::EventState;
use axs_application::usecase::submit_balance_changes::AcceptedEvent;
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use axs_domain::rejection::RejectionCode;
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// Lines of one kind that are shown with their reason; more are only counted.
const SHOWN_MAX: usize = 20;

/// An event whose result is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The line it stood on.
    pub line: u64,
    /// Its log id.
    pub log_id: LogId,
}

/// Counts over one file, and the lines that a person has to look at.
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
    pub waiting: Vec<Waiting>,
    /// The first line that was not submitted, when a signal or a failure came first.
    pub left_from: Option<u64>,
    refused: Told,
    applied: u64,
    parked: Told,
    rejected: BTreeMap<i16, u64>,
    rejections: Told,
}

/// Lines of one kind: all counted, the first of them with their reasons.
#[derive(Debug, Default)]
struct Told {
    count: u64,
    shown: Vec<(u64, String)>,
}

impl Told {
    fn note(&mut self, line: u64, why: impl Display) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push((line, why.to_string()));
        }
    }

    fn write(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: Vec<_> = self.shown.iter().collect();
        shown.sort_unstable();
        for (line, why) in shown {
            writeln!(f, "line {line}: {what}{why}")?;
        }
        let rest = self.count - self.shown.len() as u64;
        if rest > 0 {
            writeln!(f, "and {rest} more")?;
        }
        Ok(())
    }
}

impl Summary {
    /// Notes an accepted event.
    pub fn accept(&mut self, line: u64, event: &AcceptedEvent) {
        self.accepted += 1;
        self.duplicates += u64::from(event.duplicate);
        if !self.note_result(line, &event.state) {
            self.waiting.push(Waiting {
                line,
                log_id: event.log_id,
            });
        }
    }

    /// Notes a line that was not taken.
    pub fn refuse(&mut self, line: u64, why: &str) {
        self.refused.note(line, why);
    }

    /// Notes a result; `false` while there is none.
    pub fn note_result(&mut self, line: u64, state: &EventState) -> bool {
        let (code, why) = state
            .reason
            .as_ref()
            .map_or((0, ""), |reason| (reason.code, reason.message.as_str()));
        match state.status {
            LogStatus::Init => return false,
            LogStatus::Applied => self.applied += 1,
            LogStatus::Parked => self.parked.note(line, why),
            LogStatus::Rejected => {
                *self.rejected.entry(code).or_default() += 1;
                self.rejections
                    .note(line, format_args!("{}: {why}", reason_name(code)));
            }
        }
        true
    }

    /// Fine when every line was taken and, if results were waited for, every event is final.
    /// Interrupted when a signal left something of that open.
    pub fn ending(&self, no_wait: bool, stopped: bool) -> Ending {
        let undecided = !no_wait && !self.waiting.is_empty();
        if stopped && (undecided || self.left_from.is_some()) {
            Ending::Interrupted
        } else if self.refused.count > 0 || self.parked.count > 0 || undecided {
            Ending::Off
        } else {
            Ending::Fine
        }
    }

    /// Prints the table.
    #[expect(clippy::print_stdout, reason = "the command's own output")]
    pub fn print(&self) {
        print!("{self}");
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refused.write("refused: ", f)?;
        self.rejections.write("rejected, ", f)?;
        self.parked.write("parked: ", f)?;
        let mut row = |what: &str, count: u64| writeln!(f, "{what:<38} {count:>10}");
        row("lines", self.lines)?;
        row("refused", self.refused.count)?;
        row("accepted", self.accepted)?;
        row("  known before", self.duplicates)?;
        row("  applied", self.applied)?;
        for (code, count) in &self.rejected {
            row(&format!("  rejected, {}", reason_name(*code)), *count)?;
        }
        row("  parked", self.parked.count)?;
        row("  not decided yet", self.waiting.len() as u64)?;
        if let Some(line) = self.left_from {
            writeln!(
                f,
                "Not submitted from line {line} on. Run the command again: nothing is doubled."
            )?;
        }
        if self.left_to_relay {
            writeln!(
                f,
                "Some events were logged but not published; a consumer's relay publishes them."
            )?;
        }
        Ok(())
    }
}

/// The stable word of a reason with its stable number.
fn reason_name(code: i16) -> String {
    let name = RejectionCode::from_number(code).map_or("UNKNOWN", RejectionCode::name);
    format!("{name} ({code})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_application::port::change_log::RecordedReason;
    use axs_application::testkit::log_id;
    use axs_domain::time::Timestamp;

    fn state(status: LogStatus, reason: Option<(i16, &str)>) -> EventState {
        EventState {
            status,
            reason: reason.map(|(code, message)| RecordedReason {
                code,
                message: message.to_owned(),
            }),
            ..EventState::pending(Timestamp::from_unix_micros(0))
        }
    }

    #[test]
    fn what_a_person_has_to_look_at_is_told_by_line_and_reason() {
        let mut summary = Summary::default();
        let poor = state(LogStatus::Rejected, Some((1, "asked for 5 USDT")));
        assert!(summary.note_result(7, &poor));
        assert!(summary.note_result(3, &poor));
        summary.refuse(2, "no such field");
        let parked = state(LogStatus::Parked, Some((100, "the database refuses it")));
        assert!(summary.note_result(9, &parked));
        let text = summary.to_string();
        let told: Vec<&str> = text.lines().take(4).collect();
        assert_eq!(
            told,
            [
                "line 2: refused: no such field",
                "line 3: rejected, INSUFFICIENT_AVAILABLE (1): asked for 5 USDT",
                "line 7: rejected, INSUFFICIENT_AVAILABLE (1): asked for 5 USDT",
                "line 9: parked: the database refuses it",
            ]
        );
        assert!(
            text.lines()
                .any(|line| line.contains("rejected, INSUFFICIENT_AVAILABLE (1)")
                    && line.ends_with(" 2")),
            "{text}"
        );
    }

    #[test]
    fn beyond_the_bound_lines_are_only_counted() {
        let mut summary = Summary::default();
        let poor = state(LogStatus::Rejected, Some((1, "")));
        for line in 0..30 {
            summary.note_result(line, &poor);
        }
        let text = summary.to_string();
        assert!(text.contains("and 10 more"), "{text}");
        assert_eq!(text.matches("line ").count(), SHOWN_MAX, "{text}");
    }

    #[test]
    fn a_signal_that_left_nothing_open_interrupted_nothing() {
        let mut summary = Summary::default();
        assert_eq!(summary.ending(false, true), Ending::Fine);
        summary.waiting.push(Waiting {
            line: 1,
            log_id: log_id(1),
        });
        assert_eq!(summary.ending(false, false), Ending::Off);
        assert_eq!(summary.ending(false, true), Ending::Interrupted);
        assert_eq!(summary.ending(true, true), Ending::Fine);
        summary.left_from = Some(4);
        assert_eq!(summary.ending(true, true), Ending::Interrupted);
        assert!(summary.to_string().contains("from line 4 on"), "{summary}");
    }
}
