//! PostgreSQL as the protocol sees it: one leader row, its history, and the open transactions.

use crate::owner::Place;
use axs_domain::fencing::{Claim, Fence};
use axs_domain::incarnation::Incarnation;

/// The one history of the model. A real failover begins another, which the fence refuses too; here
/// it does not, so that what comes out of a failover is held by token, owner and offset alone.
const INCARNATION: Incarnation = Incarnation::new(0);

/// The leader row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaderRow {
    pub fence: Fence,
    pub stored_offset: i64,
}

impl LeaderRow {
    const FIRST: Self = Self {
        fence: Fence::unclaimed(INCARNATION),
        stored_offset: 0,
    };
}

/// A batch of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    pub claim: Claim,
    pub offset_before: i64,
}

impl Batch {
    pub const fn offset_after(self) -> i64 {
        self.offset_before + 1
    }
}

/// What one commit left: the row after it and, of a batch, its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commit {
    pub row: LeaderRow,
    pub effect: Option<Batch>,
}

/// How far an open transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Holds the lease row.
    LeaseLocked,
    /// Holds the lease row and the leader row.
    Raised { row: LeaderRow, claim: Claim },
    /// Has its rows in the staging table; holds nothing.
    Staged(Batch),
    /// Has compared claim and offset. Holds the leader row, if looking locks.
    Looked(Batch),
    /// Has written; holds the leader row.
    Written(Batch),
    /// Committed; the answer is on its way, nothing is held.
    Committed(Commit),
}

/// A transaction of a process, on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transaction {
    pub place: Place,
    /// Whether its client still waits for it. Without one it gets no further statement, but a
    /// COMMIT that was sent before may still be carried out.
    pub has_client: bool,
    /// COMMIT is on its way or there.
    pub commit_sent: bool,
    pub stage: Stage,
}

impl Transaction {
    pub fn holds_lease(&self) -> bool {
        matches!(self.stage, Stage::LeaseLocked | Stage::Raised { .. })
    }

    pub fn holds_row(&self, look_locks: bool) -> bool {
        match self.stage {
            Stage::Raised { .. } | Stage::Written(_) => true,
            Stage::Looked(_) => look_locks,
            Stage::LeaseLocked | Stage::Staged(_) | Stage::Committed(_) => false,
        }
    }

    /// The batch, once nothing but its COMMIT can stop it.
    pub fn unstoppable(&self) -> Option<Batch> {
        match self.stage {
            Stage::Written(batch) => Some(batch),
            _ => None,
        }
    }

    /// What its COMMIT would leave on top of this row.
    pub fn commit_on(&self, row: LeaderRow) -> Option<Commit> {
        match self.stage {
            Stage::Raised { row, .. } => Some(Commit { row, effect: None }),
            Stage::Written(batch) => Some(Commit {
                row: LeaderRow {
                    stored_offset: batch.offset_after(),
                    ..row
                },
                effect: Some(batch),
            }),
            _ => None,
        }
    }
}

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// Every commit, the oldest first. A failover cuts its end off.
    pub commits: Vec<Commit>,
    pub open: Vec<Transaction>,
}

impl Database {
    pub const fn new() -> Self {
        Self {
            commits: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The leader row as committed.
    pub fn row(&self) -> LeaderRow {
        self.commits.last().map_or(LeaderRow::FIRST, |c| c.row)
    }

    /// The row as it was before this commit.
    pub fn row_before(&self, index: usize) -> LeaderRow {
        match index.checked_sub(1) {
            None => LeaderRow::FIRST,
            Some(before) => self.commits[before].row,
        }
    }

    /// The transaction that the process here waits for.
    pub fn of(&self, place: Place) -> Option<usize> {
        self.open
            .iter()
            .position(|t| t.place == place && t.has_client)
    }

    /// Opens a transaction. Those of one place stand in the order of their beginning.
    pub fn begin(&mut self, place: Place, stage: Stage) {
        let at = self.open.partition_point(|t| t.place <= place);
        self.open.insert(
            at,
            Transaction {
                place,
                has_client: true,
                commit_sent: false,
                stage,
            },
        );
    }

    /// Carries out the COMMIT of the transaction at this index.
    pub fn commit(&mut self, index: usize) -> Option<()> {
        let commit = self.open[index].commit_on(self.row())?;
        self.commits.push(commit);
        if self.open[index].has_client {
            self.open[index].stage = Stage::Committed(commit);
        } else {
            self.open.remove(index);
        }
        Some(())
    }

    /// The client is gone. What can't commit any more and holds nothing is forgotten.
    pub fn abandon(&mut self, place: Place, look_locks: bool) {
        if let Some(index) = self.of(place) {
            let transaction = &mut self.open[index];
            transaction.has_client = false;
            let holds = transaction.holds_row(look_locks) || transaction.holds_lease();
            if !holds {
                self.open.remove(index);
            }
        }
    }
}
