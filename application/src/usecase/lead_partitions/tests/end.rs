//! Shutdown.

use super::cluster::{Cluster, Process};
use crate::usecase::process_partition::fakes::{let_others_run, offset, owner, until};
use crate::usecase::vital_tasks::VitalTasks;
use axs_domain::id::PartitionId;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn shutdown_stores_the_batch_in_flight_releases_every_lease_and_leaves_the_registry() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    cluster.gate.forget_permits(1_000_000);
    cluster.say(&process, 0, cluster.record(0, 0));
    until("writes", || cluster.writes() == 1).await;
    process.shutdown.cancel();
    // Longer than the lease: it is renewed while the batch is being finished.
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(!process.running.is_finished());
    cluster.gate.add_permits(1);
    let end = process.running.await.unwrap();
    assert!(end.cut_off.is_empty());
    cluster.with(|state| {
        assert_eq!(state.leads[&PartitionId::MIN].stored_offset, offset(1));
        assert!(state.leads.values().all(|lead| lead.lease.is_none()));
        assert!(state.consumers.is_empty());
        assert!(state.assigned.is_empty());
    });
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_cut_off_at_the_deadline() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    cluster.gate.forget_permits(1_000_000);
    cluster.say(&process, 0, cluster.record(0, 0));
    until("writes", || cluster.writes() == 1).await;
    process.shutdown.cancel();
    let asked = Instant::now();
    let end = process.running.await.unwrap();
    assert_eq!(end.cut_off, [PartitionId::MIN]);
    assert!(
        asked.elapsed() <= Duration::from_secs(30),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_even_when_the_database_hangs() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    cluster.with(|state| state.database_hangs = true);
    process.shutdown.cancel();
    let asked = Instant::now();
    process.running.await.unwrap();
    assert!(
        asked.elapsed() <= Duration::from_secs(30),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_successor_leads_right_after_an_orderly_end() {
    let cluster = Cluster::new();
    let a = Process::start(&cluster, 1);
    let b = Process::start(&cluster, 2);
    until("shared", || a.leads().len() == 2 && b.leads().len() == 2).await;
    a.shutdown.cancel();
    let asked = Instant::now();
    until("took over", || b.leads().len() == 4).await;
    assert!(
        asked.elapsed() <= Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    assert!(!cluster.with(|state| state.consumers.contains_key(&owner(1))));
}

#[tokio::test(start_paused = true)]
async fn a_cache_feed_that_panics_is_told_as_a_death_and_an_orderly_end_is_none() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    process.cache.panics.store(true, Ordering::SeqCst);
    cluster.say(&process, 0, cluster.record(0, 0));
    let death = process.vital_tasks.until_death().await;
    assert_eq!(death.task, "cache feed");
    let healthy = Process::start(&cluster, 2);
    healthy.shutdown.cancel();
    healthy.running.await.unwrap();
    assert_eq!(healthy.vital_tasks.first_death(), None);
}
