//! A script sent to a deployment, and everything that comes back compared with the model.

mod balance;
mod latency;
mod mismatch;
mod outcome;
mod submission;
mod tally;

pub use balance::{BalanceComparison, compare_balances};
pub use latency::{Latencies, Percentiles};
pub use mismatch::Mismatches;
pub use outcome::{OutcomeComparison, compare_outcomes};
pub use submission::{Submission, SubmitPlan, Way, submit, submit_by};
pub use tally::Tally;

/// Told of progress: so many more are done.
pub type Progress<'p> = &'p (dyn Fn(u64) + Sync);
