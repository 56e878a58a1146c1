//! A path through the model in a person's words.

use crate::database::Stage;
use crate::model::{Protocol, State};
use crate::owner::name;
use crate::step::Step;
use stateright::{Checker, HasDiscoveries, Model, Path};
use std::fmt::Write;

/// One line a step, and what is committed after it where that changed.
pub fn tell(path: &Path<State, Step>) -> String {
    let mut story = String::new();
    let steps = path.clone().into_vec();
    for (number, (state, step)) in steps.iter().enumerate() {
        let Some(step) = step else { break };
        let after = &steps[number + 1].0;
        // Writing to a String can't fail.
        let _ = writeln!(story, "{:>3}. {}", number + 1, line(state, *step));
        if after.database.commits != state.database.commits {
            let row = after.database.row();
            let _ = writeln!(
                story,
                "       the row: token {}, owner {}, stored offset {}",
                row.fence.token,
                row.fence.owner.map_or("nobody".to_owned(), name),
                row.stored_offset
            );
        }
    }
    story
}

fn line(state: &State, step: Step) -> String {
    let who = |place: crate::owner::Place| name(place.owner(state.processes[place.0].life));
    let whose = |index: usize| {
        let transaction = &state.database.open[index];
        let what = match transaction.stage {
            Stage::LeaseLocked | Stage::Raised { .. } => "take-over".to_owned(),
            Stage::Staged(batch) | Stage::Looked(batch) | Stage::Written(batch) => format!(
                "batch of offset {} under token {} of {}",
                batch.offset_before,
                batch.claim.token,
                name(batch.claim.owner)
            ),
            Stage::Committed(_) => "answer".to_owned(),
        };
        format!("{:?}'s {what}", transaction.place)
    };
    match step {
        Step::LockLease(place) => {
            format!("{} finds the lease free or over, and locks it", who(place))
        }
        Step::RaiseToken(place) => format!("{} raises the token", who(place)),
        Step::Stage(place) => format!("{} stages a batch", who(place)),
        Step::Look(place) => format!("{} looks at the fence", who(place)),
        Step::Write(place) => format!("{} writes the batch and its offset", who(place)),
        Step::SendCommit(place) => format!("{} sends COMMIT", who(place)),
        Step::Commits(index) => format!("the server commits {}", whose(index)),
        Step::HearsCommit(place) => format!("{} hears of its commit", who(place)),
        Step::LosesAnswer(place) => format!("{} loses its connection", who(place)),
        Step::BackendEnds(index) => format!("the server rolls back {}", whose(index)),
        Step::NoticesLoss(place) => format!("{} finds its connection broken", who(place)),
        Step::Settle(place) => format!("{} settles under the row's lock", who(place)),
        Step::GoesOn(place) => format!("{} goes on", who(place)),
        Step::StepsDown(place) => format!("{} steps down", who(place)),
        Step::Crash(place) => format!("{} dies", who(place)),
        Step::FailsOver { kept } => format!(
            "a replica that has {kept} of {} commits takes over",
            state.database.commits.len()
        ),
    }
}

/// The shortest way to break the property.
///
/// # Panics
/// Nothing breaks it.
pub fn way_to_break(protocol: Protocol, property: &'static str) -> Path<State, Step> {
    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AllOf([property].into()))
        .spawn_bfs()
        .join();
    checker
        .discovery(property)
        .unwrap_or_else(|| panic!("nothing breaks \"{property}\" with {protocol:?}"))
}

/// The story of a property's counterexample, for the message of a failure.
pub fn counterexample(protocol: &Protocol, property: &str, path: &Path<State, Step>) -> String {
    format!(
        "\"{property}\" is broken, with {protocol:?}:\n{}",
        tell(path)
    )
}
