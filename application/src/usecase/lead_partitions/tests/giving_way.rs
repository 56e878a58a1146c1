//! Who leads when the one whose share it is can't.

use super::cluster::{Cluster, Process};
use super::settings::settings;
use crate::port::record_source::SourceEvent;
use crate::testkit::LogLines;
use crate::usecase::lead_partitions::settings::READING_LOST_MAX;
use crate::usecase::process_partition::fakes::{let_others_run, owner, until};
use axs_domain::id::PartitionId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The lease of these tests.
const TTL: Duration = Duration::from_secs(9);

async fn two_that_share(cluster: &Arc<Cluster>) -> (Process, Process) {
    let a = Process::start(cluster, 1);
    let b = Process::start(cluster, 2);
    until("shared", || a.leads().len() == 2 && b.leads().len() == 2).await;
    let_others_run().await;
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_alone_is_cut_off_from_the_broker_gives_way_and_comes_back() {
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    cluster.with(|state| state.cut_off_from_broker.push(owner(1)));
    let cut = Instant::now();
    until("the other leads all", || b.leads().len() == 4).await;
    assert!(cut.elapsed() <= TTL * 3, "{:?}", cut.elapsed());
    assert!(a.leads().is_empty());
    assert!(a.status().waiting_for.unwrap().contains("Kafka"));
    assert!(!cluster.with(|state| state.consumers.contains_key(&owner(1))));
    cluster.with(|state| state.cut_off_from_broker.clear());
    until("shared again", || {
        a.leads().len() == 2 && b.leads().len() == 2
    })
    .await;
    assert!(a.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_of_the_broker_costs_nobody_a_partition() {
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let before = take_overs(&cluster);
    cluster.with(|state| state.cut_off_from_broker.push(owner(1)));
    tokio::time::sleep(TTL / 2).await;
    cluster.with(|state| state.cut_off_from_broker.clear());
    tokio::time::sleep(TTL * 3).await;
    assert_eq!((a.leads().len(), b.leads().len()), (2, 2));
    assert_eq!(take_overs(&cluster), before);
}

#[tokio::test(start_paused = true)]
async fn when_the_broker_is_away_for_all_nothing_goes_to_and_fro_and_its_return_is_noticed_soon() {
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let before = take_overs(&cluster);
    cluster.with(|state| state.broker_away = true);
    tokio::time::sleep(TTL * 20).await;
    assert_eq!(take_overs(&cluster), before);
    cluster.with(|state| state.broker_away = false);
    let back = Instant::now();
    until("led again", || a.leads().len() + b.leads().len() == 4).await;
    assert!(back.elapsed() <= TTL / 3, "{:?}", back.elapsed());
    until("shared", || a.leads().len() == 2 && b.leads().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_at_which_one_rests_is_led_by_another_beyond_its_share() {
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let broken = a.leads()[0];
    let say_broken = SourceEvent::Broken("its disk is full".to_owned());
    cluster.say(&a, broken, say_broken);
    let stopped = Instant::now();
    until("another leads it", || b.leads().contains(&broken)).await;
    assert!(stopped.elapsed() <= TTL * 2, "{:?}", stopped.elapsed());
    // It stays there: handing over for the sake of an even spread would only leave it unled again.
    let before = take_overs(&cluster);
    tokio::time::sleep(TTL * 20).await;
    assert_eq!((a.leads().len(), b.leads().len()), (1, 3));
    assert_eq!(take_overs(&cluster), before);
    // Until the members change: then shares are counted anew.
    let c = Process::start(&cluster, 3);
    until("shared by three", || {
        let led = [&a, &b, &c].map(|process| process.leads().len());
        led.iter().sum::<usize>() == 4 && led.iter().all(|led| (1..=2).contains(led))
    })
    .await;
}

fn take_overs(cluster: &Cluster) -> usize {
    cluster.with(|state| state.leads.values().map(|lead| lead.take_overs).sum())
}

/// Cuts processes off from the broker that leads this partition, and from no other.
fn cut_off(cluster: &Cluster, processes: &[&Process], partition: i32) {
    let partition = PartitionId::try_new(partition).unwrap();
    let pairs = processes.iter().map(|process| (process.owner, partition));
    cluster.with(|state| state.cut_off_from_log = pairs.collect());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_alone_can_not_reach_one_partitions_broker_says_so_and_another_leads_it() {
    let lines = LogLines::take();
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let lost = a.leads()[0];
    cut_off(&cluster, &[&a], lost);
    let cut = Instant::now();
    until("another leads it", || b.leads().contains(&lost)).await;
    assert!(
        (READING_LOST_MAX..=READING_LOST_MAX * 3).contains(&cut.elapsed()),
        "{:?}",
        cut.elapsed()
    );
    assert_eq!((a.leads().len(), b.leads().len()), (1, 3));
    let partition = format!("partition={lost}");
    let told = lines.with(&["WARN", "nothing is read", &partition, "no answer"]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(lines.with(&["WARN", "giving", &partition]).len(), 1);
    assert!(a.status().refused[0].reason.contains("no answer"));
    // The lease may be had again here, but nobody lets go of what works.
    cluster.with(|state| state.cut_off_from_log.clear());
    let before = take_overs(&cluster);
    tokio::time::sleep(TTL * 20).await;
    assert_eq!(take_overs(&cluster), before);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_source_gives_no_record_of_a_log_that_goes_on_gives_the_partition_up() {
    let lines = LogLines::take();
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let lost = a.leads()[0];
    cluster.write_unseen(lost, 0);
    until("another leads it", || b.leads().contains(&lost)).await;
    let told = lines.with(&["WARN", "nothing is read", "from offset 0 to 1000"]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_log_without_records_and_a_worker_that_is_busy_end_no_term() {
    let cluster = Cluster::new();
    // The logs of this cluster end at offset 1,000 and hold no record.
    let (a, b) = two_that_share(&cluster).await;
    let before = take_overs(&cluster);
    let busy = a.leads()[0];
    cluster.gate.forget_permits(1_000_000);
    cluster.say(&a, busy, cluster.record(busy, 0));
    until("writes", || cluster.writes() == 1).await;
    cluster.write_unseen(busy, 1);
    cut_off(&cluster, &[&a], busy);
    tokio::time::sleep(READING_LOST_MAX * 5).await;
    assert_eq!((a.leads().len(), b.leads().len()), (2, 2));
    assert_eq!(take_overs(&cluster), before);
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_of_one_partitions_broker_costs_nobody_the_partition() {
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let before = take_overs(&cluster);
    let lost = a.leads()[0];
    for _ in 0..5 {
        cut_off(&cluster, &[&a], lost);
        tokio::time::sleep(READING_LOST_MAX / 2).await;
        cluster.with(|state| state.cut_off_from_log.clear());
        tokio::time::sleep(READING_LOST_MAX).await;
    }
    assert_eq!((a.leads().len(), b.leads().len()), (2, 2));
    assert_eq!(take_overs(&cluster), before);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_nobody_can_reach_does_not_go_to_and_fro_quickly_and_is_led_again() {
    const LONG: Duration = Duration::from_secs(1_800);
    let cluster = Cluster::new();
    let (a, b) = two_that_share(&cluster).await;
    let lost = a.leads()[0];
    let before = take_overs(&cluster);
    cut_off(&cluster, &[&a, &b], lost);
    tokio::time::sleep(LONG).await;
    let tries = u32::try_from(take_overs(&cluster) - before).unwrap();
    let pause = settings().out_of_reach_pause();
    // Two consumers, each with its first, short pauses.
    let most = 2 * (LONG.as_secs() / pause.as_secs() + 5);
    assert!((2..=most).contains(&tries.into()), "{tries} of {most}");
    assert_eq!(a.leads().len() + b.leads().len(), 3);
    cluster.with(|state| state.cut_off_from_log.clear());
    let back = Instant::now();
    until("led again", || a.leads().len() + b.leads().len() == 4).await;
    assert!(back.elapsed() <= pause + TTL, "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_everybody_leads_and_nobody_reads_changes_hands_slowly() {
    const LONG: Duration = Duration::from_secs(1_800);
    let cluster = Cluster::new();
    let (a, _b) = two_that_share(&cluster).await;
    let before = take_overs(&cluster);
    cluster.write_unseen(a.leads()[0], 0);
    tokio::time::sleep(LONG).await;
    let terms = u64::try_from(take_overs(&cluster) - before).unwrap();
    let most = LONG.as_secs() / READING_LOST_MAX.as_secs();
    assert!((2..=most).contains(&terms), "{terms} of {most}");
}
