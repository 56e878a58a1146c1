//! What follows from the end of a write.

use super::{MOVED_RETRIES_MAX, PAUSE_DIVISOR, Worker};
use crate::port::balance_cache::CommittedBalance;
use crate::port::batch_writer::{DecidedBatch, FinalResult};
use crate::port::result_codec::{FinishedEvent, FinishedOutcome};
use crate::usecase::left_out;
use crate::usecase::process_partition::cache_feed::CacheTicket;
use crate::usecase::process_partition::draft::Draft;
use crate::usecase::process_partition::flight::{InFlight, write_end};
use crate::usecase::process_partition::item::{Item, Verdict};
use crate::usecase::process_partition::meter::{self, Stage};
use crate::usecase::process_partition::redo::{convicted, halved};
use crate::usecase::process_partition::stop::StopReason;
use crate::usecase::process_partition::write::WriteEnd;
use crate::usecase::publish_results::CommittedBatch;
use axs_domain::time::Timestamp;
use std::sync::Arc;
use tokio::time::Instant;

impl Worker {
    /// Acts on the end of the batch in flight.
    pub(super) fn settle(&mut self, end: WriteEnd, draining: bool) -> Result<(), StopReason> {
        let Some(flight) = self.in_flight.take() else {
            return Ok(());
        };
        let took = flight.began.elapsed();
        meter::stage(Stage::Write, took);
        let spacing = took + took / PAUSE_DIVISOR;
        self.next_write = flight.began + spacing.min(self.ports.settings.batch_interval);
        match end {
            WriteEnd::Committed { decided_at } => self.after_commit(flight, decided_at),
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
                self.memory.forget();
                self.preload.begin_anew();
                self.decide_again(vec![flight.draft.into_items()]);
            }
            WriteEnd::RefusedData(message) => {
                let groups = halved(flight.draft.into_items(), &message)?;
                self.decide_again(groups);
            }
        }
        Ok(())
    }

    /// Throws every later decision away. The records of the failed batch, in `groups`, and of the
    /// draft are decided again, in order. The memory holds what is committed alone, of which
    /// nothing failed.
    fn decide_again(&mut self, groups: Vec<Vec<Item>>) {
        let kept = left_out::refusal_kept().then(|| self.draft.refusals());
        let mut later = std::mem::take(&mut self.draft).into_items();
        // A rule may have panicked on balances that never were.
        later.iter_mut().for_each(Item::unpark);
        for item in &mut later {
            if let Some(reason) = kept.as_ref().and_then(|kept| kept.get(&item.offset())) {
                item.park(reason.clone());
            }
        }
        meter::decided_again(later.len() + groups.iter().map(Vec::len).sum::<usize>());
        if !later.is_empty() {
            self.redo.push_front(later);
        }
        for group in groups.into_iter().rev() {
            self.redo.push_front(group);
        }
        self.sealed = false;
        self.poison_run = self.committed_run;
    }

    /// The one place that knows of a commit. Without its time the results are left to be read from
    /// the log.
    fn after_commit(&mut self, flight: InFlight, decided_at: Option<Timestamp>) {
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
        let cache = self.offer_to_cache(&draft);
        meter::committed(&draft, &batch);
        self.set_aside.tell(&batch, Instant::now());
        let (from, to) = (batch.offset_before, batch.offset_after);
        self.term.results.offer(CommittedBatch {
            from,
            to,
            results: decided_at.map(|at| finished(draft.into_items(), batch, at)),
            cache,
            learnt_at: Instant::now(),
        });
    }

    /// Hands the balances that the draft moves to the cache; only once they are committed.
    pub(super) fn offer_to_cache(&self, draft: &Draft) -> CacheTicket {
        self.ports
            .cache
            .offer(draft.writes().map(|guarded| CommittedBalance {
                incarnation: self.term.claim.incarnation,
                shard_id: guarded.shard_id,
                key: guarded.key,
                stored: guarded.write.after,
            }))
    }

    /// Waits for the batch in flight of a worker that ends for another reason, so that its commit
    /// is not forgotten. Bounded by the tries of the write and by the lease.
    pub(super) async fn finish_in_flight(&mut self) {
        if self.in_flight.is_some()
            && let WriteEnd::Committed { decided_at } = write_end(&mut self.in_flight).await
            && let Some(flight) = self.in_flight.take()
        {
            self.after_commit(flight, decided_at);
        }
    }
}

/// The results of a committed batch, in the order of offsets.
fn finished(
    items: Vec<Item>,
    batch: Arc<DecidedBatch>,
    decided_at: Timestamp,
) -> Vec<FinishedEvent> {
    // Nobody else holds a batch that is written, so nothing is copied.
    let DecidedBatch {
        partition, events, ..
    } = Arc::unwrap_or_clone(batch);
    let mut items = items.into_iter();
    let results = events.into_iter().filter_map(|finalised| {
        let outcome = match finalised.result {
            FinalResult::Applied(entries) => FinishedOutcome::Applied(entries),
            FinalResult::Rejected(reason) => FinishedOutcome::Rejected(reason),
            FinalResult::Parked(_) => return None,
        };
        // Both stand in the order of offsets.
        let item = items.find(|item| item.offset() == finalised.offset)?;
        let Verdict::Event(admitted) = item.verdict else {
            return None;
        };
        Some(FinishedEvent {
            log_id: finalised.log_id,
            shard_id: finalised.key.shard_id,
            event: admitted.event,
            partition,
            offset: finalised.offset,
            outcome,
            logged_at: finalised.logged_at,
            decided_at,
        })
    });
    results.collect()
}
