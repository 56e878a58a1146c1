//! The task of one term.

use super::feed::{Next, ResultFeed};
use super::outlet::{Outlet, Stretch};
use super::replay::{balances_after, read_page};
use crate::port::event_codec::EventCodec;
use crate::port::event_publisher::{Delivery, PublishError};
use crate::port::event_topic::EventTopic;
use crate::port::partition_leadership::PartitionLeadership;
use crate::port::record_reader::RecordReader;
use crate::port::result_codec::FinishedEvent;
use crate::port::result_publisher::ResultPublisher;
use crate::port::result_source::ResultSource;
use crate::usecase::backoff::Backoff;
use crate::usecase::process_partition::{CacheFeed, Progress};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use futures::future::poll_immediate;
use metrics::{Counter, counter};
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Results of one partition that wait for their delivery report.
const IN_FLIGHT_MAX: usize = 10_000;

/// Batches whose results were handed over and are not known to be acknowledged.
const STRETCHES_IN_FLIGHT_MAX: usize = 16;

/// The shortest time between two writes of `results_offset`: a successor sends about so much again.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// How often cache writes under way are looked at.
const CACHE_LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often a log line says that the brokers have not acknowledged a result.
const REPORT_SAID_EVERY: Duration = Duration::from_secs(5);

/// How long to wait for room in a queue that others fill.
const ROOM_WAIT: Duration = Duration::from_millis(10);

/// What the tasks of a process share.
#[derive(Clone)]
pub(crate) struct ResultPorts {
    pub(crate) publisher: Arc<dyn ResultPublisher>,
    pub(crate) source: Arc<dyn ResultSource>,
    pub(crate) reader: Arc<dyn RecordReader>,
    pub(crate) topic: Arc<dyn EventTopic>,
    pub(crate) codec: Arc<dyn EventCodec>,
    pub(crate) leadership: Arc<dyn PartitionLeadership>,
    pub(crate) cache: Arc<CacheFeed>,
    /// How long after a commit the cache answers nothing older than it, whether it was told or not.
    pub(crate) cache_moot_after: Duration,
}

/// One term.
#[derive(Clone)]
pub(crate) struct ResultTerm {
    pub(crate) partition: PartitionId,
    pub(crate) claim: Claim,
    /// As the take-over found it.
    pub(crate) results_offset: Offset,
    pub(crate) feed: Arc<ResultFeed>,
    pub(crate) progress: Arc<Progress>,
}

/// Why the task can't go on now.
#[derive(Debug)]
pub(super) struct Trouble {
    at: &'static str,
    reason: String,
}

impl Trouble {
    pub(super) fn new(at: &'static str, reason: impl Display) -> Self {
        Self {
            at,
            reason: reason.to_string(),
        }
    }
}

/// Publishes the results of a term.
pub(crate) struct ResultTask {
    ports: ResultPorts,
    term: ResultTerm,
    /// Up to where results were handed to the producer.
    handed: Offset,
    /// What was handed over and is not known to be acknowledged, in order.
    stretches: Vec<Stretch>,
    deliveries: VecDeque<Delivery>,
    outlet: Outlet,
    /// `results_offset` as it is stored, and when it may be stored next.
    stored: Offset,
    store_at: Instant,
    /// Whether the last write of it went well.
    stores_well: bool,
    backoff: Backoff,
    /// Counts results acknowledged. Kept: it is counted far too often to be looked up each time.
    published: Counter,
}

impl ResultTask {
    pub(crate) fn new(ports: ResultPorts, term: ResultTerm) -> Self {
        let from = term.results_offset;
        term.progress.note_results(from);
        Self {
            outlet: Outlet::new(from, ports.cache_moot_after),
            handed: from,
            stretches: Vec::new(),
            deliveries: VecDeque::new(),
            stored: from,
            store_at: Instant::now(),
            stores_well: true,
            backoff: Backoff::new(),
            published: counter!("axs_results_published_total"),
            ports,
            term,
        }
    }

    /// Publishes until everything is out after `last` was cancelled: nothing is offered any more
    /// then. Unbounded in time while servers are away; it may be dropped at any moment.
    pub(crate) async fn run(mut self, last: CancellationToken) {
        loop {
            // Asked before looking: what was offered before the end is seen.
            let ending = last.is_cancelled();
            match self.step().await {
                Ok(more) => {
                    self.store(ending && !more).await;
                    if more {
                        continue;
                    }
                    if ending && self.outlet.is_empty() && self.stored == self.handed {
                        return;
                    }
                    self.rest(&last, ending).await;
                }
                Err(trouble) => self.begin_again(&trouble).await,
            }
        }
    }

