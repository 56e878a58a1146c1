//! Whether the records of a led partition come, and how far behind it is: each look sets the lag
//! gauges.
//!
//! A process may reach the database, and the brokers that describe the topic, and not the one that
//! leads a partition's log. It would keep the lease for ever and read nothing. So each term looks
//! at its log, and when the worker waits for one and the same record all the time, although
//! - the log's bounds can't be had, or
//! - a record stands there,
//!
//! it says so, and after [`READING_LOST_MAX`] ends the term. The partition then rests here for
//! [`LeadSettings::out_of_reach_pause`], and another consumer may lead it. Where none can read it,
//! each that takes it over holds it for [`READING_LOST_MAX`], and each that can't take it over
//! tries less and less often ([`LeadSettings::retry_pause`]): it changes hands slowly.
//!
//! What is no trouble of reading ends no term: a worker that waits for the database, or that is
//! behind.
//!
//! [`LeadSettings::out_of_reach_pause`]: super::LeadSettings
//! [`LeadSettings::retry_pause`]: super::LeadSettings

use super::settings::READING_LOST_MAX;
use crate::port::clock::Clock;
use crate::port::event_topic::EventTopic;
use crate::port::record_reader::RecordReader;
use crate::usecase::process_partition::Progress;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::time::Monotonic;
use metrics::{Gauge, counter, gauge};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often the end of the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the bounds of a log, or one record of it, may take to be had.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// The watch of one term.
pub(super) struct ReadingWatch {
    pub(super) partition: PartitionId,
    pub(super) topic: Arc<dyn EventTopic>,
    pub(super) reader: Arc<dyn RecordReader>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) progress: Arc<Progress>,
}

/// Nothing was read since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stall {
    /// The record that the worker waits for.
    at: Offset,
    since: Monotonic,
}

/// What one look shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Records come, or there is none to come, or none is waited for.
    Fine,
    /// The log goes on behind the record that the worker waits for, to this end.
    GoesOn(Offset),
    /// The log can't be looked at.
    Unreachable(String),
}

impl ReadingWatch {
    /// Looks until nothing can be read any more, and gives the reason.
    pub(super) async fn run(self) -> String {
        let lag = LagGauges::of(self.partition);
        let mut stall: Option<Stall> = None;
        let mut said = false;
        // Up to there the log holds no record behind the one that is waited for.
        let mut empty_to = Offset::MIN;
        loop {
            let asked_at = self.clock.monotonic();
            let (seen, waits_for) = self.look(empty_to).await;
            lag.tell(&self.progress);
            let stalled = match (seen, waits_for) {
                (Seen::Fine, _) | (_, None) => None,
                (seen, Some(at)) => Some((seen, at)),
            };
            let Some((seen, at)) = stalled else {
                if said {
                    tracing::info!(partition = %self.partition, "records come again");
                }
                (stall, said) = (None, false);
                sleep(LOOK_EVERY).await;
                continue;
            };
            let before = stall.filter(|before| before.at == at);
            said &= before.is_some();
            let since = before.map_or(asked_at, |before| before.since);
            stall = Some(Stall { at, since });
            // A record may just be on its way: what the next look still sees is no accident.
            if before.is_some() {
                let lasts = asked_at.since(since);
                match self.why(seen, at).await {
                    Err(end) => {
                        (stall, empty_to) = (None, end);
                    }
                    Ok(why) if lasts >= READING_LOST_MAX => {
                        counter!("axs_reading_lost_total").increment(1);
                        return format!("for {} s, {why}", lasts.as_secs());
                    }
                    Ok(why) if !said => {
                        said = true;
                        tracing::warn!(
                            partition = %self.partition,
                            offset = %at,
                            why,
                            gives_up_after_ms = READING_LOST_MAX.as_millis(),
                            "nothing is read of a partition that is led here"
                        );
                    }
                    Ok(_) => {}
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Looks at the log, and at what the worker waits for before and after.
    async fn look(&self, empty_to: Offset) -> (Seen, Option<Offset>) {
        let before = self.progress.waits_for();
        let bounds = timeout(ANSWER_WAIT_MAX, self.topic.bounds(self.partition)).await;
        let waits_for = self.progress.waits_for().filter(|at| before == Some(*at));
        let seen = match bounds {
            Ok(Ok(log)) => {
                self.progress.note_log_end(log.end);
                match waits_for {
                    Some(at) if at.max(empty_to) < log.end => Seen::GoesOn(log.end),
                    _ => Seen::Fine,
                }
            }
            Ok(Err(failure)) => Seen::Unreachable(failure.to_string()),
            Err(_) => Seen::Unreachable(no_answer()),
        };
        (seen, waits_for)
    }

    /// Why the record is not read.
    ///
    /// # Errors
    /// No record stands there up to this offset: the log may end in offsets without one.
    async fn why(&self, seen: Seen, at: Offset) -> Result<String, Offset> {
        let end = match seen {
            Seen::Unreachable(why) => return Ok(format!("the log's bounds can't be had: {why}")),
            Seen::Fine => return Err(at),
            Seen::GoesOn(end) => end,
        };
        let goes_on = format!("the log goes on from offset {at} to {end}");
        let read = self.reader.read(self.partition, at, end, 1);
        match timeout(ANSWER_WAIT_MAX, read).await {
            Ok(Ok(records)) if records.is_empty() => Err(end),
            Ok(Ok(_)) => Ok(format!("{goes_on}, and the source gives no record")),
            Ok(Err(failure)) => Ok(format!("{goes_on}, and can't be read: {failure}")),
            Err(_) => Ok(format!("{goes_on}, and can't be read: {}", no_answer())),
        }
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs())
}

/// The lag of a led partition. With the term it ends, and the leader tells of it.
struct LagGauges {
    records: Gauge,
    results: Gauge,
}

impl LagGauges {
    fn of(partition: PartitionId) -> Self {
        Self {
            records: gauge!("axs_partition_lag_records", "partition" => partition.to_string()),
            results: gauge!("axs_results_lag_records", "partition" => partition.to_string()),
        }
    }

    /// A broker that is away leaves the last end of the log standing.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; a lag is far below 2^53"
    )]
    fn tell(&self, progress: &Progress) {
        if let Some(lag) = progress.lag() {
            self.records.set(lag as f64);
        }
        self.results
            .set(progress.results_lag().unwrap_or_default() as f64);
    }
}

impl Drop for LagGauges {
    fn drop(&mut self) {
        self.records.set(0.0);
        self.results.set(0.0);
    }
}
