//! Claims about beats.

use crate::support::{PATIENCE, pools, unused_prefix, url};
use axs_application::port::leader_beat::LeaderBeat;
use axs_domain::id::{OwnerId, PartitionId};
use axs_infrastructure::redis::{KeyPrefix, RedisLeaderBeat};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_mins(1);

fn partitions(numbers: &[i32]) -> Vec<PartitionId> {
    numbers
        .iter()
        .map(|number| PartitionId::try_new(*number).unwrap())
        .collect()
}

fn owner() -> OwnerId {
    OwnerId::new(uuid::Uuid::new_v4())
}

fn beats(prefix: KeyPrefix, topic: &str) -> RedisLeaderBeat {
    RedisLeaderBeat::new(pools(&url()), prefix, topic.to_owned())
}

#[tokio::test]
async fn a_partition_is_silent_until_its_leader_beats() {
    let beat = beats(unused_prefix(), "events");
    let all = partitions(&[3, 1, 2]);
    assert_eq!(beat.silent(all.clone()).await.unwrap(), all);
    beat.beat(owner(), partitions(&[1, 3]), LONG).await.unwrap();
    assert_eq!(beat.silent(all).await.unwrap(), partitions(&[2]));
}

#[tokio::test]
async fn a_beat_is_heard_for_its_time_and_no_longer() {
    let beat = beats(unused_prefix(), "events");
    let brief = Duration::from_millis(200);
    let before = Instant::now();
    beat.beat(owner(), partitions(&[1]), brief).await.unwrap();
    while beat.silent(partitions(&[1])).await.unwrap().is_empty() {
        assert!(before.elapsed() < PATIENCE, "the beat never ends");
    }
    assert!(before.elapsed() >= brief);
    // Too short for Redis to keep is no error.
    beat.beat(owner(), partitions(&[1]), Duration::ZERO)
        .await
        .unwrap();
}

#[tokio::test]
async fn deployments_with_different_prefixes_or_topics_do_not_hear_each_other() {
    let prefix = unused_prefix();
    let one = beats(prefix.clone(), "events");
    one.beat(owner(), partitions(&[1]), LONG).await.unwrap();
    for other in [
        beats(unused_prefix(), "events"),
        beats(prefix.clone(), "others"),
    ] {
        assert_eq!(
            other.silent(partitions(&[1])).await.unwrap(),
            partitions(&[1])
        );
    }
    let standby = beats(prefix, "events");
    assert_eq!(standby.silent(partitions(&[1])).await.unwrap(), []);
}

#[tokio::test]
async fn without_redis_beats_are_errors_and_nothing_asked_is_none() {
    let beat = RedisLeaderBeat::new(
        pools("redis://127.0.0.1:1/"),
        unused_prefix(),
        "events".to_owned(),
    );
    let error = beat.silent(partitions(&[1])).await.unwrap_err();
    assert_eq!(error.address, "127.0.0.1:1");
    assert!(beat.beat(owner(), partitions(&[1]), LONG).await.is_err());
    assert_eq!(beat.silent(vec![]).await, Ok(vec![]));
    assert_eq!(beat.beat(owner(), vec![], LONG).await, Ok(()));
}
