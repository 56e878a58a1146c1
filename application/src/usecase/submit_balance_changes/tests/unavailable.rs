//! When a look-up or the log does not answer, or not so that it helps.

use super::{Ports, accepted, logged};
use crate::port::store_error::StoreError;
use crate::testkit::{EventBuilder, INCARNATION, account, account_id, away, log_id, stored_layout};
use crate::usecase::account_lookup::{AccountsKnown, MockAccountLookup};
use crate::usecase::log_changes::{LogError, LogOutcome};
use crate::usecase::submit_balance_changes::{SubmitError, SubmitOutcome};
use axs_domain::id::ShardId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_database_that_is_away_before_the_log_is_unavailable_and_nothing_is_logged() {
    let mut ports = Ports::new();
    ports.accounts = MockAccountLookup::new();
    ports.accounts.expect_find().returning(|_| Err(away()));
    ports.log.expect_log().never();
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(_))));
}

#[tokio::test]
async fn a_look_up_that_the_database_denies_is_told_as_it_is_and_nothing_is_logged() {
    let mut ports = Ports::new();
    ports.accounts = MockAccountLookup::new();
    ports.accounts.expect_find().returning(|_| {
        Err(StoreError::Denied {
            store: "PostgreSQL".to_owned(),
            reason: "permission denied for table accounts".to_owned(),
        })
    });
    ports.log.expect_log().never();
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(
        matches!(&failed, Err(SubmitError::Denied(reason)) if reason.contains("table accounts")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_code_that_can_not_be_looked_up_is_never_called_unknown() {
    let mut ports = Ports::new();
    ports
        .currencies
        .expect_refreshed()
        .times(1)
        .returning(|| Err(away()));
    ports.log.expect_log().never();
    let event = EventBuilder::new(1, "k").change("NEW", "1", "0").build();
    let failed = ports.submit(vec![event]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(_))));
}

#[tokio::test]
async fn whether_an_inactive_currency_is_refused_is_unknown_while_the_log_can_not_be_asked() {
    let mut ports = Ports::new();
    let asked = ports.change_log.expect_find_by_key();
    asked.times(1).returning(|_| Err(away()));
    ports.logs(&[]);
    let event = EventBuilder::new(1, "k").change("OLD", "1", "0").build();
    let outcomes = ports.submit(vec![event]).await.unwrap();
    assert!(
        matches!(&outcomes[0], SubmitOutcome::Unknown(_)),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn an_event_whose_row_can_not_be_read_is_unknown_and_its_neighbour_accepted() {
    let mut ports = Ports::new();
    ports.log.expect_log().times(1).returning(|_, _| {
        let unknown = LogOutcome::Unknown("of a newer version".to_owned());
        Ok(vec![unknown, logged(1)])
    });
    let events = vec![
        EventBuilder::new(1, "unreadable").build(),
        EventBuilder::new(2, "sound").build(),
    ];
    let outcomes = ports.submit(events).await.unwrap();
    assert!(matches!(&outcomes[0], SubmitOutcome::Unknown(why) if why.contains("newer")));
    assert_eq!(accepted(&outcomes[1]).log_id, log_id(1));
}

#[tokio::test]
async fn an_unknown_outcome_and_a_full_backlog_are_told_apart() {
    let pause = Duration::from_secs(3);
    let mut ports = Ports::new();
    ports.log.expect_log().returning(move |_, _| {
        Err(LogError::BacklogFull {
            reason: "8 of 8".to_owned(),
            retry_after: pause,
        })
    });
    let full = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(
        full,
        Err(SubmitError::BacklogFull { retry_after, .. }) if retry_after == pause
    ));
    let mut ports = Ports::new();
    ports
        .log
        .expect_log()
        .returning(|_, _| Err(LogError::Unavailable("away".to_owned())));
    let unknown = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert_eq!(unknown, Err(SubmitError::Unavailable("away".to_owned())));
}

#[tokio::test]
async fn an_account_on_a_shard_that_no_layout_has_is_not_logged() {
    let mut ports = Ports::new();
    ports.accounts = MockAccountLookup::new();
    ports.accounts.expect_find().returning(|_| {
        let mut far = account(1);
        far.shard_id = ShardId::try_new(4_000).unwrap();
        Ok(AccountsKnown {
            incarnation: INCARNATION,
            accounts: HashMap::from([(account_id(1), far)]),
        })
    });
    ports
        .layouts
        .expect_refreshed()
        .times(1)
        .returning(|| Ok(Arc::new(stored_layout())));
    ports.log.expect_log().never();
    let failed = ports.submit(vec![EventBuilder::new(1, "k").build()]).await;
    assert!(matches!(failed, Err(SubmitError::Unavailable(reason)) if reason.contains("4000")));
}
