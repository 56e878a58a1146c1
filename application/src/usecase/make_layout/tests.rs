use super::*;
use crate::port::event_topic::{LogBounds, MockEventTopic, TopicDescription};
use crate::port::installation::MockInstallation;
use crate::port::layout_store::MockLayoutStore;
use crate::port::result_topic::MockResultTopic;
use crate::port::topic_claims::{Claimant, MockTopicClaims};
use crate::testkit::{POOL, stored_layout};
use axs_domain::id::{Offset, PartitionId};
use axs_domain::layout::LayoutError;
use axs_domain::layout_raise::raise;
use axs_domain::text::PoolName;
use mockall::Sequence;

fn plan() -> LayoutPlan {
    LayoutPlan {
        pools: vec![PoolSpec {
            name: PoolName::parse(POOL).unwrap(),
            shards: 8,
            partitions: 4,
        }],
        events_topic: stored_layout().events_topic,
        adopts_records: false,
        claims_topics: true,
    }
}

fn this_database() -> Claimant {
    Claimant {
        id: "1/2".to_owned(),
        name: "here".to_owned(),
    }
}

/// Claims that are all free, or this database's already.
fn free() -> MockTopicClaims {
    let mut claims = MockTopicClaims::new();
    claims.expect_claim().returning(|_, _| Ok(TopicClaim::Own));
    claims.expect_take_over().returning(|_, _| Ok(()));
    claims
}

fn log(start: i64, end: i64) -> LogBounds {
    let [start, end] = [start, end].map(|offset| Offset::try_new(offset).unwrap());
    LogBounds { start, end }
}

/// An empty topic that is described like this, each time it is asked.
fn topic(cluster: &'static str, descriptions: Vec<Option<usize>>) -> MockEventTopic {
    let mut topic = MockEventTopic::new();
    topic.expect_bounds().returning(|_| Ok(log(0, 0)));
    described(topic, cluster, descriptions)
}

fn described(
    mut topic: MockEventTopic,
    cluster: &'static str,
    descriptions: Vec<Option<usize>>,
) -> MockEventTopic {
    let mut order = Sequence::new();
    for partition_count in descriptions {
        topic
            .expect_describe()
            .times(1)
            .in_sequence(&mut order)
            .returning(move || {
                Ok(TopicDescription {
                    topic: "axs.events".to_owned(),
                    cluster_id: Some(cluster.to_owned()),
                    partition_count,
                })
            });
    }
    topic
}

/// A store with this layout, in which nothing may be made.
fn standing(layout: Option<StoredLayout>) -> MockLayoutStore {
    let mut layouts = MockLayoutStore::new();
    layouts.expect_load().returning(move || Ok(layout.clone()));
    layouts
}

async fn make(
    layouts: MockLayoutStore,
    topic: MockEventTopic,
    plan: LayoutPlan,
) -> Result<LayoutMade, MakeLayoutError> {
    // Most claims are about the events topic: the other is there as it must be.
    let mut results = results_topic(vec![Some(4)]);
    results.expect_create().never();
    results.expect_bounds().returning(|_| Ok(log(0, 0)));
    make_with(layouts, topic, results, plan).await
}

async fn make_with(
    layouts: MockLayoutStore,
    topic: MockEventTopic,
    results: MockResultTopic,
    plan: LayoutPlan,
) -> Result<LayoutMade, MakeLayoutError> {
    make_claiming(layouts, topic, results, free(), plan).await
}

async fn make_claiming(
    layouts: MockLayoutStore,
    topic: MockEventTopic,
    results: MockResultTopic,
    claims: MockTopicClaims,
    plan: LayoutPlan,
) -> Result<LayoutMade, MakeLayoutError> {
    let mut installation = MockInstallation::new();
    let claimant = || Ok(this_database());
    installation.expect_claimant().returning(claimant);
    let making = LayoutMaking::new(
        Arc::new(layouts),
        Arc::new(topic),
        Arc::new(results),
        Arc::new(claims),
        Arc::new(installation),
    );
    making.make(plan).await
}

