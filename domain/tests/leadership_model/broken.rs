//! The check can fail: each guard that is taken out is missed, and the way to the harm is real.

use crate::bounds::Bounds;
use crate::database::Batch;
use crate::deviation::Guards;
use crate::model::{Protocol, State};
use crate::property::{
    LEADER_KNOWS_OFFSET, NEWEST_CLAIM_WRITES, ONCE_AND_IN_ORDER, ONE_EFFECTIVE_WRITER, effects,
};
use crate::step::Step;
use crate::story::{counterexample, tell, way_to_break};
use stateright::Path;

/// The shortest way to break the property, told to whoever reads the test's output.
fn broken(guards: Guards, bounds: Bounds, property: &'static str) -> Path<State, Step> {
    let protocol = Protocol { guards, bounds };
    let path = way_to_break(protocol, property);
    println!("{}", counterexample(&protocol, property, &path));
    path
}

fn batches(path: &Path<State, Step>) -> Vec<Batch> {
    effects(path.last_state()).map(|(batch, _)| batch).collect()
}

/// The fence as a plain SELECT, and nothing that looks again under a lock: check, pause, commit.
const WITHOUT_ROW_LOCK: Guards = Guards {
    look_locks: false,
    write_looks_again: false,
    ..Guards::ALL
};

#[test]
fn without_the_row_lock_two_leaders_write_the_same_offset() {
    let path = broken(WITHOUT_ROW_LOCK, Bounds::ONE_PRIMARY, ONCE_AND_IN_ORDER);
    let batches = batches(&path);
    let [.., first, second] = batches.as_slice() else {
        panic!("no two writes:\n{}", tell(&path))
    };
    assert_eq!(
        first.offset_before,
        second.offset_before,
        "not the same offset:\n{}",
        tell(&path)
    );
    assert_ne!(
        first.claim.owner,
        second.claim.owner,
        "not two writers:\n{}",
        tell(&path)
    );
    // Both looked while they had the right to write; neither was refused anything.
    let steps = path.into_actions();
    assert_eq!(
        steps.iter().filter(|s| matches!(s, Step::Look(_))).count(),
        2,
        "{steps:?}"
    );
}

#[test]
fn without_the_row_lock_an_old_claim_can_still_commit() {
    let path = broken(WITHOUT_ROW_LOCK, Bounds::ONE_PRIMARY, ONE_EFFECTIVE_WRITER);
    let state = path.last_state();
    let newest = state.database.row().fence.token;
    let old = state.database.open.iter().find_map(|t| t.unstoppable());
    assert!(
        old.is_some_and(|batch| batch.claim.token < newest),
        "{}",
        tell(&path)
    );
}

#[test]
fn without_the_claim_an_old_leader_writes_after_the_new_one_was_let_in() {
    let guards = Guards {
        compares_token: false,
        compares_owner: false,
        ..Guards::ALL
    };
    let path = broken(guards, Bounds::ONE_PRIMARY, NEWEST_CLAIM_WRITES);
    let (batch, row) = effects(path.last_state()).last().unwrap();
    assert!(batch.claim.token < row.fence.token, "{}", tell(&path));
    // The offset alone doesn't tell who writes.
    assert_eq!(batch.offset_before, row.stored_offset);
}

#[test]
fn without_the_owner_a_token_given_out_again_lets_two_in() {
    let guards = Guards {
        compares_owner: false,
        ..Guards::ALL
    };
    let path = broken(guards, Bounds::SHORT, NEWEST_CLAIM_WRITES);
    let (batch, row) = effects(path.last_state()).last().unwrap();
    assert_eq!(batch.claim.token, row.fence.token, "{}", tell(&path));
    assert_ne!(Some(batch.claim.owner), row.fence.owner, "{}", tell(&path));
    let steps = path.into_actions();
    assert!(
        steps.iter().any(|s| matches!(s, Step::FailsOver { .. })),
        "{steps:?}"
    );
}

#[test]
fn without_the_offset_a_leader_goes_on_over_what_a_failover_lost() {
    let guards = Guards {
        compares_offset: false,
        ..Guards::ALL
    };
    let path = broken(guards, Bounds::SHORT, ONCE_AND_IN_ORDER);
    let (batch, row) = effects(path.last_state()).last().unwrap();
    assert!(batch.offset_before > row.stored_offset, "{}", tell(&path));
}

#[test]
fn settling_without_waiting_takes_a_commit_on_its_way_for_lost() {
    let guards = Guards {
        settle_waits: false,
        ..Guards::ALL
    };
    let path = broken(guards, Bounds::SHORT, LEADER_KNOWS_OFFSET);
    let steps = path.into_actions();
    let settled = steps.iter().position(|s| matches!(s, Step::Settle(_)));
    let committed = steps.iter().rposition(|s| matches!(s, Step::Commits(_)));
    assert!(settled.is_some() && settled < committed, "{steps:?}");
}
