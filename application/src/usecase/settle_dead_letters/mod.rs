//! Looking into dead records and parked events, and ending them.
//!
//! | kind | redrive | discard |
//! |---|---|---|
//! | parked event | INIT again under its log id; the relay publishes it behind what is there | REJECTED with code DISCARDED and the operator's reason, for ever |
//! | dead record whose event is INIT | marked; the relay publishes the event from the log | marked; its bytes stay |
//! | dead record whose event is final | marked as settled | the same |
//! | any other dead record | refused: it never was an accepted event | the same |
//!
//! The result of a discarded event goes to the result topic, at least once: when that fails, the
//! event is discarded none the less, and discarding it again publishes again.
//!
//! A dead record itself is never published again: what it holds is only believed where the change
//! log holds the same, and the log is what the relay publishes from.

mod plan;

pub use plan::RedrivePlan;

use crate::port::change_log::{ChangeLog, ChangeLogKey, ChangeLogRecord};
use crate::port::dead_letters::{
    DeadLetterBody, DeadLetterEntry, DeadLetterId, DeadLetterState, DeadLetters, OperatorNote,
    RecordSettlement,
};
use crate::port::event_codec::EventCodec;
use crate::port::parked_events::ParkedEvents;
use crate::port::result_codec::{FinishedEvent, FinishedOutcome};
use crate::port::result_publisher::ResultPublisher;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::log_status::LogStatus;
use axs_domain::rejection::RejectionCode;
use bytes::Bytes;
use plan::{decoded, plan};
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the delivery of one result is waited for.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(10);

/// An entry with all that can be found out about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What is kept.
    pub entry: DeadLetterEntry,
    /// The bytes: the record's, or the payload of the parked row.
    pub bytes: Bytes,
    /// The event, where the bytes hold one.
    pub event: Option<BalanceChangeEvent>,
    /// The change log row of the event that the entry is, or claims to be.
    pub row: Option<ChangeLogRecord>,
    /// What redriving would do.
    pub plan: RedrivePlan,
}

/// What came of an action on one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleOutcome {
    /// The event is INIT; the relay of its partition publishes it.
    Redriven,
    /// The event is given up; for a dead record: marked so.
    Discarded,
    /// The event is given up, now or before, but its result may not be on the result topic, for
    /// this reason. Discard it again.
    Unpublished(String),
    /// The event was final already; the dead record is marked as settled.
    Settled,
    /// Nothing was left to do: the entry or its event had come that far before.
    Already(String),
    /// It can't be done, for this reason. Nothing was changed.
    Refused(String),
}

/// Inspects and ends entries.
///
/// # Contract
/// - Each action is one transaction, and may be repeated: what was done before is told as such.
///
/// # Errors
/// [`StoreError`]: the outcome is unknown; the same again tells.
#[async_trait]
pub trait SettleDeadLetters: Interface {
    /// Everything about one entry; `None` when there is none.
    async fn inspect(&self, id: DeadLetterId) -> Result<Option<Inspection>, StoreError>;

