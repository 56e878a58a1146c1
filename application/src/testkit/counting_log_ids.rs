//! Log ids 1, 2, 3 …

use super::log_id;
use crate::port::log_id_generator::LogIdGenerator;
use axs_domain::id::LogId;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts log ids from 1.
#[derive(Debug, Default)]
pub struct CountingLogIds(AtomicU64);

impl LogIdGenerator for CountingLogIds {
    fn next_id(&self) -> LogId {
        log_id(u128::from(self.0.fetch_add(1, Ordering::SeqCst)) + 1)
    }
}
