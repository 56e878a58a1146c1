//! Answering by what became of the events in the log.

use super::key_reuse::key_reused;
use super::{AcceptedEvent, BalanceChangeSubmission, SubmitOutcome};
use crate::port::change_log::ChangeLogRecord;
use crate::usecase::ack_level::AckLevel;
use crate::usecase::event_state::EventState;
use crate::usecase::log_changes::LogOutcome;
use crate::usecase::publish_events::Publication;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::log_status::LogStatus;
use tokio::time::Instant;

/// An answer that is known but for the wait for the topic.
type Answer = (SubmitOutcome, Option<Publication>);

impl BalanceChangeSubmission {
    pub(super) fn answer(
        &self,
        submitted: &BalanceChangeEvent,
        outcome: LogOutcome,
        ack: AckLevel,
    ) -> Answer {
        match outcome {
            LogOutcome::Logged {
                log_id,
                logged_at,
                publication,
            } => {
                let accepted = AcceptedEvent {
                    log_id,
                    duplicate: false,
                    published: false,
                    state: EventState::pending(logged_at),
                };
                (SubmitOutcome::Accepted(Box::new(accepted)), publication)
            }
            LogOutcome::Unknown(reason) => (SubmitOutcome::Unknown(reason), None),
            LogOutcome::Known {
                record,
                publication,
            } => (self.answer_known(submitted, *record, ack), publication),
        }
    }

    fn answer_known(
        &self,
        submitted: &BalanceChangeEvent,
        record: ChangeLogRecord,
        ack_level: AckLevel,
    ) -> SubmitOutcome {
        let first = self.codec.decode_payload(record.payload.clone());
        if record.fingerprint != Fingerprint::of(submitted) {
            return SubmitOutcome::Refused(key_reused(submitted, first.ok().as_ref()));
        }
        // The content is the same, so the submitted event has the same changes: only their labels
        // may be others. They stand in where the first event can't be read.
        let state = first
            .and_then(|first| EventState::of(&record, &first))
            .or_else(|error| {
                tracing::error!(log_id = %record.log_id, %error, "a log row can't be read");
                EventState::of(&record, submitted)
            })
            .unwrap_or_else(|_| EventState {
                status: record.status,
                reason: record.reason.clone(),
                entries: Vec::new(),
                logged_at: record.logged_at,
                decided_at: record.decided_at,
            });
        let on_topic = record.status != LogStatus::Init || record.position.is_some();
        SubmitOutcome::Accepted(Box::new(AcceptedEvent {
            log_id: record.log_id,
            duplicate: true,
            published: ack_level == AckLevel::Published && on_topic,
            state,
        }))
    }

    /// One deadline for the whole request: what is published in time is marked so.
    pub(super) async fn await_publications(&self, answers: Vec<Answer>) -> Vec<SubmitOutcome> {
        let deadline = Instant::now() + self.settings.published_wait;
        let mut outcomes = Vec::with_capacity(answers.len());
        for (mut outcome, publication) in answers {
            if let (SubmitOutcome::Accepted(accepted), Some(publication)) =
                (&mut outcome, publication)
            {
                accepted.published = publication.wait_until(deadline).await;
            }
            outcomes.push(outcome);
        }
        outcomes
    }
}