    /// Hands over what comes next; `false` when there is nothing.
    async fn step(&mut self) -> Result<bool, Trouble> {
        match self.term.feed.next(self.handed) {
            Next::Batch(batch, results) => {
                let stretch = Stretch {
                    to: batch.to,
                    cache: batch.cache,
                    since: batch.learnt_at,
                };
                self.hand_over(stretch, &results).await?;
                if self.term.feed.is_empty() || self.stretches.len() >= STRETCHES_IN_FLIGHT_MAX {
                    self.settle().await?;
                }
            }
            Next::Replay { until } => {
                self.settle().await?;
                let page = read_page(&self.ports, self.term.partition, self.handed, until).await?;
                counter!("axs_results_replayed_total")
                    .increment(u64::try_from(page.results.len()).unwrap_or(u64::MAX));
                let balances = balances_after(&page.results, self.term.claim.incarnation);
                let stretch = Stretch {
                    to: page.to,
                    cache: self.ports.cache.offer(balances),
                    since: Instant::now(),
                };
                self.hand_over(stretch, &page.results).await?;
                self.settle().await?;
            }
            Next::Nothing => return self.settle().await.map(|()| false),
        }
        Ok(true)
    }

    async fn hand_over(
        &mut self,
        stretch: Stretch,
        results: &[FinishedEvent],
    ) -> Result<(), Trouble> {
        fail::fail_point!("results.before_publish");
        for finished in results {
            while self.deliveries.len() >= IN_FLIGHT_MAX {
                self.hear_oldest().await?;
            }
            let delivery = loop {
                match self.ports.publisher.enqueue(finished) {
                    Ok(delivery) => break delivery,
                    Err(PublishError::QueueFull) if self.deliveries.is_empty() => {
                        tokio::time::sleep(ROOM_WAIT).await;
                    }
                    Err(PublishError::QueueFull) => self.hear_oldest().await?,
                    Err(error) => return Err(Trouble::new("publish", error)),
                }
            };
            self.deliveries.push_back(delivery);
        }
        self.handed = stretch.to;
        self.stretches.push(stretch);
        Ok(())
    }

    async fn hear_oldest(&mut self) -> Result<(), Trouble> {
        if let Some(delivery) = self.deliveries.pop_front() {
            let mut waiting = std::pin::pin!(delivery.report());
            // Most reports are there already: a timer for each would cost more than hearing it.
            let mut heard = poll_immediate(&mut waiting).await;
            while heard.is_none() {
                heard = tokio::time::timeout(REPORT_SAID_EVERY, &mut waiting)
                    .await
                    .ok();
                if heard.is_none() {
                    tracing::warn!(
                        partition = %self.term.partition,
                        from = %self.outlet.acknowledged(),
                        "results wait for their acknowledgement"
                    );
                }
            }
            heard
                .transpose()
                .map_err(|error| Trouble::new("publish", error))?;
            self.published.increment(1);
        }
        Ok(())
    }

    /// Waits until all that was handed over is acknowledged.
    async fn settle(&mut self) -> Result<(), Trouble> {
        while !self.deliveries.is_empty() {
            self.hear_oldest().await?;
        }
        if !self.stretches.is_empty() {
            fail::fail_point!("results.after_publish");
        }
        for stretch in self.stretches.drain(..) {
            self.outlet.push(stretch);
            self.backoff = Backoff::new();
        }
        Ok(())
    }

    /// Goes back behind the last stretch that was acknowledged whole, after a pause.
    async fn begin_again(&mut self, trouble: &Trouble) {
        counter!("axs_result_failures_total", "at" => trouble.at).increment(1);
        tracing::warn!(
            partition = %self.term.partition,
            at = trouble.at,
            reason = trouble.reason,
            from = %self.outlet.acknowledged(),
            "results wait"
        );
        self.deliveries.clear();
        self.stretches.clear();
        self.handed = self.outlet.acknowledged();
        self.backoff.pause().await;
    }

    /// Stores how far results and cache writes are out, if it is time or, once nothing more comes,
    /// in any case.
    async fn store(&mut self, last: bool) {
        let now = Instant::now();
        let out = self.outlet.out_at(now);
        if out <= self.stored || (now < self.store_at && !(last && self.stores_well)) {
            return;
        }
        self.store_at = now + STORE_EVERY;
        let ResultTerm {
            partition, claim, ..
        } = self.term;
        match self
            .ports
            .leadership
            .results_out(partition, claim, out)
            .await
        {
            // Without effect when the claim is over: the successor has its own.
            Ok(_) => {
                self.stored = out;
                self.stores_well = true;
                self.term.progress.note_results(out);
            }
            Err(failure) => {
                self.stores_well = false;
                counter!("axs_result_failures_total", "at" => "store").increment(1);
                tracing::warn!(%partition, %failure, "the results offset is stored later");
            }
        }
    }

    /// Waits for something to do.
    async fn rest(&self, last: &CancellationToken, ending: bool) {
        let waits_for_cache = !self.outlet.is_empty();
        let look_at = if waits_for_cache || ending {
            Instant::now() + CACHE_LOOK_EVERY
        } else {
            self.store_at
        };
        let must_look = waits_for_cache || ending || self.stored < self.handed;
        tokio::select! {
            () = self.term.feed.changed() => {}
            () = last.cancelled(), if !ending => {}
            () = tokio::time::sleep_until(look_at), if must_look => {}
        }
    }
}
