//! Keeping what this process remembers of currencies, layout, backlog and incarnation fresh.

use super::backlog::Backlog;
use super::currency_lookup::CurrencyLookup;
use super::incarnation_lookup::{INCARNATION_PERIOD, IncarnationLookup};
use super::layout_lookup::LayoutLookup;
use async_trait::async_trait;
use shaku::{Component, Interface};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often the backlog is looked at, at least: it can grow by as much as is taken in this time.
const BACKLOG_PERIOD_MAX: Duration = Duration::from_secs(1);

/// How often the lookups are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshSettings {
    /// From the end of one refresh to the next: the age at which a currency that was switched off
    /// elsewhere is noticed here, at the latest.
    pub period: Duration,
}

/// Refreshes the lookups.
///
/// # Contract
/// - A refresh that fails is told in the log and tried again after the period; what was known
///   stays in use.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RefreshLookups: Interface {
    /// Refreshes until it is stopped; first at once, so that a process starts warm.
    async fn run(&self, stop: CancellationToken);
}

/// Refreshes the lookups with a period.
#[derive(Component)]
#[shaku(interface = RefreshLookups)]
pub struct PeriodicRefresh {
    #[shaku(inject)]
    currencies: Arc<dyn CurrencyLookup>,
    #[shaku(inject)]
    layouts: Arc<dyn LayoutLookup>,
    #[shaku(inject)]
    backlog: Arc<dyn Backlog>,
    #[shaku(inject)]
    incarnations: Arc<dyn IncarnationLookup>,
    /// How often.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: RefreshSettings,
}

impl PeriodicRefresh {
    /// A refresh of these lookups.
    #[must_use]
    pub fn new(
        currencies: Arc<dyn CurrencyLookup>,
        layouts: Arc<dyn LayoutLookup>,
        backlog: Arc<dyn Backlog>,
        incarnations: Arc<dyn IncarnationLookup>,
        settings: RefreshSettings,
    ) -> Self {
        Self {
            currencies,
            layouts,
            backlog,
            incarnations,
            settings,
        }
    }

    async fn refresh(&self) {
        if let Err(error) = self.currencies.refreshed().await {
            tracing::warn!(%error, "the currencies were not refreshed");
        }
        if let Err(error) = self.layouts.refreshed().await {
            tracing::warn!(%error, "the layout was not refreshed");
        }
    }
}

#[async_trait]
impl RefreshLookups for PeriodicRefresh {
    async fn run(&self, stop: CancellationToken) {
        let rounds = async {
            loop {
                self.refresh().await;
                sleep(self.settings.period).await;
            }
        };
        // A loop of its own: the broker may take its time to answer, and a bound that is looked at
        // seldom is none.
        let backlog = async {
            loop {
                self.backlog.refresh().await;
                sleep(self.settings.period.min(BACKLOG_PERIOD_MAX)).await;
            }
        };
        // One more: a question to another server must not delay this one.
        let incarnation = async {
            let mut failed = false;
            loop {
                let refreshed = self.incarnations.refresh().await;
                if let Err(error) = &refreshed
                    && !failed
                {
                    tracing::warn!(%error, "it is not known whether the database is still the same");
                }
                failed = refreshed.is_err();
                sleep(INCARNATION_PERIOD).await;
            }
        };
        let all = async { tokio::join!(rounds, backlog, incarnation) };
        // Only reads: dropping them half-way is harmless.
        let _: Option<(Infallible, Infallible, Infallible)> = stop.run_until_cancelled(all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{away, stored_layout};
    use crate::usecase::backlog::MockBacklog;
    use crate::usecase::currency_lookup::MockCurrencyLookup;
    use crate::usecase::incarnation_lookup::MockIncarnationLookup;
    use crate::usecase::layout_lookup::MockLayoutLookup;

    #[tokio::test(start_paused = true)]
    async fn lookups_are_refreshed_at_once_and_with_a_period_even_after_errors() {
        let mut currencies = MockCurrencyLookup::new();
        let mut layouts = MockLayoutLookup::new();
        currencies
            .expect_refreshed()
            .times(3)
            .returning(|| Err(away()));
        layouts
            .expect_refreshed()
            .times(3)
            .returning(|| Ok(Arc::new(stored_layout())));
        let settings = RefreshSettings {
            period: Duration::from_millis(5_100),
        };
        let mut backlog = MockBacklog::new();
        backlog.expect_refresh().times(13).return_const(());
        let mut incarnations = MockIncarnationLookup::new();
        incarnations
            .expect_refresh()
            .times(13)
            .returning(|| Err(away()));
        let refresh = PeriodicRefresh::new(
            Arc::new(currencies),
            Arc::new(layouts),
            Arc::new(backlog),
            Arc::new(incarnations),
            settings,
        );
        let stop = CancellationToken::new();
        let stopped = async {
            sleep(Duration::from_millis(12_500)).await;
            stop.cancel();
        };
        tokio::join!(refresh.run(stop.clone()), stopped);
    }
}
