//! Who leads when the one whose share it is can't.

use super::cluster::{Cluster, Process};
use crate::port::record_source::SourceEvent;
use crate::usecase::process_partition::fakes::{let_others_run, owner, until};
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
