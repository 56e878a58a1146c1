//! What AXS does, one verb phrase a file.

pub mod account_lookup;
pub mod ack_level;
pub mod currency_lookup;
mod detached;
pub mod event_state;
pub mod layout_lookup;
pub mod refusal;
pub mod process_partition;
mod snapshot;
pub mod verify_ledger;
