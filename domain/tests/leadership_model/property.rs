//! What must hold in every state, and what must happen in some.

use crate::database::{Batch, LeaderRow, Stage};
use crate::model::{Protocol, State};
use crate::process::{EndOfTerm, Standing};
use stateright::Property;

/// No write under an old claim takes effect once a newer claim was given out.
pub const NEWEST_CLAIM_WRITES: &str = "every write takes effect under the newest claim";
/// Each offset takes effect once, in order.
pub const ONCE_AND_IN_ORDER: &str = "every offset takes effect once and in order";
/// There are never two effective writers: what can't be stopped any more has the newest claim.
pub const ONE_EFFECTIVE_WRITER: &str = "only the newest claim can still commit";
/// A leader whose claim stands is never wrong about the stored offset, whatever answer it lost.
pub const LEADER_KNOWS_OFFSET: &str = "a leader knows the stored offset";

/// The effects of all batches, each with the row that it was committed on.
pub fn effects(state: &State) -> impl Iterator<Item = (Batch, LeaderRow)> + '_ {
    let commits = &state.database.commits;
    commits.iter().enumerate().filter_map(|(index, commit)| {
        commit
            .effect
            .map(|batch| (batch, state.database.row_before(index)))
    })
}

fn newest_claim_writes(_: &Protocol, state: &State) -> bool {
    effects(state).all(|(batch, row)| row.fence.admit(batch.claim).is_ok())
}

fn once_and_in_order(_: &Protocol, state: &State) -> bool {
    effects(state).all(|(batch, row)| row.stored_offset == batch.offset_before)
}

fn one_effective_writer(_: &Protocol, state: &State) -> bool {
    let fence = state.database.row().fence;
    let open = &state.database.open;
    open.iter()
        .filter_map(|transaction| transaction.unstoppable())
        .all(|batch| fence.admit(batch.claim).is_ok())
}

fn leader_knows_offset(_: &Protocol, state: &State) -> bool {
    let row = state.database.row();
    state.processes.iter().all(|process| {
        let believed = match process.standing {
            Standing::Leading { stored_offset, .. } => stored_offset,
            Standing::Settled {
                batch,
                committed: true,
            } => batch.offset_after(),
            Standing::Settled {
                batch,
                committed: false,
            } => batch.offset_before,
            _ => return true,
        };
        let stands = process
            .standing
            .claim()
            .is_some_and(|claim| row.fence.admit(claim).is_ok());
        !stands || process.learned_at != state.failovers_left || believed == row.stored_offset
    })
}

fn stands(state: &State, what: impl Fn(Standing) -> bool) -> bool {
    state.processes.iter().any(|process| what(process.standing))
}

fn leads_unknowingly_no_more(_: &Protocol, state: &State) -> bool {
    let fence = state.database.row().fence;
    stands(state, |standing| {
        matches!(standing, Standing::Writing { .. })
            && standing
                .claim()
                .is_some_and(|claim| claim.token < fence.token)
    })
}

fn zombie_is_refused(_: &Protocol, state: &State) -> bool {
    stands(state, |s| s == Standing::Ending(EndOfTerm::Fenced))
}

fn offset_is_found_moved(_: &Protocol, state: &State) -> bool {
    stands(state, |s| s == Standing::Ending(EndOfTerm::Moved))
}

fn settled_committed(_: &Protocol, state: &State) -> bool {
    stands(state, |s| {
        matches!(
            s,
            Standing::Settled {
                committed: true,
                ..
            }
        )
    })
}

fn settled_not_committed(_: &Protocol, state: &State) -> bool {
    stands(state, |s| {
        matches!(
            s,
            Standing::Settled {
                committed: false,
                ..
            }
        )
    })
}

/// Two processes hold the same number: only the owner tells them apart.
fn token_given_again(_: &Protocol, state: &State) -> bool {
    let claims: Vec<_> = state
        .processes
        .iter()
        .filter_map(|process| process.standing.claim())
        .collect();
    claims.iter().any(|one| {
        claims
            .iter()
            .any(|other| one.token == other.token && one.owner != other.owner)
    })
}

fn candidate_waits_for_writer(protocol: &Protocol, state: &State) -> bool {
    let open = &state.database.open;
    open.iter().any(|t| t.stage == Stage::LeaseLocked)
        && open.iter().any(|t| {
            matches!(t.stage, Stage::Looked(_) | Stage::Written(_))
                && t.holds_row(protocol.guards.look_locks)
        })
}

/// Nobody waits for it any more, and it may still commit.
fn commit_without_client(_: &Protocol, state: &State) -> bool {
    let open = &state.database.open;
    open.iter()
        .any(|t| !t.has_client && t.commit_sent && t.unstoppable().is_some())
}

fn new_life_leads(_: &Protocol, state: &State) -> bool {
    state
        .processes
        .iter()
        .any(|p| p.life > 0 && matches!(p.standing, Standing::Leading { .. }))
}

/// What the checker looks for. The second half guards the first: a model in which nothing happens
/// breaks nothing.
pub fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(NEWEST_CLAIM_WRITES, newest_claim_writes),
        Property::always(ONCE_AND_IN_ORDER, once_and_in_order),
        Property::always(ONE_EFFECTIVE_WRITER, one_effective_writer),
        Property::always(LEADER_KNOWS_OFFSET, leader_knows_offset),
        Property::sometimes(
            "an old leader writes after a take-over",
            leads_unknowingly_no_more,
        ),
        Property::sometimes("a zombie is refused", zombie_is_refused),
        Property::sometimes("an unknown COMMIT turns out committed", settled_committed),
        Property::sometimes("an unknown COMMIT turns out lost", settled_not_committed),
        Property::sometimes(
            "a candidate waits for the old leader's transaction",
            candidate_waits_for_writer,
        ),
        Property::sometimes("a COMMIT outlives its client", commit_without_client),
        Property::sometimes(FAILOVER_REISSUES_TOKEN, token_given_again),
        Property::sometimes(FAILOVER_MOVES_OFFSET, offset_is_found_moved),
        Property::sometimes(CRASHED_LEADS_AGAIN, new_life_leads),
    ]
}

/// Only with a failover.
pub const FAILOVER_REISSUES_TOKEN: &str = "a failover gives a token out again";
/// Only with a failover.
pub const FAILOVER_MOVES_OFFSET: &str = "a leader finds the stored offset moved";
/// Only with a crash.
pub const CRASHED_LEADS_AGAIN: &str = "a process leads again after a crash";
