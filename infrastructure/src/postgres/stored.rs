//! Columns as domain values, each refused with its name when it holds what can't be.

use super::error::StoreName;
use axs_application::port::store_error::StoreError;
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, BalanceVersion, Offset, PartitionId, ShardId};
use axs_domain::time::Timestamp;
use chrono::{DateTime, Utc};

impl StoreName<'_> {
    pub(crate) fn shard_id(self, value: i32) -> Result<ShardId, StoreError> {
        ShardId::try_new(value).map_err(|error| self.invalid("shard_id", value, error))
    }

    pub(crate) fn account_id(self, value: i64) -> Result<AccountId, StoreError> {
        AccountId::try_new(value).map_err(|error| self.invalid("account_id", value, error))
    }

    pub(crate) fn partition(self, value: i32) -> Result<PartitionId, StoreError> {
        PartitionId::try_new(value).map_err(|error| self.invalid("partition", value, error))
    }

    pub(crate) fn offset(self, value: i64) -> Result<Offset, StoreError> {
        Offset::try_new(value).map_err(|error| self.invalid("record_offset", value, error))
    }

    pub(crate) fn currency(self, text: &str) -> Result<CurrencyCode, StoreError> {
        CurrencyCode::parse(text).map_err(|error| self.invalid("currency_code", text, error))
    }

    /// `column` is the amount's; `text` is PostgreSQL's own text of the NUMERIC, which is exact.
    pub(crate) fn amount(self, column: &str, text: &str) -> Result<Amount, StoreError> {
        Amount::parse(text).map_err(|error| self.invalid(column, text, error))
    }

    pub(crate) fn balance(
        self,
        available: &str,
        frozen: &str,
        version: i64,
    ) -> Result<VersionedBalance, StoreError> {
        Ok(VersionedBalance {
            balance: Balance {
                available: self.amount("available", available)?,
                frozen: self.amount("frozen", frozen)?,
            },
            version: BalanceVersion::try_new(version)
                .map_err(|error| self.invalid("version", version, error))?,
        })
    }

    /// The place, from 0, of a row's ORDINALITY among `asked` arguments.
    pub(crate) fn place(self, position: i64, asked: usize) -> Result<usize, StoreError> {
        usize::try_from(position)
            .ok()
            .and_then(|position| position.checked_sub(1))
            .filter(|place| *place < asked)
            .ok_or_else(|| self.invalid("position", position, "nothing was asked there"))
    }

    /// A time for a statement. Every time that PostgreSQL gave fits.
    pub(crate) fn time(self, at: Timestamp) -> Result<DateTime<Utc>, StoreError> {
        DateTime::from_timestamp_micros(at.unix_micros())
            .ok_or_else(|| self.invalid("a time", at, "is out of range"))
    }
}

/// A time that PostgreSQL gave; it has microseconds and no more.
pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from_unix_micros(at.timestamp_micros())
}

/// The lowest and highest of the shards, as statements take them to leave other table partitions
/// out; `None` without a shard.
pub(crate) fn shard_bounds(shards: &[i32]) -> Option<(i32, i32)> {
    Some((*shards.iter().min()?, *shards.iter().max()?))
}
