//! What a process leads, for readiness, metrics and people.

use crate::usecase::process_partition::Progress;
use axs_domain::id::{FencingToken, Offset, PartitionId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A partition that this process leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedPartition {
    /// Which.
    pub partition: PartitionId,
    /// Under which token.
    pub token: FencingToken,
    /// The stored offset.
    pub stored_offset: Offset,
    /// Offsets from there to the end of the log; `None` until it was looked at.
    pub lag: Option<i64>,
    /// Whether it is being given up: handed over, or ended because the lease is not sure.
    pub draining: bool,
}

/// A partition that this process does not lead though it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPartition {
    /// Which.
    pub partition: PartitionId,
    /// Why, and what to do.
    pub reason: String,
}

/// Where the leading stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadershipStatus {
    /// What it leads, in the order of the partitions.
    pub led: Vec<LedPartition>,
    /// What it refuses, in the order of the partitions.
    pub refused: Vec<RefusedPartition>,
    /// Live consumers, this one included, as last seen.
    pub live_consumers: usize,
    /// What it waits for: a server that is away, a layout that was not made, a topic that does
    /// not fit. `None` once the last look at servers and layout was in order.
    pub waiting_for: Option<String>,
}

impl LeadershipStatus {
    /// Whether the process does all it should.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.waiting_for.is_none() && self.refused.is_empty()
    }
}

/// The status as the elector writes it and others read it.
#[derive(Debug)]
pub(super) struct StatusBoard(Mutex<Notes>);

#[derive(Debug)]
struct Notes {
    led: BTreeMap<PartitionId, (FencingToken, Arc<Progress>, bool)>,
    refused: BTreeMap<PartitionId, String>,
    live_consumers: usize,
    waiting_for: Option<String>,
}

impl Default for StatusBoard {
    fn default() -> Self {
        Self(Mutex::new(Notes {
            led: BTreeMap::new(),
            refused: BTreeMap::new(),
            live_consumers: 0,
            waiting_for: Some("the first look at servers and layout".to_owned()),
        }))
    }
}

impl StatusBoard {
    pub(super) fn read(&self) -> LeadershipStatus {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        LeadershipStatus {
            led: notes
                .led
                .iter()
                .map(|(partition, (token, progress, draining))| LedPartition {
                    partition: *partition,
                    token: *token,
                    stored_offset: progress.stored_offset(),
                    lag: progress.lag(),
                    draining: *draining,
                })
                .collect(),
            refused: notes
                .refused
                .iter()
                .map(|(partition, reason)| RefusedPartition {
                    partition: *partition,
                    reason: reason.clone(),
                })
                .collect(),
            live_consumers: notes.live_consumers,
            waiting_for: notes.waiting_for.clone(),
        }
    }

    pub(super) fn leads(
        &self,
        partition: PartitionId,
        token: FencingToken,
        progress: Arc<Progress>,
    ) {
        self.write(|notes| {
            notes.refused.remove(&partition);
            notes.led.insert(partition, (token, progress, false));
        });
    }

    pub(super) fn drains(&self, partition: PartitionId) {
        self.write(|notes| {
            if let Some((_, _, draining)) = notes.led.get_mut(&partition) {
                *draining = true;
            }
        });
    }

    pub(super) fn leads_no_more(&self, partition: PartitionId) {
        self.write(|notes| {
            notes.led.remove(&partition);
        });
    }

    pub(super) fn refuses(&self, partition: PartitionId, reason: String) {
        self.write(|notes| {
            notes.refused.insert(partition, reason);
        });
    }

    /// Forgets refusals of partitions that somebody leads now.
    pub(super) fn keep_refused(&self, mut keep: impl FnMut(PartitionId) -> bool) {
        self.write(|notes| notes.refused.retain(|partition, _| keep(*partition)));
    }

    pub(super) fn looked(&self, live_consumers: usize) {
        self.write(|notes| {
            notes.live_consumers = live_consumers;
            notes.waiting_for = None;
        });
    }

    /// Gives whether this is news.
    pub(super) fn waits_for(&self, what: String) -> bool {
        self.write(|notes| {
            let news = notes.waiting_for.as_ref() != Some(&what);
            notes.waiting_for = Some(what);
            news
        })
    }

    fn write<T>(&self, note: impl FnOnce(&mut Notes) -> T) -> T {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
