//! What differs, by kind: the first of each kind in full, all of them counted.

use std::collections::BTreeMap;
use std::fmt;

/// What sort of difference. The words are for scripts and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceKind {
    /// The sum of a currency's balances is not the sum of its applied deltas.
    Total,
    /// A balance is not the fold of its entries.
    Balance,
    /// An entry does not continue the one before it.
    Line,
    /// An entry is no part of any event.
    Orphan,
    /// A balance was below zero, and no rule grants credit.
    Overdrawn,
    /// An event's entries are not what it asked for.
    Entries,
    /// The columns of a state disagree with each other.
    Status,
    /// A payload is gone, can't be decoded, has another fingerprint, or has no state.
    Payload,
    /// An event's position disagrees with the stored offset or the layout.
    Position,
    /// An event is INIT although the stored offset passed its record.
    Lost,
    /// Rows of an account stand on another shard than its own.
    Home,
    /// Leader row, lease and layout disagree.
    Leadership,
    /// A row holds what can't be.
    Unreadable,
    /// The cache holds what the database never had.
    Cache,
}

impl DifferenceKind {
    /// The word of the kind.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Balance => "balance",
            Self::Line => "line",
            Self::Orphan => "orphan",
            Self::Overdrawn => "overdrawn",
            Self::Entries => "entries",
            Self::Status => "status",
            Self::Payload => "payload",
            Self::Position => "position",
            Self::Lost => "lost",
            Self::Home => "home",
            Self::Leadership => "leadership",
            Self::Unreadable => "unreadable",
            Self::Cache => "cache",
        }
    }
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its kind.
    pub kind: DifferenceKind,
    /// One sentence for a person.
    pub what: String,
}

/// Differences, each kind up to a bound in full, and all counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    named: Vec<Difference>,
    counts: BTreeMap<DifferenceKind, u64>,
}

impl Differences {
    /// Differences of one kind that are kept in full.
    pub const NAMED_MAX: u32 = 100;

    /// Adds one.
    pub(super) fn add(&mut self, kind: DifferenceKind, what: String) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= u64::from(Self::NAMED_MAX) {
            self.named.push(Difference { kind, what });
        }
    }

    /// Those kept in full, in the order in which they were found.
    #[must_use]
    pub fn named(&self) -> &[Difference] {
        &self.named
    }

    /// How many of each kind there are.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<DifferenceKind, u64> {
        &self.counts
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// What a person may want to look at and may be right: the first in full, the rest counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    named: Vec<String>,
    count: u64,
}

impl Notes {
    /// Notes kept in full.
    pub const NAMED_MAX: usize = 100;

    /// Adds one.
    pub(super) fn add(&mut self, note: String) {
        self.count += 1;
        if self.named.len() < Self::NAMED_MAX {
            self.named.push(note);
        }
    }

    /// Those kept in full.
    #[must_use]
    pub fn named(&self) -> &[String] {
        &self.named
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}
