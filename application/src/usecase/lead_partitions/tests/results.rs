//! Results over the end of a leader.

use super::cluster::{Cluster, Process};
use crate::usecase::process_partition::fakes::{let_others_run, offset, until};
use axs_domain::id::PartitionId;
use std::time::Duration;

fn published(cluster: &Cluster) -> Vec<i64> {
    cluster.with(|state| state.leads[&PartitionId::MIN].published.clone())
}

fn offsets(cluster: &Cluster) -> (i64, i64) {
    cluster.with(|state| {
        let lead = &state.leads[&PartitionId::MIN];
        (lead.stored_offset.value(), lead.results_offset.value())
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_leader_had_committed_and_not_sent_its_successor_sends() {
    let cluster = Cluster::new();
    let victim = Process::start(&cluster, 1);
    until("leads", || victim.leads().len() == 4).await;
    let_others_run().await;
    cluster.say(&victim, 0, cluster.record(0, 0));
    until("the first is out", || offsets(&cluster) == (1, 1)).await;
    // A result topic that is away holds up no decision.
    cluster.with(|state| state.results_away = true);
    for at in 1..4 {
        cluster.say(&victim, 0, cluster.record(0, at));
    }
    until("decided", || offsets(&cluster) == (4, 1)).await;
    assert_eq!(published(&cluster), [0]);
    victim.kill();
    cluster.with(|state| state.results_away = false);

    let successor = Process::start(&cluster, 2);
    until("leads", || successor.leads().len() == 4).await;
    until("made good", || offsets(&cluster) == (4, 4)).await;
    assert_eq!(published(&cluster), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_leaves_no_result_to_the_successor() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    for at in 0..3 {
        cluster.say(&process, 0, cluster.record(0, at));
    }
    until("decided", || offsets(&cluster).0 == 3).await;
    process.shutdown.cancel();
    process.running.await.unwrap();
    assert_eq!(offsets(&cluster), (3, 3));
    assert_eq!(published(&cluster), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn results_that_can_not_be_sent_hold_up_no_hand_over() {
    let cluster = Cluster::new();
    cluster.with(|state| state.results_away = true);
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    cluster.say(&process, 0, cluster.record(0, 0));
    until("decided", || offsets(&cluster).0 == 1).await;
    let asked = tokio::time::Instant::now();
    process.shutdown.cancel();
    process.running.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10));
    cluster.with(|state| {
        assert_eq!(state.leads[&PartitionId::MIN].stored_offset, offset(1));
        assert!(state.leads.values().all(|lead| lead.lease.is_none()));
    });
}

#[tokio::test(start_paused = true)]
async fn a_result_task_that_dies_ends_its_term_and_the_next_one_sends() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    cluster.with(|state| state.result_panics = true);
    cluster.say(&process, 0, cluster.record(0, 0));
    until("the term has ended", || process.leads().len() == 3).await;
    assert_eq!(offsets(&cluster), (1, 0));
    let refused = process.status().refused;
    assert!(refused[0].reason.contains("the result task panicked"));
    until("made good", || offsets(&cluster) == (1, 1)).await;
    assert_eq!(published(&cluster), [0]);
    assert_eq!(process.leads().len(), 4);
}
