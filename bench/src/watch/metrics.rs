//! A process's own metrics, compared between two moments.

use anyhow::{Result, ensure};
use axs_tests::ops;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Sums and counts by series, e.g. `axs_batch_step_seconds_sum{step="copy"}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricsPage(BTreeMap<String, f64>);

impl MetricsPage {
    /// Reads a process's page.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn read(ops_address: SocketAddr) -> Result<Self> {
        let answer = ops::get(ops_address, "/metrics").await?;
        ensure!(answer.status == 200, "/metrics answers {}", answer.status);
        Ok(Self::parse(&answer.body))
    }

    fn parse(page: &str) -> Self {
        let series = page.lines().filter(|line| !line.starts_with('#'));
        let values = series.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(values.collect())
    }

    /// What was added since an earlier page.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let added = self.0.iter().map(|(name, value)| {
            let before = earlier.0.get(name).copied().unwrap_or_default();
            (name.clone(), value - before)
        });
        Self(added.collect())
    }

    /// Both pages' sums and counts, as of one process.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (name, value) in &other.0 {
            *self.0.entry(name.clone()).or_default() += value;
        }
        self
    }

    /// The mean of a histogram; `None` when nothing was recorded.
    #[must_use]
    pub fn mean(&self, name: &str) -> Option<f64> {
        let count = self.total(&format!("{name}_count"));
        (count > 0.0).then(|| self.total(&format!("{name}_sum")) / count)
    }

    /// A series summed over its labels.
    #[must_use]
    pub fn total(&self, name: &str) -> f64 {
        self.0
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .map(|(_, value)| value)
            .sum()
    }

    /// A series by the value of one of its labels.
    #[must_use]
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        let opening = format!("{label}=\"");
        for (series, value) in &self.0 {
            let Some((base, labels)) = series.split_once('{') else {
                continue;
            };
            let text = labels.split_once(opening.as_str()).map(|(_, rest)| rest);
            if let Some((text, _)) = text.and_then(|rest| rest.split_once('"'))
                && base == name
            {
                *found.entry(text.to_owned()).or_default() += value;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::MetricsPage;

    const BEFORE: &str = "# TYPE axs_batch_step_seconds summary\n\
        axs_batch_step_seconds_sum{step=\"copy\"} 1.5\n\
        axs_batch_step_seconds_count{step=\"copy\"} 10\n";
    const AFTER: &str = "axs_batch_step_seconds_sum{step=\"copy\"} 2.5\n\
        axs_batch_step_seconds_count{step=\"copy\"} 15\n\
        axs_batch_step_seconds_sum{step=\"commit\"} 1\n\
        axs_batch_step_seconds_count{step=\"commit\"} 5\n";

    #[test]
    fn sums_are_of_the_time_between_two_pages() {
        let added = MetricsPage::parse(AFTER).since(&MetricsPage::parse(BEFORE));
        assert_eq!(added.mean("axs_batch_step_seconds"), Some(0.2));
        let sums = added.by_label("axs_batch_step_seconds_sum", "step");
        assert_eq!(sums["copy"], 1.0);
        assert_eq!(sums["commit"], 1.0);
        assert_eq!(added.mean("axs_batch_events"), None);
    }
}
