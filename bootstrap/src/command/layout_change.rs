//! `bootstrap layout raise`, `adopt-topic` and `resume`: changes of the layout under load.

use super::layout::{grown_of, name_of, print_pools};
use super::start::wait_for_schema;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use crate::signal;
use axs_application::port::layout_change::LayoutChange;
use axs_application::port::layout_change_notes::LayoutChangeNotes;
use axs_application::port::layout_store::LayoutStore;
use axs_application::usecase::change_layout::{
    AdoptOrder, AdoptPreview, AdoptTopic, ChangeLayoutError, ChangeProgress, RaiseOrder,
    RaisePartitions,
};
use axs_domain::id::PartitionId;
use axs_domain::layout_raise::PoolPartitions;
use axs_domain::text::PoolName;
use shaku::HasComponent;
use std::time::Duration;
use tokio::sync::watch;

/// How long a change may take to stop after a signal: its pause is taken back.
const STOP_GRACE: Duration = Duration::from_secs(60);

/// How much longer than the relay needs for a lost event a drain lasts.
const DRAIN_MARGIN: Duration = Duration::from_secs(60);

/// How to adopt the topic.
pub struct AdoptArgs {
    /// One partition alone.
    pub partition: Option<i32>,
    /// Whether it is to be done.
    pub confirmed: bool,
    /// Whether writing stays paused until what was lost is final.
    pub waits: bool,
    /// How long.
    pub drain_seconds: Option<u64>,
}

/// Raises the number of partitions.
///
/// # Errors
/// Numbers that don't fit, or why the layout stands as before.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn raise(
    partition_count: usize,
    pools: &[String],
    drain_seconds: Option<u64>,
    settings: Settings,
) -> anyhow::Result<Ending> {
    let order = RaiseOrder {
        partition_count,
        pools: pools
            .iter()
            .map(|pool| parse_pool(pool))
            .collect::<Result<_, _>>()?,
        drain_max: drain_max(drain_seconds, &settings),
    };
    let layers = with_kafka(settings).await?;
    let use_case: &dyn RaisePartitions = layers.service.resolve_ref();
    let (progress, seen) = watch::channel(ChangeProgress::Checking);
    let stop = signal::shutdown(STOP_GRACE)?;
    let shown = tokio::spawn(show(seen));
    let raised = use_case.raise(order, progress, stop).await;
    let _ = shown.await;
    let raised = raised.map_err(usage_or_failure)?;
    if raised.shards_moved == 0 {
        println!("the layout has {partition_count} partitions already; nothing was changed");
    } else {
        println!("raised; {} shards moved", raised.shards_moved);
    }
    print_pools(&raised.layout);
    Ok(Ending::Fine)
}

/// Shows what adopting the topic would do, and does it when that was confirmed.
///
/// # Errors
/// Not confirmed, or why it was not done.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn adopt(how: AdoptArgs, settings: Settings) -> anyhow::Result<Ending> {
    let partition = how
        .partition
        .map(PartitionId::try_new)
        .transpose()
        .map_err(|error| UsageError(format!("--partition {error}")))?;
    let drain = drain_max(how.drain_seconds, &settings);
    let layers = with_kafka(settings).await?;
    let use_case: &dyn AdoptTopic = layers.service.resolve_ref();
    let preview = use_case
        .preview(partition)
        .await
        .map_err(usage_or_failure)?;
    print_preview(&preview);
    if !how.confirmed {
        let text = "nothing was done; stop the API processes, then add --yes";
        return Err(UsageError(text.to_owned()).into());
    }
    let order = AdoptOrder {
        partition,
        drain_max: how.waits.then_some(drain),
    };
    let (progress, seen) = watch::channel(ChangeProgress::Checking);
    let stop = signal::shutdown(STOP_GRACE)?;
    let shown = tokio::spawn(show(seen));
    let adopted = use_case.adopt(order, progress, stop).await;
    let _ = shown.await;
    adopted.map_err(usage_or_failure)?;
    println!("adopted; writing goes on");
    Ok(Ending::Fine)
}