    /// Sends an event on its way again.
    async fn redrive(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<SettleOutcome, StoreError>;

    /// Gives an entry up.
    async fn discard(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<SettleOutcome, StoreError>;
}

/// What became of a result that was to be published.
enum Published {
    Yes,
    /// The row was rejected for another reason: whoever decided it publishes its result.
    NotDiscarded,
    No(String),
}

/// [`SettleDeadLetters`] over the ports.
#[derive(Component)]
#[shaku(interface = SettleDeadLetters)]
pub struct DeadLetterSettling {
    #[shaku(inject)]
    dead_letters: Arc<dyn DeadLetters>,
    #[shaku(inject)]
    parked_events: Arc<dyn ParkedEvents>,
    #[shaku(inject)]
    change_log: Arc<dyn ChangeLog>,
    #[shaku(inject)]
    codec: Arc<dyn EventCodec>,
    #[shaku(inject)]
    results: Arc<dyn ResultPublisher>,
}

impl DeadLetterSettling {
    /// Settling over these ports.
    #[must_use]
    pub fn new(
        dead_letters: Arc<dyn DeadLetters>,
        parked_events: Arc<dyn ParkedEvents>,
        change_log: Arc<dyn ChangeLog>,
        codec: Arc<dyn EventCodec>,
        results: Arc<dyn ResultPublisher>,
    ) -> Self {
        Self {
            dead_letters,
            parked_events,
            change_log,
            codec,
            results,
        }
    }

    async fn look_into(&self, entry: DeadLetterEntry) -> Result<Inspection, StoreError> {
        match &entry.body {
            DeadLetterBody::Row(key) => {
                let row = self.change_log.find_by_key(key.clone()).await?;
                let row = row.filter(|row| Some(row.log_id) == entry.summary.log_id);
                let bytes = row.as_ref().map(|row| row.payload.clone());
                let bytes = bytes.unwrap_or_default();
                Ok(Inspection {
                    event: self.codec.decode_payload(bytes.clone()).ok(),
                    plan: RedrivePlan::of_parked(row.as_ref()),
                    bytes,
                    row,
                    entry,
                })
            }
            DeadLetterBody::Record { payload, .. } => {
                let bytes = payload.clone();
                let envelope = decoded(self.codec.as_ref(), bytes.clone());
                let row = match &envelope {
                    Ok((_, key)) => self.change_log.find_by_key(key.clone()).await?,
                    Err(_) => None,
                };
                Ok(Inspection {
                    plan: plan(envelope.as_ref(), row.as_ref()),
                    event: envelope.ok().map(|(envelope, _)| envelope.event),
                    bytes,
                    row,
                    entry,
                })
            }
        }
    }

    /// Publishes the result of a discarded event, and waits for its delivery.
    async fn publish(&self, key: ChangeLogKey) -> Result<Published, StoreError> {
        let Some(row) = self.change_log.find_by_key(key).await? else {
            return Ok(Published::No("its change log row is gone".to_owned()));
        };
        let discarded = RejectionCode::Discarded.number();
        let Some(reason) = row.reason.filter(|reason| reason.code == discarded) else {
            return Ok(Published::NotDiscarded);
        };
        let event = match self.codec.decode_payload(row.payload) {
            Ok(event) => event,
            Err(unreadable) => return Ok(Published::No(unreadable.to_string())),
        };
        let (Some((partition, offset)), Some(decided_at)) = (row.position, row.decided_at) else {
            return Ok(Published::No("its row has no position".to_owned()));
        };
        let finished = FinishedEvent {
            log_id: row.log_id,
            shard_id: row.key.shard_id,
            event,
            partition,
            offset,
            outcome: FinishedOutcome::Rejected(reason),
            logged_at: row.logged_at,
            decided_at,
        };
        let delivered = async { self.results.enqueue(&finished)?.report().await };
        Ok(match timeout(RESULT_WAIT_MAX, delivered).await {
            Ok(Ok(_)) => Published::Yes,
            Ok(Err(failure)) => Published::No(failure.to_string()),
            Err(_) => Published::No(format!("Kafka did not answer within {RESULT_WAIT_MAX:?}")),
        })
    }

    async fn settle(
        &self,
        id: DeadLetterId,
        settlement: RecordSettlement,
        note: OperatorNote,
        done: SettleOutcome,
    ) -> Result<SettleOutcome, StoreError> {
        let met = self.dead_letters.settle(id, settlement, note).await?;
        Ok(match met {
            Some(DeadLetterState::Open) => done,
            Some(state) => already(state),
            None => no_entry(id),
        })
    }
}

#[async_trait]
impl SettleDeadLetters for DeadLetterSettling {
    async fn inspect(&self, id: DeadLetterId) -> Result<Option<Inspection>, StoreError> {
        match self.dead_letters.find(id).await? {
            Some(entry) => self.look_into(entry).await.map(Some),
            None => Ok(None),
        }
    }

    async fn redrive(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<SettleOutcome, StoreError> {
        let Some(entry) = self.dead_letters.find(id).await? else {
            return Ok(no_entry(id));
        };
        if matches!(entry.body, DeadLetterBody::Row(_)) {
            let met = self.parked_events.redrive(id, note).await?;
            return Ok(match met {
                None => SettleOutcome::Refused("its change log row is gone".to_owned()),
                Some(met) if met.changed => SettleOutcome::Redriven,
                Some(met) => SettleOutcome::Already(stands(met.status)),
            });
        }
        if entry.summary.state != DeadLetterState::Open {
            return Ok(already(entry.summary.state));
        }
        match self.look_into(entry).await?.plan {
            RedrivePlan::Relay(key) => {
                let settlement = RecordSettlement::Redriven(key);
                self.settle(id, settlement, note, SettleOutcome::Redriven)
                    .await
            }
            RedrivePlan::Settle(_) => {
                self.settle(id, RecordSettlement::Settled, note, SettleOutcome::Settled)
                    .await
            }
            plan => Ok(SettleOutcome::Refused(plan.to_string())),
        }
    }

    async fn discard(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<SettleOutcome, StoreError> {
        let Some(entry) = self.dead_letters.find(id).await? else {
            return Ok(no_entry(id));
        };
        if matches!(entry.body, DeadLetterBody::Record { .. }) {
            let settlement = RecordSettlement::Discarded;
            return self
                .settle(id, settlement, note, SettleOutcome::Discarded)
                .await;
        }
        let met = self.parked_events.discard(id, note).await?;
        Ok(match met {
            None => SettleOutcome::Refused("its change log row is gone".to_owned()),
            Some(met) if met.changed => match self.publish(met.key).await? {
                Published::Yes | Published::NotDiscarded => SettleOutcome::Discarded,
                Published::No(why) => SettleOutcome::Unpublished(why),
            },
            Some(met) if met.status == LogStatus::Rejected => match self.publish(met.key).await? {
                Published::Yes => SettleOutcome::Already(
                    "it was discarded; its result is published again".to_owned(),
                ),
                Published::NotDiscarded => SettleOutcome::Already(stands(met.status)),
                Published::No(why) => SettleOutcome::Unpublished(why),
            },
            Some(met) if met.status == LogStatus::Init => SettleOutcome::Refused(
                "it was redriven and is on its way: wait for its result".to_owned(),
            ),
            Some(met) => SettleOutcome::Already(stands(met.status)),
        })
    }
}

fn no_entry(id: DeadLetterId) -> SettleOutcome {
    SettleOutcome::Refused(format!("there is no entry {id}"))
}

fn already(state: DeadLetterState) -> SettleOutcome {
    SettleOutcome::Already(format!("it was {} before", state.word()))
}

fn stands(status: LogStatus) -> String {
    match status {
        LogStatus::Init => "its event is INIT: the relay publishes it".to_owned(),
        LogStatus::Applied => "its event is APPLIED, for ever".to_owned(),
        LogStatus::Rejected => "its event is REJECTED, for ever".to_owned(),
        LogStatus::Parked => "its event was parked again".to_owned(),
    }
}

#[cfg(test)]
mod tests;
