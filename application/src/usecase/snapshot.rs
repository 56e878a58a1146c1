//! A value read from a store now and then, and shared by all in between.

use arc_swap::ArcSwapOption;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The last value read, and the single flight that reads a newer one.
///
/// However many ask at once, at most one load runs, and two loads begin at least a pause apart.
/// Whoever asked before a load began shares its outcome, good or bad: when the store is away,
/// nobody queues behind the others' timeouts.
#[derive(Debug)]
pub(crate) struct Snapshot<T, E> {
    value: ArcSwapOption<T>,
    loads_begun: AtomicU64,
    last_load: Mutex<Option<Load<T, E>>>,
}

#[derive(Debug)]
struct Load<T, E> {
    number: u64,
    began: Instant,
    outcome: Result<Arc<T>, E>,
}

impl<T, E> Default for Snapshot<T, E> {
    fn default() -> Self {
        Self {
            value: ArcSwapOption::empty(),
            loads_begun: AtomicU64::new(0),
            last_load: Mutex::new(None),
        }
    }
}

impl<T, E: Clone> Snapshot<T, E> {
    /// The last value that was read.
    pub(crate) fn last(&self) -> Option<Arc<T>> {
        self.value.load_full()
    }

    /// A value whose load began after this call. A failed load leaves the last value as it is.
    pub(crate) async fn refreshed<F>(
        &self,
        pause: Duration,
        load: impl FnOnce() -> F + Send,
    ) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<T, E>> + Send,
    {
        let begun_before = self.loads_begun.load(Ordering::SeqCst);
        let mut last_load = self.last_load.lock().await;
        if let Some(last) = last_load.as_ref() {
            if last.number > begun_before {
                return last.outcome.clone();
            }
            sleep_until(last.began + pause).await;
        }
        let began = Instant::now();
        let number = self.loads_begun.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = load().await.map(Arc::new);
        if let Ok(value) = &outcome {
            self.value.store(Some(Arc::clone(value)));
        }
        *last_load = Some(Load {
            number,
            began,
            outcome: outcome.clone(),
        });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::sleep;

    const PAUSE: Duration = Duration::from_millis(200);

    async fn slow_count(loads: &AtomicU32) -> Result<u32, &'static str> {
        sleep(Duration::from_millis(50)).await;
        Ok(loads.fetch_add(1, Ordering::SeqCst) + 1)
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_who_asks_before_a_load_begins_shares_it() {
        let (snapshot, loads) = (Snapshot::default(), AtomicU32::new(0));
        let asks = (0..10).map(|_| snapshot.refreshed(PAUSE, || slow_count(&loads)));
        let values = join_all(asks).await;
        // The first load had begun when the others asked: they wait for the second, together.
        let values: Vec<u32> = values.into_iter().map(|value| *value.unwrap()).collect();
        assert_eq!(values, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(snapshot.last().as_deref(), Some(&2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_question_is_answered_by_a_later_load_after_the_pause() {
        let (snapshot, loads) = (Snapshot::default(), AtomicU32::new(0));
        let began = Instant::now();
        snapshot
            .refreshed(PAUSE, || slow_count(&loads))
            .await
            .unwrap();
        let second = snapshot.refreshed(PAUSE, || slow_count(&loads)).await;
        assert_eq!(*second.unwrap(), 2);
        assert_eq!(began.elapsed(), PAUSE + Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_load_is_shared_and_leaves_the_last_value() {
        let (snapshot, loads) = (Snapshot::default(), AtomicU32::new(0));
        snapshot
            .refreshed(PAUSE, || slow_count(&loads))
            .await
            .unwrap();
        sleep(PAUSE).await;
        let tries = AtomicU32::new(0);
        let away = || async {
            tries.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_secs(1)).await;
            Err("away")
        };
        let asks = (0..10).map(|_| snapshot.refreshed(PAUSE, away));
        let outcomes = join_all(asks).await;
        assert!(outcomes.into_iter().all(|outcome| outcome == Err("away")));
        assert_eq!(tries.load(Ordering::SeqCst), 2);
        assert_eq!(snapshot.last().as_deref(), Some(&1));
    }
}
