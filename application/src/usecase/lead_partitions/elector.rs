//! The election loop: it asks servers in tasks, and acts on answers and timers.

use super::LeadershipEnd;
use super::choose::{Seen, choose};
use super::guard::{check_bounds, check_topic};
use super::settings::LeadSettings;
use super::status::StatusBoard;
use super::term::{Term, TermPorts, serve};
use crate::port::clock::Clock;
use crate::port::consumer_registry::ConsumerRegistry;
use crate::port::event_topic::EventTopic;
use crate::port::layout_store::LayoutStore;
use crate::port::leader_beat::LeaderBeat;
use crate::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use crate::usecase::process_partition::{LeaseWatch, Progress, StopReason, WorkerEnd};
use axs_domain::fencing::Claim;
use axs_domain::id::{LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::lease::HeldLease;
use axs_domain::time::Monotonic;
use metrics::{counter, gauge};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a cut-off term may take to unassign, and leaving the registry may take.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(2);

/// What the loop needs.
pub(super) struct ElectorPorts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) layouts: Arc<dyn LayoutStore>,
    pub(super) topic: Arc<dyn EventTopic>,
    pub(super) registry: Arc<dyn ConsumerRegistry>,
    pub(super) leadership: Arc<dyn PartitionLeadership>,
    pub(super) beat: Arc<dyn LeaderBeat>,
    pub(super) term: TermPorts,
    pub(super) owner: OwnerId,
    pub(super) settings: LeadSettings,
    pub(super) board: Arc<StatusBoard>,
}

/// What a look at servers and layout shows.
struct Look {
    layout: Arc<Layout>,
    members: Vec<OwnerId>,
    leaders: Vec<LeaderView>,
}

/// What came of an attempt to lead.
enum Attempt {
    Taken {
        claim: Claim,
        stored_offset: Offset,
        layout: Arc<Layout>,
    },
    Held,
    /// A person must look.
    Refused(String),
    /// A server must come back.
    Unavailable(String),
}

/// What a task was asked, to know what died with it.
#[derive(Debug, Clone, Copy)]
enum Question {
    Look,
    Renewal,
    Beat,
    TakeOver(PartitionId),
    Term(PartitionId),
    Release,
}

enum Answer {
    Looked(Result<Look, String>),
    Renewed {
        requested_at: Monotonic,
        claims: Vec<(PartitionId, Claim)>,
        still_held: Result<Vec<PartitionId>, String>,
    },
    Attempted {
        partition: PartitionId,
        requested_at: Monotonic,
        attempt: Attempt,
    },
    Beaten {
        silent: bool,
    },
    TermEnded {
        partition: PartitionId,
        end: WorkerEnd,
    },
    Released,
}

/// A partition that is led, from the start of its term to its end.
struct Led {
    claim: Claim,
    epoch: LayoutEpoch,
    lease: Arc<LeaseWatch>,
    drain: CancellationToken,
    revoked: bool,
}

impl Led {
    fn is_leading(&self) -> bool {
        !self.revoked && !self.drain.is_cancelled()
    }
}

/// The loop's state.
pub(super) struct Elector {
    ports: Arc<ElectorPorts>,
    answers: JoinSet<Answer>,
    questions: HashMap<task::Id, Question>,
    led: BTreeMap<PartitionId, Led>,
    taking: BTreeSet<PartitionId>,
    /// Partitions that rest, and until when.
    resting: BTreeMap<PartitionId, Monotonic>,
    poison_runs: HashMap<PartitionId, usize>,
    /// Partitions that others lead, as last seen.
    led_by_others: Vec<PartitionId>,
    renew_at: Monotonic,
    look_at: Monotonic,
    beat_at: Monotonic,
    renewing: bool,
    looking: bool,
    beating: bool,
    /// When draining must be over, once it began.
    drained_by: Option<Monotonic>,
}

impl Elector {
    pub(super) fn new(ports: ElectorPorts) -> Self {
        let now = ports.clock.monotonic();
        Self {
            ports: Arc::new(ports),
            answers: JoinSet::new(),
            questions: HashMap::new(),
            led: BTreeMap::new(),
            taking: BTreeSet::new(),
            resting: BTreeMap::new(),
            poison_runs: HashMap::new(),
            led_by_others: Vec::new(),
            renew_at: now,
            look_at: now,
            beat_at: now,
            renewing: false,
            looking: false,
            beating: false,
            drained_by: None,
        }
    }

    /// Leads until told to stop and drained.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> LeadershipEnd {
        loop {
            self.act_on_time();
            if self.drained_by.is_some() && self.is_done() {
                break;
            }
            let pause = self.next_at().since(self.ports.clock.monotonic());
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if self.drained_by.is_none() => self.begin_drain(),
                Some(answer) = self.answers.join_next_with_id() => self.hear(answer),
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.leave().await
    }

