//! After the fault: ambiguous answers settled, everything final.

use super::invariant::{Invariant, Violations};
use super::journal::{Answer, Journal, Sent};
use super::load::{Roster, send};
use crate::database::Database;
use axs_proto::v1::AckLevel;
use std::time::{Duration, Instant};

/// Within this time after healing everything must be final.
pub const BOUND: Duration = Duration::from_secs(60);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Events settled by one request.
const SETTLED_AT_ONCE: usize = 50;

/// Waits until no accepted event is without a result.
///
/// A partition that will not go on, or a database that stays away, breaks I12.
pub async fn wait(database: &Database, healed: Instant, violations: &mut Violations) {
    loop {
        let seen = match database.pending_events().await {
            Ok(0) => return,
            Ok(pending) => format!("{pending} events have no result"),
            Err(error) => format!("{error:#}"),
        };
        if healed.elapsed() > BOUND {
            return violations.add(Invariant::I12, format!("{BOUND:?} after healing {seen}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends every event again whose answer was ambiguous, until its answer is definite. Gives how
/// many there were.
pub async fn settle(
    roster: &Roster,
    journal: &Journal,
    healed: Instant,
    violations: &mut Violations,
) -> u64 {
    let mut open = journal.all();
    open.retain(|sent| matches!(sent.answer, Answer::Unknown(_)));
    let count = open.len() as u64;
    let mut wish = 0;
    while !open.is_empty() {
        if healed.elapsed() > BOUND {
            violations.add(
                Invariant::I11,
                format!(
                    "{} ambiguous answers stay ambiguous, e.g. {:?}",
                    open.len(),
                    open[0]
                ),
            );
            break;
        }
        let mut left = Vec::new();
        for some in open.chunks(SETTLED_AT_ONCE) {
            let events: Vec<_> = some.iter().map(|sent| sent.event.clone()).collect();
            let Some((api, client)) = roster.pick(wish) else {
                left.extend_from_slice(some);
                continue;
            };
            let again = send(&client, api, events, AckLevel::Logged, false).await;
            let (definite, still): (Vec<Sent>, Vec<Sent>) = again.into_iter().partition(|sent| {
                matches!(sent.answer, Answer::Accepted { .. } | Answer::Refused(_))
            });
            journal.note(definite);
            left.extend(still);
        }
        wish += usize::from(!left.is_empty());
        open = left;
        tokio::time::sleep(PAUSE).await;
    }
    count
}
