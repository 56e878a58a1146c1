//! The times and bounds of the electors under test.

use crate::usecase::lead_partitions::LeadSettings;
use crate::usecase::process_partition::ProcessSettings;
use crate::usecase::relay_lost_events::RelaySettings;
use axs_domain::lease::LeaseTimes;
use std::num::NonZeroUsize;
use std::time::Duration;

pub(super) fn settings() -> LeadSettings {
    let bound = |value| NonZeroUsize::new(value).unwrap();
    LeadSettings {
        lease: LeaseTimes::try_new(Duration::from_secs(9)).unwrap(),
        results_topic: "axs.results".to_owned(),
        drain_max: Duration::from_secs(20),
        refusal_pause: Duration::from_secs(30),
        process: ProcessSettings {
            batch_events_max: bound(5_000),
            batch_linger: Duration::from_millis(5),
            batch_interval: Duration::ZERO,
            memory_balances_max: bound(200_000),
            preload_balances: false,
            poison_in_a_row_max: bound(100),
            write_retries_max: 50,
        },
        relay: RelaySettings {
            every: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            rows_max: 1_000,
        },
        cache_moot_after: Duration::from_secs(120),
    }
}
