//! What became of a file.

use crate::cli::SubmitArgs;
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
    /// The first line that was not settled, when a signal or a failure came first.
    pub left_from: Option<u64>,
    /// The last line of those from `left_from` on that were sent and whose outcome is unknown.
    pub unknown_to: Option<u64>,
    /// Whether lines that a person has to look at are printed as they are found.
    tells_all: bool,
    /// Whether nobody waits for results.
    no_wait: bool,
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

    fn write(&self, what: &str, why_prefix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: Vec<_> = self.shown.iter().collect();
        shown.sort_unstable();
        for (line, why) in shown {
            writeln!(f, "line {line}: {what}{why_prefix}{why}")?;
        }
        let rest = self.count - self.shown.len() as u64;
        if rest > 0 {
            writeln!(
                f,
                "and {rest} more {what}; submit the same file again with --all to see every line"
            )?;
        }
        Ok(())
    }
}

/// Line numbers as ranges, e.g. `1-3, 7`, in order, the first of them when there are many.
fn ranges(mut lines: Vec<u64>) -> String {
    lines.sort_unstable();
    let mut ranges: Vec<String> = lines
        .chunk_by(|a, b| a + 1 == *b)
        .filter_map(|run| Some((run.first()?, run.last()?)))
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    if ranges.len() > SHOWN_MAX {
        ranges.truncate(SHOWN_MAX);
        ranges.push("…".to_owned());
    }
    ranges.join(", ")
}

impl Summary {
    /// An empty one, for a command that was called like this.
    pub fn of(args: &SubmitArgs) -> Self {
        Self {
            tells_all: args.all,
            no_wait: args.no_wait,
            ..Self::default()
        }
    }

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
        self.tell(line, format_args!("refused: {why}"));
        self.refused.note(line, why);
    }

    #[expect(clippy::print_stdout, reason = "the command's own output")]
    fn tell(&self, line: u64, what: impl Display) {
        if self.tells_all {
            println!("line {line}: {what}");
        }
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
            LogStatus::Parked => {
                self.tell(line, format_args!("parked: {why}"));
                self.parked.note(line, why);
            }
            LogStatus::Rejected => {
                let why = format!("{}: {why}", reason_name(code));
                self.tell(line, format_args!("rejected, {why}"));
                *self.rejected.entry(code).or_default() += 1;
                self.rejections.note(line, why);
            }
        }
        true
    }

    /// Fine when every line was taken and, if results were waited for, every event is final.
    /// Interrupted when a signal left something of that open.
    pub fn ending(&self, stopped: bool) -> Ending {
        let undecided = !self.no_wait && !self.waiting.is_empty();
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
        if !self.tells_all {
            self.refused.write("refused", ": ", f)?;
            self.rejections.write("rejected", ", ", f)?;
            self.parked.write("parked", ": ", f)?;
        }
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
        let awaited = !self.no_wait && !self.waiting.is_empty();
        if awaited {
            let lines = self.waiting.iter().map(|waiting| waiting.line).collect();
            writeln!(f, "Logged, and no result seen yet: line {}.", ranges(lines))?;
        }
        if let Some(first) = self.left_from {
            let unsent = self.unknown_to.map_or(first, |last| last + 1);
            if let Some(last) = self.unknown_to {
                writeln!(
                    f,
                    "Sent, and whether it was logged is unknown: line {}.",
                    ranges((first..=last).collect())
                )?;
            }
            writeln!(f, "Not submitted from line {unsent} on.")?;
        }
        if awaited || self.left_from.is_some() {
            writeln!(
                f,
                "Submit the same file again: that settles every line of it, and nothing is doubled."
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
    format!("{} ({code})", RejectionCode::name_of(code))
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
        assert!(text.contains("and 10 more rejected"), "{text}");
        assert!(text.contains("--all"), "{text}");
        let shown = text.lines().filter(|line| line.starts_with("line "));
        assert_eq!(shown.count(), SHOWN_MAX, "{text}");
        // Told one by one before, they are not told again.
        let mut all = Summary {
            tells_all: true,
            ..Summary::default()
        };
        all.note_result(1, &poor);
        assert!(!all.to_string().contains("line 1"), "{all}");
    }

    #[test]
    fn what_is_not_settled_is_told_by_line_and_with_what_settles_it() {
        let mut summary = Summary::default();
        for line in [9, 1, 2, 3] {
            summary.waiting.push(Waiting {
                line,
                log_id: log_id(1),
            });
        }
        summary.left_from = Some(10);
        summary.unknown_to = Some(12);
        let text = summary.to_string();
        for words in [
            "no result seen yet: line 1-3, 9.",
            "unknown: line 10-12.",
            "Not submitted from line 13 on.",
            "Submit the same file again",
        ] {
            assert!(text.contains(words), "{text} lacks {words}");
        }
        assert!(!Summary::default().to_string().contains("again"));
    }

    #[test]
    fn many_lines_are_told_by_the_first_of_them() {
        let odd = (0..100).map(|number| 2 * number + 1).collect();
        let text = ranges(odd);
        assert!(
            text.starts_with("1, 3, 5") && text.ends_with("39, …"),
            "{text}"
        );
        assert_eq!(ranges(vec![]), "");
    }

    #[test]
    fn a_signal_that_left_nothing_open_interrupted_nothing() {
        let mut summary = Summary::default();
        assert_eq!(summary.ending(true), Ending::Fine);
        summary.waiting.push(Waiting {
            line: 1,
            log_id: log_id(1),
        });
        assert_eq!(summary.ending(false), Ending::Off);
        assert_eq!(summary.ending(true), Ending::Interrupted);
        summary.no_wait = true;
        assert_eq!(summary.ending(true), Ending::Fine);
        summary.left_from = Some(4);
        assert_eq!(summary.ending(true), Ending::Interrupted);
        assert!(summary.to_string().contains("from line 4 on"), "{summary}");
    }
}
