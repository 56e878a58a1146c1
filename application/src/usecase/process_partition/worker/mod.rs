//! The pipeline of one partition: one batch in flight, the next one decided on it.

mod settle;
mod take_in;

use crate::port::balance_store::BalanceStore;
use crate::port::batch_writer::BatchWriter;
use crate::port::clock::Clock;
use crate::port::event_codec::EventCodec;
use crate::port::record_source::{InboundRecord, SourceEvent};
use crate::usecase::left_out;
use crate::usecase::process_partition::cache_feed::CacheFeed;
use crate::usecase::process_partition::draft::Draft;
use crate::usecase::process_partition::flight::{InFlight, write_end};
use crate::usecase::process_partition::item::Item;
use crate::usecase::process_partition::lease_watch::LeaseWatch;
use crate::usecase::process_partition::memory::BalanceMemory;
use crate::usecase::process_partition::meter::{self, Stage};
use crate::usecase::process_partition::preload::{BalancePreload, PreloadTurns};
use crate::usecase::process_partition::progress::Progress;
use crate::usecase::process_partition::set_aside::SetAside;
use crate::usecase::process_partition::settings::ProcessSettings;
use crate::usecase::process_partition::stop::StopReason;
use crate::usecase::process_partition::write::{WriteTools, write_to_the_end};
use crate::usecase::publish_results::ResultFeed;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::rule::BalanceRuleSet;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often in a row a batch is decided again because balances moved under the leader. Once may
/// be the trace of a predecessor; twice is a second writer.
const MOVED_RETRIES_MAX: u32 = 1;

/// After a batch the next one gathers for this part of the time that the one took to write, until
/// the interval of the settings at most. So when the store is busy, batches take longer, come
/// seldom and grow.
const PAUSE_DIVISOR: u32 = 3;

/// So many waiting records are decided at once, even if their batch may not begin yet. Fewer wait
/// until it may: balances that are not remembered are then read by one query, and not by one for
/// every few records.
const DECIDED_EARLY_MIN: usize = 500;

/// What every worker of a process shares.
#[derive(Clone)]
pub(crate) struct WorkerPorts {
    pub(crate) codec: Arc<dyn EventCodec>,
    pub(crate) balances: Arc<dyn BalanceStore>,
    pub(crate) writer: Arc<dyn BatchWriter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Arc<CacheFeed>,
    pub(crate) rules: Arc<BalanceRuleSet>,
    pub(crate) preload_turns: PreloadTurns,
    pub(crate) settings: ProcessSettings,
}

/// One term of leading one partition.
#[derive(Clone)]
pub(crate) struct WorkerTerm {
    pub(crate) partition: PartitionId,
    pub(crate) claim: Claim,
    pub(crate) layout: Arc<Layout>,
    pub(crate) lease: Arc<LeaseWatch>,
    pub(crate) progress: Arc<Progress>,
    /// Records in a row that came to nothing before this term.
    pub(crate) poison_run: usize,
    /// Where the term's committed batches go.
    pub(crate) results: Arc<ResultFeed>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerEnd {
    pub(crate) reason: StopReason,
    /// Records in a row that came to nothing, for the next term: stopping and starting again must
    /// not wear a run of poison down.
    pub(crate) poison_run: usize,
}

/// The single writer of one partition.
pub(crate) struct Worker {
    ports: WorkerPorts,
    term: WorkerTerm,
    memory: BalanceMemory,
    preload: BalancePreload,
    /// The stored offset, and the run of poison that ends there.
    committed: Offset,
    committed_run: usize,
    in_flight: Option<InFlight>,
    /// What is decided on top of the batch in flight.
    draft: Draft,
    /// Since when records gather, decided or not.
    gathers_since: Instant,
    /// When the next batch may begin at the earliest.
    next_write: Instant,
    /// The draft takes nothing more.
    sealed: bool,
    /// The run of poison at the end of the draft.
    poison_run: usize,
    /// Records to be decided again, before any new one. Each group becomes a batch of its own.
    redo: VecDeque<Vec<Item>>,
    /// Records read and not yet looked at.
    inbox: VecDeque<InboundRecord>,
    /// The smallest offset that the source may give next.
    next_read: Offset,
    moved_in_a_row: u32,
    set_aside: SetAside,
    /// Why to end once everything taken in is written.
    ending: Option<StopReason>,
}

impl Worker {
    pub(crate) fn new(ports: WorkerPorts, term: WorkerTerm) -> Self {
        let committed = term.progress.stored_offset();
        let shards_to_preload = if ports.settings.preload_balances {
            term.layout.shards_of(term.partition)
        } else {
            Vec::new()
        };
        Self {
            memory: BalanceMemory::new(ports.settings.memory_balances_max),
            preload: BalancePreload::new(
                Arc::clone(&ports.balances),
                ports.preload_turns.clone(),
                term.partition,
                term.claim.incarnation,
                shards_to_preload,
            ),
            committed,
            committed_run: term.poison_run,
            in_flight: None,
            draft: Draft::default(),
            gathers_since: Instant::now(),
            next_write: Instant::now(),
            sealed: false,
            poison_run: term.poison_run,
            redo: VecDeque::new(),
            inbox: VecDeque::new(),
            next_read: committed,
            moved_in_a_row: 0,
            set_aside: SetAside::new(term.partition),
            ending: None,
            ports,
            term,
        }
    }

