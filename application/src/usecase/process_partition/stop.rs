//! Why a worker ends.

use axs_domain::id::Offset;

/// Why a partition is not led any more. The text says what to do where a person must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// Asked to, with nothing left in flight.
    #[error("drained")]
    Drained,
    /// Another leader holds the partition.
    #[error(
        "fenced: the claim no longer stands (another leader, or another history of the database)"
    )]
    Fenced,
    /// The lease is lost, or can't be proved to stand.
    #[error("the lease is not sure any more")]
    LeaseUnsure,
    /// The source can't read on.
    #[error("the partition can't be read on: {0}")]
    SourceBroken(String),
    /// Nothing is read from here, although the source reports no fault: another consumer may.
    #[error("nothing can be read of the partition from here: {0}")]
    ReadingLost(String),
    /// The topic holds records of a newer release.
    #[error(
        "the record at offset {offset} has schema version {found}, this build reads up to \
         {known}; upgrade the consumers before the processes that publish"
    )]
    NewerVersion {
        /// Where.
        offset: Offset,
        /// The version found.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// Too many records in a row came to nothing.
    #[error(
        "{in_a_row} records in a row up to offset {offset} became dead letters or were parked; \
         look at the dead letters: is it the right topic, the right database? Then raise \
         poison_in_a_row_max to go on"
    )]
    Poison {
        /// How many.
        in_a_row: usize,
        /// The record that was too many; it is not written.
        offset: Offset,
    },
    /// Balances or the stored offset moved under the leader, again and again.
    #[error("somebody else writes what this partition's leader alone may write: {0}")]
    Moved(String),
    /// The database refuses a record that no parking can help.
    #[error("the database refuses the record at offset {offset} itself: {message}")]
    Refused {
        /// Where.
        offset: Offset,
        /// The database's words.
        message: String,
    },
    /// The database could not be written or read for too long.
    #[error("the database could not be used: {0}")]
    Store(String),
    /// Something that can't be.
    #[error("an internal fault, to be reported: {0}")]
    Fault(String),
}

impl StopReason {
    /// Whether the end is part of ordinary life: nobody needs to look, and the partition may be
    /// led again at once.
    #[must_use]
    pub const fn is_ordinary(&self) -> bool {
        matches!(self, Self::Drained | Self::Fenced | Self::LeaseUnsure)
    }

    /// The word under which it is counted.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Fenced => "fenced",
            Self::LeaseUnsure => "lease_unsure",
            Self::SourceBroken(_) => "source_broken",
            Self::ReadingLost(_) => "reading_lost",
            Self::NewerVersion { .. } => "newer_version",
            Self::Poison { .. } => "poison",
            Self::Moved(_) => "moved",
            Self::Refused { .. } => "refused",
            Self::Store(_) => "store",
            Self::Fault(_) => "fault",
        }
    }
}
