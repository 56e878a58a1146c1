//! Who leads which partition, as the leases say.

use super::Deployment;
use crate::deadline::{Look, Patience, until};
use anyhow::Result;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Deployment {
    /// The partitions under a standing lease, by the lease's owner.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn partitions_by_owner(&self) -> Result<BTreeMap<Uuid, Vec<i32>>> {
        let rows: Vec<(Uuid, i32)> = sqlx::query_as(
            "SELECT owner, partition FROM partition_leases
             WHERE owner IS NOT NULL AND expires_at > clock_timestamp() ORDER BY partition",
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut owners: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (owner, partition) in rows {
            owners.entry(owner).or_default().push(partition);
        }
        Ok(owners)
    }

    /// Waits until so many partitions are led by so many consumers, evenly.
    ///
    /// # Errors
    /// They are not within the bound: with who led what in the end.
    pub async fn led_by(&self, partitions: usize, consumers: usize) -> Result<()> {
        let what = format!("{partitions} partitions led by {consumers} consumers, evenly");
        until(&what, Patience::PROCESS, async || {
            let owners = self.partitions_by_owner().await?;
            let led: usize = owners.values().map(Vec::len).sum();
            let share_max = partitions.div_ceil(consumers.max(1));
            let even = owners.values().all(|share| share.len() <= share_max);
            Ok(if led == partitions && owners.len() == consumers && even {
                Look::There(())
            } else {
                Look::NotYet(format!("{owners:?}"))
            })
        })
        .await
    }
}
