//! The bounds of the bulk path.

use std::time::Duration;

/// Bounds of one batch and of the connections that write batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchWriterSettings {
    /// How long the server works on one statement of a batch.
    pub statement_timeout: Duration,
    /// How long a batch, or a settlement, waits for the leader row.
    pub lock_timeout: Duration,
    /// How long the server lets a batch wait for its next statement before it ends the connection.
    pub idle_in_transaction_timeout: Duration,
    /// How long getting a connection ready may take, and then how long a transaction may take until
    /// COMMIT is sent. The wait for the lane is not in it.
    pub batch_timeout: Duration,
    /// How long the answer to COMMIT may take; after it the outcome is unknown.
    pub commit_timeout: Duration,
    /// Memory of the server for staged rows, for each connection, in megabytes. What does not fit
    /// goes to files: slower, never wrong. A batch of 20,000 events needs about 12.
    pub staging_megabytes: u32,
    /// How long a connection is used before it is made anew.
    pub connection_age_max: Duration,
    /// Transactions under way at once, 1 or more; those of batches written apart come on top. More
    /// than the writer has connections take turns.
    pub transactions_max: usize,
    /// Where so many events wait, another transaction begins beside those under way; fewer wait for
    /// the next.
    pub events_worth_a_transaction: usize,
    /// How long few events wait for transactions under way before they begin one beside them: one
    /// of these may hang until its own bounds end it.
    pub wait_for_others_max: Duration,
    /// Whether connections over TCP get TCP_NODELAY. Without it each batch waits some 40 ms; off
    /// only to measure that.
    pub tcp_no_delay: bool,
}

impl Default for BatchWriterSettings {
    fn default() -> Self {
        Self {
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(5),
            batch_timeout: Duration::from_secs(30),
            commit_timeout: Duration::from_secs(10),
            staging_megabytes: 32,
            connection_age_max: Duration::from_secs(1800),
            transactions_max: 4,
            events_worth_a_transaction: 3_000,
            wait_for_others_max: Duration::from_secs(2),
            tcp_no_delay: true,
        }
    }
}