#[tokio::test]
async fn topics_without_records_that_another_database_claims_are_refused_by_their_settings() {
    for (claimed, setting) in [
        ("axs.events", "kafka.events_topic"),
        ("axs.results", "kafka.results_topic"),
    ] {
        let (topic, results) = written(no_record, no_record);
        let mut claims = MockTopicClaims::new();
        claims.expect_take_over().never();
        claims.expect_claim().returning(move |topic, by| {
            assert_eq!(by, this_database());
            Ok(if topic == claimed {
                TopicClaim::Foreign(Claimant {
                    id: "3/4".to_owned(),
                    name: "elsewhere".to_owned(),
                })
            } else {
                TopicClaim::Own
            })
        });
        let mut layouts = standing(None);
        layouts.expect_create().never();
        let refused = make_claiming(layouts, topic, results, claims, plan()).await;
        let text = refused.unwrap_err().to_string();
        for words in [
            claimed,
            "database elsewhere (3/4)",
            setting,
            "--adopt-records",
        ] {
            assert!(text.contains(words), "{text:?} lacks {words:?}");
        }
    }
}

#[tokio::test]
async fn a_plan_that_adopts_takes_over_the_claims_and_one_without_claims_asks_for_none() {
    let rows = [(true, true, 2), (false, false, 0), (true, false, 0)];
    for (adopts_records, claims_topics, taken) in rows {
        let (topic, results) = written(no_record, no_record);
        let mut claims = MockTopicClaims::new();
        claims.expect_claim().never();
        claims
            .expect_take_over()
            .times(taken)
            .returning(|_, _| Ok(()));
        let mut layouts = standing(None);
        layouts.expect_create().times(1).returning(|_, _| Ok(true));
        let plan = LayoutPlan {
            adopts_records,
            claims_topics,
            ..plan()
        };
        let made = make_claiming(layouts, topic, results, claims, plan).await;
        assert!(made.unwrap().created);
    }
}

#[tokio::test]
async fn brokers_that_take_no_claim_leave_nothing_stored_and_the_way_around_is_named() {
    let (topic, results) = written(no_record, no_record);
    let mut claims = MockTopicClaims::new();
    claims.expect_claim().returning(|_, _| {
        Err(BrokerError::Unavailable {
            brokers: "kafka:9092".to_owned(),
            reason: "no transactions here".to_owned(),
        })
    });
    let mut layouts = standing(None);
    layouts.expect_create().never();
    let refused = make_claiming(layouts, topic, results, claims, plan()).await;
    let text = refused.unwrap_err().to_string();
    for words in ["axs.events", "no transactions here", "--unclaimed"] {
        assert!(text.contains(words), "{text:?} lacks {words:?}");
    }
}

#[tokio::test]
async fn a_topic_that_is_refused_for_its_records_is_not_claimed() {
    let (topic, results) = written(some_records, no_record);
    let mut claims = MockTopicClaims::new();
    claims.expect_claim().never();
    let mut layouts = standing(None);
    layouts.expect_create().never();
    let refused = make_claiming(layouts, topic, results, claims, plan()).await;
    refused.unwrap_err();
}

/// A result topic that is described like this, one after another and then as the last.
fn results_topic(descriptions: Vec<Option<usize>>) -> MockResultTopic {
    let mut topic = MockResultTopic::new();
    let mut descriptions = descriptions.into_iter();
    let mut last = None;
    topic.expect_describe().returning(move || {
        last = descriptions.next().unwrap_or(last);
        Ok(TopicDescription {
            topic: "axs.results".to_owned(),
            cluster_id: None,
            partition_count: last,
        })
    });
    topic
}

#[tokio::test]
async fn a_missing_topic_is_made_with_the_plans_partitions_before_the_layout_is_stored() {
    let mut topic = topic("cluster-1", vec![None, Some(4)]);
    topic
        .expect_create()
        .withf(|count| *count == 4)
        .times(1)
        .returning(|_| Ok(true));
    let mut layouts = standing(None);
    layouts
        .expect_create()
        .withf(|stored, starts| *stored == stored_layout() && starts.is_empty())
        .times(1)
        .returning(|_, _| Ok(true));
    let made = make(layouts, topic, plan()).await.unwrap();
    assert_eq!(made.layout, stored_layout());
    assert!(made.created && made.topic_created);
}

