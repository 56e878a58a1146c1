//! How many events were taken and refused.

use super::SubmitOutcome;
use metrics::{Counter, counter};
use std::sync::OnceLock;

/// What is counted for nearly every request, looked up once and not each time.
#[derive(Default)]
pub(super) struct Counters {
    accepted: OnceLock<Counter>,
    pub(super) backlog_refusals: OnceLock<Counter>,
}

impl Counters {
    pub(super) fn report(&self, outcomes: &[SubmitOutcome]) {
        let [mut accepted, mut duplicate, mut refused, mut unknown] = [0; 4];
        for outcome in outcomes {
            match outcome {
                SubmitOutcome::Accepted(event) if event.duplicate => duplicate += 1,
                SubmitOutcome::Accepted(_) => accepted += 1,
                SubmitOutcome::Refused(_) => refused += 1,
                SubmitOutcome::Unknown(_) => unknown += 1,
            }
        }
        if accepted > 0 {
            self.accepted
                .get_or_init(|| events_counted("accepted"))
                .increment(accepted);
        }
        for (outcome, count) in [
            ("duplicate", duplicate),
            ("refused", refused),
            ("unknown", unknown),
        ] {
            if count > 0 {
                events_counted(outcome).increment(count);
            }
        }
    }
}

fn events_counted(outcome: &'static str) -> Counter {
    counter!("axs_submitted_events_total", "outcome" => outcome)
}
