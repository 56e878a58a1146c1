//! The pipeline of one partition: one batch in flight, the next one decided on it.

use super::admit::{admit, cut_at_poison};
use super::backoff::Backoff;
use super::cache_feed::CacheFeed;
use super::draft::{Draft, DraftError, ShardedKey, parked_because};
use super::item::Item;
use super::lease_watch::LeaseWatch;
use super::memory::BalanceMemory;
use super::meter::{self, Stage};
use super::progress::Progress;
use super::settings::ProcessSettings;
use super::stop::StopReason;
use super::write::{WriteEnd, WriteTools, write_to_the_end};
use crate::port::balance_cache::CommittedBalance;
use crate::port::balance_store::BalanceStore;
use crate::port::batch_writer::{BatchWriter, Culprit, DecidedBatch};
use crate::port::clock::Clock;
use crate::port::event_codec::EventCodec;
use crate::port::record_source::{InboundRecord, SourceEvent};
use crate::port::store_error::StoreError;
use axs_domain::balance::VersionedBalance;
use axs_domain::book::BalanceBook;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::rule::BalanceRuleSet;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often in a row a batch is decided again because balances moved under the leader. Once may
/// be the trace of a predecessor; twice is a second writer.
const MOVED_RETRIES_MAX: u32 = 1;

