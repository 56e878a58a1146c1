//! Events that were checked in another history of the database.

use super::{OPEN, Ports, accepted, logged, registered};
use crate::testkit::{EventBuilder, INCARNATION, log_id, stored_layout};
use crate::usecase::account_lookup::{AccountsKnown, MockAccountLookup};
use crate::usecase::log_changes::LogError;
use crate::usecase::submit_balance_changes::SubmitError;
use crate::usecase::submit_balance_changes::check::CHECKS_MAX;
use axs_domain::incarnation::Incarnation;
use std::sync::Arc;

const OTHER: Incarnation = Incarnation::new(2);

/// Accounts as they are found in one history after the other; the last for ever.
fn found_in(histories: Vec<Incarnation>) -> MockAccountLookup {
    let mut accounts = MockAccountLookup::new();
    let mut order = mockall::Sequence::new();
    for incarnation in histories {
        accounts
            .expect_find()
            .times(1)
            .in_sequence(&mut order)
            .returning(move |ids| {
                Ok(AccountsKnown {
                    incarnation,
                    ..AccountsKnown::among(&ids, &OPEN)
                })
            });
    }
    accounts
}

/// All that the events were checked by.
fn looks_everything_up_again(ports: &mut Ports, times: usize) {
    ports
        .currencies
        .expect_refreshed()
        .times(times)
        .returning(|| Ok(Arc::new(registered())));
    ports
        .layouts
        .expect_refreshed()
        .times(times)
        .returning(|| Ok(Arc::new(stored_layout())));
}

#[tokio::test]
async fn what_was_checked_in_another_history_is_checked_anew_and_logged_once() {
    let mut ports = Ports::new();
    ports.accounts = found_in(vec![INCARNATION, OTHER]);
    looks_everything_up_again(&mut ports, 1);
    ports
        .log
        .expect_log()
        .times(2)
        .returning(|changes, _| match changes[0].incarnation {
            OTHER => Ok(vec![logged(1)]),
            _ => Err(LogError::HistoryMoved),
        });
    let outcomes = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert_eq!(accepted(&outcomes.unwrap()[0]).log_id, log_id(1));
}

#[tokio::test]
async fn a_history_that_moves_again_and_again_is_given_up_without_logging() {
    let mut ports = Ports::new();
    ports.accounts = found_in(vec![INCARNATION; CHECKS_MAX]);
    looks_everything_up_again(&mut ports, CHECKS_MAX - 1);
    ports
        .log
        .expect_log()
        .times(CHECKS_MAX)
        .returning(|_, _| Err(LogError::HistoryMoved));
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(_))));
}
