//! The layout as this process knows it.

use super::snapshot::Snapshot;
use crate::port::layout_store::{LayoutStore, StoredLayout};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::layout::Layout;
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;

/// Two reads of the layout begin at least this far apart.
pub const LAYOUT_REFRESH_PAUSE: Duration = Duration::from_millis(200);

/// There is no layout to work by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutLookupError {
    /// Nobody made one yet.
    #[error("there is no layout yet; an operator makes it, once, by `bootstrap layout init`")]
    NotLaidOut,
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Knows the layout without asking the store each time.
///
/// # Errors
/// [`LayoutLookupError`]; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LayoutLookup: Interface {
    /// The layout as last read; read now when it never was.
    async fn current(&self) -> Result<Arc<StoredLayout>, LayoutLookupError>;

    /// The layout read after this call, at most one read every [`LAYOUT_REFRESH_PAUSE`].
    async fn refreshed(&self) -> Result<Arc<StoredLayout>, LayoutLookupError>;
}

/// Tells how many partitions want a leader.
#[expect(clippy::cast_precision_loss, reason = "at most PARTITIONS_MAX")]
pub(super) fn count_partitions(layout: &Layout) {
    metrics::gauge!("axs_layout_partitions").set(layout.partition_count() as f64);
}

/// Keeps the layout in memory.
#[derive(Component)]
#[shaku(interface = LayoutLookup)]
pub struct LayoutSnapshot {
    #[shaku(inject)]
    layouts: Arc<dyn LayoutStore>,
    #[shaku(force_default)]
    snapshot: Snapshot<StoredLayout, LayoutLookupError>,
}

impl LayoutSnapshot {
    /// A lookup that has read nothing yet.
    #[must_use]
    pub fn new(layouts: Arc<dyn LayoutStore>) -> Self {
        Self {
            layouts,
            snapshot: Snapshot::default(),
        }
    }
}

#[async_trait]
impl LayoutLookup for LayoutSnapshot {
    async fn current(&self) -> Result<Arc<StoredLayout>, LayoutLookupError> {
        match self.snapshot.last() {
            Some(layout) => Ok(layout),
            None => self.refreshed().await,
        }
    }

    async fn refreshed(&self) -> Result<Arc<StoredLayout>, LayoutLookupError> {
        self.snapshot
            .refreshed(LAYOUT_REFRESH_PAUSE, || async {
                let stored = self.layouts.load().await?;
                let stored = stored.ok_or(LayoutLookupError::NotLaidOut)?;
                count_partitions(&stored.layout);
                Ok(stored)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::layout_store::MockLayoutStore;
    use crate::testkit::stored_layout;
    use mockall::Sequence;

    #[tokio::test(start_paused = true)]
    async fn the_layout_is_read_once_and_then_known() {
        let mut layouts = MockLayoutStore::new();
        layouts
            .expect_load()
            .times(1)
            .returning(|| Ok(Some(stored_layout())));
        let lookup = LayoutSnapshot::new(Arc::new(layouts));
        for _ in 0..3 {
            assert_eq!(*lookup.current().await.unwrap(), stored_layout());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_layout_is_looked_for_again() {
        let mut layouts = MockLayoutStore::new();
        let mut order = Sequence::new();
        layouts
            .expect_load()
            .times(1)
            .in_sequence(&mut order)
            .returning(|| Ok(None));
        layouts
            .expect_load()
            .times(1)
            .in_sequence(&mut order)
            .returning(|| Ok(Some(stored_layout())));
        let lookup = LayoutSnapshot::new(Arc::new(layouts));
        assert_eq!(lookup.current().await, Err(LayoutLookupError::NotLaidOut));
        assert_eq!(*lookup.current().await.unwrap(), stored_layout());
    }
}
