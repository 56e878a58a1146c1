//! When nobody should lead.

use super::cluster::{Cluster, Process};
use crate::port::record_source::{InboundRecord, SourceEvent};
use crate::usecase::process_partition::fakes::{let_others_run, offset, until};
use axs_domain::id::{LayoutEpoch, PartitionId};
use axs_domain::record_digest::RecordDigest;
use std::time::Duration;

fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_away_at_start_are_waited_for_and_named() {
    type Switch = fn(&Cluster, bool);
    let rows: [(&str, Switch); 2] = [
        ("postgres://db:5432/axs", |c, away| {
            c.with(|s| s.database_away = away)
        }),
        ("Kafka at kafka:9092", |c, away| {
            c.with(|s| s.broker_away = away)
        }),
    ];
    for (address, switch) in rows {
        let cluster = Cluster::new();
        switch(&cluster, true);
        let process = Process::start(&cluster, 1);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let status = process.status();
        assert!(!status.is_ready());
        assert!(status.waiting_for.unwrap().contains(address));
        switch(&cluster, false);
        until("leads", || process.leads().len() == 4).await;
        assert!(process.status().is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_leads_before_a_layout_is_made() {
    let cluster = Cluster::new();
    let layout = cluster.with(|state| state.layout.take());
    let process = Process::start(&cluster, 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(process.status().waiting_for.unwrap().contains("layout"));
    assert!(cluster.with(|state| state.consumers.is_empty()));
    cluster.with(|state| state.layout = layout);
    until("leads", || process.leads().len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_not_the_layouts_is_not_led_on_and_its_reader_does_not_register() {
    let cluster = Cluster::new();
    cluster.with(|state| state.topic.partition_count = Some(5));
    let process = Process::start(&cluster, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(process.leads().is_empty());
    let waiting_for = process.status().waiting_for.unwrap();
    assert!(
        waiting_for.contains("5 partitions and the layout 4"),
        "{waiting_for}"
    );
    cluster.with(|state| {
        assert!(state.consumers.is_empty());
        assert!(state.leads.values().all(|lead| lead.take_overs == 0));
        state.topic.partition_count = Some(4);
    });
    until("leads", || process.leads().len() == 4).await;
}

/// The result topic of a layout of before may be kept while consumers run that are set to others.
#[tokio::test(start_paused = true)]
async fn whoever_is_set_to_another_result_topic_than_was_kept_hands_everything_over() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let keep = |topic: Option<&str>| {
        cluster.with(|state| {
            let layout = state.layout.as_mut().unwrap();
            layout.results_topic = topic.map(ToOwned::to_owned);
        });
    };
    keep(Some("axs.others"));
    until("leads nothing", || process.leads().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(process.leads().is_empty());
    let waiting_for = process.status().waiting_for.unwrap();
    assert!(waiting_for.contains("axs.others"), "{waiting_for}");
    assert!(cluster.with(|state| state.consumers.is_empty()));
    keep(Some("axs.results"));
    until("leads again", || process.leads().len() == 4).await;
}

/// A take-over that was under way when the others were handed over must not stay.
#[tokio::test(start_paused = true)]
async fn what_is_taken_over_while_everything_is_handed_over_is_handed_over_too() {
    let cluster = Cluster::new();
    let keep = |topic: &str| {
        cluster.with(|state| {
            let layout = state.layout.as_mut().unwrap();
            layout.results_topic = Some(topic.to_owned());
        });
    };
    // Each answer takes longer than a look lasts, so looks and take-overs cross each other.
    cluster.with(|state| state.database_delay = Duration::from_millis(700));
    let process = Process::start(&cluster, 1);
    until("begins to lead", || !process.leads().is_empty()).await;
    keep("axs.others");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(process.leads().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_hold_the_stored_offset_is_refused_slowly_and_visibly() {
    let cluster = Cluster::new();
    cluster.with(|state| {
        let lead = state.leads.get_mut(&partition(1)).unwrap();
        lead.stored_offset = offset(1_001);
    });
    let process = Process::start(&cluster, 1);
    until("leads the others", || process.leads() == [0, 2, 3]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = process.status();
    assert!(!status.is_ready());
    assert_eq!(status.refused[0].partition, partition(1));
    assert!(status.refused[0].reason.contains("ends at offset 1000"));
    let lead = cluster.with(|state| state.leads[&partition(1)].clone());
    assert!(lead.take_overs <= 3, "{}", lead.take_overs);
    assert_eq!(lead.lease, None, "the lease is given back");
    cluster.with(|state| {
        let lead = state.leads.get_mut(&partition(1)).unwrap();
        lead.stored_offset = offset(1_000);
    });
    until("leads", || process.leads() == [0, 1, 2, 3]).await;
    assert!(process.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_broken_partition_rests_before_it_is_led_again_and_the_others_go_on() {
    let cluster = Cluster::new();
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads().len() == 4).await;
    let_others_run().await;
    cluster.say(
        &process,
        2,
        SourceEvent::Broken("offset 3 is gone".to_owned()),
    );
    until("stopped", || process.leads() == [0, 1, 3]).await;
    let status = process.status();
    assert!(status.refused[0].reason.contains("offset 3 is gone"));
    let lead = cluster.with(|state| state.leads[&partition(2)].clone());
    assert_eq!((lead.lease, lead.take_overs), (None, 1), "released");
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(
        cluster.with(|state| state.leads[&partition(2)].take_overs),
        1
    );
    until("led again", || process.leads() == [0, 1, 2, 3]).await;
    assert!(process.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_log_made_anew_is_refused_although_it_has_grown_past_the_stored_offset() {
    let cluster = Cluster::new();
    let record = |payload: &'static str| InboundRecord {
        offset: offset(6),
        key: "1".into(),
        payload: payload.into(),
    };
    cluster.with(|state| {
        let lead = state.leads.get_mut(&partition(1)).unwrap();
        lead.stored_offset = offset(7);
        lead.stored_record = Some(RecordDigest::of(b"1", b"processed"));
        lead.records.insert(offset(6), record("of the new topic"));
    });
    let process = Process::start(&cluster, 1);
    until("leads the others", || process.leads() == [0, 2, 3]).await;
    let refused_for_a_minute = async {
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(process.leads(), [0, 2, 3]);
        }
    };
    refused_for_a_minute.await;
    let status = process.status();
    assert!(!status.is_ready());
    assert!(
        status.refused[0].reason.contains("adopt-topic"),
        "{status:?}"
    );
    assert!(!cluster.with(|state| state.assigned.contains_key(&(process.owner, partition(1)))));
    cluster.with(|state| {
        let lead = state.leads.get_mut(&partition(1)).unwrap();
        lead.records.insert(offset(6), record("processed"));
    });
    until("leads", || process.leads() == [0, 1, 2, 3]).await;
    assert!(process.status().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_retention_removed_hinders_nobody() {
    let cluster = Cluster::new();
    cluster.with(|state| {
        let lead = state.leads.get_mut(&partition(1)).unwrap();
        lead.stored_offset = offset(7);
        lead.stored_record = Some(RecordDigest::of(b"1", b"processed"));
        lead.log.start = offset(7);
    });
    let process = Process::start(&cluster, 1);
    until("leads", || process.leads() == [0, 1, 2, 3]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_leads_with_the_map_of_another_epoch() {
    let cluster = Cluster::new();
    let raised = LayoutEpoch::MIN.next().unwrap();
    cluster.with(|state| {
        state.leads.get_mut(&partition(1)).unwrap().layout_epoch = raised;
    });
    let process = Process::start(&cluster, 1);
    until("leads the others", || process.leads() == [0, 2, 3]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(process.leads(), [0, 2, 3]);
    let lead = cluster.with(|state| state.leads[&partition(1)].clone());
    assert_eq!(lead.lease, None, "the lease is given back");
}
