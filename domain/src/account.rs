//! An account: who owns it and where it lives.

use crate::id::{AccountId, ShardId, UserId};
use crate::text::PoolName;

/// An open account. Its shard never changes silently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub account_id: AccountId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// The pool of shards it was opened in.
    pub pool: PoolName,
    /// The shard it lives on.
    pub shard_id: ShardId,
}
