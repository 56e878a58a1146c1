//! PostgreSQL: the truth.
//!
//! Ordinary queries go through sea-orm over the query pool. What is hot or set-based is raw SQL,
//! one statement a file in `sql/`, each with its parameters and locks in its header.

pub mod account_directory;
pub mod balance_store;
pub mod batch;
pub mod change_log;
pub mod change_log_partitions;
mod change_log_record;
pub mod currency_registry;
pub mod dead_letters;
mod entity;
mod error;
pub mod installation;
pub mod layout_change;
pub mod layout_change_notes;
pub mod layout_store;
pub mod leadership;
pub mod ledger_audit;
pub mod numeric;
pub mod pool;
pub mod probe;
pub mod relay_source;
pub mod result_source;
pub mod schema_store;
mod socket;
mod stored;
