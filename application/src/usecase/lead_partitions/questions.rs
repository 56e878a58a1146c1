//! What the election loop asks the servers.

use super::guard::{
    Refusal, check_bounds, check_record, check_results_topic, check_topic, record_to_compare,
};
use super::settings::LeadSettings;
use super::status::StatusBoard;
use super::term::TermPorts;
use crate::port::clock::Clock;
use crate::port::consumer_registry::ConsumerRegistry;
use crate::port::event_topic::{BrokerError, EventTopic};
use crate::port::layout_store::LayoutStore;
use crate::port::leader_beat::LeaderBeat;
use crate::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use crate::port::record_reader::RecordReader;
use crate::usecase::layout_lookup::count_partitions;
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, OwnerId, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::record_digest::RecordDigest;
use std::sync::Arc;
use tokio::time::timeout;

/// What the loop needs.
pub(super) struct ElectorPorts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) layouts: Arc<dyn LayoutStore>,
    pub(super) topic: Arc<dyn EventTopic>,
    pub(super) reader: Arc<dyn RecordReader>,
    pub(super) registry: Arc<dyn ConsumerRegistry>,
    pub(super) leadership: Arc<dyn PartitionLeadership>,
    pub(super) beat: Arc<dyn LeaderBeat>,
    pub(super) term: TermPorts,
    pub(super) owner: OwnerId,
    pub(super) settings: LeadSettings,
    pub(super) board: Arc<StatusBoard>,
}

/// What a look at servers and layout shows.
pub(super) struct Look {
    pub(super) layout: Arc<Layout>,
    pub(super) members: Vec<OwnerId>,
    pub(super) leaders: Vec<LeaderView>,
}

/// What came of an attempt to lead.
pub(super) enum Attempt {
    Taken {
        claim: Claim,
        stored_offset: Offset,
        results_offset: Offset,
        layout: Arc<Layout>,
    },
    Held,
    /// A person must look.
    Refused(String),
    /// A server must come back.
    Unavailable(String),
}

/// Why a look showed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LookFailure {
    /// The broker did not describe the topic.
    Broker(String),
    /// The layout has another result topic than this process is set to: no result may go there.
    OtherResultsTopic(String),
    /// Something else is away or does not fit.
    Other(String),
}

impl From<String> for LookFailure {
    fn from(what: String) -> Self {
        Self::Other(what)
    }
}

/// Looks at the broker, the layout, the live consumers and the leaders, in this order: a process
/// that can't read the topic must not be counted as one that could lead.
pub(super) async fn look(ports: &ElectorPorts) -> Result<Look, LookFailure> {
    let patience = ports.settings.broker_patience();
    let topic = match timeout(patience, ports.topic.describe()).await {
        Ok(described) => described.map_err(|f| LookFailure::Broker(f.to_string()))?,
        Err(_) => {
            return Err(LookFailure::Broker(
                "Kafka, which does not answer".to_owned(),
            ));
        }
    };
    let stored = ports.layouts.load().await.map_err(|f| f.to_string())?;
    let stored = stored.ok_or_else(|| "a layout: `bootstrap layout init` makes it".to_owned())?;
    count_partitions(&stored.layout);
    check_topic(&stored, &topic).map_err(|refusal| refusal.to_string())?;
    check_results_topic(&stored, &ports.settings.results_topic)
        .map_err(|refusal| LookFailure::OtherResultsTopic(refusal.to_string()))?;
    let ttl = ports.settings.lease.ttl();
    let members = ports.registry.check_in(ports.owner, ttl).await;
    let members = members.map_err(|failure| failure.to_string())?;
    let leaders = ports.leadership.leaders().await;
    let leaders = leaders.map_err(|failure| failure.to_string())?;
    Ok(Look {
        layout: Arc::new(stored.layout),
        members,
        leaders,
    })
}

/// Takes a partition over, and gives it back when its log does not fit the stored offset.
pub(super) async fn try_to_lead(
    ports: &ElectorPorts,
    partition: PartitionId,
    layout: Arc<Layout>,
) -> Attempt {
    let ttl = ports.settings.lease.ttl();
    let taken = ports
        .leadership
        .take_over(partition, ports.owner, ttl)
        .await;
    let (claim, stored_offset, stored_record, layout_epoch, results_offset) = match taken {
        Ok(TakeOver::Taken {
            claim,
            stored_offset,
            stored_record,
            layout_epoch,
            results_offset,
        }) => (
            claim,
            stored_offset,
            stored_record,
            layout_epoch,
            results_offset,
        ),
        Ok(TakeOver::Held) => return Attempt::Held,
        Err(failure) => return Attempt::Unavailable(failure.to_string()),
    };
    // After the take-over: only now nobody else moves the stored offset, and no raise of the layout
    // goes unseen, since it raises the token too.
    let attempt = if layout_epoch == layout.epoch() {
        match check_log(ports, partition, stored_offset, stored_record).await {
            Ok(Ok(())) => {
                return Attempt::Taken {
                    claim,
                    stored_offset,
                    results_offset,
                    layout,
                };
            }
            Ok(Err(refusal)) => Attempt::Refused(refusal.to_string()),
            Err(failure) => Attempt::Unavailable(failure.to_string()),
        }
    } else {
        // Raised since the look: the next look shows the new map.
        Attempt::Held
    };
    // What fails to be released ends by itself.
    let _ = ports.leadership.release(partition, claim).await;
    attempt
}

/// Whether the partition's log is the one that the stored offset speaks of. Nothing is remembered
/// of it: every take-over looks again.
async fn check_log(
    ports: &ElectorPorts,
    partition: PartitionId,
    stored: Offset,
    stored_record: Option<RecordDigest>,
) -> Result<Result<(), Refusal>, BrokerError> {
    let log = ports.topic.bounds(partition).await?;
    if let Err(refusal) = check_bounds(partition, stored, log) {
        return Ok(Err(refusal));
    }
    let Some((at, processed)) = record_to_compare(stored, stored_record, log) else {
        return Ok(Ok(()));
    };
    let found = ports.reader.read(partition, at, stored, 1).await?;
    if found.is_empty() && ports.topic.bounds(partition).await?.start > at {
        // Retention has removed it meanwhile.
        return Ok(Ok(()));
    }
    Ok(check_record(partition, stored, processed, found.first()))
}
