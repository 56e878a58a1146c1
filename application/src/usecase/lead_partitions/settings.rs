//! Times and bounds of leading.

use crate::usecase::process_partition::ProcessSettings;
use crate::usecase::relay_lost_events::RelaySettings;
use axs_domain::lease::{LeaseTimes, LeaseTtlError};
use std::time::Duration;

const LEASE_TTL_DEFAULT: Duration = Duration::from_secs(9);

/// How a process leads.
#[derive(Debug, Clone)]
pub struct LeadSettings {
    /// How long PostgreSQL holds a lease, a registration and, in ninths of it, a beat.
    pub lease: LeaseTimes,
    /// How long draining may take at shutdown before terms are cut off.
    pub drain_max: Duration,
    /// How long a partition that was refused or stopped for a person's attention rests before it
    /// is tried again.
    pub refusal_pause: Duration,
    /// How long the last balances may take to reach the cache at shutdown.
    pub cache_flush_max: Duration,
    /// The workers.
    pub process: ProcessSettings,
    /// The relays.
    pub relay: RelaySettings,
}

impl LeadSettings {
    /// The defaults with a lease of this length.
    ///
    /// # Errors
    /// [`LeaseTtlError`] when no lease can be that long or short.
    pub fn try_new(lease_ttl: Duration) -> Result<Self, LeaseTtlError> {
        Ok(Self {
            lease: LeaseTimes::try_new(lease_ttl)?,
            drain_max: Duration::from_secs(20),
            refusal_pause: Duration::from_secs(30),
            cache_flush_max: Duration::from_secs(2),
            process: ProcessSettings::default(),
            relay: RelaySettings::default(),
        })
    }

    /// How often leaders beat and standbys listen; a beat is heard for three of these.
    pub(super) fn beat_every(&self) -> Duration {
        self.lease.ttl() / 9
    }

    pub(super) fn beat_heard_for(&self) -> Duration {
        self.lease.ttl() / 3
    }
}

impl Default for LeadSettings {
    fn default() -> Self {
        match Self::try_new(LEASE_TTL_DEFAULT) {
            Ok(settings) => settings,
            Err(_) => unreachable!("the default lease is within its bounds"),
        }
    }
}
