//! Results of one led partition on their way to the result topic.
//!
//! ```text
//!  worker ─▶ feed (bounded) ─▶ task ─▶ producer ─▶ delivery reports ─┐
//!               │ overflow      ▲                                    ├─▶ results_offset
//!               ▼               │ replay: events topic + log rows    │
//!            dropped ───────────┘              cache feed ─ ticket ──┘
//! ```
//!
//! # What holds
//! - The worker never waits for results. What finds no room in the feed is dropped, and the task
//!   reads it again: the records from the events topic, their results from the log rows.
//! - The same replay makes good what a dead leader had committed and not sent: a term begins at the
//!   stored `results_offset`, wherever the stored offset is. A batch whose commit was only found
//!   out later is replayed too, since the time of its decision is known to the store alone.
//! - Results are handed over in the order of offsets. After a delivery that failed the task begins
//!   again behind the last stretch that was acknowledged whole.
//! - A result is that of the record that was decided: a copy of it at another offset is passed
//!   over, and so is an event that is parked.
//! - `results_offset` passes a stretch when its results are acknowledged and its cache writes are
//!   out, and is stored under the leader's token about once a second, and once at the end.
//!
//! # What is absent on purpose
//! - No waiting for a cache that is away for longer than any fill is served: what it would have
//!   been told is read from the database by then.
//! - No search for results whose records were dropped from the events topic before they were sent:
//!   they are counted, and stand in the log.

mod feed;
mod outlet;
mod replay;
mod task;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use feed::Next;
pub(crate) use feed::{CommittedBatch, ResultFeed};
pub(crate) use task::{ResultPorts, ResultTask, ResultTerm};
