//! `bootstrap grpc`: the API.
//!
//! Stopping: no new requests; those under way are answered; what they logged is committed and
//! handed to the producer; the producer is flushed. What is left when the time ends is in the log,
//! and the relay publishes it.

use super::serving::{self, STOP_GRACE, required, wanted};
use super::start::ready_to_serve;
use crate::cli::BUILD;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use crate::signal;
use async_trait::async_trait;
use axs_application::port::change_log_partitions::ChangeLogPartitions;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use axs_application::usecase::log_changes::LogChanges;
use axs_application::usecase::preload::PreloadAccounts;
use axs_application::usecase::publish_events::{PublishEvents, PublishHealth};
use axs_application::usecase::refresh_lookups::RefreshLookups;
use axs_application::usecase::vital_tasks::VitalTasks;
use axs_infrastructure::kafka::{AfterFailure, KafkaClient, KafkaProbe};
use axs_infrastructure::postgres::probe::PgProbe;
use axs_infrastructure::redis::RedisProbe;
use axs_interfaces::grpc::api::AccountBalanceApi;
use axs_interfaces::grpc::server::GrpcServer;
use axs_interfaces::ops::readiness::Dependency;
use shaku::HasComponent;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the change log's days are looked after.
const DAYS_EVERY: Duration = Duration::from_secs(3_600);

/// How many days of the change log are made ahead.
const DAYS_AHEAD: u16 = 14;

/// What stops one after the other, each within `grpc.drain_ms`: requests, the log, publishing.
const STOP_STEPS: u32 = 3;

/// Serves until a signal.
///
/// # Errors
/// PostgreSQL is away or of another schema, an address is taken, or a task died.
pub async fn run(settings: Settings) -> anyhow::Result<Ending> {
    let metrics = serving::install_metrics()?;
    let clients = Clients::default()
        .with_database(&settings)?
        .with_cache(&settings)?
        .with_kafka(&settings)?
        .with_producer(&settings, AfterFailure::ClosePartition)?;
    let drain = Duration::from_millis(settings.grpc.drain_ms);
    let stop = signal::shutdown(drain * STOP_STEPS + STOP_GRACE)?;
    let kafka = clients.kafka.clone();
    let layers = Layers::stack(settings, clients)?;
    if !ready_to_serve(&layers, &stop).await? {
        return Ok(Ending::Fine);
    }

    let api: Arc<dyn AccountBalanceApi> = layers.api.resolve();
    let publishing: Arc<dyn PublishEvents> = layers.service.resolve();
    let log: Arc<dyn LogChanges> = layers.service.resolve();
    let board = serving::readiness(
        layers.config().settings(),
        dependencies(&layers, kafka, Arc::clone(&publishing)),
        None,
    );
    let server = GrpcServer::bind(api.settings().clone())?;
    let tasks: Arc<dyn VitalTasks> = layers.service.resolve();
    serving::serve_ops(
        layers.config().settings(),
        Arc::clone(&board),
        metrics,
        &tasks,
        &stop,
    )
    .await?;
    let refresh: Arc<dyn RefreshLookups> = layers.service.resolve();
    let refreshing = stop.clone();
    let refresh = async move { refresh.run(refreshing).await };
    serving::beside(&tasks, "refresh of lookups", &stop, refresh);
    if layers.config().settings().write_side.preload_accounts {
        let preload: Arc<dyn PreloadAccounts> = layers.service.resolve();
        let preloading = stop.clone();
        let preload = async move { preload.run(preloading).await };
        serving::beside(&tasks, "preload of accounts", &stop, preload);
    }
    let days = keep_days_ahead(layers.repo.resolve(), stop.clone());
    serving::beside(&tasks, "days of the change log", &stop, days);
    info!(build = BUILD, address = %server.local_addr(), "serving axs.v1.AccountBalanceService");

    let service = server.serve(api, board, stop.clone());
    let drained = serving::serve(service, &tasks, &stop).await?;
    info!(?drained, "requests are answered");
    // In this order: what the log commits last is still handed over. Neither waits for the other's
    // success.
    let logged = log.drain(drain).await;
    let published = publishing.drain(drain).await;
    if logged && published {
        info!("stopped: everything logged here is published");
    } else {
        warn!("stopped: what is logged and not published is left to the relay");
    }
    serving::ending(&tasks)
}

fn dependencies(
    layers: &Layers,
    kafka: Option<KafkaClient>,
    publishing: Arc<dyn PublishEvents>,
) -> Vec<Dependency> {
    let mut dependencies = vec![
        required(PgProbe::new(layers.infra.resolve())),
        wanted(RedisProbe::new(layers.infra.resolve())),
    ];
    if let Some(client) = kafka {
        let address = client.settings().connection.brokers.clone();
        let alive = PublishingProbe {
            name: "publisher",
            publishing: Arc::clone(&publishing),
            address: address.clone(),
            is_fine: |health| !matches!(health, PublishHealth::Broken(_)),
        };
        let publishes = PublishingProbe {
            name: "publishing",
            publishing,
            address,
            is_fine: |health| matches!(health, PublishHealth::Publishing),
        };
        dependencies.push(required(alive));
        dependencies.push(wanted(publishes));
        dependencies.push(wanted(KafkaProbe::new(client)));
    }
    dependencies
}

/// Whether this process publishes what it logs. Asked twice, because the answer has three values:
/// a process whose publishing is being renewed is degraded, one whose publishing died is not ready.
struct PublishingProbe {
    name: &'static str,
    publishing: Arc<dyn PublishEvents>,
    address: String,
    is_fine: fn(&PublishHealth) -> bool,
}

#[async_trait]
impl ReadinessProbe for PublishingProbe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        let health = self.publishing.health();
        if (self.is_fine)(&health) {
            return Ok(());
        }
        Err(ProbeFailure {
            reason: match health {
                PublishHealth::Publishing => "it publishes".to_owned(),
                PublishHealth::Renewing(why) => format!("publishing is being renewed: {why}"),
                PublishHealth::Broken(why) => format!("this process must be restarted: {why}"),
            },
        })
    }
}

/// Makes the days of the change log ahead of time. Several processes may do it at once.
async fn keep_days_ahead(days: Arc<dyn ChangeLogPartitions>, stop: CancellationToken) {
    loop {
        match days.ensure_ahead(DAYS_AHEAD).await {
            Ok(0) => {}
            Ok(made) => info!(made, "days of the change log were made"),
            Err(failure) => warn!(%failure, "the days of the change log were not looked after"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(DAYS_EVERY) => {}
        }
    }
}
