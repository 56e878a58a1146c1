//! Placing events on partitions again, when the layout moved after they were checked.

use super::appender::Appender;
use super::{LogError, LogRequest};
use crate::port::change_log::Placing;
use crate::port::layout_store::StoredLayout;
use axs_domain::id::LayoutEpoch;

impl Appender {
    /// The placing of all events of the requests, which are of one history: by their own epoch when
    /// it is one, and otherwise by the layout as this process knows it, by which they are placed
    /// then.
    pub(super) async fn placed_alike(
        &self,
        requests: &mut [LogRequest],
    ) -> Result<Placing, LogError> {
        let mut epochs = requests
            .iter()
            .flat_map(|request| &request.changes)
            .map(|change| change.layout_epoch);
        let first = epochs.next().unwrap_or(LayoutEpoch::MIN);
        if epochs.all(|epoch| epoch == first) {
            return placing(requests, first);
        }
        let layout = self.layouts.current().await;
        let layout = layout.map_err(|error| LogError::Unavailable(error.to_string()))?;
        place(requests, &layout)
    }

    /// Places the events by the layout as it stands now.
    pub(super) async fn place_anew(
        &self,
        requests: &mut [LogRequest],
    ) -> Result<Placing, LogError> {
        let layout = self.layouts.refreshed().await;
        let layout = layout.map_err(|error| LogError::Unavailable(error.to_string()))?;
        place(requests, &layout)
    }
}

fn place(requests: &mut [LogRequest], stored: &StoredLayout) -> Result<Placing, LogError> {
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
    placing(requests, layout.epoch())
}

fn placing(requests: &[LogRequest], layout_epoch: LayoutEpoch) -> Result<Placing, LogError> {
    let history = requests.iter().find_map(LogRequest::history);
    let incarnation =
        history.ok_or_else(|| LogError::Unavailable("there is nothing to log".to_owned()))?;
    Ok(Placing {
        layout_epoch,
        incarnation,
    })
}
