//! What AXS does, one verb phrase a file.

pub mod account_lookup;
pub mod ack_level;
pub mod backlog;
mod backoff;
pub mod change_layout;
pub mod currency_lookup;
mod detached;
pub mod event_state;
pub mod find_event;
pub(crate) mod jitter;
pub mod layout_lookup;
pub mod lead_partitions;
mod left_out;
pub mod log_changes;
#[cfg(test)]
mod log_lines;
pub mod make_layout;
pub mod open_accounts;
pub mod process_partition;
pub mod publish_events;
pub(crate) mod publish_results;
pub mod read_balances;
pub mod refresh_lookups;
pub mod refusal;
pub mod register_currencies;
pub mod relay_lost_events;
pub mod settle_dead_letters;
mod snapshot;
pub mod submit_balance_changes;
pub mod verify_ledger;
pub mod vital_tasks;
