//! The bound on events between their logging and their delivery.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for events. Asking is fair: a large request is not starved by small ones.
pub(super) struct PublishWindow {
    places: Arc<Semaphore>,
    size: u32,
    used: metrics::Gauge,
}

impl PublishWindow {
    pub(super) fn new(size: u32) -> Self {
        let size = size.max(1);
        let places = usize::try_from(size)
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            size,
            used: metrics::gauge!("axs_publish_window_used"),
        }
    }

    pub(super) fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    pub(super) fn used(&self) -> usize {
        self.size().saturating_sub(self.places.available_permits())
    }

    /// Waits for so many places; `None` at once when the window has fewer in all.
    pub(super) async fn take(&self, events: usize) -> Option<WindowPlaces> {
        let events = u32::try_from(events).ok().filter(|n| *n <= self.size)?;
        let places = Arc::clone(&self.places).acquire_many_owned(events).await;
        self.report();
        places.ok().map(WindowPlaces)
    }

    /// Tells the gauge how many places are taken.
    pub(super) fn report(&self) {
        // A u32 is exact as an f64; the window is no larger.
        let used = u32::try_from(self.used()).unwrap_or(u32::MAX);
        self.used.set(f64::from(used));
    }
}

/// Places in the window, taken together. Dropping them gives them back.
#[derive(Debug)]
pub struct WindowPlaces(OwnedSemaphorePermit);

impl WindowPlaces {
    /// Splits one place off; `None` when none is left.
    pub fn split_one(&mut self) -> Option<WindowPlace> {
        self.0.split(1).map(|place| WindowPlace { _place: place })
    }

    /// Places of a window of their own, for tests that have no publishing.
    #[cfg(any(test, feature = "testkit"))]
    #[must_use]
    pub fn detached(events: u32) -> Option<Self> {
        let window = PublishWindow::new(events);
        let places = window.places.try_acquire_many_owned(events);
        places.ok().map(Self)
    }
}

/// The place of one event. Dropping it gives it back.
#[derive(Debug)]
pub struct WindowPlace {
    _place: OwnedSemaphorePermit,
}
