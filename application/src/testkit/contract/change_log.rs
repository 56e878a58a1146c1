//! The change log: logging, finding, noting.

use super::{Decider, Stores, new_owner, new_row, offset, partition, resident, unique_log_id};
use crate::port::change_log::{
    AppendError, AppendOutcome, ChangeLogRecord, NewChangeLog, Placing, PublishedPosition,
};
use axs_domain::id::LayoutEpoch;
use axs_domain::incarnation::Incarnation;
use axs_domain::log_status::LogStatus;

/// The row as `append` leaves it; `None` when it was not logged.
fn as_logged(row: &NewChangeLog, outcome: &AppendOutcome) -> Option<ChangeLogRecord> {
    let AppendOutcome::Logged { logged_at } = outcome else {
        return None;
    };
    Some(ChangeLogRecord {
        log_id: row.log_id,
        key: row.key.clone(),
        fingerprint: row.fingerprint,
        payload: row.payload.clone(),
        status: LogStatus::Init,
        reason: None,
        logged_at: *logged_at,
        decided_at: None,
        position: None,
        entries: Vec::new(),
    })
}

/// The row that was met; `None` when it was logged.
fn known(outcome: &AppendOutcome) -> Option<&ChangeLogRecord> {
    match outcome {
        AppendOutcome::Known(record) => Some(record),
        AppendOutcome::Logged { .. } | AppendOutcome::Unreadable(_) => None,
    }
}

/// To the byte and to the microsecond.
pub async fn what_was_logged_is_found_by_its_id_and_by_its_key_as_it_was_given(stores: Stores) {
    let row = new_row(7, "first");
    let (log, placing) = (&stores.change_log, stores.placing().await);
    let outcomes = log.append(vec![row.clone()], placing).await.unwrap();
    let expected = as_logged(&row, &outcomes[0]);
    assert!(expected.is_some());
    assert_eq!(log.find_by_log_id(row.log_id).await, Ok(expected.clone()));
    assert_eq!(log.find_by_key(row.key).await, Ok(expected));
}

/// A neighbour is another row.
pub async fn what_was_never_logged_is_not_found(stores: Stores) {
    let (log, placing) = (&stores.change_log, stores.placing().await);
    let logged = log.append(vec![new_row(7, "first")], placing).await;
    logged.unwrap();
    assert_eq!(log.find_by_log_id(unique_log_id()).await, Ok(None));
    for other in [new_row(7, "second"), new_row(8, "first")] {
        assert_eq!(log.find_by_key(other.key).await, Ok(None));
    }
    assert_eq!(log.append(Vec::new(), placing).await, Ok(Vec::new()));
}

/// Whatever order the store writes them in.
pub async fn outcomes_stand_in_the_order_asked_whatever_the_order_of_the_keys(stores: Stores) {
    let (log, placing) = (&stores.change_log, stores.placing().await);
    let first = new_row(9, "m");
    log.append(vec![first.clone()], placing).await.unwrap();
    let rows: Vec<_> = [(9, "z"), (7, "b"), (9, "m"), (8, "a"), (7, "a")]
        .map(|(account, key)| new_row(account, key))
        .into();
    let outcomes = log.append(rows.clone(), placing).await.unwrap();
    for (place, (row, outcome)) in rows.iter().zip(&outcomes).enumerate() {
        if place == 2 {
            assert_eq!(known(outcome).map(|met| met.log_id), Some(first.log_id));
        } else {
            let found = log.find_by_key(row.key.clone()).await;
            assert_eq!(found, Ok(as_logged(row, outcome)), "{place}");
        }
    }
}

/// The first asked, since the caller's order is the order of its requests.
pub async fn of_rows_with_one_key_in_one_call_the_first_is_logged_and_the_others_know_it(
    stores: Stores,
) {
    let rows: Vec<_> = (0..3).map(|_| new_row(7, "one key")).collect();
    let placing = stores.placing().await;
    let outcomes = stores.change_log.append(rows.clone(), placing).await;
    let outcomes = outcomes.unwrap();
    let first = as_logged(&rows[0], &outcomes[0]);
    assert!(first.is_some());
    for outcome in &outcomes[1..] {
        assert_eq!(known(outcome), first.as_ref());
    }
}

/// However they are ordered.
pub async fn the_same_keys_sent_at_once_are_logged_once_and_nobody_deadlocks(stores: Stores) {
    const KEYS: usize = 12;
    let placing = stores.placing().await;
    let calls = (0..6_usize).map(|call| {
        let mut rows: Vec<_> = (0..KEYS)
            .map(|key| new_row(7, &format!("key {key}")))
            .collect();
        rows.rotate_left(call * 2);
        if call % 2 == 1 {
            rows.reverse();
        }
        stores.change_log.append(rows, placing)
    });
    let outcomes = futures::future::join_all(calls).await;
    let outcomes: Vec<_> = outcomes.into_iter().flat_map(Result::unwrap).collect();
    let logged = outcomes.iter().filter(|outcome| known(outcome).is_none());
    assert_eq!(logged.count(), KEYS);
}

/// A hint while INIT, the fact afterwards.
pub async fn a_position_is_noted_while_a_row_is_init_and_never_after(stores: Stores) {
    let here = partition(0);
    let row = stores.log(resident(here, 0), "key").await;
    let position = |at| PublishedPosition {
        key: row.key.clone(),
        partition: here,
        offset: offset(at),
    };
    let log = &stores.change_log;
    assert_eq!(log.note_positions(vec![position(5)]).await, Ok(1));
    assert_eq!(stores.row(&row).await.position, Some((here, offset(5))));
    let mut decider = Decider::new(here, stores.lead(here, new_owner()).await);
    let batch = decider.batch().apply(&row, "1").decided();
    stores.write(batch).await.unwrap();
    assert_eq!(log.note_positions(vec![position(9)]).await, Ok(0));
    assert_eq!(stores.row(&row).await.position, Some((here, offset(0))));
}

/// Nor by an older one, nor by one that is not yet the store's.
pub async fn by_another_map_nothing_is_logged(stores: Stores) {
    let placing = stores.placing().await;
    let current = placing.layout_epoch;
    let other = Placing {
        layout_epoch: LayoutEpoch::try_new(current.value() + 1).unwrap(),
        ..placing
    };
    let row = new_row(7, "key");
    let refused = stores.change_log.append(vec![row.clone()], other).await;
    assert_eq!(refused, Err(AppendError::LayoutMoved { current }));
    assert_eq!(stores.change_log.find_by_key(row.key).await, Ok(None));
}

/// The account may live on another shard there, so that the key would be new.
pub async fn in_another_history_nothing_is_logged(stores: Stores) {
    let placing = stores.placing().await;
    let current = placing.incarnation;
    let other = Placing {
        incarnation: Incarnation::new(current.value() ^ 1),
        ..placing
    };
    let row = new_row(7, "key");
    let refused = stores.change_log.append(vec![row.clone()], other).await;
    assert_eq!(refused, Err(AppendError::HistoryMoved { current }));
    assert_eq!(stores.change_log.find_by_key(row.key).await, Ok(None));
}
