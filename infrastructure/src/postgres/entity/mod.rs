//! Tables as sea-orm sees them, with the columns that ordinary queries name.

pub(crate) mod account;
pub(crate) mod balance_change_log;
pub(crate) mod currency;
pub(crate) mod layout;
pub(crate) mod partition_leader_lock;
pub(crate) mod partition_lease;
pub(crate) mod shard;
