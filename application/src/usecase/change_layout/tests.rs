use super::*;
use crate::port::event_topic::{LogBounds, MockEventTopic};
use crate::port::layout_change::{LayoutChangeKind, MockLayoutChange, PartitionStart, Pausing};
use crate::port::layout_change_notes::{LayoutChangeStep, MockLayoutChangeNotes};
use crate::port::layout_store::MockLayoutStore;
use crate::port::partition_leadership::{LeaderView, MockPartitionLeadership};
use crate::port::result_topic::MockResultTopic;
use crate::testkit::{away, stored_layout};
use axs_domain::id::{Offset, PartitionId};
use axs_domain::layout_raise::raise;
use axs_domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn the_change() -> LayoutChangeId {
    LayoutChangeId::parse("00000000000000000000000000000007").unwrap()
}

const END: i64 = 20;

fn offset(value: i64) -> Offset {
    Offset::try_new(value).unwrap()
}

fn described(count: Option<usize>) -> TopicDescription {
    TopicDescription {
        topic: stored_layout().events_topic,
        cluster_id: stored_layout().cluster_id,
        partition_count: count,
    }
}

fn results_described(count: Option<usize>) -> TopicDescription {
    TopicDescription {
        topic: "axs.results".to_owned(),
        ..described(count)
    }
}

/// The ports of a change over [`stored_layout`], whose four partitions are written to their ends.
struct Bench {
    layouts: MockLayoutStore,
    changes: MockLayoutChange,
    notes: MockLayoutChangeNotes,
    leadership: MockPartitionLeadership,
    topic: MockEventTopic,
    results: MockResultTopic,
}

impl Bench {
    fn new() -> Self {
        let mut layouts = MockLayoutStore::new();
        layouts
            .expect_load()
            .returning(|| Ok(Some(stored_layout())));
        let mut topic = MockEventTopic::new();
        topic.expect_bounds().returning(|partition| {
            let new = partition.value() >= 4;
            Ok(LogBounds {
                start: offset(if new { 3 } else { 0 }),
                end: offset(if new { 3 } else { END }),
            })
        });
        Self {
            layouts,
            changes: MockLayoutChange::new(),
            notes: MockLayoutChangeNotes::new(),
            leadership: MockPartitionLeadership::new(),
            topic,
            results: MockResultTopic::new(),
        }
    }

    fn topics_have(&mut self, count: Option<usize>) {
        self.topic
            .expect_describe()
            .returning(move || Ok(described(count)));
        self.results
            .expect_describe()
            .returning(move || Ok(results_described(count)));
    }

    fn written_to(&mut self, stored: i64) {
        self.leadership.expect_leaders().returning(move || {
            let leaders = stored_layout()
                .layout
                .partitions()
                .map(|partition| LeaderView {
                    partition,
                    held_by: None,
                    stored_offset: offset(stored),
                });
            Ok(leaders.collect())
        });
    }

    fn pauses(&mut self) {
        let paused = |_| Ok(Pausing::Paused(the_change()));
        self.changes.expect_pause().times(1).returning(paused);
    }

    /// The change stands for as long as its command does.
    fn is_noted(&mut self) {
        self.notes.expect_note().returning(|_, _| Ok(true));
    }

    /// The change stands until it comes to this step.
    fn is_taken_over_at(&mut self, last: LayoutChangeStep) {
        self.notes
            .expect_note()
            .withf(|change, _| *change == the_change())
            .returning(move |_, step| Ok(step != last));
    }

    fn resumes_once(&mut self) {
        let resumes = self.changes.expect_resume().times(1);
        resumes
            .withf(|change| *change == Some(the_change()))
            .returning(|_| Ok(true));
    }

    async fn raise(
        self,
        to: usize,
        stop: CancellationToken,
    ) -> Result<LayoutRaised, ChangeLayoutError> {
        let raising = PartitionRaising::new(
            Arc::new(self.layouts),
            Arc::new(self.changes),
            Arc::new(self.notes),
            Arc::new(self.leadership),
            Arc::new(self.topic),
            Arc::new(self.results),
        );
        let order = RaiseOrder {
            partition_count: to,
            pools: Vec::new(),
            drain_max: Duration::from_secs(60),
        };
        let (progress, _seen) = watch::channel(ChangeProgress::Checking);
        raising.raise(order, progress, stop).await
    }

