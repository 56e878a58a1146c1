//! The steps, and what each does.

use crate::database::{Batch, Stage, Transaction};
use crate::model::{Protocol, State};
use crate::owner::Place;
use crate::process::{EndOfTerm, Process, Standing};
use axs_domain::fencing::Claim;

/// One step of one party. What each stands for: see the crate's first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    LockLease(Place),
    RaiseToken(Place),
    Stage(Place),
    Look(Place),
    Write(Place),
    SendCommit(Place),
    /// The server commits the transaction at this index.
    Commits(usize),
    HearsCommit(Place),
    LosesAnswer(Place),
    /// The transaction at this index is rolled back by the server.
    BackendEnds(usize),
    NoticesLoss(Place),
    Settle(Place),
    GoesOn(Place),
    StepsDown(Place),
    Crash(Place),
    /// The replica that has this many commits becomes the primary.
    FailsOver {
        kept: usize,
    },
}

impl Protocol {
    /// Every step that can happen next.
    pub fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        let database = &state.database;
        let row = database.row();
        for (index, transaction) in database.open.iter().enumerate() {
            if transaction.commit_sent && transaction.commit_on(row).is_some() {
                steps.push(Step::Commits(index));
            }
            if !matches!(transaction.stage, Stage::Committed(_)) {
                steps.push(Step::BackendEnds(index));
            }
        }
        if state.failovers_left > 0 {
            steps.extend((0..database.commits.len()).map(|kept| Step::FailsOver { kept }));
        }
        for (number, process) in state.processes.iter().enumerate() {
            let place = Place(number);
            self.steps_of(state, place, process, steps);
            if state.crashes_left > 0 && process.standing != Standing::Candidate {
                steps.push(Step::Crash(place));
            }
        }
    }

    fn steps_of(&self, state: &State, place: Place, process: &Process, steps: &mut Vec<Step>) {
        let database = &state.database;
        let own = database.of(place).map(|index| database.open[index]);
        let row_is_free = self.row_is_free(state, None);
        match process.standing {
            Standing::Candidate => {
                if self.lease_is_free(state) {
                    steps.push(Step::LockLease(place));
                }
            }
            Standing::Leading { stored_offset, .. } => {
                if stored_offset < self.bounds.offsets {
                    steps.push(Step::Stage(place));
                }
                steps.push(Step::StepsDown(place));
            }
            Standing::InDoubt { .. } => {
                if row_is_free || !self.guards.settle_waits {
                    steps.push(Step::Settle(place));
                }
            }
            Standing::Settled { .. } | Standing::Ending(_) => steps.push(Step::GoesOn(place)),
            Standing::TakingOver { .. } | Standing::Writing { .. } => match own {
                None => steps.push(Step::NoticesLoss(place)),
                Some(transaction) => {
                    steps.push(Step::LosesAnswer(place));
                    steps.extend(self.statement(state, place, &transaction, row_is_free));
                }
            },
        }
    }

    /// The next statement of an open transaction, unless it has to wait.
    fn statement(
        &self,
        state: &State,
        place: Place,
        transaction: &Transaction,
        row_is_free: bool,
    ) -> Option<Step> {
        if transaction.commit_sent {
            return matches!(transaction.stage, Stage::Committed(_))
                .then_some(Step::HearsCommit(place));
        }
        match transaction.stage {
            Stage::LeaseLocked => row_is_free.then_some(Step::RaiseToken(place)),
            Stage::Staged(_) => {
                (row_is_free || !self.guards.look_locks).then_some(Step::Look(place))
            }
            Stage::Looked(_) => self
                .row_is_free(state, Some(place))
                .then_some(Step::Write(place)),
            Stage::Raised { .. } | Stage::Written(_) => Some(Step::SendCommit(place)),
            Stage::Committed(_) => None,
        }
    }

    /// Whether no transaction but that of this place holds the leader row.
    fn row_is_free(&self, state: &State, but: Option<Place>) -> bool {
        !state.database.open.iter().any(|transaction| {
            let own = transaction.has_client && but == Some(transaction.place);
            !own && transaction.holds_row(self.guards.look_locks)
        })
    }

    /// Any lease may be over by now; one that another transaction has locked is skipped.
    fn lease_is_free(&self, state: &State) -> bool {
        let database = &state.database;
        database.row().fence.token.value() < self.bounds.tokens
            && !database.open.iter().any(Transaction::holds_lease)
    }

    /// The state after a step that [`Self::steps`] named.
    pub fn take(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Commits(index) => next.database.commit(index)?,
            Step::BackendEnds(index) => {
                next.database.open.remove(index);
            }
            Step::FailsOver { kept } => {
                next.database.commits.truncate(kept);
                next.database.open.clear();
                next.failovers_left -= 1;
            }
            Step::Crash(place) => {
                next.database.abandon(place, self.guards.look_locks);
                next.crashes_left -= 1;
                let process = &mut next.processes[place.0];
                process.life += 1;
                process.standing = Standing::Candidate;
            }
            Step::LockLease(place) => {
                next.database.begin(place, Stage::LeaseLocked);
                next.stand(place, Standing::TakingOver { commit_sent: false });
            }
            Step::RaiseToken(place) => self.raise_token(&mut next, place)?,
            Step::Stage(place) => {
                let Standing::Leading {
                    claim,
                    stored_offset,
                } = next.processes[place.0].standing
                else {
                    return None;
                };
                let batch = Batch {
                    claim,
                    offset_before: stored_offset,
                };
                next.database.begin(place, Stage::Staged(batch));
                next.stand(
                    place,
                    Standing::Writing {
                        batch,
                        commit_sent: false,
                    },
                );
            }
            Step::Look(place) => self.look(&mut next, place)?,
            Step::Write(place) => self.write(&mut next, place)?,
            Step::SendCommit(place) => {
                let index = next.database.of(place)?;
                next.database.open[index].commit_sent = true;
                match &mut next.processes[place.0].standing {
                    Standing::TakingOver { commit_sent }
                    | Standing::Writing { commit_sent, .. } => *commit_sent = true,
                    _ => return None,
                }
            }
            Step::HearsCommit(place) => hear_commit(&mut next, place)?,
            Step::LosesAnswer(place) => {
                next.database.abandon(place, self.guards.look_locks);
                lose_connection(&mut next, place)?;
            }
            Step::NoticesLoss(place) => lose_connection(&mut next, place)?,
            Step::Settle(place) => self.settle(&mut next, place)?,
            Step::GoesOn(place) => go_on(&mut next, place)?,
            Step::StepsDown(place) => next.stand(place, Standing::Candidate),
        }
        Some(next)
    }

    fn raise_token(&self, next: &mut State, place: Place) -> Option<()> {
        let index = next.database.of(place)?;
        let owner = place.owner(next.processes[place.0].life);
        let mut row = next.database.row();
        let (fence, claim) = row.fence.raise(owner)?;
        row.fence = fence;
        next.database.open[index].stage = Stage::Raised { row, claim };
        Some(())
    }

    /// `fence.sql`: claim and offset against the row as it is now.
    fn look(&self, next: &mut State, place: Place) -> Option<()> {
        let index = next.database.of(place)?;
        let Stage::Staged(batch) = next.database.open[index].stage else {
            return None;
        };
        match self.verdict(next, batch) {
            None => next.database.open[index].stage = Stage::Looked(batch),
            Some(end) => refuse(next, place, index, end),
        }
        Some(())
    }

    fn write(&self, next: &mut State, place: Place) -> Option<()> {
        let index = next.database.of(place)?;
        let Stage::Looked(batch) = next.database.open[index].stage else {
            return None;
        };
        match self.verdict(next, batch) {
            Some(_) if self.guards.write_looks_again => {
                refuse(next, place, index, EndOfTerm::Fenced);
            }
            _ => next.database.open[index].stage = Stage::Written(batch),
        }
        Some(())
    }

    /// What is wrong with writing this batch on the committed row.
    fn verdict(&self, state: &State, batch: Batch) -> Option<EndOfTerm> {
        let row = state.database.row();
        if !self.guards.admit(row.fence, batch.claim) {
            Some(EndOfTerm::Fenced)
        } else if self.guards.compares_offset && row.stored_offset != batch.offset_before {
            Some(EndOfTerm::Moved)
        } else {
            None
        }
    }

    fn settle(&self, next: &mut State, place: Place) -> Option<()> {
        let Standing::InDoubt { batch } = next.processes[place.0].standing else {
            return None;
        };
        let row = next.database.row();
        let standing = if !self.guards.admit(row.fence, batch.claim) {
            Standing::Ending(EndOfTerm::Fenced)
        } else if row.stored_offset == batch.offset_after() {
            Standing::Settled {
                batch,
                committed: true,
            }
        } else if row.stored_offset == batch.offset_before {
            Standing::Settled {
                batch,
                committed: false,
            }
        } else {
            Standing::Ending(EndOfTerm::Moved)
        };
        next.learn(place, standing);
        Some(())
    }
}

