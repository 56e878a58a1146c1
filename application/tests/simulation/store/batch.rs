//! Writing a decided batch: one transaction under the leader row's lock.

use super::table::TxId;
use super::{StoreClient, StoreServer};
use crate::process::Process;
use async_trait::async_trait;
use axs_application::port::batch_writer::{
    BatchWriter, CulpritKind, DecidedBatch, FinalResult, WriteError, WriteReceipt,
};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// How often a settling tries for the lock; after each try but the last, who holds it is ended.
const SETTLE_ATTEMPTS_MAX: u32 = 3;

/// How a transaction ends, whatever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    RefusedAtOnce,
    Deadlocked,
    UnknownApplied,
    UnknownLost,
    UnknownLate,
}

type Reply = oneshot::Sender<Result<WriteReceipt, WriteError>>;

/// One transaction at the server, driven by its client.
struct Transaction {
    server: Arc<StoreServer>,
    client: Arc<Process>,
    batch: Arc<DecidedBatch>,
    id: TxId,
    ended: CancellationToken,
    crashes: u64,
}

impl StoreServer {
    fn write_fate(&self) -> Fate {
        let rates = self.world.weather.rates();
        let fates = [
            (rates.store_refuses / 2.0, Fate::RefusedAtOnce),
            (rates.write_retryable, Fate::Deadlocked),
            (rates.commit_unknown_applied, Fate::UnknownApplied),
            (rates.commit_unknown_lost, Fate::UnknownLost),
            (rates.commit_unknown_late, Fate::UnknownLate),
        ];
        fates
            .into_iter()
            .find(|(rate, _)| self.world.strikes(*rate))
            .map_or(Fate::Committed, |(_, fate)| fate)
    }

    async fn write(
        self: Arc<Self>,
        client: Arc<Process>,
        batch: Arc<DecidedBatch>,
    ) -> Result<WriteReceipt, WriteError> {
        let fate = self.write_fate();
        self.world.travel().await;
        if self.world.strikes(self.world.weather.rates().slow) {
            self.world.tally.count("batches that arrive late");
            tokio::time::sleep(self.world.millis(500..8_000)).await;
        }
        if self.is_down() || fate == Fate::RefusedAtOnce {
            return Err(WriteError::Retryable("connection refused".to_owned()));
        }
        // The COPY is done, and the client is to send the next statement.
        self.stop_in_the_middle(&client);
        tokio::select! {
            biased;
            () = client.death() => {
                return Err(WriteError::Retryable("the client is gone".to_owned()));
            }
            () = client.pass() => {}
        }
        let held = self.lock_leader_row(batch.partition).await?;
        let transaction = self.begin(client, batch);
        let (reply, answer) = oneshot::channel();
        tokio::spawn(transaction.run(fate, held, reply));
        let dropped = |_| WriteError::Retryable("the transaction was torn".to_owned());
        answer.await.map_err(dropped)?
    }

    /// Stops the client where it stands, for about as long as its lease.
    fn stop_in_the_middle(&self, client: &Arc<Process>) {
        let rate = self.world.weather.rates().stopped_in_a_batch;
        if client.is_running() && self.world.strikes(rate) {
            self.world
                .tally
                .count("leaders stopped in the middle of a batch");
            client.pause_for(self.world.millis(2_000..5_000));
        }
    }

    /// `None` where the fence is a plain SELECT.
    pub(super) async fn lock_leader_row(
        &self,
        partition: PartitionId,
    ) -> Result<Option<OwnedMutexGuard<()>>, WriteError> {
        if self.breaks.fence_is_a_plain_select {
            return Ok(None);
        }
        let row = self.locks.get(&partition).ok_or(WriteError::Fenced)?;
        let locked = timeout(LOCK_TIMEOUT, Arc::clone(row).lock_owned()).await;
        locked
            .map(Some)
            .map_err(|_| WriteError::Retryable("canceling statement: lock timeout".to_owned()))
    }

    fn begin(self: &Arc<Self>, client: Arc<Process>, batch: Arc<DecidedBatch>) -> Transaction {
        let ended = CancellationToken::new();
        let mut state = self.state();
        let id = state.begin();
        state.holders.insert(batch.partition, (id, ended.clone()));
        Transaction {
            crashes: state.crashes,
            server: Arc::clone(self),
            client,
            batch,
            id,
            ended,
        }
    }