    async fn adopt(self, order: AdoptOrder) -> Result<AdoptPreview, ChangeLayoutError> {
        let adoption = TopicAdoption::new(
            Arc::new(self.layouts),
            Arc::new(self.changes),
            Arc::new(self.notes),
            Arc::new(self.leadership),
            Arc::new(self.topic),
        );
        let (progress, _seen) = watch::channel(ChangeProgress::Checking);
        adoption
            .adopt(order, progress, CancellationToken::new())
            .await
    }
}

fn stop() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test(start_paused = true)]
async fn a_raise_drains_grows_both_topics_and_switches_once() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(END);
    bench.pauses();
    bench.is_noted();
    let mut looks = 0;
    bench
        .changes
        .expect_undecided()
        .times(3)
        .returning(move |_| {
            looks += 1;
            Ok(3 - looks)
        });
    bench.topic.expect_grow().times(1).returning(|_| Ok(()));
    bench.results.expect_grow().times(1).returning(|_| Ok(()));
    bench
        .changes
        .expect_raise()
        .times(1)
        .returning(|change, layout, starts| {
            assert_eq!(change, the_change());
            assert_eq!(layout, raise(&stored_layout().layout, 6, &[]).unwrap());
            let expected = [4, 5].map(|number| PartitionStart {
                partition: PartitionId::try_new(number).unwrap(),
                offset: offset(3),
            });
            assert_eq!(starts, expected);
            Ok(())
        });
    bench.changes.expect_resume().never();
    let raised = bench.raise(6, stop()).await.unwrap();
    assert_eq!(raised.layout.layout.partition_count(), 6);
    assert_eq!(raised.shards_moved, 2);
}

