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

    /// The offset before this one; `None` before the first.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        (self > Self::MIN).then(|| Self(self.0 - 1))
    }
}

impl LayoutEpoch {
    /// The generation after this one, or `None` at the end of the numbering.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
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

const SIMPLE_LENGTH: usize = uuid::fmt::Simple::LENGTH;
const HYPHENATED_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

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
                // The uuid crate also reads `{…}` and `urn:uuid:…`: other spellings of one id.
                if !matches!(text.len(), SIMPLE_LENGTH | HYPHENATED_LENGTH) {
                    return Err(NotAUuid);
                }
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

impl LogId {
    /// No id is later.
    pub const MAX: Self = Self(Uuid::max());
}

uuid_id!(
    /// The random id of one run of a process. Two runs never share one.
    OwnerId);
uuid_id!(
    /// The random id of a change of the layout, made anew by every command that takes it over.
    LayoutChangeId);

/// A text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID")]
pub struct NotAUuid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_below_its_smallest_number_is_refused() {
        assert_eq!(AccountId::try_new(0), Err(IdError { value: 0, min: 1 }));
        assert_eq!(
            AccountId::try_new(i64::MIN),
            Err(IdError {
                value: i64::MIN,
                min: 1
            })
        );
        assert_eq!(AccountId::try_new(1), Ok(AccountId::MIN));
        assert_eq!(UserId::try_new(0), Err(IdError { value: 0, min: 1 }));
        assert_eq!(ShardId::try_new(-1), Err(IdError { value: -1, min: 0 }));
        assert_eq!(ShardId::try_new(0), Ok(ShardId::MIN));
        assert_eq!(PartitionId::try_new(-1), Err(IdError { value: -1, min: 0 }));
        assert_eq!(LayoutEpoch::try_new(0), Err(IdError { value: 0, min: 1 }));
        assert_eq!(Offset::try_new(-1), Err(IdError { value: -1, min: 0 }));
        assert_eq!(
            BalanceVersion::try_new(-1),
            Err(IdError { value: -1, min: 0 })
        );
        assert_eq!(
            FencingToken::try_new(-1),
            Err(IdError { value: -1, min: 0 })
        );
    }

    #[test]
    fn counters_go_up_by_one_and_stop_at_their_end_rather_than_wrap() {
        let last = i64::MAX;
        assert_eq!(Offset::MIN.next().value(), 1);
        assert_eq!(Offset::MIN.next().previous(), Some(Offset::MIN));
        assert_eq!(Offset::MIN.previous(), None);
        assert_eq!(LayoutEpoch::MIN.next().map(LayoutEpoch::value), Some(2));
        assert_eq!(
            BalanceVersion::MIN.next().map(BalanceVersion::value),
            Some(1)
        );
        assert_eq!(FencingToken::MIN.next().map(FencingToken::value), Some(1));
        assert_eq!(Offset::try_new(last).map(|o| o.next().value()), Ok(last));
        assert_eq!(
            BalanceVersion::try_new(last).map(BalanceVersion::next),
            Ok(None)
        );
        assert_eq!(
            FencingToken::try_new(last).map(FencingToken::next),
            Ok(None)
        );
    }

    #[test]
    fn a_log_id_is_read_in_the_two_forms_it_may_have_and_no_other() {
        let rows: &[(&str, bool)] = &[
            ("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b", true),
            ("0190A1B2-C3D4-7E5F-8A6B-7C8D9E0F1A2B", true),
            ("0190a1b2c3d47e5f8a6b7c8d9e0f1a2b", true),
            ("", false),
            ("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2", false),
            ("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2g", false),
            ("0190a1b2c-3d4-7e5f-8a6b-7c8d9e0f1a2b", false),
            ("{0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b}", false),
            ("urn:uuid:0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b", false),
            (" 0190a1b2c3d47e5f8a6b7c8d9e0f1a2", false),
        ];
        for (text, accepted) in rows {
            assert_eq!(LogId::parse(text).is_ok(), *accepted, "{text:?}");
        }
        let printed = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";
        assert_eq!(
            LogId::parse(&printed.replace('-', "")).unwrap().to_string(),
            printed
        );
    }

    #[test]
    fn log_ids_sort_as_the_time_they_were_made() {
        let earlier = LogId::parse("0190a1b2-c3d4-7fff-bfff-ffffffffffff").unwrap();
        let later = LogId::parse("0190a1b2-c3d5-7000-8000-000000000000").unwrap();
        assert!(earlier < later);
    }
}
