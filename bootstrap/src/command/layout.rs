//! `bootstrap layout`: shards, partitions and the events topic.

use super::layout_change::AdoptArgs;
use super::start::wait_for_schema;
use crate::cli::LayoutCommand;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use anyhow::bail;
use axs_application::port::consumer_registry::ConsumerRegistry;
use axs_application::port::layout_change::{LayoutChangeKind, StandingChange};
use axs_application::port::layout_change_notes::LayoutChangeNotes;
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_application::port::partition_leadership::{LeaderView, PartitionLeadership};
use axs_application::usecase::make_layout::{LayoutPlan, MakeLayout, MakeLayoutError};
use axs_domain::id::OwnerId;
use axs_domain::layout::PoolSpec;
use axs_domain::text::PoolName;
use shaku::HasComponent;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the command of a change may be silent before it may have ended. Counting what is
/// undecided in a large log, and topics that grow slowly, take longer.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// Makes or shows the layout.
///
/// # Errors
/// A pool that can't be read, or a server that is away.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn run(command: &LayoutCommand, settings: Settings) -> anyhow::Result<Ending> {
    match command {
        LayoutCommand::Init {
            pools,
            adopt_records,
            unclaimed,
        } => {
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
                    adopts_records: *adopt_records,
                    claims_topics: !unclaimed,
                })
                .await
                .map_err(usage_or_failure)?;
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
            let notes: &dyn LayoutChangeNotes = layers.repo.resolve_ref();
            print_pools(&stored);
            println!("{}", state_of(&stored, notes.standing().await?));
            let registry: &dyn ConsumerRegistry = layers.repo.resolve_ref();
            let places = registry.places().await?;
            print_leaders(&leadership.leaders().await?, &places);
        }
    }
    Ok(Ending::Fine)
}

/// Pools that can't be laid out, and pools or topics that are not those that stand, are wrong
/// usage: the same arguments and settings never help.
fn usage_or_failure(error: MakeLayoutError) -> anyhow::Error {
    match error {
        MakeLayoutError::Plan(_) => UsageError(format!("--pool: {error}")).into(),
        MakeLayoutError::OtherLayoutStands { .. }
        | MakeLayoutError::PartitionCountDiffers { .. }
        | MakeLayoutError::TopicHoldsRecords { .. }
        | MakeLayoutError::TopicClaimed { .. } => UsageError(error.to_string()).into(),
        other => other.into(),
    }
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
}

/// Whether writing goes on, and what of a change of the layout stands unfinished.
pub(super) fn state_of(stored: &StoredLayout, standing: Option<StandingChange>) -> String {
    let grown = grown_of(stored);
    let Some(standing) = standing else {
        return format!("writing goes on{}", grown.unwrap_or_default());
    };
    let change = name_of(standing.kind);
    let silent = standing.silent_for.as_secs();
    let advice = if standing.silent_for < SILENT_MAX {
        "it is under way"
    } else {
        "it is in a long step, or has ended without its work done. When its process is gone, run it again \
         to finish it, or take it back by `bootstrap layout resume`"
    };
    format!(
        "writing is paused since {} by {change}, whose command was last heard of {silent} s ago: \
         {advice}{}",
        standing.paused_since,
        grown.unwrap_or_default()
    )
}

/// A change, as people call it.
pub(super) fn name_of(kind: LayoutChangeKind) -> String {
    match kind {
        LayoutChangeKind::Raise { partition_count } => {
            format!("`layout raise {partition_count}`")
        }
        LayoutChangeKind::Adopt => "`layout adopt-topic`".to_owned(),
    }
}

/// What a raise that was not finished left of itself, behind another sentence.
pub(super) fn grown_of(stored: &StoredLayout) -> Option<String> {
    let count = stored.grown_to?;
    Some(format!(
        "; a raise that was not finished may have given the topics {count} partitions, which is \
         harmless: `layout raise {count}` finishes it"
    ))
}

/// Numbers in order, e.g. `0-3,6`. After a raise the partitions of a pool have gaps.
fn ranges(numbers: &[i32]) -> String {
    numbers
        .chunk_by(|a, b| a + 1 == *b)
        .filter_map(|run| Some((run.first()?, run.last()?)))
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect::<Vec<_>>()
        .join(",")
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_leaders(leaders: &[LeaderView], places: &BTreeMap<OwnerId, String>) {
    println!("{:<10} {:>14}  led by", "partition", "stored offset");
    for leader in leaders {
        let owner = match leader.held_by {
            None => "nobody".to_owned(),
            Some(owner) => match places.get(&owner) {
                Some(place) => format!("{owner} on {place}"),
                None => owner.to_string(),
            },
        };
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
    use axs_domain::time::Timestamp;

    #[test]
    fn a_pool_is_read_from_its_three_parts() {
        let pool = parse_pool("retail=36/9").unwrap();
        assert_eq!(
            (pool.name.as_str(), pool.shards, pool.partitions),
            ("retail", 36, 9)
        );
    }

    #[test]
    fn numbers_are_told_as_ranges() {
        for (numbers, told) in [
            (&[][..], ""),
            (&[6], "6"),
            (&[0, 1, 2, 3, 6], "0-3,6"),
            (&[0, 2, 3], "0,2-3"),
        ] {
            assert_eq!(ranges(numbers), told);
        }
    }

    #[test]
    fn a_change_under_way_is_told_from_one_that_ended_and_from_one_that_was_taken_back() {
        let stored = axs_application::testkit::stored_layout();
        let grown = StoredLayout {
            grown_to: Some(6),
            ..stored.clone()
        };
        let raise = |silent_s| StandingChange {
            kind: LayoutChangeKind::Raise { partition_count: 6 },
            paused_since: Timestamp::from_unix_micros(0),
            silent_for: Duration::from_secs(silent_s),
        };
        let adopt = StandingChange {
            kind: LayoutChangeKind::Adopt,
            ..raise(0)
        };
        type Row<'a> = (&'a StoredLayout, Option<StandingChange>, &'a [&'a str]);
        let rows: [Row<'_>; 5] = [
            (&stored, None, &["writing goes on"]),
            (
                &stored,
                Some(raise(1)),
                &["paused since", "`layout raise 6`", "1 s ago", "under way"],
            ),
            (
                &stored,
                Some(raise(900)),
                &[
                    "paused since",
                    "`layout raise 6`",
                    "900 s ago",
                    "layout resume",
                ],
            ),
            (&stored, Some(adopt), &["paused since", "adopt-topic"]),
            (
                &grown,
                None,
                &[
                    "writing goes on",
                    "not finished",
                    "`layout raise 6` finishes",
                ],
            ),
        ];
        for (stored, standing, words) in rows {
            let text = state_of(stored, standing);
            for word in words {
                assert!(text.contains(word), "{text:?} lacks {word:?}");
            }
            assert_eq!(text.contains("paused"), standing.is_some(), "{text}");
            let finishes = text.contains("finishes it");
            assert_eq!(finishes, stored.grown_to.is_some(), "{text}");
        }
        assert!(!state_of(&stored, Some(raise(1))).contains("resume"));
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
