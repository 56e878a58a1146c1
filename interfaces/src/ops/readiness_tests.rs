//! What makes a process ready, and what a flood of questions costs.

use super::*;
use async_trait::async_trait;
use axs_application::port::readiness_probe::{MockReadinessProbe, ProbeFailure};
use axs_application::usecase::lead_partitions::{
    LeadPartitions, LeadershipEnd, LeadershipStatus, LedPartition, RefusedPartition,
};
use axs_domain::id::{FencingToken, Offset, PartitionId};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::pin::pin;
use tokio_util::sync::CancellationToken;

fn probe(name: &'static str, answer: Result<(), ProbeFailure>) -> MockReadinessProbe {
    let mut probe = MockReadinessProbe::new();
    probe.expect_name().return_const(name);
    probe
        .expect_address()
        .returning(move || format!("{name}:1"));
    probe.expect_check().returning(move || answer.clone());
    probe
}

fn up(name: &'static str, need: Need) -> Dependency {
    let probe = Arc::new(probe(name, Ok(())));
    Dependency { probe, need }
}

fn down(name: &'static str, need: Need) -> Dependency {
    let failure = ProbeFailure {
        reason: "connection refused".to_owned(),
    };
    let probe = Arc::new(probe(name, Err(failure)));
    Dependency { probe, need }
}

fn board(dependencies: Vec<Dependency>) -> ReadinessBoard {
    ReadinessBoard::new(dependencies, None, ProbeTiming::default())
}

#[tokio::test]
async fn a_process_is_ready_with_all_it_requires_and_degraded_without_the_rest() {
    use Need::{Optional, Required};
    let rows = [
        (vec![up("p", Required), up("k", Optional)], true, false),
        (vec![up("p", Required), down("k", Optional)], true, true),
        (vec![down("p", Required), up("k", Optional)], false, true),
        (vec![], true, false),
    ];
    for (dependencies, ready, degraded) in rows {
        let report = board(dependencies).report().await;
        assert_eq!(
            (report.ready, report.degraded),
            (ready, degraded),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn each_dependency_is_a_gauge_of_its_own() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let rendering = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let dependencies = vec![up("p", Need::Required), down("k", Need::Optional)];
    board(dependencies).report().await;
    let text = rendering.render();
    for line in [
        "axs_dependency_up{dependency=\"p\"} 1",
        "axs_dependency_up{dependency=\"k\"} 0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a_dependency_that_is_down_is_named_with_its_address_and_reason() {
    let report = board(vec![down("kafka", Need::Optional)]).report().await;
    assert_eq!(
        report.dependencies,
        [DependencyReport {
            name: "kafka",
            address: "kafka:1".to_owned(),
            state: DependencyState::Down,
            required: false,
            reason: Some("connection refused".to_owned()),
        }]
    );
}

/// A consumer that tells what it was told to, and leads until it is stopped.
struct Leading(LeadershipStatus);

#[async_trait]
impl LeadPartitions for Leading {
    async fn run(&self, shutdown: CancellationToken) -> LeadershipEnd {
        shutdown.cancelled().await;
        LeadershipEnd::default()
    }

    fn status(&self) -> LeadershipStatus {
        self.0.clone()
    }
}

fn consumer(election: &Arc<Election>) -> ReadinessBoard {
    let dependencies = vec![up("postgresql", Need::Required)];
    let timing = ProbeTiming {
        lasts: Duration::ZERO,
        ..ProbeTiming::default()
    };
    ReadinessBoard::new(dependencies, Some(Arc::clone(election)), timing)
}

#[tokio::test]
async fn a_consumer_is_ready_only_while_its_election_loop_runs() {
    let election = Arc::new(Election::new(Arc::new(
        Leading(LeadershipStatus::default()),
    )));
    let board = consumer(&election);
    assert!(!board.report().await.ready);
    let shutdown = CancellationToken::new();
    {
        let mut running = pin!(election.run(shutdown.clone()));
        assert!(futures::poll!(running.as_mut()).is_pending());
        assert!(board.report().await.ready);
        shutdown.cancel();
        running.await;
    }
    assert!(!board.report().await.ready);
}

#[tokio::test]
async fn a_consumer_that_refuses_a_partition_or_waits_is_degraded_and_says_why() {
    let partition = PartitionId::try_new(3).unwrap();
    let refusing = LeadershipStatus {
        led: vec![LedPartition {
            partition: PartitionId::MIN,
            token: FencingToken::try_new(5).unwrap(),
            stored_offset: Offset::try_new(17).unwrap(),
            lag: Some(2),
            draining: false,
        }],
        refused: vec![RefusedPartition {
            partition,
            reason: "the log ends before the stored offset".to_owned(),
        }],
        live_consumers: 2,
        waiting_for: None,
    };
    let waiting = LeadershipStatus {
        waiting_for: Some("a layout".to_owned()),
        ..LeadershipStatus::default()
    };
    let rows = [
        (
            refusing,
            concat!(
                r#"{"electing":true,"live_consumers":2,"#,
                r#""led":[{"partition":0,"token":5,"stored_offset":17,"lag":2,"draining":false}],"#,
                r#""refused":[{"partition":3,"reason":"the log ends before the stored offset"}]}"#
            ),
        ),
        (
            waiting,
            concat!(
                r#"{"electing":true,"live_consumers":0,"waiting_for":"a layout","#,
                r#""led":[],"refused":[]}"#
            ),
        ),
    ];
    for (status, json) in rows {
        let election = Arc::new(Election::new(Arc::new(Leading(status))));
        let mut running = pin!(election.run(CancellationToken::new()));
        assert!(futures::poll!(running.as_mut()).is_pending());
        let report = consumer(&election).report().await;
        assert_eq!((report.ready, report.degraded), (true, true), "{report:?}");
        assert_eq!(serde_json::to_string(&report.leadership).unwrap(), json);
    }
}

/// A dependency that never answers.
struct Silent;

#[async_trait]
impl ReadinessProbe for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn address(&self) -> String {
        "silent:1".to_owned()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn dependencies_that_never_answer_are_waited_for_together_and_only_for_the_timeout() {
    let silent = || Dependency {
        probe: Arc::new(Silent),
        need: Need::Required,
    };
    let board = board(vec![silent(), silent(), up("postgresql", Need::Required)]);
    let begun = Instant::now();
    let report = board.report().await;
    assert_eq!(begun.elapsed(), ProbeTiming::default().timeout);
    assert!(!report.ready);
    let reasons: Vec<_> = report.dependencies.iter().map(|it| &it.reason).collect();
    let silence = Some("no answer within 1000 ms".to_owned());
    assert_eq!(reasons, [&silence, &silence, &None]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_asks_the_dependencies_once_until_the_report_is_old() {
    let mut probe = MockReadinessProbe::new();
    probe.expect_name().return_const("postgresql");
    probe.expect_address().returning(|| "p:1".to_owned());
    probe.expect_check().times(2).returning(|| Ok(()));
    let board = board(vec![Dependency {
        probe: Arc::new(probe),
        need: Need::Required,
    }]);
    join_all((0..1_000).map(|_| board.report())).await;
    tokio::time::advance(ProbeTiming::default().lasts).await;
    join_all((0..1_000).map(|_| board.report())).await;
}
