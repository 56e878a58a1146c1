//! Acting on answers.

use super::{Answer, Elector, Led, Question};
use crate::usecase::lead_partitions::choose::{Seen, choose};
use crate::usecase::lead_partitions::questions::{Attempt, Look, LookFailure};
use crate::usecase::lead_partitions::term::{RELEASE_WAIT_MAX, Term, serve};
use crate::usecase::process_partition::{LeaseWatch, Progress, StopReason, WorkerEnd};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, OwnerId, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::lease::HeldLease;
use axs_domain::time::Monotonic;
use metrics::{counter, gauge, histogram};
use std::sync::Arc;
use tokio::task::{self, JoinError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

impl Elector {
    pub(super) fn hear(&mut self, answer: Result<(task::Id, Answer), JoinError>) {
        match answer {
            Ok((id, answer)) => {
                self.questions.remove(&id);
                self.take_answer(answer);
            }
            Err(death) => {
                tracing::error!(%death, "a task of the election died");
                if let Some(question) = self.questions.remove(&death.id()) {
                    self.give_up(question);
                }
            }
        }
    }

    /// Goes on without an answer that will never come, since its task panicked.
    fn give_up(&mut self, question: Question) {
        let now = self.ports.clock.monotonic();
        let why = || "a task of it panicked".to_owned();
        match question {
            Question::Look => self.take_answer(Answer::Looked {
                requested_at: now,
                looked: Err(why().into()),
            }),
            Question::Renewal => {
                self.renewing = false;
                self.renew_at = now.plus(self.renewal_patience());
            }
            Question::Beat => self.beating = false,
            Question::TakeOver(partition) => {
                self.taking.remove(&partition);
                let until = now.plus(self.ports.settings.refusal_pause);
                self.rest(partition, why(), until);
            }
            Question::Term(partition) => {
                let end = WorkerEnd {
                    reason: StopReason::Fault(why()),
                    poison_run: 0,
                };
                self.take_end(partition, &end, now);
            }
            Question::Release | Question::Leaving => {}
        }
    }

    pub(super) fn take_answer(&mut self, answer: Answer) {
        let now = self.ports.clock.monotonic();
        match answer {
            Answer::Looked {
                requested_at,
                looked,
            } => {
                self.looking = false;
                self.look_at = now.plus(self.heartbeat());
                self.take_look(requested_at, looked, now);
            }
            Answer::Renewed {
                requested_at,
                claims,
                still_held,
            } => {
                self.renewing = false;
                self.take_renewal(requested_at, &claims, still_held, now);
            }
            Answer::Attempted {
                partition,
                requested_at,
                attempt,
            } => {
                self.taking.remove(&partition);
                self.take_attempt(partition, requested_at, attempt, now);
            }
            Answer::Beaten { silent } => {
                self.beating = false;
                if silent {
                    // The lease decides; the silence only says that it is worth a look.
                    self.look_at = self.look_at.min(now);
                }
            }
            Answer::TermEnded { partition, end } => self.take_end(partition, &end, now),
            Answer::Released | Answer::Left => {}
        }
    }

    fn take_look(
        &mut self,
        requested_at: Monotonic,
        looked: Result<Look, LookFailure>,
        now: Monotonic,
    ) {
        if !matches!(looked, Err(LookFailure::Broker(_))) {
            self.broker_lost_since = None;
        }
        if matches!(looked, Ok(_) | Err(LookFailure::Other(_))) {
            self.gave_way = false;
        }
        let what = match looked {
            Ok(look) => {
                self.ports.board.looked(look.members.len());
                return self.choose_by(&look, now);
            }
            Err(LookFailure::Broker(what)) => {
                let since = *self.broker_lost_since.get_or_insert(requested_at);
                // It may be away for this process alone, and back at any moment.
                self.look_at = now.plus(self.ports.settings.beat_every());
                if now.since(since) >= self.ports.settings.broker_lost_max() {
                    self.give_way(&what);
                }
                what
            }
            // It was kept since the process began, by `layout init`.
            Err(LookFailure::OtherResultsTopic(what)) => {
                self.give_way(&what);
                what
            }
            Err(LookFailure::Other(what)) => what,
        };
        if self.ports.board.waits_for(what.clone()) {
            tracing::warn!("waiting for {what}");
        }
    }

    /// Leaves everything to others, and what is taken over meanwhile, for as long as the looks fail
    /// for this. Told once an outage: where the broker is away for everybody, nobody takes anything
    /// until it is back, so nothing goes to and fro.
    fn give_way(&mut self, why: &str) {
        let led: Vec<_> = self.led.keys().copied().collect();
        for partition in &led {
            self.hand_over(*partition);
        }
        if std::mem::replace(&mut self.gave_way, true) {
            return;
        }
        tracing::warn!(
            partitions = led.len(),
            why,
            "nothing can be led from here: giving way to other consumers"
        );
        counter!("axs_gave_way_total").increment(1);
        self.ask_leave();
    }

    fn take_renewal(
        &mut self,
        requested_at: Monotonic,
        claims: &[(PartitionId, Claim)],
        still_held: Result<Vec<PartitionId>, String>,
        now: Monotonic,
    ) {
        let held = match still_held {
            Ok(held) => held,
            Err(failure) => {
                counter!("axs_lease_renewal_failures_total").increment(1);
                tracing::warn!(failure, "leases were not renewed, trying again");
                self.renew_at = now.plus(self.heartbeat() / 6);
                return;
            }
        };
        self.renew_at = requested_at.plus(self.heartbeat());
        for (partition, claim) in claims {
            let Some(led) = self.led.get_mut(partition) else {
                continue;
            };
            if led.claim != *claim {
                continue;
            }
            if held.contains(partition) {
                led.lease.renew(requested_at);
            } else if !led.revoked {
                tracing::warn!(%partition, "the lease is lost");
                led.lease.revoke();
                led.revoked = true;
                self.ports.board.drains(*partition);
            }
        }
    }

    fn choose_by(&mut self, look: &Look, now: Monotonic) {
        let me = self.ports.owner;
        self.resting.retain(|_, until| *until > now);
        self.led_by_others = look
            .leaders
            .iter()
            .filter(|view| view.held_by.is_some_and(|owner| owner != me))
            .map(|view| view.partition)
            .collect();
        self.ports
            .board
            .keep_refused(|partition| !self.led_by_others.contains(&partition));
        // Whoever leads it has shown that it can be led.
        self.tries
            .retain(|partition, _| !self.led_by_others.contains(partition));
        let partitions: Vec<_> = look.leaders.iter().map(|view| view.partition).collect();
        let free: Vec<_> = look
            .leaders
            .iter()
            // Mine and not led: a take-over whose answer was lost.
            .filter(|view| view.held_by.is_none_or(|owner| owner == me))
            .map(|view| view.partition)
            .filter(|partition| {
                !self.led.contains_key(partition)
                    && !self.taking.contains(partition)
                    && !self.resting.contains_key(partition)
            })
            .collect();
        // A term under an older layout ends, and begins again under the new one.
        let outdated: Vec<_> = self
            .led
            .iter()
            .filter(|(_, led)| led.is_leading() && led.epoch != look.layout.epoch())
            .map(|(partition, _)| *partition)
            .collect();
        for partition in outdated {
            self.hand_over(partition);
        }
        let led: Vec<_> = self
            .led
            .iter()
            .filter(|(_, led)| led.is_leading())
            .map(|(partition, _)| *partition)
            .collect();
        self.note_members(&look.members);
        let left_over = self.left_over(&free, now);
        let choice = choose(&Seen {
            me,
            members: &look.members,
            partitions: &partitions,
            free: &free,
            left_over: &left_over,
            led: &led,
            taking: self.taking.len(),
            adopted: self.adopted.len(),
        });
        // Free, and not mine to take as long as a dead member counts: look again soon.
        if choice.take.len() < free.len() {
            self.look_at = now.plus(self.ports.settings.beat_every());
        }
        for partition in choice.take {
            self.ask_take_over(partition, &look.layout);
        }
        if let Some(partition) = choice.adopt {
            tracing::info!(%partition, "taking over beyond this process's share: nobody leads it");
            self.adopted.insert(partition);
            self.ask_take_over(partition, &look.layout);
        }
        for partition in choice.hand_over {
            tracing::info!(%partition, "handing over: more consumers are live");
            self.hand_over(partition);
        }
    }

    /// Shares are counted anew when members come and go, so what was adopted is evened out then.
    fn note_members(&mut self, members: &[OwnerId]) {
        let mut members = members.to_vec();
        members.sort_unstable();
        if members != self.members {
            self.members = members;
            self.adopted.clear();
        }
        let (led, taking) = (&self.led, &self.taking);
        self.adopted
            .retain(|partition| led.contains_key(partition) || taking.contains(partition));
    }

    /// The free partitions that were free for so long that whoever's share they are won't take
    /// them.
    fn left_over(&mut self, free: &[PartitionId], now: Monotonic) -> Vec<PartitionId> {
        self.free_since
            .retain(|partition, _| free.contains(partition));
        let after = self.ports.settings.left_over_after();
        free.iter()
            .copied()
            .filter(|partition| {
                let since = *self.free_since.entry(*partition).or_insert(now);
                now.since(since) >= after
            })
            .collect()
    }

    fn take_attempt(
        &mut self,
        partition: PartitionId,
        requested_at: Monotonic,
        attempt: Attempt,
        now: Monotonic,
    ) {
        if !matches!(attempt, Attempt::Unavailable(_)) {
            self.tries.remove(&partition);
        }
        match attempt {
            Attempt::Taken { claim, .. } if self.drained_by.is_some() => {
                let ports = Arc::clone(&self.ports);
                self.ask(Question::Release, async move {
                    // What is not released in time ends by itself.
                    let released = ports.leadership.release(partition, claim);
                    let _ = timeout(RELEASE_WAIT_MAX, released).await;
                    Answer::Released
                });
            }
            Attempt::Taken {
                claim,
                stored_offset,
                results_offset,
                layout,
            } => self.begin_term(
                partition,
                requested_at,
                claim,
                (stored_offset, results_offset),
                layout,
            ),
            Attempt::Held => {}
            Attempt::Refused(reason) => {
                tracing::error!(%partition, reason, "refusing to lead");
                self.rest(
                    partition,
                    reason,
                    now.plus(self.ports.settings.refusal_pause),
                );
            }
            Attempt::Unavailable(reason) => {
                tracing::warn!(%partition, reason, "can't lead yet");
                let tries = self.tries.entry(partition).or_default();
                let pause = self.ports.settings.retry_pause(*tries);
                *tries = tries.saturating_add(1);
                self.rest(partition, reason, now.plus(pause));
            }
        }
    }

    fn rest(&mut self, partition: PartitionId, reason: String, until: Monotonic) {
        self.resting.insert(partition, until);
        self.ports.board.refuses(partition, reason);
    }

    fn begin_term(
        &mut self,
        partition: PartitionId,
        requested_at: Monotonic,
        claim: Claim,
        (stored_offset, results_offset): (Offset, Offset),
        layout: Arc<Layout>,
    ) {
        tracing::info!(
            %partition, token = %claim.token, %stored_offset, %results_offset, "leading"
        );
        let now = self.ports.clock.monotonic();
        counter!("axs_takeovers_total").increment(1);
        histogram!("axs_takeover_seconds").record(now.since(requested_at));
        let held = HeldLease::granted(self.ports.settings.lease, requested_at);
        let lease = Arc::new(LeaseWatch::new(held));
        let progress = Arc::new(Progress::new(stored_offset));
        let drain = CancellationToken::new();
        self.led.insert(
            partition,
            Led {
                claim,
                epoch: layout.epoch(),
                lease: Arc::clone(&lease),
                progress: Arc::clone(&progress),
                drain: drain.clone(),
                revoked: false,
            },
        );
        self.renew_at = self.renew_at.min(requested_at.plus(self.heartbeat()));
        self.ports
            .board
            .leads(partition, claim.token, Arc::clone(&progress));
        self.count_led();
        // Whatever another leader has written since broke the run.
        let poison_run = match self.poison_runs.remove(&partition) {
            Some((ended_at, run)) if ended_at == stored_offset => run,
            _ => 0,
        };
        let term = Term {
            partition,
            claim,
            layout,
            lease,
            progress,
            results_offset,
            poison_run,
            drain,
        };
        let ports = self.ports.term.clone();
        self.ask(Question::Term(partition), async move {
            Answer::TermEnded {
                partition,
                end: serve(ports, term).await,
            }
        });
    }

    fn take_end(&mut self, partition: PartitionId, end: &WorkerEnd, now: Monotonic) {
        tracing::info!(%partition, reason = %end.reason, "leading no more");
        if let Some(led) = self.led.remove(&partition)
            && end.poison_run > 0
        {
            let run = (led.progress.stored_offset(), end.poison_run);
            self.poison_runs.insert(partition, run);
        }
        self.ports.board.leads_no_more(partition);
        self.count_led();
        if end.reason.is_ordinary() {
            self.look_at = self.look_at.min(now.plus(self.ports.settings.beat_every()));
        } else {
            let settings = &self.ports.settings;
            let pause = match end.reason {
                StopReason::ReadingLost(_) => settings.out_of_reach_pause(),
                _ => settings.refusal_pause,
            };
            self.rest(partition, end.reason.to_string(), now.plus(pause));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "at most PARTITIONS_MAX")]
    fn count_led(&self) {
        gauge!("axs_partitions_led").set(self.led.len() as f64);
    }
}