#[tokio::test(start_paused = true)]
async fn topics_that_grew_before_the_command_died_are_not_grown_again() {
    let mut bench = Bench::new();
    bench.topics_have(Some(6));
    bench.written_to(END);
    bench.pauses();
    bench.is_noted();
    bench.changes.expect_undecided().returning(|_| Ok(0));
    bench.topic.expect_grow().never();
    bench.results.expect_grow().never();
    bench
        .changes
        .expect_raise()
        .times(1)
        .returning(|_, _, _| Ok(()));
    bench.raise(6, stop()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_become_final_in_time_takes_the_pause_back_and_grows_nothing() {
    type Left = (fn(&mut Bench), &'static str);
    let rows: [Left; 2] = [
        (|bench| bench.written_to(END - 2), "8 records"),
        (
            |bench| {
                bench.written_to(END);
                bench.changes.expect_undecided().returning(|_| Ok(2));
            },
            "2 events",
        ),
    ];
    for (left, words) in rows {
        let mut bench = Bench::new();
        bench.topics_have(Some(4));
        left(&mut bench);
        bench.pauses();
        bench.is_noted();
        bench.resumes_once();
        bench.topic.expect_grow().never();
        bench.results.expect_grow().never();
        bench.changes.expect_raise().never();
        let failed = bench.raise(6, stop()).await.unwrap_err();
        assert!(matches!(failed, ChangeLayoutError::NotDrained { .. }));
        assert!(failed.to_string().contains(words), "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_stops_it_while_it_drains_gets_writing_back() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(0);
    bench.pauses();
    bench.is_noted();
    bench.resumes_once();
    bench.topic.expect_grow().never();
    bench.changes.expect_raise().never();
    let stop = stop();
    stop.cancel();
    assert_eq!(bench.raise(6, stop).await, Err(ChangeLayoutError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_raise_that_was_taken_back_behind_its_back_grows_nothing() {
    for step in [LayoutChangeStep::Draining, LayoutChangeStep::GrowingTopics] {
        let mut bench = Bench::new();
        bench.topics_have(Some(4));
        bench.written_to(END);
        bench.pauses();
        bench.is_taken_over_at(step);
        bench.changes.expect_undecided().returning(|_| Ok(0));
        bench.topic.expect_grow().never();
        bench.results.expect_grow().never();
        bench.changes.expect_raise().never();
        bench.changes.expect_resume().returning(|_| Ok(false));
        let failed = bench.raise(6, stop()).await;
        let taken_over = ChangeLayoutError::Change(LayoutChangeError::TakenOver);
        assert_eq!(failed, Err(taken_over), "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_raised_pauses_nobody() {
    type Case = (Option<usize>, usize, &'static str);
    let rows: [Case; 6] = [
        (Some(4), 3, "has 4 partitions already"),
        (Some(6), 4, "raise to 6 or more"),
        (Some(4), 9, "too few for 9"),
        (Some(7), 6, "raise to 7 or more"),
        (Some(3), 6, "not the layout's topic"),
        (None, 6, "adopt-topic"),
    ];
    for (count, to, words) in rows {
        let mut bench = Bench::new();
        bench.topics_have(count);
        bench.notes.expect_standing().returning(|| Ok(None));
        bench.changes.expect_pause().never();
        let refused = bench.raise(to, stop()).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let mut bench = Bench::new();
    bench
        .topic
        .expect_describe()
        .returning(|| Ok(described(Some(4))));
    bench.results.expect_describe().returning(|| {
        Ok(TopicDescription {
            topic: "axs.mistyped".to_owned(),
            ..results_described(Some(4))
        })
    });
    bench.changes.expect_pause().never();
    let refused = bench.raise(6, stop()).await.unwrap_err().to_string();
    for words in ["kafka.results_topic is axs.mistyped", "axs.results"] {
        assert!(refused.contains(words), "{refused}");
    }
    let mut bench = Bench::new();
    bench.layouts = MockLayoutStore::new();
    bench.layouts.expect_load().returning(|| Ok(None));
    bench.changes.expect_pause().never();
    assert_eq!(
        bench.raise(6, stop()).await,
        Err(ChangeLayoutError::NotLaidOut)
    );
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_is_as_large_already_is_left_as_it_is() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.notes.expect_standing().returning(|| Ok(None));
    bench.changes.expect_pause().never();
    bench.topic.expect_grow().never();
    let raised = bench.raise(4, stop()).await.unwrap();
    assert_eq!(raised.layout, stored_layout());
    assert_eq!(raised.shards_moved, 0);
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_is_as_large_already_is_not_called_done_while_a_change_pauses_writing() {
    let mut bench = Bench::new();
    let standing = StandingChange {
        kind: LayoutChangeKind::Raise { partition_count: 6 },
        paused_since: Timestamp::from_unix_micros(0),
        silent_for: Duration::ZERO,
    };
    bench
        .notes
        .expect_standing()
        .returning(move || Ok(Some(standing)));
    bench.changes.expect_pause().never();
    let refused = bench.raise(4, stop()).await;
    assert_eq!(refused, Err(ChangeLayoutError::OtherUnderWay(standing)));
}

#[tokio::test(start_paused = true)]
async fn another_change_under_way_is_left_alone() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    let standing = StandingChange {
        kind: LayoutChangeKind::Adopt,
        paused_since: Timestamp::from_unix_micros(0),
        silent_for: Duration::ZERO,
    };
    let pausing = move |_| Ok(Pausing::OtherUnderWay(standing));
    bench.changes.expect_pause().returning(pausing);
    bench.changes.expect_resume().never();
    bench.changes.expect_raise().never();
    let refused = bench.raise(6, stop()).await;
    assert_eq!(refused, Err(ChangeLayoutError::OtherUnderWay(standing)));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_can_not_be_taken_back_is_said_with_what_to_do() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(0);
    bench.pauses();
    bench.is_noted();
    bench.changes.expect_resume().returning(|_| Err(away()));
    let text = bench.raise(6, stop()).await.unwrap_err().to_string();
    assert!(
        text.contains("STILL PAUSED") && text.contains("layout resume"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_switch_whose_answer_was_lost_is_settled_by_the_layout() {
    for made in [true, false] {
        let mut bench = Bench::new();
        bench.topics_have(Some(6));
        bench.written_to(END);
        bench.pauses();
        bench.is_noted();
        bench.changes.expect_undecided().returning(|_| Ok(0));
        bench
            .changes
            .expect_raise()
            .returning(|_, _, _| Err(away().into()));
        bench.changes.expect_resume().returning(move |_| Ok(!made));
        let mut layouts = MockLayoutStore::new();
        let mut loads = 0;
        layouts.expect_load().returning(move || {
            loads += 1;
            let mut stored = stored_layout();
            if loads > 1 && made {
                stored.layout = raise(&stored.layout, 6, &[]).unwrap();
            }
            Ok(Some(stored))
        });
        bench.layouts = layouts;
        assert_eq!(bench.raise(6, stop()).await.is_ok(), made);
    }
}

fn adopt_all(drain_max: Option<Duration>) -> AdoptOrder {
    AdoptOrder {
        partition: None,
        drain_max,
    }
}

#[tokio::test(start_paused = true)]
async fn adopting_sets_every_partition_to_its_end_and_resumes_when_all_is_final() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(END);
    bench.pauses();
    bench.is_noted();
    bench
        .changes
        .expect_adopt()
        .times(1)
        .returning(|_, starts, cluster| {
            assert_eq!(starts.len(), 4);
            assert!(starts.iter().all(|start| start.offset == offset(END)));
            assert_eq!(cluster, stored_layout().cluster_id);
            Ok(())
        });
    bench
        .changes
        .expect_undecided()
        .times(1)
        .returning(|_| Ok(0));
    bench.topic.expect_create().never();
    bench.resumes_once();
    let order = adopt_all(Some(Duration::from_secs(60)));
    bench.adopt(order).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_lost_events_are_undecided_writing_stays_paused() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(END);
    bench.pauses();
    bench.is_noted();
    bench.changes.expect_adopt().returning(|_, _, _| Ok(()));
    bench.changes.expect_undecided().returning(|_| Ok(1));
    bench.changes.expect_resume().never();
    let order = adopt_all(Some(Duration::from_secs(60)));
    let text = bench.adopt(order).await.unwrap_err().to_string();
    assert!(
        text.contains("STILL PAUSED") && text.contains("1 events"),
        "{text}"
    );
}

/// Where the topic may be adopted, the events of the old one are undecided.
#[tokio::test(start_paused = true)]
async fn an_adoption_that_may_be_made_leaves_the_pause_when_it_fails() {
    let (paused, goes_on) = (Pausing::Paused(the_change()), Pausing::GoesOn(the_change()));
    let lost = || LayoutChangeError::Store(away());
    for (pausing, failure, stays) in [
        (paused, lost(), true),
        (goes_on, lost(), true),
        // Another command has the pause.
        (goes_on, LayoutChangeError::TakenOver, false),
        (paused, LayoutChangeError::TakenOver, false),
    ] {
        let mut bench = Bench::new();
        bench.topics_have(Some(4));
        bench.written_to(END);
        let pause = move |_| Ok(pausing);
        bench.changes.expect_pause().times(1).returning(pause);
        bench.is_noted();
        let refusal = failure.clone();
        let fails = move |_, _, _| Err(refusal.clone());
        bench.changes.expect_adopt().returning(fails);
        let takes_back = usize::from(!stays);
        bench
            .changes
            .expect_resume()
            .times(takes_back)
            .returning(|_| Ok(false));
        let told = bench.adopt(adopt_all(None)).await.unwrap_err().to_string();
        assert!(told.contains(&failure.to_string()), "{told}");
        assert_eq!(told.contains("STILL PAUSED"), stays, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_does_not_wait_gets_writing_back_at_once() {
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(END);
    bench.pauses();
    bench.is_noted();
    bench
        .changes
        .expect_adopt()
        .times(1)
        .returning(|_, _, _| Ok(()));
    bench.changes.expect_undecided().never();
    bench.resumes_once();
    bench.adopt(adopt_all(None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_partition_is_adopted_alone_and_only_of_a_topic_that_is_there() {
    let partition = PartitionId::try_new(2).unwrap();
    let order = || AdoptOrder {
        partition: Some(partition),
        drain_max: None,
    };
    let mut bench = Bench::new();
    bench.topics_have(Some(4));
    bench.written_to(END);
    bench.pauses();
    bench.is_noted();
    bench
        .changes
        .expect_adopt()
        .times(1)
        .returning(move |_, starts, _| {
            let offset = offset(END);
            assert_eq!(starts, [PartitionStart { partition, offset }]);
            Ok(())
        });
    bench.resumes_once();
    bench.adopt(order()).await.unwrap();

    let mut bench = Bench::new();
    bench.topics_have(None);
    bench.changes.expect_pause().never();
    let refused = bench.adopt(order()).await.unwrap_err().to_string();
    assert!(refused.contains("as a whole"), "{refused}");
}