fn refuse(next: &mut State, place: Place, index: usize, end: EndOfTerm) {
    next.database.open.remove(index);
    next.stand(place, Standing::Ending(end));
}

fn hear_commit(next: &mut State, place: Place) -> Option<()> {
    let index = next.database.of(place)?;
    let Stage::Committed(commit) = next.database.open.remove(index).stage else {
        return None;
    };
    let claim = match commit.effect {
        Some(batch) => batch.claim,
        None => Claim {
            token: commit.row.fence.token,
            owner: commit.row.fence.owner?,
            incarnation: commit.row.fence.incarnation,
        },
    };
    let stored_offset = commit.row.stored_offset;
    next.learn(
        place,
        Standing::Leading {
            claim,
            stored_offset,
        },
    );
    Some(())
}

/// The connection is lost: what follows depends on whether COMMIT was sent.
fn lose_connection(next: &mut State, place: Place) -> Option<()> {
    let standing = match next.processes[place.0].standing {
        // Whatever became of it: to try again is to take the lease, which is one's own, once more.
        Standing::TakingOver { .. } => Standing::Candidate,
        Standing::Writing {
            batch,
            commit_sent: true,
        } => Standing::InDoubt { batch },
        Standing::Writing {
            batch,
            commit_sent: false,
        } => Standing::Leading {
            claim: batch.claim,
            stored_offset: batch.offset_before,
        },
        _ => return None,
    };
    next.stand(place, standing);
    Some(())
}

fn go_on(next: &mut State, place: Place) -> Option<()> {
    let standing = match next.processes[place.0].standing {
        Standing::Settled { batch, committed } => Standing::Leading {
            claim: batch.claim,
            stored_offset: if committed {
                batch.offset_after()
            } else {
                batch.offset_before
            },
        },
        Standing::Ending(_) => Standing::Candidate,
        _ => return None,
    };
    next.stand(place, standing);
    Some(())
}
