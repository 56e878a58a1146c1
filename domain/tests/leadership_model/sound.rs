//! The protocol as it is: every state within the bounds is visited, and nothing is found.

use crate::bounds::Bounds;
use crate::deviation::Guards;
use crate::model::Protocol;
use crate::property::{CRASHED_LEADS_AGAIN, FAILOVER_MOVES_OFFSET, FAILOVER_REISSUES_TOKEN};
use crate::story::{counterexample, way_to_break};
use crate::symmetry::named_by_first_commit;
use stateright::{Checker, Expectation, Model};

/// Threads of one walk.
const THREADS: usize = 2;

/// Walks everything, and fails with the story of the first thing that breaks, or with the name of
/// what should happen somewhere and does not.
fn holds(bounds: Bounds, guards: Guards) {
    let protocol = Protocol { guards, bounds };
    let began = std::time::Instant::now();
    let checker = protocol
        .checker()
        .threads(THREADS)
        .symmetry_fn(named_by_first_commit)
        .spawn_dfs()
        .join();
    println!(
        "{bounds:?}: {} states, {} steps deep, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    for property in protocol.properties() {
        let found = checker.discovery(property.name);
        match property.expectation {
            Expectation::Always => {
                if found.is_some() {
                    // Walked again in breadth: the first story found that way is the shortest.
                    let path = way_to_break(protocol, property.name);
                    panic!("{}", counterexample(&protocol, property.name, &path));
                }
            }
            _ => assert!(
                found.is_some() || !can_happen(bounds, property.name),
                "never: {}",
                property.name
            ),
        }
    }
    assert!(checker.is_done(), "the walk was cut");
}

fn can_happen(bounds: Bounds, property: &str) -> bool {
    match property {
        FAILOVER_REISSUES_TOKEN => bounds.failovers > 0,
        FAILOVER_MOVES_OFFSET => bounds.failovers > 0 && bounds.offsets > 1,
        CRASHED_LEADS_AGAIN => bounds.crashes > 0,
        _ => true,
    }
}

#[test]
fn two_candidates_are_never_two_writers() {
    holds(Bounds::SHORT, Guards::ALL);
}

#[test]
fn three_candidates_are_never_two_writers() {
    holds(Bounds::THREE, Guards::ALL);
}

/// `store_offset.sql` looks again under the lock that its UPDATE takes: a second guard that holds
/// alone. The first one is there so that a batch that has no right is refused before it has touched
/// a balance, and what is decided in the transaction rests on a row that stands still.
#[test]
fn the_second_look_holds_alone() {
    let guards = Guards {
        look_locks: false,
        ..Guards::ALL
    };
    holds(Bounds::ONE_PRIMARY, guards);
}

/// Under the lock of the first look nothing can move: the second one then never refuses.
#[test]
fn the_locked_look_holds_alone() {
    let guards = Guards {
        write_looks_again: false,
        ..Guards::ALL
    };
    holds(Bounds::ONE_PRIMARY, guards);
}

#[test]
#[ignore = "minutes: for the night"]
fn more_of_everything_changes_nothing() {
    for bounds in Bounds::LONG {
        holds(bounds, Guards::ALL);
    }
}
