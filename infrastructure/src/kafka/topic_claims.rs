//! Claims to topics: the offset that a group named by the topic has committed for its first
//! partition, whose metadata names the claimant. Nothing is written to the topic, and the brokers
//! drop the offset when they drop the topic.
//!
//! | # | step | why |
//! |---|---|---|
//! | 1 | `init_transactions` under the same name as everybody who claims the topic | whoever was at it before is fenced: what they committed is seen by 2, and what they did not never will be |
//! | 2 | the committed offset | with another's name on it, nothing is changed |
//! | 3 | the offset, in a transaction | refused when somebody came to 1 after us, and will see 2 without ours |
//!
//! Without the transaction two commands could both find nothing, and then both commit.
//!
//! The brokers keep the offset of a group without members for `offsets.retention.minutes`, a week
//! by default: a topic that stays without records for longer can be claimed by another database,
//! and README says so.

use super::client::KafkaClient;
use super::client_log::ClientLog;
use async_trait::async_trait;
use axs_application::port::event_topic::BrokerError;
use axs_application::port::topic_claims::{Claimant, TopicClaim, TopicClaims};
use axs_kafka::{KafkaConnection, Property};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};
use shaku::Component;
use std::time::Duration;

/// How long each step may take. The first transaction of a cluster makes a topic for all of them.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// After it the brokers end the transaction of a command that died. Above [`STEP_TIMEOUT`].
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The partition whose offset is committed: every topic has it.
const PARTITION: i32 = 0;

/// Past the end of every log, so that nobody who watches groups is told of a lag.
const OFFSET: i64 = 1 << 52;

/// What the metadata of an offset begins with that is a claim: the version of its form.
const FORM: &str = "axs-claim-1";

/// [`TopicClaims`] with the brokers.
#[derive(Component, Debug)]
#[shaku(interface = TopicClaims)]
pub struct KafkaTopicClaims {
    /// How the brokers are reached.
    #[shaku(default = unreachable!("the client is given by whoever builds the container"))]
    client: KafkaClient,
}

impl KafkaTopicClaims {
    /// Claims with the brokers of this client.
    #[must_use]
    pub const fn new(client: KafkaClient) -> Self {
        Self { client }
    }

    /// Claims on a thread that may block.
    async fn settle(
        &self,
        topic: String,
        claimant: Claimant,
        takes_over: bool,
    ) -> Result<TopicClaim, BrokerError> {
        let kafka = self.client.settings().connection.clone();
        let name = name_of(&topic);
        let claimed = tokio::task::spawn_blocking(move || {
            let claims = OpenClaims::connect(&kafka, topic).map_err(|error| error.to_string())?;
            claims.settle(&claimant, takes_over)
        })
        .await;
        let claimed = claimed.unwrap_or_else(|died| Err(died.to_string()));
        claimed.map_err(|reason| {
            self.client.unavailable(&format_args!(
                "the claim under the consumer group and transactional id {name}: {reason}"
            ))
        })
    }
}

#[async_trait]
impl TopicClaims for KafkaTopicClaims {
    async fn claim(&self, topic: String, claimant: Claimant) -> Result<TopicClaim, BrokerError> {
        self.settle(topic, claimant, false).await
    }

    async fn take_over(&self, topic: String, claimant: Claimant) -> Result<(), BrokerError> {
        self.settle(topic, claimant, true).await.map(|_| ())
    }
}

/// The group, and the transactional id, of a topic's claims. Not of the settings: all deployments
/// must mean the same.
fn name_of(topic: &str) -> String {
    format!("axs-claim.{topic}")
}

/// What the client that looks at claims sets besides what all share.
pub(super) fn looking_properties(group_id: &str) -> [Property; 2] {
    [
        ("group.id", group_id.into()),
        ("enable.auto.commit", "false".into()),
    ]
}

/// What the client that claims sets besides what all share.
pub(super) fn claiming_properties(transactional_id: &str) -> [Property; 2] {
    [
        ("transactional.id", transactional_id.into()),
        (
            "transaction.timeout.ms",
            TRANSACTION_TIMEOUT.as_millis().to_string(),
        ),
    ]
}

/// The claims to one topic, from when everybody before us is out of the way.
struct OpenClaims {
    topic: String,
    group: BaseConsumer<ClientLog>,
    claiming: BaseProducer<ClientLog>,
}

impl OpenClaims {
    /// Fences whoever claims the topic at this moment.
    fn connect(kafka: &KafkaConnection, topic: String) -> Result<Self, Box<dyn std::error::Error>> {
        let name = name_of(&topic);
        let group = kafka
            .client_config(&looking_properties(&name))?
            .create_with_context(ClientLog)?;
        let claiming: BaseProducer<ClientLog> = kafka
            .client_config(&claiming_properties(&name))?
            .create_with_context(ClientLog)?;
        claiming.init_transactions(STEP_TIMEOUT)?;
        Ok(Self {
            topic,
            group,
            claiming,
        })
    }

    fn settle(&self, claimant: &Claimant, takes_over: bool) -> Result<TopicClaim, String> {
        match self.standing()? {
            Some(standing) if standing.id == claimant.id => Ok(TopicClaim::Own),
            Some(standing) if !takes_over => Ok(TopicClaim::Foreign(standing)),
            _ => {
                self.write(claimant)?;
                Ok(TopicClaim::Own)
            }
        }
    }

    fn standing(&self) -> Result<Option<Claimant>, String> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, PARTITION);
        let found = self.group.committed_offsets(asked, STEP_TIMEOUT);
        let found = found.map_err(|error| error.to_string())?;
        let found = found
            .find_partition(&self.topic, PARTITION)
            .ok_or("no answer about the topic")?;
        found.error().map_err(|error| error.to_string())?;
        Ok(match found.offset() {
            Offset::Invalid => None,
            _ => Some(read(found.metadata())),
        })
    }

    fn write(&self, claimant: &Claimant) -> Result<(), String> {
        let mut offsets = TopicPartitionList::new();
        let mut offset = offsets.add_partition(&self.topic, PARTITION);
        offset.set_metadata(written(claimant));
        let set = offset.set_offset(Offset::Offset(OFFSET));
        set.map_err(|error| error.to_string())?;
        let group = self.group.group_metadata().ok_or("the group has no name")?;
        let claiming = &self.claiming;
        // A client that failed is dropped, which leaves the rest to the brokers: they end what it
        // began.
        claiming
            .begin_transaction()
            .and_then(|()| claiming.send_offsets_to_transaction(&offsets, &group, STEP_TIMEOUT))
            .and_then(|()| claiming.commit_transaction(STEP_TIMEOUT))
            .map_err(|error| error.to_string())
    }
}

fn written(claimant: &Claimant) -> String {
    format!("{FORM} {} {}", claimant.id, claimant.name)
}

/// An offset that says something else is somebody's too.
fn read(metadata: &str) -> Claimant {
    let mut parts = metadata.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(FORM), Some(id), Some(name)) => Claimant {
            id: id.to_owned(),
            name: name.to_owned(),
        },
        _ => Claimant {
            id: format!("unreadable: {metadata:?}"),
            name: "of an unknown name".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_was_written_and_any_other_offset_is_somebodys() {
        let claimant = Claimant {
            id: "7300/16384".to_owned(),
            name: "axs of the west".to_owned(),
        };
        assert_eq!(read(&written(&claimant)), claimant);
        for other in ["", "axs-claim-1", "axs-claim-9 7300/16384 axs"] {
            assert_ne!(read(other).id, claimant.id, "{other}");
            assert!(read(other).id.contains(other), "{other}");
        }
    }
}
