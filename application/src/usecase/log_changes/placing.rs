//! Placing events on partitions again, when the layout moved after they were checked.

use super::commit_loop::CommitLoop;
use super::{LogError, LogRequest};
use crate::port::layout_store::StoredLayout;
use axs_domain::id::LayoutEpoch;

impl CommitLoop {
    /// The epoch by which all events of the requests are placed: their own when it is one, and
    /// otherwise that of the layout as this process knows it, by which they are placed then.
    pub(super) async fn placed_alike(
        &self,
        requests: &mut [LogRequest],
    ) -> Result<LayoutEpoch, LogError> {
        let mut epochs = requests
            .iter()
            .flat_map(|request| &request.changes)
            .map(|change| change.layout_epoch);
        let first = epochs.next().unwrap_or(LayoutEpoch::MIN);
        if epochs.all(|epoch| epoch == first) {
            return Ok(first);
        }
        let layout = self.layouts.current().await;
        let layout = layout.map_err(|error| LogError::Unavailable(error.to_string()))?;
        place(requests, &layout)
    }

    /// Places the events by the layout as it stands now.
    pub(super) async fn place_anew(
        &self,
        requests: &mut [LogRequest],
    ) -> Result<LayoutEpoch, LogError> {
        let layout = self.layouts.refreshed().await;
        let layout = layout.map_err(|error| LogError::Unavailable(error.to_string()))?;
        place(requests, &layout)
    }
}

fn place(requests: &mut [LogRequest], stored: &StoredLayout) -> Result<LayoutEpoch, LogError> {
    let layout = &stored.layout;
    for change in requests.iter_mut().flat_map(|request| &mut request.changes) {
        let shard = change.key.shard_id;
        // A shard never goes away; without its partition nothing may be written.
        let Some(partition) = layout.partition_of(shard) else {
            let epoch = layout.epoch();
            return Err(LogError::Unavailable(format!(
                "shard {shard} is not laid out at epoch {epoch}"
            )));
        };
        change.partition = partition;
        change.layout_epoch = layout.epoch();
    }
    Ok(layout.epoch())
}
