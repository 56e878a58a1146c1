//! One term of leading one partition, from the assignment to the release.

use super::reading_watch::ReadingWatch;
use crate::port::event_topic::EventTopic;
use crate::port::partition_leadership::PartitionLeadership;
use crate::port::record_source::{RecordSource, SourceEvent};
use crate::usecase::process_partition::{
    LeaseWatch, Progress, StopReason, Worker, WorkerEnd, WorkerPorts, WorkerTerm,
};
use crate::usecase::publish_results::{ResultFeed, ResultPorts, ResultTask, ResultTerm};
use crate::usecase::relay_lost_events::{LostEventRelay, RelayPorts, RelayTerm};
use axs_domain::fencing::Claim;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::layout::Layout;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the source may take to assign or unassign.
const SOURCE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long giving up the lease may take; it ends by itself otherwise.
pub(super) const RELEASE_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the last results and cache writes of a term may take. What is left is sent by the
/// successor.
const RESULTS_WAIT_MAX: Duration = Duration::from_secs(2);

/// What every term of a process shares.
#[derive(Clone)]
pub(super) struct TermPorts {
    pub(super) source: Arc<dyn RecordSource>,
    pub(super) leadership: Arc<dyn PartitionLeadership>,
    pub(super) topic: Arc<dyn EventTopic>,
    pub(super) worker: WorkerPorts,
    pub(super) relay: RelayPorts,
    pub(super) results: ResultPorts,
}

/// One term.
#[derive(Clone)]
pub(super) struct Term {
    pub(super) partition: PartitionId,
    pub(super) claim: Claim,
    pub(super) layout: Arc<Layout>,
    pub(super) lease: Arc<LeaseWatch>,
    pub(super) progress: Arc<Progress>,
    pub(super) results_offset: Offset,
    pub(super) poison_run: usize,
    pub(super) drain: CancellationToken,
}

/// Serves the term until the worker ends or the lease is revoked. Either way the partition is
/// unassigned and, unless another leader has it, released.
pub(super) async fn serve(ports: TermPorts, term: Term) -> WorkerEnd {
    let end = tokio::select! {
        biased;
        // At once: a worker that waits for a server must not outlive its lease. A write in flight
        // goes on in its own task; the store's fence judges it.
        () = term.lease.until_revoked() => WorkerEnd {
            reason: StopReason::LeaseUnsure,
            poison_run: 0,
        },
        end = work(&ports, &term) => end,
    };
    let let_go = timeout(SOURCE_WAIT_MAX, ports.source.unassign(term.partition)).await;
    let why = match let_go {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.reason),
        Err(_) => Some("it did not answer in time".to_owned()),
    };
    if let Some(why) = why {
        tracing::warn!(partition = %term.partition, why, "the source did not let go");
    }
    if end.reason != StopReason::Fenced {
        let released = ports.leadership.release(term.partition, term.claim);
        if !matches!(timeout(RELEASE_WAIT_MAX, released).await, Ok(Ok(()))) {
            tracing::warn!(partition = %term.partition, "the lease was left to end by itself");
        }
    }
    end
}

async fn work(ports: &TermPorts, term: &Term) -> WorkerEnd {
    fail::fail_point!("takeover.before_reading");
    let from = term.progress.stored_offset();
    let assigned = timeout(SOURCE_WAIT_MAX, ports.source.assign(term.partition, from)).await;
    let records: mpsc::Receiver<SourceEvent> = match assigned {
        Ok(Ok(records)) => records,
        Ok(Err(failure)) => return not_begun(term, failure.reason),
        Err(_) => return not_begun(term, "the source did not assign it in time".to_owned()),
    };
    // Ended with this function, in whatever way it ends.
    let mut beside = JoinSet::new();
    let relay = LostEventRelay::new(
        ports.relay.clone(),
        RelayTerm {
            partition: term.partition,
            claim: term.claim,
            layout: Arc::clone(&term.layout),
            lease: Arc::clone(&term.lease),
            progress: Arc::clone(&term.progress),
        },
    );
    let drain = term.drain.clone();
    beside.spawn(async move {
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            () = relay.run() => {}
        }
    });
    let watch = ReadingWatch {
        partition: term.partition,
        topic: Arc::clone(&ports.topic),
        reader: Arc::clone(&ports.relay.reader),
        clock: Arc::clone(&ports.worker.clock),
        progress: Arc::clone(&term.progress),
    };
    let mut watching = JoinSet::new();
    watching.spawn(watch.run());

    let feed = Arc::new(ResultFeed::new(from));
    let results = ResultTask::new(
        ports.results.clone(),
        ResultTerm {
            partition: term.partition,
            claim: term.claim,
            results_offset: term.results_offset,
            feed: Arc::clone(&feed),
            progress: Arc::clone(&term.progress),
        },
    );
    let last_result = CancellationToken::new();
    let mut publishing = JoinSet::new();
    publishing.spawn(results.run(last_result.clone()));

    let worker = WorkerTerm {
        partition: term.partition,
        claim: term.claim,
        layout: Arc::clone(&term.layout),
        lease: Arc::clone(&term.lease),
        progress: Arc::clone(&term.progress),
        poison_run: term.poison_run,
        results: feed,
    };
    // A task of its own, so that a panic ends the worker and not the term.
    let mut working = JoinSet::new();
    let drain = term.drain.child_token();
    working.spawn(Worker::new(ports.worker.clone(), worker).run(records, drain.clone()));
    let mut lost = None;
    let mut end = loop {
        tokio::select! {
            biased;
            worked = working.join_next() => break match worked {
                Some(Ok(end)) => end,
                _ => fault(term, "the worker panicked"),
            },
            Some(watched) = watching.join_next() => match watched {
                Ok(why) => {
                    tracing::warn!(partition = %term.partition, why, "giving the partition up");
                    lost = Some(why);
                    // It only waits, so it ends at once.
                    drain.cancel();
                }
                Err(_) => break fault(term, "the watch of the reading panicked"),
            },
            // None of these ends before the worker, but by a panic. A term without one of them
            // would go on and leave its work undone; the next term does it.
            () = died(&mut publishing) => break fault(term, "the result task panicked"),
            () = died(&mut beside) => break fault(term, "the relay panicked"),
        }
    };
    if let (Some(why), StopReason::Drained) = (lost, &end.reason) {
        end.reason = StopReason::ReadingLost(why);
    }
    // Once another leads, what is left is the other's to send.
    if !matches!(end.reason, StopReason::Fenced | StopReason::LeaseUnsure) {
        last_result.cancel();
        match timeout(RESULTS_WAIT_MAX, publishing.join_next()).await {
            Ok(Some(Ok(())) | None) => {}
            Ok(Some(Err(death))) => {
                tracing::error!(partition = %term.partition, %death, "the result task died");
            }
            Err(_) => tracing::warn!(
                partition = %term.partition,
                "results or cache writes are left to the next leader"
            ),
        }
    }
    end
}

/// Resolves when a task of the set panicked.
async fn died(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(death) = ended {
            tracing::error!(%death, "a task of a term died");
            return;
        }
    }
    std::future::pending().await
}

fn fault(term: &Term, what: &str) -> WorkerEnd {
    WorkerEnd {
        reason: StopReason::Fault(what.to_owned()),
        poison_run: term.poison_run,
    }
}

fn not_begun(term: &Term, why: String) -> WorkerEnd {
    tracing::warn!(partition = %term.partition, why, "the source did not assign the partition");
    WorkerEnd {
        reason: StopReason::SourceBroken(why),
        poison_run: term.poison_run,
    }
}
