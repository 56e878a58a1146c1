//! Times and bounds of leading.

use crate::usecase::process_partition::ProcessSettings;
use crate::usecase::relay_lost_events::RelaySettings;
use axs_domain::lease::LeaseTimes;
use std::time::Duration;

/// How long the last balances may take to reach the cache at shutdown. A cache that is there takes
/// them in milliseconds; for one that is away, a longer wait would only hold up the stop.
pub(super) const CACHE_FLUSH_MAX: Duration = Duration::from_secs(2);

/// How long nothing may be read of a led partition, while records stand in its log or the log can't
/// be looked at, before the term ends. Longer than the brokers take to elect another leader of a
/// log, so that their failovers end no term.
pub(super) const READING_LOST_MAX: Duration = Duration::from_secs(30);

/// How a process leads.
#[derive(Debug, Clone)]
pub struct LeadSettings {
    /// How long PostgreSQL holds a lease, a registration and, in ninths of it, a beat.
    pub lease: LeaseTimes,
    /// Where the results of a term go; compared with the layout's.
    pub results_topic: String,
    /// How long draining may take at shutdown before terms are cut off.
    pub drain_max: Duration,
    /// How long a partition that was refused or stopped for a person's attention rests before it
    /// is tried again.
    pub refusal_pause: Duration,
    /// The workers.
    pub process: ProcessSettings,
    /// The relays.
    pub relay: RelaySettings,
    /// How long after a commit the cache answers nothing older than it, whether it was told or not:
    /// longer than a fill is served and on its way. Then its write holds the results offset no
    /// more.
    pub cache_moot_after: Duration,
}

impl LeadSettings {
    /// How often leaders beat and standbys listen; a beat is heard for three of these.
    pub(super) fn beat_every(&self) -> Duration {
        self.lease.ttl() / 9
    }

    /// How long the broker may take to describe the topic in a look.
    pub(super) fn broker_patience(&self) -> Duration {
        self.lease.ttl() / 2
    }

    /// How long no look may have shown the topic before this process gives way to others: one that
    /// is cut off from Kafka alone would keep its leases for ever and read nothing.
    pub(super) fn broker_lost_max(&self) -> Duration {
        self.lease.ttl()
    }

    /// How long a partition may be free before somebody takes it beyond its share: whoever's share
    /// it is refuses it or rests.
    pub(super) fn left_over_after(&self) -> Duration {
        self.lease.ttl()
    }

    /// How long a partition rests that can't be read from here: long enough for others to see that
    /// it is left over and to take it, also when it is this process's share.
    pub(super) fn out_of_reach_pause(&self) -> Duration {
        self.refusal_pause.max(2 * self.left_over_after())
    }

    /// How long a partition rests after so many tries in a row that a server's silence ended:
    /// longer and longer, so that others get their turn, and consumers that all can't read it don't
    /// take it from each other all the time.
    pub(super) fn retry_pause(&self, tries: u32) -> Duration {
        let first = self.lease.heartbeat_every();
        let pause = first.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
        pause.min(self.out_of_reach_pause())
    }

    pub(super) fn beat_heard_for(&self) -> Duration {
        self.lease.ttl() / 3
    }
}