    /// What the types can't say of a batch. A breach is a bug of the worker.
    fn check_shape(&self, batch: &DecidedBatch) {
        let mut keys = BTreeSet::new();
        for event in &batch.events {
            if !keys.insert((&event.key, event.log_id, event.fingerprint.as_bytes())) {
                let key = &event.key.idempotency_key;
                let what = format!("a batch holds two copies of {key}");
                self.world.wrong("I3", what);
            }
        }
        if batch.offset_after <= batch.offset_before {
            let what = "a batch does not move the offset".to_owned();
            self.world.wrong("I7", what);
        }
    }

    /// Whether another leader has raised the token since.
    fn is_stale(&self, batch: &DecidedBatch) -> bool {
        let state = self.state();
        let leader = state.leaders.get(&batch.partition);
        leader.is_none_or(|leader| leader.fence.admit(batch.claim).is_err())
    }

    fn count(&self, written: &Result<WriteReceipt, WriteError>, batch: &DecidedBatch) {
        let tally = &self.world.tally;
        match written {
            Ok(_) | Err(WriteError::OutcomeUnknown(_)) => {}
            Err(WriteError::Fenced) => tally.count("fenced writes"),
            Err(WriteError::Retryable(_)) => tally.count("deadlocks and serialization failures"),
            Err(WriteError::RefusedData { .. }) => tally.count("batches refused for their data"),
            Err(WriteError::Moved(what)) if self.is_stale(batch) => {
                let token = batch.claim.token;
                let what = format!("a write under token {token} came past the fence: {what}");
                self.world.wrong("I6", what);
            }
            // Nobody but the leaders writes balances, and a leader is alone or fenced: whoever
            // decided on what does not stand has kept something that it should have thrown away.
            Err(WriteError::Moved(what)) => {
                let owner = batch.claim.owner;
                let what = format!("{owner} decided on what does not stand: {what}");
                self.world.wrong("I8", what);
            }
            Err(WriteError::Culprits(culprits)) => {
                for culprit in culprits {
                    tally.count(match culprit.kind {
                        CulpritKind::NotInit => "culprits: not INIT",
                        CulpritKind::NoLogRow => "culprits: no log row",
                        CulpritKind::DiffersFromLog => "culprits: differs from the log",
                    });
                }
            }
        }
    }
}

impl Transaction {
    async fn run(self, fate: Fate, held: Option<OwnedMutexGuard<()>>, reply: Reply) {
        let server = Arc::clone(&self.server);
        let mut reply = Some(reply);
        let ended = self.to_the_end(fate, &mut reply).await;
        if let Some(reply) = reply {
            server.count(&ended, &self.batch);
            // Whoever asked may be dead.
            let _ = reply.send(ended);
        }
        let mut state = server.state();
        let mine = |(id, _): &(TxId, _)| *id == self.id;
        if state.holders.get(&self.batch.partition).is_some_and(mine) {
            state.holders.remove(&self.batch.partition);
        }
        drop(state);
        drop(held);
    }

    async fn to_the_end(
        &self,
        fate: Fate,
        reply: &mut Option<Reply>,
    ) -> Result<WriteReceipt, WriteError> {
        let (server, batch) = (&self.server, &self.batch);
        let world = &server.world;
        {
            let state = server.state();
            let leader = state.admit(batch.partition, batch.claim, server.breaks)?;
            if leader.stored_offset != batch.offset_before {
                return Err(WriteError::Moved(format!(
                    "the stored offset is {}, the batch begins at {}",
                    leader.stored_offset, batch.offset_before
                )));
            }
        }
        server.check_shape(batch);
        self.next_statement().await?;
        if fate == Fate::Deadlocked {
            return Err(WriteError::Retryable("deadlock detected".to_owned()));
        }
        server.state().check(batch, server.breaks)?;
        self.next_statement().await?;
        let unknown = || Err(WriteError::OutcomeUnknown("connection lost".to_owned()));
        match fate {
            Fate::UnknownLost => {
                world.tally.count("commits unknown, lost");
                return unknown();
            }
            Fate::UnknownApplied => {
                world.tally.count("commits unknown, applied");
                self.commit()?;
                return unknown();
            }
            Fate::UnknownLate => {
                // The client hears of the loss first, and the COMMIT is still on its way.
                if let Some(reply) = reply.take() {
                    let _ = reply.send(unknown());
                }
                let way = world.millis(20..600);
                tokio::select! {
                    biased;
                    () = self.ended.cancelled() => return unknown(),
                    () = tokio::time::sleep(way) => {}
                }
                world.tally.count("commits unknown, applied late");
                return self.commit();
            }
            Fate::Committed | Fate::RefusedAtOnce | Fate::Deadlocked => {}
        }
        self.commit()
    }

