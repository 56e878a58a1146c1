//! Typed ids and counters, so that an account can't stand where a shard is meant.

use std::fmt;
use uuid::Uuid;

/// A number that an id can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is {value}; expected {min} or more")]
pub struct IdError {
    /// The number found.
    pub value: i64,
    /// The smallest number allowed.
    pub min: i64,
}

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $min:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The smallest value.
            pub const MIN: Self = Self($min);

            /// Checks the lower bound.
            ///
            /// # Errors
            /// [`IdError`] with the value found and the smallest one allowed.
            pub fn try_new(value: $inner) -> Result<Self, IdError> {
                if value < $min {
                    Err(IdError { value: i64::from(value), min: $min })
                } else {
                    Ok(Self(value))
                }
            }

            /// The number.
            #[must_use]
            pub const fn value(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

numeric_id!(
    /// An account. Chosen by the client when it opens the account.
    AccountId, i64, 1);
numeric_id!(
    /// The user an account belongs to.
    UserId, i64, 1);
numeric_id!(
    /// A shard: the unit that maps to a Kafka partition and to a range of the tables.
    ShardId, i32, 0);
numeric_id!(
    /// A Kafka partition of the events topic.
    PartitionId, i32, 0);
numeric_id!(
    /// The generation of the layout; raised when the map from shard to partition changes.
    LayoutEpoch, i32, 1);
numeric_id!(
    /// A position in a Kafka partition. The *stored offset* is the next one to read.
    Offset, i64, 0);
numeric_id!(
    /// How many changes have been applied to a balance; 0 is a balance without a row.
    BalanceVersion, i64, 0);
numeric_id!(
    /// The fencing token of a partition's leader. Only PostgreSQL raises it.
    FencingToken, i64, 0);

impl Offset {
    /// The offset after this one. Kafka's own numbering ends at the same bound.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl BalanceVersion {
    /// The version after one more applied change, or `None` at the end of the numbering.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl FencingToken {
    /// The token that the next owner gets, or `None` at the end of the numbering.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Reads the hyphenated or simple form.
            ///
            /// # Errors
            /// [`NotAUuid`] when the text is neither.
            pub fn parse(text: &str) -> Result<Self, NotAUuid> {
                Uuid::try_parse(text).map(Self).map_err(|_| NotAUuid)
            }

            /// The UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// The id of a change log row: a `UUIDv7` (RFC 9562), ordered by the time the API made it.
    LogId);
uuid_id!(
    /// The random id of one run of a process. Two runs never share one.
    OwnerId);

/// A text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID")]
pub struct NotAUuid;