/// What every worker of a process shares.
#[derive(Clone)]
pub(crate) struct WorkerPorts {
    pub(crate) codec: Arc<dyn EventCodec>,
    pub(crate) balances: Arc<dyn BalanceStore>,
    pub(crate) writer: Arc<dyn BatchWriter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Arc<CacheFeed>,
    pub(crate) rules: Arc<BalanceRuleSet>,
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
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerEnd {
    pub(crate) reason: StopReason,
    /// Records in a row that came to nothing, for the next term: stopping and starting again must
    /// not wear a run of poison down.
    pub(crate) poison_run: usize,
}

/// A batch that is being written.
struct InFlight {
    draft: Draft,
    batch: Arc<DecidedBatch>,
    writing: JoinHandle<WriteEnd>,
    began: Instant,
    poison_run: usize,
}

/// The single writer of one partition.
pub(crate) struct Worker {
    ports: WorkerPorts,
    term: WorkerTerm,
    memory: BalanceMemory,
    /// The stored offset, and the run of poison that ends there.
    committed: Offset,
    committed_run: usize,
    in_flight: Option<InFlight>,
    /// What is decided on top of the batch in flight, since when, and whether it is closed.
    draft: Draft,
    draft_since: Instant,
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
    /// Why to end once everything taken in is written.
    ending: Option<StopReason>,
}

impl Worker {
    pub(crate) fn new(ports: WorkerPorts, term: WorkerTerm) -> Self {
        let committed = term.progress.stored_offset();
        Self {
            memory: BalanceMemory::new(ports.settings.memory_balances_max),
            committed,
            committed_run: term.poison_run,
            in_flight: None,
            draft: Draft::default(),
            draft_since: Instant::now(),
            sealed: false,
            poison_run: term.poison_run,
            redo: VecDeque::new(),
            inbox: VecDeque::new(),
            next_read: committed,
            moved_in_a_row: 0,
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
                self.fill_draft().await?;
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
            let lingering = !draining && self.in_flight.is_none() && !self.draft.is_empty();
            let linger_ends = self.draft_since + self.ports.settings.batch_linger;
            tokio::select! {
                biased;
                () = drain.cancelled(), if !draining => {}
                end = write_end(&mut self.in_flight), if self.in_flight.is_some() => {
                    self.settle(end, draining)?;
                }
                event = source.recv(), if wants_records => self.take_event(event),
                () = tokio::time::sleep_until(linger_ends), if lingering => {}
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

    fn wants_records(&self) -> bool {
        self.ending.is_none() && self.redo.is_empty() && self.inbox.is_empty() && self.has_room()
    }

    fn drop_undecided(&mut self) {
        self.draft = Draft::default();
        self.redo.clear();
        self.inbox.clear();
    }

    /// Notes that nothing after what was taken in so far may be looked at.
    fn end_after_this(&mut self, reason: StopReason) {
        self.redo.clear();
        self.inbox.clear();
        self.ending = Some(reason);
    }

    fn take_event(&mut self, event: Option<SourceEvent>) {
        let records = match event {
            Some(SourceEvent::Records(records)) => records,
            Some(SourceEvent::Broken(why)) => {
                return self.end_after_this(StopReason::SourceBroken(why));
            }
            None => {
                let why = "its source ended".to_owned();
                return self.end_after_this(StopReason::SourceBroken(why));
            }
        };
        for record in records {
            if record.offset < self.next_read {
                let why = format!(
                    "the source went back to offset {}, expected {} or more",
                    record.offset, self.next_read
                );
                self.ending = Some(StopReason::Fault(why));
                return;
            }
            self.next_read = record.offset.next();
            self.inbox.push_back(record);
        }
    }

    /// Decides what waits, as far as it fits: groups to be decided again first, then new records.
    async fn fill_draft(&mut self) -> Result<(), StopReason> {
        if self.draft.is_empty() && !self.redo.is_empty() {
            self.sealed = false;
            // A group that came to nothing, cut at poison, makes room for the next one.
            while let Some(group) = self.redo.pop_front() {
                self.take_in(group).await?;
                if !self.draft.is_empty() {
                    self.sealed = true;
                    break;
                }
            }
        }
        if self.inbox.is_empty() || !self.redo.is_empty() || !self.has_room() {
            return Ok(());
        }
        let room = self.ports.settings.batch_events_max.get() - self.draft.len();
        let began = Instant::now();
        let mut items = Vec::with_capacity(room.min(self.inbox.len()));
        while items.len() < room
            && let Some(record) = self.inbox.pop_front()
        {
            let codec = self.ports.codec.as_ref();
            match admit(record, self.term.partition, &self.term.layout, codec) {
                Ok(item) => items.push(item),
                Err(reason) => self.end_after_this(reason),
            }
        }
        meter::stage(Stage::Decide, began.elapsed());
        self.take_in(items).await
    }

    /// Decides items on top of everything decided before them.
    async fn take_in(&mut self, mut items: Vec<Item>) -> Result<(), StopReason> {
        let in_a_row_max = self.ports.settings.poison_in_a_row_max.get();
        loop {
            let cut = cut_at_poison(&items, self.poison_run, in_a_row_max);
            if cut.too_many {
                let offset = items[cut.keep].offset();
                items.truncate(cut.keep);
                self.end_after_this(StopReason::Poison {
                    in_a_row: cut.run + 1,
                    offset,
                });
            }
            let fits = self.draft.compatible(&items);
            if fits < items.len() {
                self.redo.push_front(items.split_off(fits));
                self.sealed = true;
            }
            if items.is_empty() {
                return Ok(());
            }
            let in_flight = self.in_flight.as_ref().map(|flight| &flight.draft);
            let copies = self.draft.copies_among(&items, in_flight);
            let book = self.book_of(Draft::keys_of(&items, &copies)).await?;
            let run = cut_at_poison(&items, self.poison_run, in_a_row_max).run;
            let began = Instant::now();
            if self.draft.is_empty() {
                self.draft_since = began;
            }
            let taken = self.draft.take_in(items, &copies, &book, &self.ports.rules);
            meter::stage(Stage::Decide, began.elapsed());
            items = match taken {
                Ok(()) => {
                    self.poison_run = run;
                    return Ok(());
                }
                Err((items, DraftError::Panics(places))) if !places.is_empty() => {
                    parked(items, &places)
                }
                Err((_, error)) => return Err(StopReason::Fault(format!("{error:?}"))),
            };
        }
    }

    /// The balances as everything decided so far leaves them: of the draft, else of the batch in
    /// flight, else of the memory, else read now, all in one query.
    async fn book_of(&mut self, keys: Vec<ShardedKey>) -> Result<BalanceBook, StopReason> {
        let mut book = BalanceBook::default();
        let mut missing = Vec::new();
        for key in keys {
            let known = self
                .draft
                .after_image(&key)
                .or_else(|| self.in_flight.as_ref()?.draft.after_image(&key))
                .or_else(|| self.memory.recall(&key));
            match known {
                Some(balance) => book.put(key.1, balance),
                None => missing.push(key),
            }
        }
        if !missing.is_empty() {
            // The batch in flight moves none of these, so what is read is committed and newest.
            let balances = self.load(missing.clone()).await?;
            for (key, balance) in missing.into_iter().zip(balances) {
                self.memory.note(key, balance);
                book.put(key.1, balance);
            }
        }
        Ok(book)
    }

    async fn load(&self, keys: Vec<ShardedKey>) -> Result<Vec<VersionedBalance>, StopReason> {
        let began = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            match self.ports.balances.load(keys.clone()).await {
                Ok(balances) if balances.len() == keys.len() => {
                    meter::stage(Stage::Load, began.elapsed());
                    return Ok(balances);
                }
                Ok(balances) => {
                    return Err(StopReason::Fault(format!(
                        "asked for {} balances and got {}",
                        keys.len(),
                        balances.len()
                    )));
                }
                Err(failure @ StoreError::Corrupt { .. }) => {
                    return Err(StopReason::Store(failure.to_string()));
                }
                Err(failure @ StoreError::Unavailable { .. }) => {
                    if backoff.tries() >= self.ports.settings.write_retries_max {
                        return Err(StopReason::Store(failure.to_string()));
                    }
                }
            }
            if !self.lease_is_sure() {
                return Err(StopReason::LeaseUnsure);
            }
            backoff.pause().await;
        }
    }

    fn lease_is_sure(&self) -> bool {
        self.term.lease.is_sure_at(self.ports.clock.monotonic())
    }

    /// Begins to write the draft, if nothing is in flight and it need not wait for more records.
    fn write_when_ready(&mut self) -> Result<(), StopReason> {
        let lingered = self.draft_since.elapsed() >= self.ports.settings.batch_linger;
        let closed = !self.has_room() || self.ending.is_some();
        if self.in_flight.is_some() || !(closed || lingered) {
            return Ok(());
        }
        let term = &self.term;
        let shards = term.layout.shards_of(term.partition);
        let Some(batch) = self
            .draft
            .seal(term.partition, term.claim, shards, self.committed)
        else {
            return Ok(());
        };
        if !self.lease_is_sure() {
            return Err(StopReason::LeaseUnsure);
        }
        meter::stage(Stage::Collect, self.draft_since.elapsed());
        let batch = Arc::new(batch);
        let tools = WriteTools {
            writer: Arc::clone(&self.ports.writer),
            clock: Arc::clone(&self.ports.clock),
            lease: Arc::clone(&term.lease),
            retries_max: self.ports.settings.write_retries_max,
        };
        self.in_flight = Some(InFlight {
            draft: std::mem::take(&mut self.draft),
            writing: tokio::spawn(write_to_the_end(tools, Arc::clone(&batch))),
            batch,
            began: Instant::now(),
            poison_run: self.poison_run,
        });
        self.sealed = false;
        Ok(())
    }

    /// Acts on the end of the batch in flight.
    fn settle(&mut self, end: WriteEnd, draining: bool) -> Result<(), StopReason> {
        let Some(flight) = self.in_flight.take() else {
            return Ok(());
        };
        meter::stage(Stage::Write, flight.began.elapsed());
        match end {
            WriteEnd::Committed { .. } => self.after_commit(flight),
            WriteEnd::Stopped(reason) => return Err(reason),
            // Nothing was written, so nothing is left to finish: the successor decides again.
            _ if draining => {}
            WriteEnd::Culprits(culprits) => {
                let items = convicted(flight.draft.into_items(), &culprits)?;
                self.decide_again(vec![items]);
            }
            WriteEnd::Moved(what) => {
                self.moved_in_a_row += 1;
                if self.moved_in_a_row > MOVED_RETRIES_MAX {
                    return Err(StopReason::Moved(what));
                }
                tracing::warn!(partition = %self.term.partition, what, "the memory is dropped");
                self.decide_again(vec![flight.draft.into_items()]);
            }
            WriteEnd::RefusedData(message) => {
                let groups = halved(flight.draft.into_items(), &message)?;
                self.decide_again(groups);
            }
        }
        Ok(())
    }

    /// Throws every later decision and the memory away. The records of the failed batch, in
    /// `groups`, and of the draft are decided again, in order.
    fn decide_again(&mut self, groups: Vec<Vec<Item>>) {
        let mut later = std::mem::take(&mut self.draft).into_items();
        // A rule may have panicked on balances that never were.
        later.iter_mut().for_each(Item::unpark);
        meter::decided_again(later.len() + groups.iter().map(Vec::len).sum::<usize>());
        if !later.is_empty() {
            self.redo.push_front(later);
        }
        for group in groups.into_iter().rev() {
            self.redo.push_front(group);
        }
        self.sealed = false;
        self.poison_run = self.committed_run;
        self.memory.forget();
    }

    /// The one place that knows of a commit. An observer of results belongs here: the batch in
    /// `flight` holds every outcome, and the draft the balances after it.
    fn after_commit(&mut self, flight: InFlight) {
        let InFlight {
            draft,
            batch,
            poison_run,
            ..
        } = flight;
        self.committed = batch.offset_after;
        self.committed_run = poison_run;
        self.moved_in_a_row = 0;
        for guarded in draft.writes() {
            self.memory
                .note((guarded.shard_id, guarded.key), guarded.write.after);
        }
        self.term.progress.advance(self.committed);
        self.ports
            .cache
            .offer(draft.writes().map(|guarded| CommittedBalance {
                shard_id: guarded.shard_id,
                key: guarded.key,
                stored: guarded.write.after,
            }));
        meter::committed(&draft);
    }

    /// Waits for the batch in flight of a worker that ends for another reason, so that its commit
    /// is not forgotten. Bounded by the tries of the write and by the lease.
    async fn finish_in_flight(&mut self) {
        if self.in_flight.is_some()
            && let WriteEnd::Committed { .. } = write_end(&mut self.in_flight).await
            && let Some(flight) = self.in_flight.take()
        {
            self.after_commit(flight);
        }
    }
}

/// The end of the write in flight. Cancel-safe.
async fn write_end(in_flight: &mut Option<InFlight>) -> WriteEnd {
    match in_flight {
        Some(flight) => (&mut flight.writing).await.unwrap_or_else(|failure| {
            WriteEnd::Stopped(StopReason::Fault(format!("the write task died: {failure}")))
        }),
        None => std::future::pending().await,
    }
}

fn parked(mut items: Vec<Item>, places: &[usize]) -> Vec<Item> {
    for place in places {
        if let Some(item) = items.get_mut(*place) {
            item.park(parked_because("a rule panicked while deciding the event"));
        }
    }
    items
}

/// The items with what the store found wrong noted on them.
fn convicted(mut items: Vec<Item>, culprits: &[Culprit]) -> Result<Vec<Item>, StopReason> {
    let kinds: HashMap<Offset, _> = culprits.iter().map(|c| (c.offset, c.kind)).collect();
    let mut found = 0;
    for item in &mut items {
        if let Some(kind) = kinds.get(&item.offset())
            && item.convict(*kind)
        {
            found += 1;
        }
    }
    // Fewer would be decided again for ever: the store names what the batch does not hold.
    if found == kinds.len() && found > 0 {
        Ok(items)
    } else {
        Err(StopReason::Fault(format!(
            "the store names {} culprits, {found} of them in the batch",
            kinds.len()
        )))
    }
}

/// The items in halves; a single event is parked with the database's words.
fn halved(mut items: Vec<Item>, message: &str) -> Result<Vec<Vec<Item>>, StopReason> {
    if items.len() > 1 {
        let second = items.split_off(items.len() / 2);
        return Ok(vec![items, second]);
    }
    let refused = items.first().map(Item::offset);
    let why = format!("the database refuses the event: {message}");
    if items.iter_mut().all(|item| item.park(parked_because(&why))) && refused.is_some() {
        return Ok(vec![items]);
    }
    Err(StopReason::Refused {
        offset: refused.unwrap_or(Offset::MIN),
        message: message.to_owned(),
    })
}
