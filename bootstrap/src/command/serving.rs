//! What the two long-running commands share: metrics, readiness, the ops server, and the tasks
//! without which they end.

use super::metric_help;
use crate::exit::Ending;
use crate::settings::{Settings, SettingsError};
use anyhow::Context;
use axs_application::port::readiness_probe::ReadinessProbe;
use axs_application::usecase::vital_tasks::{VitalTasks, vital};
use axs_interfaces::ops::leadership::Election;
use axs_interfaces::ops::readiness::{Dependency, Need, ProbeTiming, ReadinessBoard};
use axs_interfaces::ops::server::{MetricsText, OpsServer};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Upper bounds of the buckets of every histogram in seconds: from a round trip on one host to a
/// client's patience.
const SECONDS_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds of the buckets of every histogram in events.
const EVENTS_BUCKETS: [f64; 10] = [
    1.0, 5.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0, 20_000.0,
];

/// Upper bounds of the histograms of batches that share a transaction.
const BATCHES_BUCKETS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// How often histograms that nobody asks for are folded, and dependencies that nobody asks for
/// looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How much longer than its drains a stopping process may take.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// Installs the process's metrics.
///
/// # Errors
/// When metrics were installed before.
pub fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    use metrics_exporter_prometheus::Matcher::Suffix;
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Suffix("_seconds".into()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Suffix("_events".into()), &EVENTS_BUCKETS)?
        .set_buckets_for_metric(Suffix("_batches".into()), &BATCHES_BUCKETS)?
        .install_recorder()
        .context("metrics")?;
    metric_help::describe_all();
    Ok(handle)
}

/// Runs work beside the service until `stop`; see [`vital`].
pub fn beside(
    tasks: &Arc<dyn VitalTasks>,
    task: &'static str,
    stop: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) {
    tokio::spawn(vital(Arc::clone(tasks), task, stop.clone(), work));
}

/// Serves to the end. When a vital task dies, the service is told to stop and drains.
pub async fn serve<T>(
    service: impl Future<Output = T>,
    tasks: &Arc<dyn VitalTasks>,
    stop: &CancellationToken,
) -> T {
    let mut service = pin!(service);
    tokio::select! {
        biased;
        served = &mut service => return served,
        _ = tasks.until_death() => {}
    }
    stop.cancel();
    service.await
}

/// The ending of a process that has stopped.
///
/// # Errors
/// A vital task had died.
pub fn ending(tasks: &Arc<dyn VitalTasks>) -> anyhow::Result<Ending> {
    tasks
        .first_death()
        .map_or(Ok(Ending::Fine), |death| Err(death.into()))
}

/// A dependency without which the process is not ready.
pub fn required(probe: impl ReadinessProbe) -> Dependency {
    Dependency {
        probe: Arc::new(probe),
        need: Need::Required,
    }
}

/// A dependency without which the process is degraded.
pub fn wanted(probe: impl ReadinessProbe) -> Dependency {
    Dependency {
        probe: Arc::new(probe),
        need: Need::Optional,
    }
}

/// The readiness of a process with these dependencies.
pub fn readiness(
    settings: &Settings,
    dependencies: Vec<Dependency>,
    election: Option<Arc<Election>>,
) -> Arc<ReadinessBoard> {
    let timing = ProbeTiming {
        timeout: Duration::from_millis(settings.ops.probe_timeout_ms),
        ..ProbeTiming::default()
    };
    Arc::new(ReadinessBoard::new(dependencies, election, timing))
}

/// Serves `/livez`, `/readyz` and `/metrics` until `stop`.
///
/// # Errors
/// When `ops.listen` can't be listened on.
pub async fn serve_ops(
    settings: &Settings,
    board: Arc<ReadinessBoard>,
    metrics: PrometheusHandle,
    tasks: &Arc<dyn VitalTasks>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let listen = settings
        .ops
        .listen
        .parse()
        .map_err(SettingsError::at("ops.listen"))?;
    let server = OpsServer::bind(listen).await?;
    info!(address = %server.local_addr(), "ops: /livez, /readyz, /metrics");
    tokio::spawn(tell_what_is_away(Arc::clone(&board)));
    let (folding, looked_at) = (metrics.clone(), Arc::clone(&board));
    let upkeep = async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            folding.run_upkeep();
            // Nobody may be asking for the readiness, and its gauges must not grow old.
            looked_at.report().await;
        }
    };
    beside(tasks, "metrics upkeep", stop, upkeep);
    let render: MetricsText = Arc::new(move || metrics.render());
    let stopped = stop.clone();
    let serving = async move {
        if let Err(failure) = server.serve(board, render, stopped).await {
            error!(%failure, "the ops server ended");
        }
    };
    beside(tasks, "ops server", stop, serving);
    Ok(())
}

/// Says once, at the start, what does not answer or refuses, and by which setting it was looked
/// for. The process goes on; `/readyz` tells from then on.
async fn tell_what_is_away(board: Arc<ReadinessBoard>) {
    for dependency in &board.report().await.dependencies {
        if let Some(reason) = &dependency.reason {
            warn!(
                dependency = dependency.name,
                address = dependency.address,
                setting = setting_of(dependency.name),
                reason,
                "not there at the start"
            );
        }
    }
}

/// The setting that says where a dependency is.
fn setting_of(dependency: &str) -> &'static str {
    match dependency {
        "postgresql" => "database.url",
        "redis" => "cache.url",
        "result_topic" => "kafka.results_topic",
        _ => "kafka.brokers",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_application::usecase::vital_tasks::{ProcessTasks, TaskDeath};

    fn tasks() -> Arc<dyn VitalTasks> {
        Arc::new(ProcessTasks::default())
    }

    #[tokio::test]
    async fn a_task_that_dies_stops_the_service_and_the_process_says_so() {
        let (tasks, stop) = (tasks(), CancellationToken::new());
        beside(&tasks, "work", &stop, async { panic!("a bug") });
        // Drains once it is told to.
        serve(stop.cancelled(), &tasks, &stop).await;
        let error = ending(&tasks).unwrap_err();
        assert!(error.to_string().contains("a bug"), "{error}");
        assert!(error.is::<TaskDeath>());
    }

    #[tokio::test]
    async fn a_service_whose_tasks_end_when_told_to_ends_well() {
        let (tasks, stop) = (tasks(), CancellationToken::new());
        beside(&tasks, "work", &stop, stop.clone().cancelled_owned());
        let service = async {
            stop.cancel();
            tokio::task::yield_now().await;
        };
        serve(service, &tasks, &stop).await;
        assert_eq!(ending(&tasks).unwrap(), Ending::Fine);
    }
}
