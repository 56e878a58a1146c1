//! Who leads a partition, and which consumers are alive: rows in PostgreSQL, by its clock.

mod consumer_registry;
mod partition_leadership;
mod stale_backend;

pub use consumer_registry::PgConsumerRegistry;
pub use partition_leadership::{LeadershipSettings, PgPartitionLeadership};
pub(crate) use stale_backend::past_stale_backend;
