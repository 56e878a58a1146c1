//! Waiting for what a row needs, and looking at what happened.

use super::{PARTITIONS, Scene};
use crate::deadline::{Look, Patience, until};
use crate::faults::failpoint::Hit;
use crate::faults::journal::Answer;
use crate::faults::watch::{Change, Tenure, Watch, now};
use crate::ops;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A fault that does not come within this time is not put in.
const HIT_WITHIN: Duration = Duration::from_secs(40);

impl Scene {
    /// Waits until every partition is led, evenly, by so many consumers.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn led_by(&self, consumers: usize) -> Result<()> {
        self.deployment.led_by(PARTITIONS, consumers).await
    }

    /// Waits until so many more events have results.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn results(&self, more: i64) -> Result<()> {
        let mut wanted = None;
        let what = format!("{more} more results");
        until(&what, Patience::PROCESS, async || {
            // The database may be the one that is away.
            let Ok(results) = self.final_events().await else {
                return Ok(Look::NotYet("no answer".to_owned()));
            };
            let wanted = *wanted.get_or_insert(results + more);
            Ok(if results >= wanted {
                Look::There(())
            } else {
                Look::NotYet(format!("{results} of {wanted}"))
            })
        })
        .await
    }

    /// Waits until the watch has compared a cached balance with the committed one.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn cache_compared(&self) -> Result<()> {
        until("a cached balance", Patience::PROCESS, async || {
            let compared = self.watch.as_ref().map_or(0, Watch::cache_reads);
            Ok(if compared > 0 {
                Look::There(())
            } else {
                Look::NotYet("none was compared".to_owned())
            })
        })
        .await
    }

    /// Waits until every event that is logged by now has a result.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn all_final_until_now(&self) -> Result<()> {
        let pool = &self.deployment.database.pool;
        let newest: Option<Uuid> =
            sqlx::query_scalar("SELECT max(log_id::text)::uuid FROM balance_change_states")
                .fetch_one(pool)
                .await?;
        until(
            "what is logged to be final",
            Patience::PROCESS,
            async || {
                let open: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM balance_change_states WHERE status = 0 AND log_id <= $1",
                )
                .bind(newest)
                .fetch_one(pool)
                .await?;
                Ok(if open == 0 {
                    Look::There(())
                } else {
                    Look::NotYet(format!("{open} are open"))
                })
            },
        )
        .await
    }

    /// Events with a result.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn final_events(&self) -> Result<i64> {
        self.deployment
            .database
            .number("SELECT count(*) FROM balance_change_states WHERE status IN (1, 2)")
            .await
    }

    /// Waits for the next hit of a failpoint, and notes it.
    ///
    /// # Errors
    /// It did not come.
    pub async fn hit(&mut self, point: &str) -> Result<Hit> {
        let seen = self.hits_seen.entry(point.to_owned()).or_default();
        *seen += 1;
        let hit = self.hits.wait(point, *seen, HIT_WITHIN).await?;
        self.injected(1).await;
        Ok(hit)
    }

    /// Waits until everything that an owner led when it was hit is led by others, and notes how
    /// long that took since.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn replaced(&mut self, owner: Uuid, since: Duration) -> Result<Duration> {
        let watch = self.watch.as_ref().context("no watch")?;
        let what = format!("everything that {owner} led to be led by others");
        let took = until(&what, Patience::PROCESS, async || {
            Ok(match took_over(&watch.changes(), owner, since) {
                Some(took) => Look::There(took),
                None => Look::NotYet("not all".to_owned()),
            })
        })
        .await?;
        Ok(took)
    }

    /// The same after a kill: the time is held to the bound of a take-over.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn replaced_after_kill(&mut self, owner: Uuid, since: Duration) -> Result<()> {
        let took = self.replaced(owner, since).await?;
        self.take_over = self.take_over.max(Some(took));
        Ok(())
    }

    /// How often leaders that live said that they skipped a record which had come before.
    pub async fn skipped(&mut self) -> u64 {
        let mut skipped = 0.0;
        for leader in &mut self.leaders {
            if matches!(leader.process.ended(), Ok(None))
                && let Ok(page) = ops::get(leader.process.ops(), "/metrics").await
            {
                skipped += ops::metric(&page.body, "axs_redeliveries_total").unwrap_or(0.0);
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of records is small and never negative"
        )]
        let skipped = skipped as u64;
        skipped
    }

    /// Events that the API refused for good.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        let sent = self.journal.all();
        let refused = sent
            .iter()
            .filter(|sent| matches!(sent.answer, Answer::Refused(_)));
        refused.count() as u64
    }
}

/// How long after a moment the last partition that the owner led then had another leader; `None`
/// while there is one without.
fn took_over(changes: &[Change], owner: Uuid, since: Duration) -> Option<Duration> {
    let mut standing: BTreeMap<i32, Tenure> = BTreeMap::new();
    let mut last = Duration::ZERO;
    for change in changes.iter().filter(|change| change.at <= since) {
        standing.insert(change.tenure.partition, change.tenure);
    }
    for (partition, tenure) in standing {
        if tenure.owner != Some(owner) {
            continue;
        }
        let next = changes.iter().find(|change| {
            change.at > since
                && change.tenure.partition == partition
                && change.tenure.owner.is_some_and(|next| next != owner)
        })?;
        last = last.max(next.at.saturating_sub(since));
    }
    Some(last)
}

/// How many take-overs there were after the moment: leases that went to another owner.
#[must_use]
pub fn take_overs(changes: &[Change], since: Duration) -> u64 {
    let mut owners: BTreeMap<i32, Uuid> = BTreeMap::new();
    let mut count = 0;
    for change in changes {
        let Some(owner) = change.tenure.owner else {
            continue;
        };
        let before = owners.insert(change.tenure.partition, owner);
        if change.at > since && before.is_some_and(|before| before != owner) {
            count += 1;
        }
    }
    count
}

/// Now, for [`take_overs`].
#[must_use]
pub fn moment() -> Duration {
    now()
}
