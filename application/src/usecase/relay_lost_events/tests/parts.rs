//! A log that is read in parts.

use super::*;

async fn finds_the_lost_one_in_the_third_round(bench: &Bench, relay: &mut LostEventRelay) {
    for _ in 0..2 {
        assert_eq!(relay.round().await, Ok(0));
        assert!(relay.goes_on);
    }
    assert_eq!(relay.round().await, Ok(1));
    assert_eq!(bench.published(), ["lost"]);
}

/// More parts than one round reads.
#[tokio::test(start_paused = true)]
async fn a_long_log_is_read_in_parts_and_each_that_holds_nothing_is_passed() {
    let (bench, mut relay) = bench(0, 0);
    bench.store.state.lock().unwrap().relay_part = Some(20);
    bench.log("lost", 500);
    finds_the_lost_one_in_the_third_round(&bench, &mut relay).await;
    let scans = bench.store.state.lock().unwrap().relay_scans.clone();
    let at = |micros| Some(Timestamp::from_unix_micros(micros));
    for (round, mark) in [None, at(200), at(400)].into_iter().enumerate() {
        assert_eq!(scans[round * PAGES_MAX..][..PAGES_MAX], [mark; PAGES_MAX]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_stays_init_hides_no_part_of_a_long_log_behind_it() {
    let (bench, mut relay) = bench(0, 0);
    bench.store.state.lock().unwrap().relay_part = Some(20);
    bench.damage(&bench.log("damaged", 10));
    bench.log("lost", 500);
    finds_the_lost_one_in_the_third_round(&bench, &mut relay).await;
    let mark = bench.store.state.lock().unwrap().relay_mark;
    assert_eq!(mark, Some(Timestamp::from_unix_micros(9)));
}

/// Between two rounds of one scan a COMMIT that hung may show a row that the scan is past.
#[tokio::test(start_paused = true)]
async fn a_scan_of_several_rounds_keeps_its_end_so_that_no_later_event_overtakes() {
    let (bench, mut relay) = bench(0, 0);
    let until = |micros: i64| {
        let mut state = bench.store.state.lock().unwrap();
        state.relay_part = Some(20);
        state.relay_until = micros;
        // The open transaction holds it there.
        state.relay_settled_to = Some(Timestamp::from_unix_micros(100));
    };
    until(300);
    assert_eq!(relay.round().await, Ok(0));
    assert!(relay.goes_on, "there is more from 200 on");
    bench.log("hung", 150);
    bench.log("later", 350);
    until(400);
    for _ in 0..5 {
        relay.round().await.unwrap();
    }
    let published = bench.published();
    assert_eq!(published[..2], ["hung", "later"], "{published:?}");
}
