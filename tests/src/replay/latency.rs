//! How long events take, seen by a client that keeps asking.

use crate::client::ApiClient;
use anyhow::Result;
use axs_proto::v1::EventStatus;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The pause between two questions: the precision of a sample. Shorter ones would take from the
/// processes what they need for their work.
const PAUSE: Duration = Duration::from_millis(40);

/// A sample is given up after this time.
const BOUND: Duration = Duration::from_secs(120);

/// Two percentiles and how many values they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of the values are at most this.
    pub p50: Duration,
    /// 99 of a hundred values are at most this.
    pub p99: Duration,
    /// The number of values.
    pub count: usize,
}

impl Percentiles {
    /// The percentiles by nearest rank; `None` of nothing.
    #[must_use]
    pub fn of(mut values: Vec<Duration>) -> Option<Self> {
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Some(Self {
            p50: rank(50)?,
            p99: rank(99)?,
            count: values.len(),
        })
    }
}

/// Samples under way.
#[derive(Debug, Default)]
pub struct Latencies(JoinSet<Result<Duration>>);

impl Latencies {
    /// Follows an event from the moment its request was sent until a client sees its result.
    pub fn follow(&mut self, client: ApiClient, log_id: String, sent: Instant) {
        self.0.spawn(async move {
            loop {
                let found = client.event(&log_id).await?;
                let seen = sent.elapsed();
                let status = found.state.map_or(EventStatus::Unspecified, |s| s.status());
                let is_final = matches!(status, EventStatus::Applied | EventStatus::Rejected);
                if is_final || seen > BOUND {
                    return Ok(seen);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// All values, in no order.
    ///
    /// # Errors
    /// A question failed.
    pub async fn values(mut self) -> Result<Vec<Duration>> {
        let mut values = Vec::with_capacity(self.0.len());
        while let Some(done) = self.0.join_next().await {
            values.push(done??);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let ms = Duration::from_millis;
        let percentiles = Percentiles::of((1..=200).rev().map(ms).collect()).unwrap();
        assert_eq!((percentiles.p50, percentiles.p99), (ms(100), ms(198)));
        assert_eq!(Percentiles::of(vec![ms(7)]).unwrap().p99, ms(7));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }
}
