//! `bootstrap layout`: shards, partitions and the events topic.

use super::layout_change::AdoptArgs;
use super::start::wait_for_schema;
use crate::cli::LayoutCommand;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use anyhow::bail;
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_application::port::partition_leadership::{LeaderView, PartitionLeadership};
use axs_application::usecase::make_layout::{LayoutPlan, MakeLayout};
use axs_domain::layout::PoolSpec;
use axs_domain::text::PoolName;
use shaku::HasComponent;

/// Makes or shows the layout.
///
/// # Errors
/// A pool that can't be read, or a server that is away.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn run(command: &LayoutCommand, settings: Settings) -> anyhow::Result<Ending> {
    match command {
        LayoutCommand::Init { pools } => {
            let pools = pools
                .iter()
                .map(|pool| parse_pool(pool))
                .collect::<Result<_, _>>()?;
            let clients = Clients::default()
                .with_database(&settings)?
                .with_kafka(&settings)?;
            let layers = Layers::stack(settings, clients)?;
            wait_for_schema(&layers).await?;
            let events_topic = layers.config().settings().kafka.events_topic.clone();
            let make: &dyn MakeLayout = layers.service.resolve_ref();
            let made = make
                .make(LayoutPlan {
                    pools,
                    events_topic,
                })
                .await?;
            let said = |new: bool| if new { "made" } else { "stood already" };
            println!(
                "topic {}: {}",
                made.layout.events_topic,
                said(made.topic_created)
            );
            println!(
                "topic {}: {}",
                made.results_topic,
                said(made.results_topic_created)
            );
            println!("layout: {}", said(made.created));
            print_pools(&made.layout);
        }
        LayoutCommand::Raise {
            partitions,
            pools,
            drain_seconds,
        } => {
            return super::layout_change::raise(*partitions, pools, *drain_seconds, settings).await;
        }
        LayoutCommand::AdoptTopic {
            partition,
            yes,
            no_wait,
            drain_seconds,
        } => {
            let how = AdoptArgs {
                partition: *partition,
                confirmed: *yes,
                waits: !no_wait,
                drain_seconds: *drain_seconds,
            };
            return super::layout_change::adopt(how, settings).await;
        }
        LayoutCommand::Resume => return super::layout_change::resume(settings).await,
        LayoutCommand::Show => {
            let clients = Clients::default().with_database(&settings)?;
            let layers = Layers::stack(settings, clients)?;
            wait_for_schema(&layers).await?;
            let store: &dyn LayoutStore = layers.repo.resolve_ref();
            let Some(stored) = store.load().await? else {
                bail!("there is no layout yet; run `bootstrap layout init`");
            };
            let leadership: &dyn PartitionLeadership = layers.repo.resolve_ref();
            print_pools(&stored);
            print_leaders(&leadership.leaders().await?);
        }
    }
    Ok(Ending::Fine)
}

/// Reads `name=shards/partitions`.
fn parse_pool(text: &str) -> Result<PoolSpec, UsageError> {
    let wrong = || UsageError(format!("--pool {text}: expected NAME=SHARDS/PARTITIONS"));
    let (name, numbers) = text.split_once('=').ok_or_else(wrong)?;
    let (shards, partitions) = numbers.split_once('/').ok_or_else(wrong)?;
    Ok(PoolSpec {
        name: PoolName::parse(name)
            .map_err(|error| UsageError(format!("--pool {text}: the name {error}")))?,
        shards: shards.parse().map_err(|_| wrong())?,
        partitions: partitions.parse().map_err(|_| wrong())?,
    })
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
pub(super) fn print_pools(stored: &StoredLayout) {
    let layout = &stored.layout;
    println!(
        "epoch {}, {} partitions of topic {}, {} shards",
        layout.epoch(),
        layout.partition_count(),
        stored.events_topic,
        layout.shards().len()
    );
    println!("{:<16} {:>12} {:>12}", "pool", "shards", "partitions");
    for pool in layout.pools() {
        let of_pool = || layout.shards().iter().filter(|shard| shard.pool == pool);
        let shards: Vec<i32> = of_pool().map(|shard| shard.shard_id.value()).collect();
        let mut partitions: Vec<i32> = of_pool().map(|shard| shard.partition.value()).collect();
        partitions.sort_unstable();
        partitions.dedup();
        println!(
            "{:<16} {:>12} {:>12}",
            pool.as_str(),
            ranges(&shards),
            ranges(&partitions)
        );
    }
    if let Some(count) = stored.raising_to {
        println!("a raise to {count} partitions was begun and not finished");
    }
}

/// Numbers in order, e.g. `0-3,6`. After a raise the partitions of a pool have gaps.
fn ranges(numbers: &[i32]) -> String {
    numbers
        .chunk_by(|a, b| a + 1 == *b)
        .filter_map(|run| Some((run.first()?, run.last()?)))
        .map(|(first, last)| format!("{first}-{last}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_leaders(leaders: &[LeaderView]) {
    println!("{:<10} {:>14}  led by", "partition", "stored offset");
    for leader in leaders {
        let owner = leader
            .held_by
            .map_or("nobody".to_owned(), |owner| owner.to_string());
        println!(
            "{:<10} {:>14}  {owner}",
            leader.partition.to_string(),
            leader.stored_offset.to_string()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_read_from_its_three_parts() {
        let pool = parse_pool("retail=36/9").unwrap();
        assert_eq!(
            (pool.name.as_str(), pool.shards, pool.partitions),
            ("retail", 36, 9)
        );
    }

    #[test]
    fn what_is_no_pool_is_refused_with_the_text() {
        for text in [
            "",
            "retail",
            "retail=36",
            "=1/1",
            "retail=x/9",
            "retail=36/-1",
            "a b =1/1/1",
        ] {
            let error = parse_pool(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("--pool"), "{error}");
        }
    }
}
