//! Log rows that can't be relayed, since their payload is not what their key and fingerprint say.

use axs_domain::id::{LogId, PartitionId};
use metrics::counter;
use std::time::Duration;
use tokio::time::Instant;

/// How often a log line tells of such rows: they stay until a person mends them, and every scan
/// finds them again.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What the scans of one term found of them.
#[derive(Debug, Default)]
pub(super) struct UnsoundRows {
    /// In this scan.
    found: u64,
    /// The oldest of this scan.
    first: Option<LogId>,
    said_at: Option<Instant>,
}

impl UnsoundRows {
    /// Notes one.
    pub(super) fn note(&mut self, log_id: LogId) {
        counter!("axs_relay_unsound_rows_total").increment(1);
        self.found += 1;
        self.first.get_or_insert(log_id);
    }

    /// Ends a scan, and says what it found, one line for all of them; whether it did.
    pub(super) fn say(&mut self, partition: PartitionId, now: Instant) -> bool {
        let found = std::mem::take(&mut self.found);
        let Some(log_id) = self.first.take() else {
            return false;
        };
        if self
            .said_at
            .is_some_and(|said_at| now.duration_since(said_at) < SAID_EVERY)
        {
            return false;
        }
        self.said_at = Some(now);
        tracing::error!(
            %partition,
            rows = found,
            oldest = %log_id,
            "log rows are not what their key and fingerprint say; they are passed over, and stay \
             pending until a person mends them"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::log_id;

    #[test]
    fn it_is_said_once_a_minute_however_many_there_are() {
        let start = Instant::now();
        let mut unsound = UnsoundRows::default();
        assert!(!unsound.say(PartitionId::MIN, start), "nothing was found");
        for (later, said) in [
            (Duration::ZERO, true),
            (SAID_EVERY / 2, false),
            (SAID_EVERY, true),
        ] {
            (0..1_000).for_each(|n| unsound.note(log_id(n)));
            assert_eq!(unsound.say(PartitionId::MIN, start + later), said);
        }
    }
}