#[tokio::test(start_paused = true)]
async fn topics_that_were_just_made_are_asked_for_until_the_brokers_tell_of_them() {
    let mut topic = topic("cluster-1", vec![None, None, Some(0), Some(4)]);
    topic.expect_create().times(1).returning(|_| Ok(true));
    let mut results = results_topic(vec![None, None, Some(4)]);
    results.expect_create().times(1).returning(|_| Ok(true));
    let mut layouts = standing(None);
    layouts.expect_create().times(1).returning(|_, _| Ok(true));
    let made = make_with(layouts, topic, results, plan()).await.unwrap();
    assert!(made.topic_created && made.results_topic_created);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_the_brokers_do_not_tell_of_is_not_called_one_of_no_partitions() {
    let mut topic = topic("cluster-1", vec![None; TOLD_LOOKS_MAX + 1]);
    topic.expect_create().times(1).returning(|_| Ok(true));
    let mut layouts = standing(None);
    layouts.expect_create().never();
    let refused = make(layouts, topic, plan()).await.unwrap_err();
    let expected = MakeLayoutError::NotToldYet {
        topic: "axs.events".to_owned(),
    };
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_topic_that_is_there_with_the_plans_partitions_is_taken_as_it_is() {
    let mut topic = topic("cluster-1", vec![Some(4)]);
    topic.expect_create().never();
    let mut layouts = standing(None);
    layouts.expect_create().times(1).returning(|_, _| Ok(true));
    let made = make(layouts, topic, plan()).await.unwrap();
    assert!(made.created && !made.topic_created);
}

/// Topics with the plan's partitions and these logs, for events and for results.
fn written(
    events: fn(PartitionId) -> LogBounds,
    results: fn(PartitionId) -> LogBounds,
) -> (MockEventTopic, MockResultTopic) {
    let mut topic = MockEventTopic::new();
    topic.expect_bounds().returning(move |id| Ok(events(id)));
    let mut results_topic = results_topic(vec![Some(4)]);
    results_topic
        .expect_bounds()
        .returning(move |id| Ok(results(id)));
    (described(topic, "cluster-1", vec![Some(4)]), results_topic)
}

/// Records in the second partition and, dropped by retention, in the last.
fn some_records(partition: PartitionId) -> LogBounds {
    match partition.value() {
        1 => log(2, 7),
        3 => log(3, 3),
        _ => log(0, 0),
    }
}

fn no_record(_: PartitionId) -> LogBounds {
    log(0, 0)
}

#[tokio::test]
async fn a_topic_that_somebody_wrote_to_before_there_was_a_layout_is_refused() {
    let rows = [
        (
            written(some_records, no_record),
            "axs.events",
            "kafka.events_topic",
        ),
        (
            written(no_record, some_records),
            "axs.results",
            "kafka.results_topic",
        ),
    ];
    for ((topic, results), name, setting) in rows {
        let mut layouts = standing(None);
        layouts.expect_create().never();
        let refused = make_with(layouts, topic, results, plan()).await;
        let text = refused.unwrap_err().to_string();
        for words in [
            name,
            setting,
            "10 records were written",
            "5 of which",
            "--adopt-records",
        ] {
            assert!(text.contains(words), "{text:?} lacks {words:?}");
        }
    }
}

#[tokio::test]
async fn a_topic_whose_records_are_adopted_is_led_from_its_end_on() {
    let (topic, results) = written(some_records, some_records);
    let mut layouts = standing(None);
    layouts
        .expect_create()
        .times(1)
        .withf(|_, starts| {
            let starts: Vec<_> = starts
                .iter()
                .map(|start| (start.partition.value(), start.offset.value()))
                .collect();
            starts == [(1, 7), (3, 3)]
        })
        .returning(|_, _| Ok(true));
    let adopting = LayoutPlan {
        adopts_records: true,
        ..plan()
    };
    let made = make_with(layouts, topic, results, adopting).await.unwrap();
    assert!(made.created && !made.topic_created);
}

#[tokio::test]
async fn a_layout_that_was_raised_since_stands_as_planned_and_its_records_are_its_own() {
    let raised = StoredLayout {
        layout: raise(&stored_layout().layout, 6, &[]).unwrap(),
        ..stored_layout()
    };
    for partitions in [4, 6] {
        let mut topic = MockEventTopic::new();
        topic.expect_bounds().never();
        let topic = described(topic, "cluster-1", vec![Some(6)]);
        let mut layouts = standing(Some(raised.clone()));
        layouts.expect_create().never();
        let mut plan = plan();
        plan.pools[0].partitions = partitions;
        let results = results_topic(vec![Some(6)]);
        let made = make_with(layouts, topic, results, plan).await.unwrap();
        assert!(!made.created);
        assert_eq!(made.layout, raised);
    }
    // More than there are: that is a raise.
    let mut more = plan();
    more.pools[0].partitions = 7;
    let refused = make(standing(Some(raised)), MockEventTopic::new(), more).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("6 partitions, not 7"), "{text}");
}

#[tokio::test]
async fn a_layout_whose_raise_was_not_finished_says_how_to_finish_it() {
    let unfinished = StoredLayout {
        grown_to: Some(6),
        ..stored_layout()
    };
    let topic = topic("cluster-1", vec![Some(6)]);
    let refused = make(standing(Some(unfinished)), topic, plan()).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("`bootstrap layout raise 6`"), "{text}");
}

