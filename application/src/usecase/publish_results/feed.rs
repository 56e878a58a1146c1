//! Committed batches on their way from the worker to the task.

use crate::port::result_codec::FinishedEvent;
use crate::usecase::process_partition::{BATCH_EVENTS_LIMIT, CacheTicket};
use axs_domain::id::Offset;
use metrics::counter;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The most events whose results wait in memory: two of the largest batches.
pub(super) const WAITING_EVENTS_MAX: usize = 2 * BATCH_EVENTS_LIMIT;

/// A batch as it was committed.
#[derive(Debug)]
pub(crate) struct CommittedBatch {
    /// The stored offset before it.
    pub(crate) from: Offset,
    /// The stored offset after it.
    pub(crate) to: Offset,
    /// Its results, in the order of offsets; `None` when they are not known exactly.
    pub(crate) results: Option<Vec<FinishedEvent>>,
    /// Its cache writes.
    pub(crate) cache: CacheTicket,
    /// When the commit was learnt of: not before it was made.
    pub(crate) learnt_at: Instant,
}

/// What comes next behind an offset.
#[derive(Debug)]
pub(crate) enum Next {
    /// The batch that begins there, and its results.
    Batch(CommittedBatch, Vec<FinishedEvent>),
    /// Nothing in memory begins there: it is to be read again, up to this offset.
    Replay { until: Offset },
    /// Nothing more was committed.
    Nothing,
}

/// The batches that wait for the task of one term. The task alone takes.
#[derive(Debug)]
pub(crate) struct ResultFeed {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug)]
struct Waiting {
    batches: VecDeque<CommittedBatch>,
    events: usize,
    committed_to: Offset,
}

impl Waiting {
    fn pop(&mut self) -> Option<CommittedBatch> {
        let batch = self.batches.pop_front()?;
        self.events -= batch.results.as_ref().map_or(0, Vec::len);
        Some(batch)
    }
}

impl ResultFeed {
    /// A feed whose term begins with this stored offset.
    pub(crate) const fn new(stored_offset: Offset) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                batches: VecDeque::new(),
                events: 0,
                committed_to: stored_offset,
            }),
            more: Notify::const_new(),
        }
    }

    /// Takes a committed batch in, the one behind the last. Never waits: without room it is
    /// dropped, and the task reads it from the topic.
    pub(crate) fn offer(&self, batch: CommittedBatch) {
        {
            let mut waiting = self.waiting();
            waiting.committed_to = batch.to;
            if let Some(results) = &batch.results {
                if waiting.events + results.len() <= WAITING_EVENTS_MAX {
                    waiting.events += results.len();
                    waiting.batches.push_back(batch);
                } else {
                    counter!("axs_results_dropped_total")
                        .increment(u64::try_from(results.len()).unwrap_or(u64::MAX));
                }
            }
        }
        self.more.notify_one();
    }

    /// What comes behind `position`. What lies before it is forgotten.
    pub(crate) fn next(&self, position: Offset) -> Next {
        let mut waiting = self.waiting();
        while waiting.batches.front().is_some_and(|it| it.to <= position) {
            waiting.pop();
        }
        match waiting.batches.front().map(|batch| batch.from) {
            Some(from) if from > position => Next::Replay { until: from },
            Some(from) => {
                let Some(mut batch) = waiting.pop() else {
                    return Next::Nothing;
                };
                match batch.results.take() {
                    Some(results) if from == position => Next::Batch(batch, results),
                    // A part of it was sent already: batches are whole or read again.
                    _ => Next::Replay { until: batch.to },
                }
            }
            None if waiting.committed_to > position => Next::Replay {
                until: waiting.committed_to,
            },
            None => Next::Nothing,
        }
    }

    /// Whether nothing waits in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().batches.is_empty()
    }

    /// Resolves once something was offered since it was asked last.
    pub(super) async fn changed(&self) {
        self.more.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
