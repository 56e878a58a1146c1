//! What a process knows.

use crate::database::Batch;
use axs_domain::fencing::Claim;

/// Why a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndOfTerm {
    /// Another leader holds the partition.
    Fenced,
    /// The stored offset is not where the leader left it.
    Moved,
}

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Doesn't lead.
    Candidate,
    /// Is taking over. `commit_sent`: the outcome is out of its hands.
    TakingOver { commit_sent: bool },
    /// Leads, and takes this for the stored offset.
    Leading { claim: Claim, stored_offset: i64 },
    /// Is writing a batch.
    Writing { batch: Batch, commit_sent: bool },
    /// Doesn't know whether the batch was committed.
    InDoubt { batch: Batch },
    /// Has found out.
    Settled { batch: Batch, committed: bool },
    /// Is about to give up its term.
    Ending(EndOfTerm),
}

impl Standing {
    /// The claim under which it would write.
    pub fn claim(self) -> Option<Claim> {
        match self {
            Self::Leading { claim, .. } => Some(claim),
            Self::Writing { batch, .. } | Self::InDoubt { batch } | Self::Settled { batch, .. } => {
                Some(batch.claim)
            }
            Self::Candidate | Self::TakingOver { .. } | Self::Ending(_) => None,
        }
    }
}

/// A process at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// How often it was begun anew.
    pub life: u8,
    pub standing: Standing,
    /// The failovers left when it last learned something from the database: what it learned on one
    /// primary says nothing of the next.
    pub learned_at: u8,
}