/// Ends whatever pause stands.
///
/// # Errors
/// A server that is away.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn resume(settings: Settings) -> anyhow::Result<Ending> {
    let clients = Clients::default().with_database(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    let changes: &dyn LayoutChange = layers.repo.resolve_ref();
    let notes: &dyn LayoutChangeNotes = layers.repo.resolve_ref();
    let layouts: &dyn LayoutStore = layers.repo.resolve_ref();
    let standing = notes.standing().await?;
    let resumed = changes.resume(None).await?;
    let what = match standing {
        Some(standing) if resumed => {
            format!("writing goes on; {} is taken back", name_of(standing.kind))
        }
        None if resumed => "writing goes on; the change that paused it is taken back".to_owned(),
        _ => "writing was not paused".to_owned(),
    };
    let left = layouts.load().await?.as_ref().and_then(grown_of);
    println!("{what}{}", left.unwrap_or_default());
    Ok(Ending::Fine)
}

async fn with_kafka(settings: Settings) -> anyhow::Result<Layers> {
    let clients = Clients::default()
        .with_database(&settings)?
        .with_kafka(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    Ok(layers)
}

fn drain_max(seconds: Option<u64>, settings: &Settings) -> Duration {
    let processing = &settings.processing;
    let relay = Duration::from_millis(processing.relay_grace_ms)
        + 2 * Duration::from_millis(processing.relay_interval_ms);
    seconds.map_or(relay + DRAIN_MARGIN, Duration::from_secs)
}

/// Numbers that an operator typed wrong are wrong usage.
fn usage_or_failure(error: ChangeLayoutError) -> anyhow::Error {
    match error {
        ChangeLayoutError::Raise(_)
        | ChangeLayoutError::OtherTopic { .. }
        | ChangeLayoutError::TopicHasMore { .. }
        | ChangeLayoutError::NoPartition { .. } => UsageError(error.to_string()).into(),
        other => other.into(),
    }
}

/// Reads `name=partitions`.
fn parse_pool(text: &str) -> Result<PoolPartitions, UsageError> {
    let wrong = || UsageError(format!("--pool {text}: expected NAME=PARTITIONS"));
    let (name, partitions) = text.split_once('=').ok_or_else(wrong)?;
    Ok(PoolPartitions {
        name: PoolName::parse(name)
            .map_err(|error| UsageError(format!("--pool {text}: the name {error}")))?,
        partitions: partitions.parse().map_err(|_| wrong())?,
    })
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_preview(preview: &AdoptPreview) {
    let name = |cluster: &Option<String>| cluster.clone().unwrap_or("unknown".to_owned());
    println!(
        "topic {} of cluster {} (the layout's cluster is {})",
        preview.topic,
        name(&preview.cluster_now),
        name(&preview.cluster_before)
    );
    if preview.makes_topic {
        println!("the topic does not exist and is made");
    }
    println!(
        "{:<10} {:>14} {:>14}",
        "partition", "stored offset", "becomes"
    );
    for row in &preview.partitions {
        let end = row
            .log_end
            .map_or("its end".to_owned(), |end| end.to_string());
        println!(
            "{:<10} {:>14} {end:>14}",
            row.partition.to_string(),
            row.stored_offset.to_string()
        );
    }
    println!(
        "events that were logged and never decided are published again; nothing takes effect twice"
    );
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
async fn show(mut seen: watch::Receiver<ChangeProgress>) {
    while seen.changed().await.is_ok() {
        let line = match &*seen.borrow_and_update() {
            ChangeProgress::Checking => continue,
            ChangeProgress::Pausing => "writing is paused".to_owned(),
            ChangeProgress::Draining {
                trouble: Some(trouble),
                ..
            } => format!("waiting: {trouble}"),
            ChangeProgress::Draining {
                undecided: Some(count),
                ..
            } => format!("draining: {count} events are undecided"),
            ChangeProgress::Draining { records_left, .. } => {
                format!("draining: {records_left} records are not written")
            }
            ChangeProgress::GrowingTopics => "the topics grow".to_owned(),
            ChangeProgress::Switching => "leaders are fenced, the layout is switched".to_owned(),
        };
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_grows_is_read_from_its_two_parts() {
        let pool = parse_pool("retail=12").unwrap();
        assert_eq!((pool.name.as_str(), pool.partitions), ("retail", 12));
        for text in ["", "retail", "=1", "retail=x", "retail=-1", "retail=36/9"] {
            let error = parse_pool(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("--pool"), "{error}");
        }
    }
}