    fn is_done(&self) -> bool {
        let over = self
            .drained_by
            .is_some_and(|by| self.ports.clock.monotonic() >= by);
        over || (self.led.is_empty() && self.taking.is_empty())
    }

    fn begin_drain(&mut self) {
        let now = self.ports.clock.monotonic();
        self.drained_by = Some(now.plus(self.ports.settings.drain_max));
        let partitions: Vec<_> = self.led.keys().copied().collect();
        tracing::info!(partitions = partitions.len(), "draining");
        for partition in partitions {
            self.hand_over(partition);
        }
    }

    async fn leave(mut self) -> LeadershipEnd {
        let cut_off: Vec<_> = self.led.keys().copied().collect();
        for led in self.led.values() {
            led.lease.revoke();
        }
        let ends = async {
            while !self.led.is_empty() || !self.taking.is_empty() {
                match self.answers.join_next_with_id().await {
                    Some(answer) => self.hear(answer),
                    None => break,
                }
            }
            // Late take-overs are given back.
            while self.answers.join_next().await.is_some() {}
        };
        let _ = timeout(LEAVE_WAIT_MAX, ends).await;
        // A check-in that is still on its way must not follow the leaving.
        self.answers.shutdown().await;
        let ports = Arc::clone(&self.ports);
        let left = timeout(LEAVE_WAIT_MAX, ports.registry.leave(ports.owner)).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::warn!("the registration was left to end by itself");
        }
        if !cut_off.is_empty() {
            tracing::warn!(?cut_off, "terms were cut off at the deadline");
        }
        LeadershipEnd { cut_off }
    }

    /// The next moment at which time alone asks for something.
    fn next_at(&self) -> Monotonic {
        let renew = (!self.renewing && !self.led.is_empty()).then_some(self.renew_at);
        let look = (!self.looking && self.drained_by.is_none()).then_some(self.look_at);
        let beat = (!self.beating).then_some(self.beat_at);
        let step_down = self
            .led
            .values()
            .filter(|led| !led.revoked)
            .map(|led| led.lease.step_down_at())
            .min();
        [renew, look, beat, step_down, self.drained_by]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.beat_at)
    }

    /// Does what is due. First of all steps down: no answer is waited for.
    fn act_on_time(&mut self) {
        let now = self.ports.clock.monotonic();
        for (partition, led) in &mut self.led {
            if !led.revoked && now >= led.lease.step_down_at() {
                tracing::warn!(%partition, "stepping down: the lease was not renewed in time");
                counter!("axs_step_downs_total").increment(1);
                led.lease.revoke();
                led.revoked = true;
            }
        }
        if !self.renewing && now >= self.renew_at && !self.led.is_empty() {
            self.ask_renewal(now);
        }
        if !self.looking && now >= self.look_at && self.drained_by.is_none() {
            self.ask_look();
        }
        if !self.beating && now >= self.beat_at {
            self.ask_beat(now);
        }
    }

    fn heartbeat(&self) -> Duration {
        self.ports.settings.lease.heartbeat_every()
    }

    /// How long one renewal may take: half a heartbeat, so that after one that hangs another fits
    /// before the step-down.
    fn renewal_patience(&self) -> Duration {
        self.heartbeat() / 2
    }

    fn ask(&mut self, question: Question, answer: impl Future<Output = Answer> + Send + 'static) {
        let task = self.answers.spawn(answer);
        self.questions.insert(task.id(), question);
    }

    fn hear(&mut self, answer: Result<(task::Id, Answer), JoinError>) {
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
            Question::Look => self.take_answer(Answer::Looked(Err(why()))),
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
            Question::Release => {}
        }
    }

    fn ask_renewal(&mut self, now: Monotonic) {
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

    fn ask_look(&mut self) {
        self.looking = true;
        let (ports, patience) = (Arc::clone(&self.ports), self.ports.settings.lease.ttl());
        self.ask(Question::Look, async move {
            let looked = timeout(patience, look(&ports)).await;
            Answer::Looked(looked.unwrap_or_else(|_| Err("servers that don't answer".to_owned())))
        });
    }

    fn ask_beat(&mut self, now: Monotonic) {
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

    fn take_answer(&mut self, answer: Answer) {
        let now = self.ports.clock.monotonic();
        match answer {
            Answer::Looked(Ok(look)) => {
                self.looking = false;
                self.look_at = now.plus(self.heartbeat());
                self.ports.board.looked(look.members.len());
                self.choose_by(&look, now);
            }
            Answer::Looked(Err(what)) => {
                self.looking = false;
                self.look_at = now.plus(self.heartbeat());
                if self.ports.board.waits_for(what.clone()) {
                    tracing::warn!("waiting for {what}");
                }
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
            Answer::Released => {}
        }
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
        let choice = choose(&Seen {
            me,
            members: &look.members,
            partitions: &partitions,
            free: &free,
            led: &led,
            taking: self.taking.len(),
        });
        for partition in choice.take {
            self.ask_take_over(partition, &look.layout);
        }
        for partition in choice.hand_over {
            tracing::info!(%partition, "handing over: more consumers are live");
            self.hand_over(partition);
        }
    }

    fn hand_over(&mut self, partition: PartitionId) {
        if let Some(led) = self.led.get(&partition) {
            led.drain.cancel();
            self.ports.board.drains(partition);
        }
    }

    fn ask_take_over(&mut self, partition: PartitionId, layout: &Arc<Layout>) {
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

    fn take_attempt(
        &mut self,
        partition: PartitionId,
        requested_at: Monotonic,
        attempt: Attempt,
        now: Monotonic,
    ) {
        match attempt {
            Attempt::Taken { claim, .. } if self.drained_by.is_some() => {
                let ports = Arc::clone(&self.ports);
                self.ask(Question::Release, async move {
                    let _ = ports.leadership.release(partition, claim).await;
                    Answer::Released
                });
            }
            Attempt::Taken {
                claim,
                stored_offset,
                layout,
            } => self.begin_term(partition, requested_at, claim, stored_offset, layout),
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
                self.rest(partition, reason, now.plus(self.heartbeat()));
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
        stored_offset: Offset,
        layout: Arc<Layout>,
    ) {
        tracing::info!(%partition, token = %claim.token, %stored_offset, "leading");
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
                drain: drain.clone(),
                revoked: false,
            },
        );
        self.renew_at = self.renew_at.min(requested_at.plus(self.heartbeat()));
        self.ports
            .board
            .leads(partition, claim.token, Arc::clone(&progress));
        self.count_led();
        let term = Term {
            partition,
            claim,
            layout,
            lease,
            progress,
            poison_run: self.poison_runs.remove(&partition).unwrap_or_default(),
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
        self.led.remove(&partition);
        self.ports.board.leads_no_more(partition);
        self.count_led();
        if end.poison_run > 0 {
            self.poison_runs.insert(partition, end.poison_run);
        }
        if end.reason.is_ordinary() {
            tracing::info!(%partition, reason = %end.reason, "leads no more");
            self.look_at = self.look_at.min(now.plus(self.ports.settings.beat_every()));
        } else {
            self.rest(
                partition,
                end.reason.to_string(),
                now.plus(self.ports.settings.refusal_pause),
            );
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "at most PARTITIONS_MAX")]
    fn count_led(&self) {
        gauge!("axs_partitions_led").set(self.led.len() as f64);
    }
}

/// Looks at the broker, the layout, the live consumers and the leaders, in this order: a process
/// that can't read the topic must not be counted as one that could lead.
async fn look(ports: &ElectorPorts) -> Result<Look, String> {
    let topic = ports.topic.describe().await.map_err(|f| f.to_string())?;
    let stored = ports.layouts.load().await.map_err(|f| f.to_string())?;
    let stored = stored.ok_or("a layout: none was made yet")?;
    check_topic(&stored, &topic).map_err(|refusal| refusal.to_string())?;
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
async fn try_to_lead(ports: &ElectorPorts, partition: PartitionId, layout: Arc<Layout>) -> Attempt {
    let ttl = ports.settings.lease.ttl();
    let taken = ports
        .leadership
        .take_over(partition, ports.owner, ttl)
        .await;
    let (claim, stored_offset) = match taken {
        Ok(TakeOver::Taken {
            claim,
            stored_offset,
            ..
        }) => (claim, stored_offset),
        Ok(TakeOver::Held) => return Attempt::Held,
        Err(failure) => return Attempt::Unavailable(failure.to_string()),
    };
    // After the take-over: only now nobody else moves the stored offset.
    let refused = match ports.topic.bounds(partition).await {
        Ok(log) => match check_bounds(partition, stored_offset, log) {
            Ok(()) => {
                return Attempt::Taken {
                    claim,
                    stored_offset,
                    layout,
                };
            }
            Err(refusal) => Attempt::Refused(refusal.to_string()),
        },
        Err(failure) => Attempt::Unavailable(failure.to_string()),
    };
    // What fails to be released ends by itself.
    let _ = ports.leadership.release(partition, claim).await;
    refused
}
