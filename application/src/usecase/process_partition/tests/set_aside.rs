//! What is set aside is told in the log, and a flood of it is bounded.

use super::bench::{Bench, change, resident};
use crate::port::clock::Clock;
use crate::testkit::LogLines;
use crate::usecase::process_partition::fakes::until;
use crate::usecase::process_partition::set_aside::{LINES_MAX, PERIOD};
use bytes::Bytes;
use std::num::NonZeroUsize;

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_told_with_where_it_is_and_why() {
    let lines = LogLines::take();
    let mut bench = Bench::new();
    bench.store.state.lock().unwrap().refused_keys = ["refused".to_owned()].into();
    let _worker = bench.start();
    let events = ["sound", "refused"].map(|key| change(resident(0), key, "1"));
    bench.submit(&events).await;
    bench.publish(vec![Bytes::from_static(b"garbage")]).await;
    until("all", || bench.stored() == 3).await;
    let told = lines.with(&["WARN", "parked", "shard=", "log_id=", "offset=1", "22003"]);
    assert_eq!(told.len(), 1, "{told:?}");
    let told = lines.with(&["WARN", "dead", "offset=2", "UNDECODABLE"]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn of_a_flood_the_first_are_told_and_then_how_many_there_were() {
    let lines = LogLines::take();
    let mut bench = Bench::new();
    bench.settings.poison_in_a_row_max = NonZeroUsize::new(1_000).unwrap();
    let worker = bench.start();
    let flood = 3 * usize::try_from(LINES_MAX).unwrap();
    for _ in 0..flood {
        bench.publish(vec![Bytes::from_static(b"garbage")]).await;
    }
    let stored = i64::try_from(flood).unwrap();
    until("all", || bench.stored() == stored).await;
    let told = || lines.with(&["WARN", "dead", "offset="]).len();
    assert_eq!(told(), flood / 3);
    assert!(lines.with(&["more="]).is_empty());
    tokio::time::sleep(PERIOD).await;
    bench.lease.renew(bench.clock.monotonic());
    bench.publish(vec![Bytes::from_static(b"garbage")]).await;
    until("the next period", || told() == flood / 3 + 1).await;
    assert_eq!(lines.with(&["more=20"]).len(), 1);
    bench.drain.cancel();
    worker.await.unwrap();
    assert_eq!(lines.with(&["more="]).len(), 1);
}
