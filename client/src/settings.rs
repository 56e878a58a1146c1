//! What a client is told, and its bounds.

use crate::error::ClientError;
use axs_proto::v1::AckLevel;
use std::fmt;
use std::time::Duration;

/// The largest event, in bytes on the wire: more than the contract's bounds on every field allow,
/// and less than the smallest request that a server can be set to take.
pub const EVENT_BYTES_MAX: usize = 48 * 1024;

/// The bytes of events that share a request: what servers take by default (4 MiB), less room for
/// the request itself.
pub(crate) const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024 - 64 * 1024;

/// The largest response. Only retries of finished events are answered with their entries, so that
/// this is out of reach for all others.
pub(crate) const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The largest values that make sense: the servers' own bounds, and memory.
const REQUEST_EVENTS_LIMIT: usize = 10_000;
const REQUESTS_IN_FLIGHT_LIMIT: usize = 64;
const EVENTS_HELD_LIMIT: usize = 1_000_000;

/// The settings of a client. Change what differs from [`ClientSettings::default`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientSettings {
    /// How long the server waits before it answers: LOGGED unless it is set.
    pub ack_level: AckLevel,
    /// How long a call may take that names no deadline of its own, retries included: 30 s.
    pub deadline: Duration,
    /// How long one request may take before it is sent again: 10 s. Longer than the server needs
    /// for a commit under load and, for PUBLISHED, longer than its `published_wait_ms`.
    pub try_timeout: Duration,
    /// Events taken from callers and not answered yet, 1 to 1,000,000: 10,000. Beyond it callers
    /// wait, in their order. At most [`EVENT_BYTES_MAX`] bytes each; a few hundred are usual.
    pub events_held_max: usize,
    /// Events of one request, 1 to 10,000: 1,000, the server's default `batch_items_max`. When the
    /// server takes fewer, the client finds out.
    pub request_events_max: usize,
    /// Requests under way at once, 1 to 64: 4. See the crate's page for the measurement.
    pub requests_in_flight_max: usize,
    /// Sent as `authorization: Bearer …` with every request. The API itself asks for none; a proxy
    /// in front of it may.
    pub bearer_token: Option<String>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            ack_level: AckLevel::Logged,
            deadline: Duration::from_secs(30),
            try_timeout: Duration::from_secs(10),
            events_held_max: 10_000,
            request_events_max: 1_000,
            requests_in_flight_max: 4,
            bearer_token: None,
        }
    }
}

impl ClientSettings {
    /// Checks every bound.
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let rows = [
            ("events_held_max", self.events_held_max, EVENTS_HELD_LIMIT),
            (
                "request_events_max",
                self.request_events_max,
                REQUEST_EVENTS_LIMIT,
            ),
            (
                "requests_in_flight_max",
                self.requests_in_flight_max,
                REQUESTS_IN_FLIGHT_LIMIT,
            ),
        ];
        for (setting, value, max) in rows {
            if !(1..=max).contains(&value) {
                return Err(ClientError::OutOfBounds {
                    setting,
                    value,
                    min: 1,
                    max,
                });
            }
        }
        for (setting, value) in [
            ("deadline", self.deadline),
            ("try_timeout", self.try_timeout),
        ] {
            if value.is_zero() {
                return Err(ClientError::NoTime { setting });
            }
        }
        Ok(())
    }
}

/// Without the token.
impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings")
            .field("ack_level", &self.ack_level)
            .field("deadline", &self.deadline)
            .field("try_timeout", &self.try_timeout)
            .field("events_held_max", &self.events_held_max)
            .field("request_events_max", &self.request_events_max)
            .field("requests_in_flight_max", &self.requests_in_flight_max)
            .field("bearer_token", &self.bearer_token.as_ref().map(|_| "***"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_its_bounds_is_named() {
        let set = |change: fn(&mut ClientSettings)| {
            let mut settings = ClientSettings::default();
            change(&mut settings);
            settings.check().map_err(|error| error.to_string())
        };
        assert_eq!(set(|_| {}), Ok(()));
        for (error, begin) in [
            (set(|s| s.events_held_max = 0), "events_held_max: 0"),
            (
                set(|s| s.request_events_max = 10_001),
                "request_events_max: 10001",
            ),
            (
                set(|s| s.requests_in_flight_max = 65),
                "requests_in_flight_max: 65",
            ),
            (set(|s| s.deadline = Duration::ZERO), "deadline: must"),
        ] {
            let error = error.unwrap_err();
            assert!(error.starts_with(begin), "{error}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let settings = ClientSettings {
            bearer_token: Some("hushhush".to_owned()),
            ..ClientSettings::default()
        };
        assert!(!format!("{settings:?}").contains("hushhush"));
    }
}
