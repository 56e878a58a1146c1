//! Times and bounds of the processes of a simulation: small, so that every bound is met.

use axs_application::usecase::account_lookup::AccountLookupSettings;
use axs_application::usecase::backlog::BacklogSettings;
use axs_application::usecase::lead_partitions::LeadSettings;
use axs_application::usecase::log_changes::LogSettings;
use axs_application::usecase::process_partition::ProcessSettings;
use axs_application::usecase::publish_events::PublishSettings;
use axs_application::usecase::relay_lost_events::RelaySettings;
use axs_application::usecase::submit_balance_changes::SubmitSettings;
use axs_domain::lease::LeaseTimes;
use std::num::NonZeroUsize;
use std::time::Duration;

pub const LEASE: Duration = Duration::from_secs(3);
pub const RELAY_GRACE: Duration = Duration::from_secs(2);
/// The queue of one producer.
pub const PRODUCER_QUEUE: usize = 12;
/// The places of one API's publish window.
pub const WINDOW: u32 = 10;

fn bound(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).unwrap()
}

pub fn leading() -> LeadSettings {
    LeadSettings {
        lease: LeaseTimes::try_new(LEASE).unwrap(),
        results_topic: "axs.results".to_owned(),
        drain_max: Duration::from_secs(3),
        refusal_pause: Duration::from_secs(2),
        process: ProcessSettings {
            batch_events_max: bound(12),
            batch_linger: Duration::from_millis(3),
            batch_interval: Duration::from_millis(20),
            memory_balances_max: bound(5),
            preload_balances: true,
            poison_in_a_row_max: bound(1_000),
            write_retries_max: 12,
        },
        relay: RelaySettings {
            every: Duration::from_millis(700),
            grace: RELAY_GRACE,
            rows_max: 20,
        },
        cache_moot_after: Duration::from_secs(20),
    }
}

pub fn logging() -> LogSettings {
    LogSettings {
        commit_events_max: 8,
        retry_after: Duration::from_millis(100),
    }
}

pub fn publishing() -> PublishSettings {
    PublishSettings {
        window_events: WINDOW,
        window_wait: Duration::from_millis(300),
        retry_after: Duration::from_millis(200),
    }
}

/// Never full: nobody refreshes it here.
pub fn backlog() -> BacklogSettings {
    BacklogSettings {
        events_max: 1,
        retry_after: Duration::from_millis(200),
    }
}

pub fn submitting() -> SubmitSettings {
    SubmitSettings {
        batch_events_max: 6,
        published_wait: Duration::from_secs(2),
    }
}

pub fn looking_up() -> AccountLookupSettings {
    AccountLookupSettings {
        remembered_max: bound(2),
    }
}
