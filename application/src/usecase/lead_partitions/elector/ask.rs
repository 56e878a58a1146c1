//! Asking servers, each question a task with a time limit.

use super::{Answer, Elector, Question};
use crate::usecase::lead_partitions::questions::{Attempt, look, try_to_lead};
use axs_domain::id::PartitionId;
use axs_domain::layout::Layout;
use axs_domain::time::Monotonic;
use metrics::counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

impl Elector {
    /// How long one renewal may take: half a heartbeat, so that after one that hangs another fits
    /// before the step-down.
    pub(super) fn renewal_patience(&self) -> Duration {
        self.heartbeat() / 2
    }

    pub(super) fn ask(
        &mut self,
        question: Question,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) {
        let task = self.answers.spawn(answer);
        self.questions.insert(task.id(), question);
    }

    pub(super) fn ask_renewal(&mut self, now: Monotonic) {
        let claims: Vec<_> = self
            .led
            .iter()
            .filter(|(_, led)| !led.revoked)
            .map(|(partition, led)| (*partition, led.claim))
            .collect();
        // Due again even without an answer to nothing.
        self.renew_at = now.plus(self.heartbeat());
        if claims.is_empty() {
            return;
        }
        self.renewing = true;
        let (ports, patience) = (Arc::clone(&self.ports), self.renewal_patience());
        self.ask(Question::Renewal, async move {
            let ttl = ports.settings.lease.ttl();
            let asked = ports.leadership.renew(claims.clone(), ttl);
            let still_held = match timeout(patience, asked).await {
                Ok(Ok(held)) => Ok(held),
                Ok(Err(failure)) => Err(failure.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            };
            Answer::Renewed {
                requested_at: now,
                claims,
                still_held,
            }
        });
    }

    pub(super) fn ask_look(&mut self) {
        self.looking = true;
        let (ports, patience) = (Arc::clone(&self.ports), self.ports.settings.lease.ttl());
        let requested_at = ports.clock.monotonic();
        self.ask(Question::Look, async move {
            let looked = timeout(patience, look(&ports)).await;
            Answer::Looked {
                requested_at,
                looked: looked
                    .unwrap_or_else(|_| Err("servers that don't answer".to_owned().into())),
            }
        });
    }

    /// Leaves the registry, so that the others count their shares without this process.
    pub(super) fn ask_leave(&mut self) {
        let (ports, patience) = (Arc::clone(&self.ports), self.heartbeat());
        self.ask(Question::Leaving, async move {
            // What fails ends by itself.
            let _ = timeout(patience, ports.registry.leave(ports.owner)).await;
            Answer::Left
        });
    }

    pub(super) fn ask_beat(&mut self, now: Monotonic) {
        self.beating = true;
        self.beat_at = now.plus(self.ports.settings.beat_every());
        let mine: Vec<_> = self
            .led
            .iter()
            .filter(|(_, led)| led.is_leading())
            .map(|(partition, _)| *partition)
            .collect();
        let theirs = self.led_by_others.clone();
        let (ports, patience) = (Arc::clone(&self.ports), self.heartbeat());
        self.ask(Question::Beat, async move {
            let heard_for = ports.settings.beat_heard_for();
            let asked = async {
                if !mine.is_empty() && ports.beat.beat(ports.owner, mine, heard_for).await.is_err()
                {
                    counter!("axs_beat_failures_total").increment(1);
                }
                if theirs.is_empty() {
                    return false;
                }
                let silent = ports.beat.silent(theirs).await;
                silent.is_ok_and(|silent| !silent.is_empty())
            };
            let silent = timeout(patience, asked).await.unwrap_or(false);
            Answer::Beaten { silent }
        });
    }

    pub(super) fn ask_take_over(&mut self, partition: PartitionId, layout: &Arc<Layout>) {
        self.taking.insert(partition);
        let (ports, patience) = (Arc::clone(&self.ports), self.ports.settings.lease.ttl());
        let layout = Arc::clone(layout);
        self.ask(Question::TakeOver(partition), async move {
            // Before the request: what PostgreSQL grants begins no earlier than this.
            let requested_at = ports.clock.monotonic();
            let attempt = timeout(patience, try_to_lead(&ports, partition, layout)).await;
            Answer::Attempted {
                partition,
                requested_at,
                attempt: attempt
                    .unwrap_or_else(|_| Attempt::Unavailable("no answer in time".to_owned())),
            }
        });
    }
}
