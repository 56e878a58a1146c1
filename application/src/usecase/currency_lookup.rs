//! The registered currencies as this process knows them.

use super::snapshot::Snapshot;
use crate::port::currency_registry::CurrencyRegistry;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::currency::CurrencySet;
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;

/// Two reads of the currencies begin at least this far apart, however many unknown codes come in.
pub const CURRENCY_REFRESH_PAUSE: Duration = Duration::from_millis(200);

/// Knows the currencies without asking the store each time.
///
/// # Contract
/// - Whoever finds a code missing in `current` asks `refreshed` before calling it unknown:
///   another process may just have registered it. Whether a known currency is active may be as
///   old as the period of the refresh.
///
/// # Errors
/// [`StoreError`]; ask again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait CurrencyLookup: Interface {
    /// The currencies as last read; read now when they never were.
    async fn current(&self) -> Result<Arc<CurrencySet>, StoreError>;

    /// The currencies read after this call, at most one read every [`CURRENCY_REFRESH_PAUSE`].
    async fn refreshed(&self) -> Result<Arc<CurrencySet>, StoreError>;
}

/// Keeps the currencies in memory.
#[derive(Component)]
#[shaku(interface = CurrencyLookup)]
pub struct CurrencySnapshot {
    #[shaku(inject)]
    registry: Arc<dyn CurrencyRegistry>,
    #[shaku(force_default)]
    snapshot: Snapshot<CurrencySet, StoreError>,
}

impl CurrencySnapshot {
    /// A lookup that has read nothing yet.
    #[must_use]
    pub fn new(registry: Arc<dyn CurrencyRegistry>) -> Self {
        Self {
            registry,
            snapshot: Snapshot::default(),
        }
    }
}

#[async_trait]
impl CurrencyLookup for CurrencySnapshot {
    async fn current(&self) -> Result<Arc<CurrencySet>, StoreError> {
        match self.snapshot.last() {
            Some(currencies) => Ok(currencies),
            None => self.refreshed().await,
        }
    }

    async fn refreshed(&self) -> Result<Arc<CurrencySet>, StoreError> {
        self.snapshot
            .refreshed(CURRENCY_REFRESH_PAUSE, || async {
                self.registry.all().await.map(CurrencySet::new)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::currency_registry::MockCurrencyRegistry;
    use crate::testkit::{code, currency};

    #[tokio::test(start_paused = true)]
    async fn currencies_are_read_once_until_a_refresh_is_asked_for() {
        let mut registry = MockCurrencyRegistry::new();
        registry
            .expect_all()
            .times(2)
            .returning(|| Ok(vec![currency("USD", 2)]));
        let lookup = CurrencySnapshot::new(Arc::new(registry));
        for _ in 0..3 {
            let currencies = lookup.current().await.unwrap();
            assert!(currencies.find(code("USD")).is_some());
        }
        lookup.refreshed().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_away_leaves_what_was_known() {
        let mut registry = MockCurrencyRegistry::new();
        registry
            .expect_all()
            .times(1)
            .returning(|| Ok(vec![currency("USD", 2)]));
        registry
            .expect_all()
            .returning(|| Err(crate::testkit::away()));
        let lookup = CurrencySnapshot::new(Arc::new(registry));
        lookup.current().await.unwrap();
        assert!(lookup.refreshed().await.is_err());
        let currencies = lookup.current().await.unwrap();
        assert!(currencies.find(code("USD")).is_some());
    }
}
