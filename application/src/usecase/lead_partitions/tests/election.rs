//! Who leads what.

use super::cluster::{Cluster, Process};
use crate::usecase::process_partition::fakes::{let_others_run, offset, owner, until};
use axs_domain::id::{LayoutEpoch, PartitionId};
use axs_domain::layout::Layout;
use std::time::Duration;
use tokio::time::Instant;

fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lone_consumer_leads_everything_and_writes_from_the_stored_offset() {
    let cluster = Cluster::new();
    cluster.with(|state| state.leads.get_mut(&partition(2)).unwrap().stored_offset = offset(7));
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads() == [0, 1, 2, 3]).await;
    assert!(process.status().is_ready());
    let_others_run().await;
    cluster.say(&process, 2, cluster.record(2, 7));
    until("stored", || {
        cluster.with(|state| state.leads[&partition(2)].stored_offset) == offset(8)
    })
    .await;
    let status = process.status();
    assert_eq!(status.led[2].stored_offset, offset(8));
    assert_eq!(status.led[2].lag, Some(992));
    assert_eq!(status.live_consumers, 1);
}

#[tokio::test(start_paused = true)]
async fn consumers_that_start_together_share_without_running_for_the_same_partition() {
    let cluster = Cluster::new();
    cluster.with(|state| {
        let soon = Instant::now() + Duration::from_secs(9);
        state.consumers = [(owner(1), soon), (owner(2), soon)].into();
    });
    let (a, b) = (Process::start(&cluster, 1), Process::start(&cluster, 2));
    until("shared", || a.leads() == [0, 2] && b.leads() == [1, 3]).await;
    assert_eq!(cluster.with(|state| state.collisions), 0);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_handed_its_share_after_the_batch_in_flight_is_stored() {
    let cluster = Cluster::new();
    let a = Process::start(&cluster, 1);
    until("leads all", || a.leads().len() == 4).await;
    let_others_run().await;
    cluster.gate.forget_permits(1_000_000);
    cluster.say(&a, 1, cluster.record(1, 0));
    until("writes", || cluster.writes() == 1).await;
    let b = Process::start(&cluster, 2);
    until("hands over", || a.leads() == [0, 2]).await;
    until("takes what is free", || b.leads() == [3]).await;
    assert_eq!(
        cluster.with(|state| state.leads[&partition(1)].take_overs),
        1,
        "the old leader still writes"
    );
    cluster.gate.add_permits(100);
    until("takes the rest", || b.leads() == [1, 3]).await;
    let lead = cluster.with(|state| state.leads[&partition(1)].clone());
    assert_eq!((lead.stored_offset, lead.take_overs), (offset(1), 2));
    assert_eq!(cluster.with(|state| state.collisions), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_leaders_partitions_are_led_again_within_the_lease_and_one_look() {
    let ttl = Duration::from_secs(9);
    for redis_away in [false, true] {
        // A silent beat is worth a look at once; without Redis the slow looks must do.
        let one_look = if redis_away { ttl / 3 } else { ttl / 9 };
        // It may die at any moment between two renewals and two looks.
        for phase in 0..12 {
            let cluster = Cluster::new();
            cluster.with(|state| state.redis_away = redis_away);
            let a = Process::start(&cluster, 1);
            until("leads all", || a.leads().len() == 4).await;
            tokio::time::sleep(Duration::from_millis(1_300)).await;
            let b = Process::start(&cluster, 2);
            until("shared", || b.leads().len() == 2).await;
            tokio::time::sleep(Duration::from_millis(phase * 270)).await;
            a.kill();
            let died = Instant::now();
            until("took over", || b.leads() == [0, 1, 2, 3]).await;
            let took = died.elapsed();
            let late = ttl + one_look + Duration::from_millis(50);
            assert!(took <= late, "{took:?} in phase {phase}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_counts_from_before_the_request_however_late_the_answer() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    cluster.with(|state| state.database_delay = Duration::from_millis(1_400));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(process.leads().len(), 4, "slow is not lost");
    let answered = cluster.with(|state| state.renewal_asked);
    until("one more answer", || {
        cluster.with(|state| state.renewal_asked) != answered
    })
    .await;
    cluster.with(|state| state.database_hangs = true);
    until("stepped down", || process.leads().is_empty()).await;
    let asked = cluster.with(|state| state.renewal_asked).unwrap();
    let took = asked.elapsed();
    assert!(took <= Duration::from_millis(6_010), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn stepping_down_does_not_wait_for_a_database_that_hangs() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    cluster.with(|state| state.database_hangs = true);
    let hung = Instant::now();
    until("stepped down", || process.leads().is_empty()).await;
    let lease_ends = cluster.with(|state| {
        let ends = state.leads.values().map(|lead| lead.lease.unwrap().1);
        ends.min().unwrap()
    });
    // The hung release is waited for at most so long.
    assert!(hung.elapsed() <= Duration::from_secs(9));
    assert!(
        Instant::now() < lease_ends,
        "on its own, before anybody else may lead"
    );
    cluster.with(|state| state.database_hangs = false);
    until("leads again", || process.leads().len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_step_down_even_by_a_record_that_waits() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    let source = cluster.with(|state| state.assigned[&(process.owner, partition(0))].clone());
    cluster.with(|state| state.database_hangs = true);
    let hung = Instant::now();
    tokio::time::sleep(Duration::from_millis(5_999)).await;
    let _ = source.try_send(cluster.record(0, 0));
    tokio::time::sleep(Duration::from_secs(30)).await;
    for (_, _, begun) in cluster.with(|state| state.writes.clone()) {
        assert!(begun - hung < Duration::from_secs(6));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_that_answers_in_time_loses_nobody_the_lease() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    // Away for less than one failed renewal costs.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.with(|state| state.database_away = true);
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.with(|state| state.database_away = false);
    }
    let take_overs: usize = cluster.with(|state| state.leads.values().map(|l| l.take_overs).sum());
    assert_eq!((take_overs, process.leads().len()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_renewal_says_is_lost_ends_the_term_at_once() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    cluster.with(|state| {
        let rival = owner(7);
        let lead = state.leads.get_mut(&partition(3)).unwrap();
        let (fence, claim) = lead.fence.raise(rival).unwrap();
        lead.fence = fence;
        lead.lease = Some((claim, Instant::now() + Duration::from_secs(3_600)));
    });
    let lost = Instant::now();
    until("gives it up", || process.leads() == [0, 1, 2]).await;
    let took = lost.elapsed();
    assert!(
        took <= Duration::from_millis(3_010),
        "one heartbeat: {took:?}"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(process.leads(), [0, 1, 2]);
    let rival_holds = cluster.with(|state| state.leads[&partition(3)].lease.unwrap().0.owner);
    assert_eq!(rival_holds, owner(7), "nobody released the rival's lease");
}

#[tokio::test(start_paused = true)]
async fn a_raised_layout_begins_every_term_anew() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    cluster.with(|state| {
        let stored = state.layout.as_mut().unwrap();
        let epoch = LayoutEpoch::try_new(2).unwrap();
        let shards = stored.layout.shards().to_vec();
        stored.layout = Layout::restore(epoch, 4, shards).unwrap();
        for lead in state.leads.values_mut() {
            lead.layout_epoch = epoch;
        }
    });
    until("again", || {
        cluster.with(|state| state.leads.values().all(|lead| lead.take_overs == 2))
    })
    .await;
    until("leads", || process.leads().len() == 4).await;
}
