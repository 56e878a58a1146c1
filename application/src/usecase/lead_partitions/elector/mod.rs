//! The election loop: it asks servers in tasks, and acts on answers and timers.

mod answer;
mod ask;

use crate::usecase::lead_partitions::LeadershipEnd;
use crate::usecase::lead_partitions::questions::{Attempt, ElectorPorts, Look, LookFailure};
use crate::usecase::process_partition::{LeaseWatch, Progress, WorkerEnd};
use axs_domain::fencing::Claim;
use axs_domain::id::{LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::time::Monotonic;
use metrics::counter;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{self, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a cut-off term may take to unassign, and leaving the registry may take.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a task was asked, to know what died with it.
#[derive(Debug, Clone, Copy)]
enum Question {
    Look,
    Renewal,
    Beat,
    TakeOver(PartitionId),
    Term(PartitionId),
    Release,
    Leaving,
}

enum Answer {
    Looked {
        requested_at: Monotonic,
        looked: Result<Look, LookFailure>,
    },
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
    Left,
}

/// A partition that is led, from the start of its term to its end.
struct Led {
    claim: Claim,
    epoch: LayoutEpoch,
    lease: Arc<LeaseWatch>,
    progress: Arc<Progress>,
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
    /// Tries in a row to lead a partition that a server's silence ended.
    tries: HashMap<PartitionId, u32>,
    /// Runs of poison, with the stored offset at which each ended.
    poison_runs: HashMap<PartitionId, (Offset, usize)>,
    /// Partitions that others lead, as last seen.
    led_by_others: Vec<PartitionId>,
    /// Since when each free partition is seen to be free.
    free_since: BTreeMap<PartitionId, Monotonic>,
    /// Led beyond this process's share, because whoever's share they are does not lead them. Until
    /// the members change.
    adopted: BTreeSet<PartitionId>,
    members: Vec<OwnerId>,
    /// Since when no look has shown the topic.
    broker_lost_since: Option<Monotonic>,
    /// Whether this process has left the field to others until its looks show something again.
    gave_way: bool,
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
            tries: HashMap::new(),
            poison_runs: HashMap::new(),
            led_by_others: Vec::new(),
            free_since: BTreeMap::new(),
            adopted: BTreeSet::new(),
            members: Vec::new(),
            broker_lost_since: None,
            gave_way: false,
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
            // Everything is asked and nothing is led: an answer comes next, each within its time
            // limit. A moment that has passed would make the loop spin until then.
            .unwrap_or_else(|| self.ports.clock.monotonic().plus(self.heartbeat()))
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
                self.ports.board.drains(*partition);
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

    fn hand_over(&mut self, partition: PartitionId) {
        if let Some(led) = self.led.get(&partition) {
            led.drain.cancel();
            self.ports.board.drains(partition);
        }
    }
}
