//! What the relay scans, and how far it has come.

use super::{Decider, RowToDecide, Stores, new_owner, partition, resident};
use crate::port::change_log::ChangeLogRecord;
use crate::port::relay_source::{LogPlace, MarkMove, RelayHorizon, RelayScan, RelayScope};
use crate::testkit::{scanned, stored_layout};
use axs_domain::fencing::Claim;
use axs_domain::id::LogId;
use axs_domain::incarnation::Incarnation;
use axs_domain::time::Timestamp;
use std::time::Duration;

const HERE: i32 = 3;

/// The horizon of a relay without any grace.
async fn horizon(stores: &Stores) -> RelayHorizon {
    let scope = RelayScope {
        partition: partition(HERE),
        layout_epoch: stored_layout().layout.epoch(),
        grace: Duration::ZERO,
        incarnation: stores.balances.incarnation().await.unwrap(),
    };
    stores.relay.horizon(scope).await.unwrap()
}

async fn scan(stores: &Stores, after: Option<Timestamp>, limit: u32) -> Vec<ChangeLogRecord> {
    page(stores, after, None, limit).await
}

async fn page(
    stores: &Stores,
    after: Option<Timestamp>,
    behind: Option<LogPlace>,
    limit: u32,
) -> Vec<ChangeLogRecord> {
    let scan = RelayScan {
        shards: stored_layout().layout.shards_of(partition(HERE)),
        after,
        behind,
        until: horizon(stores).await.until,
        limit,
        is_dense: false,
        incarnation: stores.balances.incarnation().await.unwrap(),
    };
    scanned(&*stores.relay, scan).await
}

async fn three_rows(stores: &Stores) -> Vec<RowToDecide> {
    let mut rows = Vec::new();
    for (nth, key) in ["c", "a", "b"].into_iter().enumerate() {
        rows.push(stores.log(resident(partition(HERE), nth), key).await);
    }
    rows
}

fn ids(rows: &[ChangeLogRecord]) -> Vec<LogId> {
    rows.iter().map(|row| row.log_id).collect()
}

/// Of the shards asked alone, and with their payloads.
pub async fn a_scan_sees_rows_that_are_init_oldest_first(stores: Stores) {
    let here = partition(HERE);
    let rows = three_rows(&stores).await;
    stores.log(resident(partition(0), 0), "elsewhere").await;
    let claim = stores.lead(here, new_owner()).await;
    let mut decider = Decider::new(here, claim);
    let batch = decider.batch().apply(&rows[1], "1").decided();
    stores.write(batch).await.unwrap();
    let found = scan(&stores, None, 10).await;
    let expected = [stores.row(&rows[0]).await, stores.row(&rows[2]).await];
    assert_eq!(found, expected);
}

/// The mark itself is passed.
pub async fn a_scan_begins_after_the_mark_and_ends_at_its_limit(stores: Stores) {
    let rows = three_rows(&stores).await;
    let all: Vec<_> = rows.iter().map(|row| row.log_id).collect();
    assert_eq!(ids(&scan(&stores, None, 2).await), all[..2]);
    let after = Some(rows[0].logged_at);
    assert_eq!(ids(&scan(&stores, after, 10).await), all[1..]);
}

/// Rows that stay INIT, since nobody can publish them, must not hide those behind them.
pub async fn the_pages_of_a_scan_leave_no_row_out_and_repeat_none(stores: Stores) {
    let rows = three_rows(&stores).await;
    let all: Vec<_> = rows.iter().map(|row| row.log_id).collect();
    for after in [None, Some(rows[0].logged_at)] {
        let expected = if after.is_some() { &all[1..] } else { &all[..] };
        let (mut found, mut behind) = (Vec::new(), None);
        while let [row] = page(&stores, after, behind, 1).await.as_slice() {
            found.push(row.log_id);
            behind = Some(LogPlace::of(row));
        }
        assert_eq!(found, expected);
    }
}

/// A primary that was replaced may still answer, and the mark would pass what it does not show.
pub async fn nothing_is_scanned_in_another_history_than_the_claims(stores: Stores) {
    three_rows(&stores).await;
    let claim = stores.lead(partition(HERE), new_owner()).await;
    let until = horizon(&stores).await.until;
    for (incarnation, is_told) in [
        (claim.incarnation, true),
        (Incarnation::new(!claim.incarnation.value()), false),
    ] {
        let scope = RelayScope {
            partition: partition(HERE),
            layout_epoch: stored_layout().layout.epoch(),
            grace: Duration::ZERO,
            incarnation,
        };
        assert_eq!(stores.relay.horizon(scope).await.is_ok(), is_told);
        let scan = RelayScan {
            shards: stored_layout().layout.shards_of(partition(HERE)),
            after: None,
            behind: None,
            until,
            limit: 10,
            is_dense: false,
            incarnation,
        };
        assert_eq!(stores.relay.still_init(scan).await.is_ok(), is_told);
    }
}

/// Between the scan and the publishing, a batch may finish any of them.
pub async fn rows_that_became_final_are_not_kept(stores: Stores) {
    let here = partition(HERE);
    let rows = three_rows(&stores).await;
    let found = scan(&stores, None, 10).await;
    assert_eq!(
        stores.relay.keep_init(found.clone()).await,
        Ok(found.clone())
    );
    let claim = stores.lead(here, new_owner()).await;
    let mut decider = Decider::new(here, claim);
    let batch = decider.batch().reject(&rows[0]).decided();
    stores.write(batch).await.unwrap();
    let kept = stores.relay.keep_init(found.clone()).await;
    assert_eq!(kept, Ok(found[1..].to_vec()));
}

/// Every row at or below what is settled is seen, and a stale leader moves nothing.
pub async fn a_mark_is_moved_by_the_leader_alone_and_found_by_the_next(stores: Stores) {
    let here = partition(HERE);
    let old = stores.lead(here, new_owner()).await;
    let claim = stores.succeed(here, old).await;
    let first = horizon(&stores).await;
    assert_eq!((first.low_water, first.generation), (None, 0));
    assert!(
        first
            .settled_to
            .is_some_and(|settled| settled <= first.until)
    );
    let to = |claim, generation| MarkMove {
        partition: here,
        claim,
        layout_epoch: stored_layout().layout.epoch(),
        generation,
        low_water: Some(first.until),
    };
    let of_another_history = Claim {
        incarnation: Incarnation::new(!claim.incarnation.value()),
        ..claim
    };
    for refused in [to(old, 0), to(claim, 1), to(of_another_history, 0)] {
        assert_eq!(
            stores.relay.move_mark(refused).await,
            Ok(false),
            "{refused:?}"
        );
    }
    assert_eq!(horizon(&stores).await.low_water, None);
    assert_eq!(stores.relay.move_mark(to(claim, 0)).await, Ok(true));
    assert_eq!(horizon(&stores).await.low_water, Some(first.until));
    let forgotten = MarkMove {
        low_water: None,
        ..to(claim, 0)
    };
    assert_eq!(stores.relay.move_mark(forgotten).await, Ok(true));
    assert_eq!(horizon(&stores).await.low_water, None);
}
