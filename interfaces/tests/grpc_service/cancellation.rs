//! Clients that go away, and servers that are told to stop, while a write is under way.

use super::harness::{Running, UseCases, run, settings};
use super::submit::{accepted, event, request};
use async_trait::async_trait;
use axs_application::usecase::ack_level::AckLevel;
use axs_application::usecase::submit_balance_changes::{
    SubmitBalanceChanges, SubmitError, SubmitOutcome,
};
use axs_domain::event::BalanceChangeEvent;
use axs_interfaces::grpc::REQUESTS_TOTAL;
use axs_interfaces::grpc::server::Drain;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Code;

/// Longer than any of these tests takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A write that says when it began, waits to be released, and says when it ended.
struct Gate {
    begun: Semaphore,
    released: Semaphore,
    ended: Semaphore,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            begun: Semaphore::new(0),
            released: Semaphore::new(0),
            ended: Semaphore::new(0),
        })
    }

    fn use_cases(self: &Arc<Self>) -> UseCases {
        UseCases {
            submit: Arc::new(GatedSubmit(Arc::clone(self))),
            ..UseCases::default()
        }
    }
}

async fn passed(semaphore: &Semaphore) {
    let passing = tokio::time::timeout(PATIENCE, semaphore.acquire());
    passing.await.unwrap().unwrap().forget();
}

struct GatedSubmit(Arc<Gate>);

#[async_trait]
impl SubmitBalanceChanges for GatedSubmit {
    async fn submit(
        &self,
        _events: Vec<BalanceChangeEvent>,
        _ack_level: AckLevel,
        _traceparent: Option<String>,
    ) -> Result<Vec<SubmitOutcome>, SubmitError> {
        self.0.begun.add_permits(1);
        passed(&self.0.released).await;
        self.0.ended.add_permits(1);
        Ok(vec![accepted()])
    }
}

/// Waits until the server has let go of a request whose client went away.
async fn until_a_request_is_cancelled(counted: &PrometheusHandle) {
    let line =
        format!("{REQUESTS_TOTAL}{{method=\"BatchSubmitBalanceChanges\",code=\"CANCELLED\"}} 1");
    let cancelled = async {
        while !counted.render().contains(&line) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cancelled).await.unwrap();
}

/// A server whose only client sent a write and went away, which the server has noticed.
async fn abandoned(gate: &Arc<Gate>, counted: &PrometheusHandle) -> Running {
    let running = run(gate.use_cases(), settings());
    let mut client = running.client().await;
    let call = tokio::spawn(async move {
        client
            .batch_submit_balance_changes(request(vec![event("k")]))
            .await
    });
    passed(&gate.begun).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    until_a_request_is_cancelled(counted).await;
    running
}

#[tokio::test]
async fn a_write_goes_on_to_its_end_when_its_client_goes_away() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let gate = Gate::closed();
    let _running = abandoned(&gate, &recorder.handle()).await;
    gate.released.add_permits(1);
    passed(&gate.ended).await;
}

#[tokio::test]
async fn a_drain_waits_for_the_write_of_a_client_that_went_away() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let gate = Gate::closed();
    let mut running = abandoned(&gate, &recorder.handle()).await;
    running.shutdown.cancel();
    let moment = Duration::from_millis(200);
    let early = tokio::time::timeout(moment, &mut running.serving).await;
    assert!(early.is_err(), "the server left a write behind");
    gate.released.add_permits(1);
    let drain = tokio::time::timeout(PATIENCE, running.serving).await;
    assert_eq!(drain.unwrap().unwrap().unwrap(), Drain::Complete);
    assert_eq!(gate.ended.available_permits(), 1);
}

#[tokio::test]
async fn a_request_under_way_is_answered_although_the_server_stops() {
    let gate = Gate::closed();
    let running = run(gate.use_cases(), settings());
    let mut client = running.client().await;
    let call = tokio::spawn(async move {
        client
            .batch_submit_balance_changes(request(vec![event("k")]))
            .await
    });
    passed(&gate.begun).await;
    running.shutdown.cancel();
    gate.released.add_permits(1);
    assert!(call.await.unwrap().is_ok());
    let drain = tokio::time::timeout(PATIENCE, running.serving).await;
    assert_eq!(drain.unwrap().unwrap().unwrap(), Drain::Complete);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut_off() {
    let gate = Gate::closed();
    let mut hasty = settings();
    hasty.drain_timeout = Duration::from_millis(50);
    let running = run(gate.use_cases(), hasty);
    let mut client = running.client().await;
    let call = tokio::spawn(async move {
        client
            .batch_submit_balance_changes(request(vec![event("k")]))
            .await
    });
    passed(&gate.begun).await;
    running.shutdown.cancel();
    let drain = tokio::time::timeout(PATIENCE, running.serving).await;
    assert_eq!(drain.unwrap().unwrap().unwrap(), Drain::CutOff);
    call.abort();
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_answered_with_how_to_settle_it_and_goes_on() {
    let gate = Gate::closed();
    let mut hasty = settings();
    hasty.request_timeout = Duration::from_millis(50);
    let running = run(gate.use_cases(), hasty);
    let mut client = running.client().await;
    let answer = client
        .batch_submit_balance_changes(request(vec![event("k")]))
        .await;
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status
            .message()
            .contains("sending the same keys again settles it")
    );
    gate.released.add_permits(1);
    passed(&gate.ended).await;
}
