//! States that differ only in the names of the places are walked once.

use crate::database::{Batch, Commit, Database, LeaderRow, Stage, Transaction};
use crate::model::State;
use crate::owner::{Place, place_and_life};
use crate::process::{Process, Standing};
use axs_domain::fencing::{Claim, Fence};
use axs_domain::id::OwnerId;

/// The places in the order in which they come up, for each its new number.
struct Naming(Vec<usize>);

/// The same state with the places named in the order of their first commit. Places without one are
/// ordered by how they stand; where that does not tell them apart, a state may be walked twice,
/// which costs time and hides nothing.
pub fn named_by_first_commit(state: &State) -> State {
    let first_commit = |place: Place| {
        state.database.commits.iter().position(|commit| {
            commit
                .row
                .fence
                .owner
                .is_some_and(|owner| place_and_life(owner).0 == place)
        })
    };
    let mut places: Vec<Place> = (0..state.processes.len()).map(Place).collect();
    places.sort_by_cached_key(|place| {
        let process = state.processes[place.0];
        let commit = first_commit(*place).unwrap_or(usize::MAX);
        (commit, process.life, rank(process.standing))
    });
    let mut numbers = vec![0; places.len()];
    for (number, place) in places.iter().enumerate() {
        numbers[place.0] = number;
    }
    Naming(numbers).state(state)
}

fn rank(standing: Standing) -> (u8, i64) {
    let token = standing.claim().map_or(0, |claim| claim.token.value());
    let kind = match standing {
        Standing::Candidate => 0,
        Standing::TakingOver { .. } => 1,
        Standing::Leading { .. } => 2,
        Standing::Writing { .. } => 3,
        Standing::InDoubt { .. } => 4,
        Standing::Settled { .. } => 5,
        Standing::Ending(_) => 6,
    };
    (kind, token)
}

impl Naming {
    fn place(&self, place: Place) -> Place {
        Place(self.0[place.0])
    }

    fn owner(&self, owner: OwnerId) -> OwnerId {
        let (place, life) = place_and_life(owner);
        self.place(place).owner(life)
    }

    fn claim(&self, claim: Claim) -> Claim {
        Claim {
            owner: self.owner(claim.owner),
            ..claim
        }
    }

    fn batch(&self, batch: Batch) -> Batch {
        Batch {
            claim: self.claim(batch.claim),
            ..batch
        }
    }

    fn row(&self, row: LeaderRow) -> LeaderRow {
        LeaderRow {
            fence: Fence {
                owner: row.fence.owner.map(|owner| self.owner(owner)),
                ..row.fence
            },
            ..row
        }
    }

    fn commit(&self, commit: Commit) -> Commit {
        Commit {
            row: self.row(commit.row),
            effect: commit.effect.map(|batch| self.batch(batch)),
        }
    }

    fn transaction(&self, transaction: Transaction) -> Transaction {
        Transaction {
            place: self.place(transaction.place),
            stage: match transaction.stage {
                Stage::LeaseLocked => Stage::LeaseLocked,
                Stage::Raised { row, claim } => Stage::Raised {
                    row: self.row(row),
                    claim: self.claim(claim),
                },
                Stage::Staged(batch) => Stage::Staged(self.batch(batch)),
                Stage::Looked(batch) => Stage::Looked(self.batch(batch)),
                Stage::Written(batch) => Stage::Written(self.batch(batch)),
                Stage::Committed(commit) => Stage::Committed(self.commit(commit)),
            },
            ..transaction
        }
    }

    fn standing(&self, standing: Standing) -> Standing {
        match standing {
            Standing::Leading {
                claim,
                stored_offset,
            } => Standing::Leading {
                claim: self.claim(claim),
                stored_offset,
            },
            Standing::Writing { batch, commit_sent } => Standing::Writing {
                batch: self.batch(batch),
                commit_sent,
            },
            Standing::InDoubt { batch } => Standing::InDoubt {
                batch: self.batch(batch),
            },
            Standing::Settled { batch, committed } => Standing::Settled {
                batch: self.batch(batch),
                committed,
            },
            Standing::Candidate | Standing::TakingOver { .. } | Standing::Ending(_) => standing,
        }
    }

    fn state(&self, state: &State) -> State {
        let mut processes = state.processes.clone();
        for (index, process) in state.processes.iter().enumerate() {
            processes[self.0[index]] = Process {
                standing: self.standing(process.standing),
                ..*process
            };
        }
        let mut open: Vec<Transaction> = state
            .database
            .open
            .iter()
            .map(|transaction| self.transaction(*transaction))
            .collect();
        // Stable: those of one place stay in the order of their beginning.
        open.sort_by_key(|transaction| transaction.place);
        let commits = state.database.commits.iter();
        State {
            database: Database {
                commits: commits.map(|commit| self.commit(*commit)).collect(),
                open,
            },
            processes,
            ..*state
        }
    }
}
