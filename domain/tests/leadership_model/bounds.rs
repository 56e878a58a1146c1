//! How far the model is followed.

/// The size of a run. Steps that would leave it don't happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Processes that want to lead.
    pub candidates: usize,
    /// The last token given out.
    pub tokens: i64,
    /// The end of the topic: a batch carries one record.
    pub offsets: i64,
    /// Processes that die and come back under a new owner id.
    pub crashes: u8,
    /// Failovers to a replica that lacks the last commits.
    pub failovers: u8,
}

impl Bounds {
    /// Two candidates, with everything that can happen to them.
    pub const SHORT: Self = Self {
        candidates: 2,
        tokens: 3,
        offsets: 2,
        crashes: 1,
        failovers: 1,
    };

    /// Three candidates, less of everything else.
    pub const THREE: Self = Self {
        candidates: 3,
        tokens: 3,
        offsets: 1,
        crashes: 0,
        failovers: 1,
    };

    /// Two candidates, and no failover: what happens on one primary.
    pub const ONE_PRIMARY: Self = Self {
        failovers: 0,
        ..Self::SHORT
    };

    /// For the night.
    pub const LONG: [Self; 2] = [
        Self {
            tokens: 4,
            ..Self::SHORT
        },
        Self {
            offsets: 2,
            crashes: 1,
            failovers: 0,
            ..Self::THREE
        },
    ];
}
