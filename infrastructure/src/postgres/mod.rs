//! PostgreSQL: the truth.
//!
//! Ordinary queries go through sea-orm over the query pool. What is hot or set-based is raw SQL,
//! one statement a file in `sql/`, each with its parameters and locks in its header.

pub mod batch;
mod error;
pub mod leadership;
pub mod numeric;
pub mod pool;
pub mod schema_store;