    /// The client sends its next statement, unless it died, or somebody ended the backend.
    async fn next_statement(&self) -> Result<(), WriteError> {
        let world = &self.server.world;
        self.server.stop_in_the_middle(&self.client);
        let takes = world.millis(0..world.weather.rates().statement_millis_max);
        let sent = async {
            world.travel().await;
            tokio::time::sleep(takes).await;
            self.client.pass().await;
        };
        let torn = |why: &str| Err(WriteError::Retryable(why.to_owned()));
        tokio::select! {
            biased;
            () = self.ended.cancelled() => torn("terminating connection"),
            () = self.client.death() => {
                world.tally.count("transactions torn by a crash");
                torn("the client is gone")
            }
            () = sent => Ok(()),
        }
    }

    fn commit(&self) -> Result<WriteReceipt, WriteError> {
        let (server, batch) = (&self.server, &self.batch);
        let now = server.now();
        let mut state = server.state();
        if state.crashes != self.crashes {
            return Err(WriteError::Retryable("the server was stopped".to_owned()));
        }
        let newest = state.leaders.get(&batch.partition).map(|l| l.fence);
        if newest.is_none_or(|fence| fence.admit(batch.claim).is_err()) {
            let token = batch.claim.token;
            let what = format!("a write under token {token} took effect; {newest:?}");
            server.world.wrong("I6", what);
        }
        state.apply(batch, now);
        drop(state);
        let tally = &server.world.tally;
        tally.count("batches");
        tally.add("dead letters", batch.dead_letters.len() as u64);
        for event in &batch.events {
            tally.count(match &event.result {
                FinalResult::Applied(_) => "events applied",
                FinalResult::Rejected(_) => "events rejected",
                FinalResult::Parked(_) => "events parked",
            });
        }
        Ok(WriteReceipt { decided_at: now })
    }
}

#[async_trait]
impl BatchWriter for StoreClient {
    async fn write(&self, batch: Arc<DecidedBatch>) -> Result<WriteReceipt, WriteError> {
        self.process.pass().await;
        let (from, to) = (batch.offset_before, batch.offset_after);
        let (partition, token) = (batch.partition, batch.claim.token);
        let server = Arc::clone(&self.server);
        let client = Arc::clone(&self.process);
        let writing = tokio::spawn(server.write(client, batch));
        let written = writing.await.unwrap_or_else(|died| {
            let world = &self.server.world;
            world.wrong("harness", format!("write: {died}"));
            Err(WriteError::OutcomeUnknown("it died".to_owned()))
        });
        self.server.world.travel().await;
        self.process.pass().await;
        let word = match &written {
            Ok(_) => "committed".to_owned(),
            Err(failure) => failure.to_string(),
        };
        let note = format!("write {partition} {from}..{to} under {token}: {word}");
        self.process.note(&note);
        written
    }

    async fn settle(&self, partition: PartitionId, claim: Claim) -> Result<Offset, WriteError> {
        self.process.pass().await;
        let server = Arc::clone(&self.server);
        let settling = tokio::spawn(async move { server.settle(partition, claim).await });
        let settled = settling.await.unwrap_or_else(|died| {
            let world = &self.server.world;
            world.wrong("harness", format!("settle: {died}"));
            Err(WriteError::Retryable("it died".to_owned()))
        });
        self.server.world.travel().await;
        self.process.pass().await;
        self.process
            .note(&format!("settle {partition}: {settled:?}"));
        settled
    }
}

impl StoreServer {
    async fn settle(&self, partition: PartitionId, claim: Claim) -> Result<Offset, WriteError> {
        self.world.travel().await;
        if self.is_down() || self.fate() != super::Fate::Answered {
            return Err(WriteError::Retryable("connection refused".to_owned()));
        }
        let mut attempts = 1;
        let held = loop {
            match self.lock_leader_row(partition).await {
                Ok(held) => break held,
                Err(failure) if attempts == SETTLE_ATTEMPTS_MAX => return Err(failure),
                Err(_) => self.end_holder(partition),
            }
            attempts += 1;
        };
        let state = self.state();
        let leader = state.admit(partition, claim, self.breaks);
        let offset = leader.map(|leader| leader.stored_offset);
        drop(state);
        drop(held);
        offset
    }
}
