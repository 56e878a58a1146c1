//! What makes a process ready, and what a flood of questions costs.

use super::*;
use crate::ops::leadership::{MockLeadershipView, RefusedPartition};
use async_trait::async_trait;
use axs_application::port::readiness_probe::{MockReadinessProbe, ProbeFailure};
use futures::future::join_all;

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

#[tokio::test]
async fn a_consumer_is_ready_only_while_its_election_loop_runs_and_degraded_by_a_refusal() {
    let refusal = RefusedPartition {
        partition: 3,
        reason: "the log ends before the stored offset".to_owned(),
    };
    let rows = [(true, vec![], true, false), (false, vec![], false, false)]
        .into_iter()
        .chain([(true, vec![refusal], true, true)]);
    for (electing, refused, ready, degraded) in rows {
        let snapshot = LeadershipSnapshot {
            electing,
            led: vec![0, 1],
            refused,
        };
        let mut view = MockLeadershipView::new();
        view.expect_snapshot().return_const(snapshot.clone());
        let dependencies = vec![up("postgresql", Need::Required)];
        let board = ReadinessBoard::new(dependencies, Some(Arc::new(view)), ProbeTiming::default());
        let report = board.report().await;
        assert_eq!(
            (report.ready, report.degraded),
            (ready, degraded),
            "{report:?}"
        );
        assert_eq!(report.leadership, Some(snapshot));
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
