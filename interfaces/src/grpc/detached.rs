//! Use cases in tasks of their own: a client that goes away stops its wait, never the work.

use super::status::{self, Effect};
use std::future::Future;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tracing::Instrument;

/// Runs use cases apart from the requests that wait for them.
#[derive(Debug, Clone)]
pub(super) struct Detached {
    /// Counts what runs, so that a drain can wait for it.
    pub(super) under_way: TaskTracker,
    /// How long a request waits.
    pub(super) limit: Duration,
}

impl Detached {
    /// Runs the work to its end, and waits for it for a while.
    ///
    /// # Errors
    /// A status, when the wait was too long or the work came to grief; of a write, one that says
    /// how its unknown outcome is settled.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        effect: Effect,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Status> {
        let task = self.under_way.spawn(work.in_current_span());
        match tokio::time::timeout(self.limit, task).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(died)) => {
                tracing::error!(%died, "a request's task died");
                Err(status::fault(effect))
            }
            Err(_) => Err(status::too_late(self.limit, effect)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;
    use tonic::Code;

    fn detached() -> Detached {
        Detached {
            under_way: TaskTracker::new(),
            limit: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn work_goes_on_to_its_end_when_nobody_waits_for_it_any_more() {
        let detached = detached();
        let (release, released) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel::<()>();
        let work = async move {
            let _ = released.await;
            let _ = done.send(());
        };
        {
            let mut waiting = std::pin::pin!(detached.run(Effect::Writes, work));
            assert!(futures::poll!(waiting.as_mut()).is_pending());
        }
        assert_eq!(detached.under_way.len(), 1);
        release.send(()).unwrap();
        assert_eq!(is_done.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_has_its_limit_although_the_work_has_none() {
        let detached = detached();
        let work = std::future::pending::<()>();
        let status = detached.run(Effect::Writes, work).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(detached.under_way.len(), 1);
    }

    #[tokio::test]
    async fn work_that_dies_is_a_fault_of_its_own_request() {
        let work = async { panic!("a use case's bug") };
        let status = detached()
            .run::<()>(Effect::Writes, work)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Internal);
    }
}
