//! Who leads a partition.

use crate::fixture::{Consumer, LEASE, incarnation, new_owner, offset, on_partitions, partition};
use axs_application::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use axs_domain::fencing::Claim;
use axs_domain::id::{FencingToken, LayoutEpoch};
use axs_domain::record_digest::RecordDigest;
use std::time::Duration;

const LEASES_END: &str = "UPDATE partition_leases SET expires_at = '-infinity'";

#[tokio::test]
async fn a_free_partition_is_taken_with_the_offsets_that_are_stored() {
    on_partitions(async |test| {
        test.execute(
            "UPDATE partition_leader_locks
                SET stored_offset = 12, results_offset = 9, fencing_token = 4, backend_pid = 1,
                    stored_record_digest = decode(repeat('ab', 32), 'hex'), layout_epoch = 3
              WHERE partition = 2",
        )
        .await;
        let consumer = Consumer::new(&test);
        let taken = consumer
            .leadership
            .take_over(partition(2), consumer.owner, LEASE)
            .await;
        let expected = TakeOver::Taken {
            claim: Claim {
                token: FencingToken::try_new(5).unwrap(),
                owner: consumer.owner,
                incarnation: incarnation(&test).await,
            },
            stored_offset: offset(12),
            stored_record: RecordDigest::restore(&[0xab; 32]),
            layout_epoch: LayoutEpoch::try_new(3).unwrap(),
            results_offset: offset(9),
        };
        assert_eq!(taken, Ok(expected));
        let rows = format!(
            "SELECT count(*) FROM partition_leases lease JOIN partition_leader_locks leader
                USING (partition, fencing_token, owner)
              WHERE partition = 2 AND fencing_token = 5 AND owner = '{}'
                AND backend_pid IS NULL
                AND expires_at BETWEEN clock_timestamp() + interval '100 seconds'
                                   AND clock_timestamp() + interval '120 seconds'",
            consumer.owner
        );
        assert_eq!(test.number(&rows).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_lease_ends_by_the_servers_clock() {
    on_partitions(async |test| {
        let leader = Consumer::new(&test);
        let ttl = Duration::from_millis(300);
        leader
            .leadership
            .take_over(partition(0), leader.owner, ttl)
            .await
            .unwrap();
        let other = Consumer::new(&test);
        loop {
            let is_over = "SELECT count(*) FROM partition_leases
                            WHERE partition = 0 AND expires_at <= clock_timestamp()";
            let was_over = test.number(is_over).await == 1;
            let taken = other
                .leadership
                .take_over(partition(0), other.owner, LEASE)
                .await
                .unwrap();
            if matches!(taken, TakeOver::Taken { .. }) {
                break;
            }
            assert!(!was_over, "held although the lease was over");
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_candidates_at_once_one_leads_and_the_token_grows() {
    on_partitions(async |test| {
        let mut token = 0;
        for _ in 0..5 {
            test.execute(LEASES_END).await;
            let candidates: Vec<Consumer> =
                (0..6).map(|_| Consumer::new(&test.elsewhere())).collect();
            let attempts = candidates
                .iter()
                .map(|c| c.leadership.take_over(partition(0), c.owner, LEASE));
            let taken: Vec<Claim> = futures::future::join_all(attempts)
                .await
                .into_iter()
                .filter_map(|attempt| match attempt.unwrap() {
                    TakeOver::Taken { claim, .. } => Some(claim),
                    TakeOver::Held => None,
                })
                .collect();
            assert_eq!(taken.len(), 1, "{taken:?}");
            assert!(taken[0].token.value() > token);
            token = taken[0].token.value();
        }
    })
    .await;
}

#[tokio::test]
async fn only_leases_that_are_still_the_claims_are_renewed() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let sound = consumer.lead(0).await;
        let elsewhere = Claim {
            owner: new_owner(),
            ..consumer.lead(1).await
        };
        let older = consumer.lead(2).await;
        consumer.lead(2).await;
        let claims = vec![
            (partition(2), older),
            (partition(1), elsewhere),
            (partition(0), sound),
            (partition(77), sound),
        ];
        test.execute("UPDATE partition_leases SET expires_at = clock_timestamp() + interval '1 s'")
            .await;
        let renewed = consumer.leadership.renew(claims, LEASE).await;
        assert_eq!(renewed, Ok(vec![partition(0)]));
        let long = "SELECT count(*) FROM partition_leases
                     WHERE expires_at > clock_timestamp() + interval '100 seconds'";
        assert_eq!(test.number(long).await, 1);
        let nothing = consumer.leadership.renew(Vec::new(), LEASE).await;
        assert_eq!(nothing, Ok(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn leaders_are_told_for_every_partition_in_order() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        consumer.lead(1).await;
        consumer.lead(3).await;
        test.execute(
            "UPDATE partition_leader_locks SET stored_offset = 10 + partition;
             UPDATE partition_leases SET expires_at = clock_timestamp() WHERE partition = 3",
        )
        .await;
        let views = consumer.leadership.leaders().await.unwrap();
        let expected: Vec<LeaderView> = (0..4)
            .map(|number| LeaderView {
                partition: partition(number),
                held_by: (number == 1).then_some(consumer.owner),
                stored_offset: offset(10 + i64::from(number)),
            })
            .collect();
        assert_eq!(views, expected);
    })
    .await;
}