    /// Works until a reason to stop. `drain` asks for an orderly end: the batch in flight is
    /// finished, what is only decided is left to the successor.
    pub(crate) async fn run(
        mut self,
        mut source: mpsc::Receiver<SourceEvent>,
        drain: CancellationToken,
    ) -> WorkerEnd {
        let reason = match self.work(&mut source, &drain).await {
            Ok(reason) => reason,
            Err(reason) => {
                self.finish_in_flight().await;
                reason
            }
        };
        self.set_aside.tell_rest();
        meter::stopped(self.term.partition, &reason);
        WorkerEnd {
            reason,
            poison_run: self.committed_run,
        }
    }

    async fn work(
        &mut self,
        source: &mut mpsc::Receiver<SourceEvent>,
        drain: &CancellationToken,
    ) -> Result<StopReason, StopReason> {
        loop {
            let draining = drain.is_cancelled();
            if draining {
                self.drop_undecided();
            } else {
                if self.decides_now() {
                    self.fill_draft().await?;
                }
                self.write_when_ready()?;
            }
            if self.is_idle() {
                if draining {
                    return Ok(StopReason::Drained);
                }
                if let Some(reason) = self.ending.take() {
                    return Ok(reason);
                }
            }
            let wants_records = !draining && self.wants_records();
            let lingering = !draining && self.in_flight.is_none() && self.gathers();
            let linger_ends = self.write_due();
            let waits = wants_records && self.is_idle();
            self.term
                .progress
                .note_waiting(waits.then_some(self.next_read));
            tokio::select! {
                biased;
                () = drain.cancelled(), if !draining => {}
                end = write_end(&mut self.in_flight), if self.in_flight.is_some() => {
                    self.settle(end, draining)?;
                }
                event = source.recv(), if wants_records => self.take_event(event),
                () = tokio::time::sleep_until(linger_ends), if lingering => {}
                page = self.preload.next_page(), if !draining => {
                    self.preload.remember(page, &mut self.memory);
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_none()
            && self.draft.is_empty()
            && self.redo.is_empty()
            && self.inbox.is_empty()
    }

    fn has_room(&self) -> bool {
        !self.sealed && self.draft.len() < self.ports.settings.batch_events_max.get()
    }

    /// Whether there are records enough for a batch, decided or not.
    fn is_full(&self) -> bool {
        let waiting = self.draft.len() + self.inbox.len();
        self.sealed || waiting >= self.ports.settings.batch_events_max.get()
    }

    fn wants_records(&self) -> bool {
        self.ending.is_none() && self.redo.is_empty() && !self.is_full()
    }

    fn gathers(&self) -> bool {
        !self.draft.is_empty() || !self.inbox.is_empty()
    }

    /// Whether what waits is decided: when its batch may begin, when nothing more is awaited for
    /// it, or when much waits.
    fn decides_now(&self) -> bool {
        let may_begin = self.in_flight.is_none() && self.write_due() <= Instant::now();
        may_begin || !self.wants_records() || self.inbox.len() >= DECIDED_EARLY_MIN
    }

    fn drop_undecided(&mut self) {
        self.draft = Draft::default();
        self.redo.clear();
        self.inbox.clear();
    }

    /// When a batch that is not full is written: once it has gathered for a moment, and not too
    /// soon after the batch before it. A lone event meets only the first; under load the second
    /// makes batches large, and a batch costs the store far more than an event more in it.
    fn write_due(&self) -> Instant {
        self.next_write
            .max(self.gathers_since + self.ports.settings.batch_linger)
    }

    fn lease_is_sure(&self) -> bool {
        self.term.lease.is_sure_at(self.ports.clock.monotonic())
    }

    /// Begins to write the draft, if nothing is in flight and it need not wait for more records.
    fn write_when_ready(&mut self) -> Result<(), StopReason> {
        let lingered = self.write_due() <= Instant::now();
        let closed = !self.has_room() || self.ending.is_some();
        if self.in_flight.is_some() || !(closed || lingered) {
            return Ok(());
        }
        if self.draft.is_empty() {
            return Ok(());
        }
        if !self.lease_is_sure() {
            return Err(StopReason::LeaseUnsure);
        }
        let term = &self.term;
        let sealed = self.draft.seal(term.partition, term.claim, self.committed);
        let Some(batch) = sealed else {
            return Ok(());
        };
        fail::fail_point!("leader.after_decide");
        meter::stage(Stage::Collect, self.gathers_since.elapsed());
        let batch = Arc::new(batch);
        let tools = WriteTools {
            writer: Arc::clone(&self.ports.writer),
            clock: Arc::clone(&self.ports.clock),
            lease: Arc::clone(&term.lease),
            retries_max: self.ports.settings.write_retries_max,
        };
        if left_out::cache_before_commit() {
            self.offer_to_cache(&self.draft);
        }
        self.in_flight = Some(InFlight {
            draft: std::mem::take(&mut self.draft),
            writing: tokio::spawn(write_to_the_end(tools, Arc::clone(&batch))),
            batch,
            began: Instant::now(),
            poison_run: self.poison_run,
        });
        self.sealed = false;
        // What is left gathers for the next batch.
        self.gathers_since = Instant::now();
        Ok(())
    }
}
