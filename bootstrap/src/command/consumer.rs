//! `bootstrap consumer`: the leaders.
//!
//! Stopping: batches in flight are finished, offsets stored, leases released, the registry left,
//! the producer of the relay flushed.

use super::serving::{self, STOP_GRACE, required, wanted};
use super::start::ready_to_serve;
use crate::cli::BUILD;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::infra::topic_settings;
use crate::module::layers::Layers;
use crate::settings::Settings;
use crate::signal;
use axs_application::port::event_publisher::EventPublisher;
use axs_application::usecase::lead_partitions::LeadPartitions;
use axs_application::usecase::vital_tasks::VitalTasks;
use axs_infrastructure::kafka::{AfterFailure, KafkaProbe, KafkaResultTopicProbe};
use axs_infrastructure::postgres::probe::PgProbe;
use axs_infrastructure::redis::RedisProbe;
use axs_interfaces::ops::leadership::Election;
use shaku::HasComponent;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How long the relay's last records may take to be delivered at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Leads until a signal.
///
/// # Errors
/// PostgreSQL is away or of another schema, an address is taken, or a task died.
pub async fn run(settings: Settings) -> anyhow::Result<Ending> {
    let metrics = serving::install_metrics()?;
    let clients = Clients::default()
        .with_database(&settings)?
        .with_cache(&settings)?
        .with_kafka(&settings)?
        .with_producer(&settings, AfterFailure::GoOn)?
        .with_results(&settings)?
        .with_reader(&settings)?
        .with_reading(&settings)?;
    let drain = Duration::from_millis(settings.processing.drain_ms);
    let stop = signal::shutdown(drain + FLUSH_TIMEOUT + STOP_GRACE)?;
    let kafka = clients.kafka.clone();
    let reader = clients.reader.clone();
    let layers = Layers::stack(settings, clients)?;
    if !ready_to_serve(&layers, &stop).await? {
        return Ok(Ending::Fine);
    }

    let leading: Arc<dyn LeadPartitions> = layers.service.resolve();
    let election = Arc::new(Election::new(leading));
    let publisher: Arc<dyn EventPublisher> = layers.infra.resolve();
    let mut dependencies = vec![
        required(PgProbe::new(layers.infra.resolve())),
        wanted(RedisProbe::new(layers.infra.resolve())),
    ];
    let topics = &layers.config().settings().kafka;
    dependencies.extend(kafka.into_iter().flat_map(|client| {
        // A result topic that is away stops nobody from deciding.
        let results =
            KafkaResultTopicProbe::new(&client, &topics.results_topic, topic_settings(topics));
        [wanted(KafkaProbe::new(client)), wanted(results)]
    }));
    let board = serving::readiness(
        layers.config().settings(),
        dependencies,
        Some(Arc::clone(&election)),
    );
    let tasks: Arc<dyn VitalTasks> = layers.service.resolve();
    serving::serve_ops(layers.config().settings(), board, metrics, &tasks, &stop).await?;
    if let Some(reader) = reader.clone() {
        // Without its thread no partition is read ever again.
        let ended = async move { reader.ended().await };
        serving::beside(&tasks, "record reader", &stop, ended);
    }
    info!(build = BUILD, owner = %layers.config().owner(), "leading partitions");

    let end = serving::serve(election.run(stop.clone()), &tasks, &stop).await;
    if !end.cut_off.is_empty() {
        warn!(partitions = ?end.cut_off, "cut off at the deadline; a successor goes on");
    }
    if let Some(reader) = reader {
        reader.stop(FLUSH_TIMEOUT).await;
    }
    if !publisher.flush(FLUSH_TIMEOUT).await {
        warn!("some relayed events were not delivered; another leader relays them");
    }
    info!("stopped");
    serving::ending(&tasks)
}