#[tokio::test]
async fn a_topic_with_another_number_of_partitions_stores_nothing() {
    // The second: somebody made it between our look and our try.
    for (descriptions, created) in [(vec![Some(6)], None), (vec![None, Some(6)], Some(false))] {
        let mut topic = topic("cluster-1", descriptions);
        if let Some(created) = created {
            topic.expect_create().returning(move |_| Ok(created));
        }
        let mut layouts = standing(None);
        layouts.expect_create().never();
        let refused = make(layouts, topic, plan()).await.unwrap_err();
        let expected = MakeLayoutError::PartitionCountDiffers {
            topic: "axs.events".to_owned(),
            setting: "kafka.events_topic",
            found: 6,
            expected: 4,
        };
        assert_eq!(refused, expected);
    }
}

#[tokio::test]
async fn making_the_same_layout_again_changes_nothing() {
    let mut topic = topic("cluster-1", vec![Some(4)]);
    topic.expect_create().never();
    let mut layouts = standing(Some(stored_layout()));
    layouts.expect_create().never();
    let made = make(layouts, topic, plan()).await.unwrap();
    assert!(!made.created && !made.topic_created);
}

#[tokio::test]
async fn another_layout_is_never_replaced_and_what_differs_is_named() {
    type Change = fn(&mut LayoutPlan);
    let rows: [(&str, Change); 4] = [
        ("topic", |plan| plan.events_topic = "other".to_owned()),
        ("4 partitions, not 2", |plan| plan.pools[0].partitions = 2),
        ("8 shards, not 9", |plan| plan.pools[0].shards = 9),
        ("pool retail", |plan| {
            plan.pools[0].name = PoolName::parse("whale").unwrap();
        }),
    ];
    for (difference, change) in rows {
        let mut topic = MockEventTopic::new();
        topic.expect_create().never();
        let mut layouts = standing(Some(stored_layout()));
        layouts.expect_create().never();
        let mut plan = plan();
        change(&mut plan);
        let refused = make(layouts, topic, plan).await.unwrap_err();
        assert!(matches!(refused, MakeLayoutError::OtherLayoutStands { .. }));
        assert!(refused.to_string().contains(difference), "{refused}");
    }
}

#[tokio::test]
async fn another_result_topic_than_the_layouts_is_refused_and_one_that_was_not_kept_is_kept() {
    for (kept, stands) in [("axs.results", true), ("axs.others", false)] {
        let stored = StoredLayout {
            results_topic: Some(kept.to_owned()),
            ..stored_layout()
        };
        let mut layouts = standing(Some(stored));
        layouts.expect_keep_results_topic().never();
        let mut results = results_topic(vec![Some(4)]);
        results.expect_create().never();
        let topic = topic("cluster-1", vec![Some(4)]);
        let made = make_with(layouts, topic, results, plan()).await;
        assert_eq!(made.is_ok(), stands, "{made:?}");
        if let Err(refused) = made {
            let text = refused.to_string();
            for words in ["axs.others", "kafka.results_topic is axs.results"] {
                assert!(text.contains(words), "{text}");
            }
        }
    }
    let older = StoredLayout {
        results_topic: None,
        ..stored_layout()
    };
    let mut layouts = standing(Some(older));
    layouts
        .expect_keep_results_topic()
        .times(1)
        .withf(|topic| topic == "axs.results")
        .returning(|_| Ok(true));
    let topic = topic("cluster-1", vec![Some(4)]);
    let results = results_topic(vec![Some(4)]);
    let made = make_with(layouts, topic, results, plan()).await.unwrap();
    assert_eq!(made.layout, stored_layout());
}

