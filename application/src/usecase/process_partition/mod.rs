//! The worker of one led partition: records in, committed batches out, in order.
//!
//! ```text
//!  source ─▶ admit ─▶ screen ─▶ decide ─▶ draft (n+1)          redo: records of batches that
//!            (bytes    (copies)  (memory,    │                  │     were not written, to be
//!             to                  after-     ▼                  │     decided again in order
//!             verdicts)           images)  in flight (n) ──────▶┘
//!                                            │ committed
//!                                            ▼
//!                              memory, stored offset, cache feed, result feed
//! ```
//!
//! # What holds
//! - One batch is in flight at a time. The draft is decided on the memory and on the after-images
//!   of the batch in flight, and is written only when that batch is committed exactly as decided.
//!   Otherwise every later decision and the memory are thrown away, and the *records* are decided
//!   again in order: no refusal survives that rests on a batch that never was.
//! - The memory holds committed balances only. What is not committed lives in drafts.
//! - A write begins only while the lease is sure, by the process's own clock; the store's fence is
//!   the last judge.
//! - Every record moves the stored offset, in the transaction that carries its effect: events,
//!   dead letters, redeliveries and copies alike.
//! - What the database refuses for its data is found by halving the batch, and parked. Events of
//!   the account that come after a parked one go on: they are sound, and holding a whole account
//!   back for one event that a person must look at would stop trading on it. Whoever redrives a
//!   parked event sends it behind them.
//! - Balances are preloaded beside the work, a page at a time; a preloaded balance never replaces
//!   one that is known (`preload`).
//!
//! # What is absent on purpose
//! - No look at log rows before the decision: the finalising statement matches them and names the
//!   culprits, so that the common case costs no query.
//! - No trust in the record's key: the envelope says whose event it is.
//! - No waiting for the cache or for results: `Worker::after_commit`, the one place that knows of a
//!   commit, offers both to bounded feeds.

mod admit;
mod cache_feed;
mod draft;
mod flight;
mod item;
mod lease_watch;
mod load;
mod memory;
mod meter;
mod preload;
mod progress;
mod reason;
mod redo;
mod set_aside;
mod settings;
mod stop;
mod worker;
mod write;

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod tests;

pub(crate) use cache_feed::{CacheFeed, CacheTicket};
pub(crate) use lease_watch::LeaseWatch;
pub(crate) use preload::PreloadTurns;
pub(crate) use progress::Progress;
pub use settings::{BATCH_EVENTS_LIMIT, ProcessSettings};
pub use stop::StopReason;
pub(crate) use worker::{Worker, WorkerEnd, WorkerPorts, WorkerTerm};