#[tokio::test]
async fn of_two_that_keep_a_result_topic_the_slower_is_told_of_another_one() {
    for (kept, stands) in [("axs.results", true), ("axs.others", false)] {
        let with = |results_topic: Option<&str>| StoredLayout {
            results_topic: results_topic.map(ToOwned::to_owned),
            ..stored_layout()
        };
        let mut layouts = MockLayoutStore::new();
        let mut order = Sequence::new();
        for answer in [with(None), with(Some(kept))] {
            layouts
                .expect_load()
                .times(1)
                .in_sequence(&mut order)
                .returning(move || Ok(Some(answer.clone())));
        }
        layouts
            .expect_keep_results_topic()
            .times(1)
            .returning(|_| Ok(false));
        let topic = topic("cluster-1", vec![Some(4)]);
        let made = make_with(layouts, topic, results_topic(vec![Some(4)]), plan()).await;
        match made {
            Ok(made) => assert!(stands, "{made:?}"),
            Err(MakeLayoutError::OtherLayoutStands { .. }) => assert!(!stands),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_layout_whose_topic_is_gone_or_elsewhere_is_not_made_whole_in_silence() {
    let gone = topic("cluster-1", vec![None]);
    let refused = make(standing(Some(stored_layout())), gone, plan()).await;
    assert!(matches!(refused, Err(MakeLayoutError::TopicGone { .. })));
    let elsewhere = topic("cluster-2", vec![Some(4)]);
    let refused = make(standing(Some(stored_layout())), elsewhere, plan()).await;
    assert!(matches!(refused, Err(MakeLayoutError::OtherCluster { .. })));
}

#[tokio::test]
async fn an_operator_who_was_slower_gets_the_layout_that_stands() {
    let topic = topic("cluster-1", vec![Some(4), Some(4)]);
    let mut layouts = MockLayoutStore::new();
    let mut order = Sequence::new();
    for answer in [None, Some(stored_layout())] {
        layouts
            .expect_load()
            .times(1)
            .in_sequence(&mut order)
            .returning(move || Ok(answer.clone()));
    }
    layouts.expect_create().times(1).returning(|_, _| Ok(false));
    let made = make(layouts, topic, plan()).await.unwrap();
    assert!(!made.created);
}

#[tokio::test]
async fn a_plan_that_can_not_be_laid_out_asks_nobody() {
    let mut layouts = MockLayoutStore::new();
    layouts.expect_load().never();
    let empty = LayoutPlan {
        pools: Vec::new(),
        ..plan()
    };
    let refused = make(layouts, MockEventTopic::new(), empty).await;
    assert_eq!(refused, Err(MakeLayoutError::Plan(LayoutError::NoPools)));
}

#[tokio::test]
async fn a_missing_result_topic_is_made_before_the_layout_is_stored_and_beside_one_that_stands() {
    for standing_layout in [None, Some(stored_layout())] {
        let mut results = results_topic(vec![None, Some(4)]);
        results
            .expect_create()
            .withf(|count| *count == 4)
            .times(1)
            .returning(|_| Ok(true));
        let mut layouts = standing(standing_layout.clone());
        layouts.expect_create().returning(|_, _| Ok(true));
        let topic = topic("cluster-1", vec![Some(4)]);
        let made = make_with(layouts, topic, results, plan()).await.unwrap();
        assert_eq!(made.results_topic, "axs.results");
        assert!(made.results_topic_created);
        assert_eq!(made.created, standing_layout.is_none());
    }
}

#[tokio::test]
async fn a_result_topic_with_another_number_of_partitions_stores_nothing() {
    for (descriptions, created) in [(vec![Some(6)], None), (vec![None, Some(6)], Some(false))] {
        let mut results = results_topic(descriptions);
        if let Some(created) = created {
            results.expect_create().returning(move |_| Ok(created));
        }
        let mut layouts = standing(None);
        layouts.expect_create().never();
        let topic = topic("cluster-1", vec![Some(4)]);
        let refused = make_with(layouts, topic, results, plan())
            .await
            .unwrap_err();
        let expected = MakeLayoutError::PartitionCountDiffers {
            topic: "axs.results".to_owned(),
            setting: "kafka.results_topic",
            found: 6,
            expected: 4,
        };
        assert_eq!(refused, expected);
    }
}
