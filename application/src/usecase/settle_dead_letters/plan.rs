//! What redriving an entry would do. Pure.

use crate::port::change_log::{ChangeLogKey, ChangeLogRecord};
use crate::port::event_codec::{Envelope, EnvelopeError, EventCodec};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::log_status::LogStatus;
use bytes::Bytes;
use std::fmt;

/// What redriving would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedrivePlan {
    /// The parked row becomes INIT.
    Unpark,
    /// The event's row is INIT: the relay publishes it.
    Relay(ChangeLogKey),
    /// The event's row is final.
    Settle(LogStatus),
    /// Nothing, for this reason.
    Refuse(String),
}

impl RedrivePlan {
    pub(super) fn of_parked(row: Option<&ChangeLogRecord>) -> Self {
        match row.map(|row| (row.status, &row.key)) {
            Some((LogStatus::Parked, _)) => Self::Unpark,
            Some((LogStatus::Init, key)) => Self::Relay(key.clone()),
            Some((status, _)) => Self::Settle(status),
            None => Self::Refuse("its change log row is gone".to_owned()),
        }
    }
}

impl fmt::Display for RedrivePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpark => {
                f.write_str("makes the event INIT again; the relay publishes it under its log id")
            }
            Self::Relay(_) => f.write_str("the event is INIT: the relay publishes it from the log"),
            Self::Settle(status) => write!(
                f,
                "nothing is left to publish: the event is {}",
                match status {
                    LogStatus::Applied => "APPLIED",
                    _ => "REJECTED",
                }
            ),
            Self::Refuse(why) => write!(f, "refused: {why}"),
        }
    }
}

/// The envelope of a record, and the key of the row that it claims to be.
pub(super) fn decoded(
    codec: &dyn EventCodec,
    payload: Bytes,
) -> Result<(Envelope, ChangeLogKey), EnvelopeError> {
    let envelope = codec.decode_envelope(payload)?;
    let key = ChangeLogKey {
        shard_id: envelope.header.shard_id,
        account_id: envelope.event.account_id(),
        idempotency_key: envelope.event.idempotency_key().clone(),
    };
    Ok((envelope, key))
}

/// What is to be done with a dead record whose claimed row is `row`.
pub(super) fn plan(
    decoded: Result<&(Envelope, ChangeLogKey), &EnvelopeError>,
    row: Option<&ChangeLogRecord>,
) -> RedrivePlan {
    let refuse = |why: &str| RedrivePlan::Refuse(format!("{why}; it never was an accepted event"));
    let (envelope, key) = match decoded {
        Ok(decoded) => decoded,
        Err(newer @ EnvelopeError::NewerVersion { .. }) => {
            return RedrivePlan::Refuse(format!("{newer}: use a newer build"));
        }
        Err(undecodable) => return refuse(&undecodable.to_string()),
    };
    let Some(row) = row else {
        return refuse("no log row has its account and key");
    };
    if row.log_id != envelope.header.log_id {
        return refuse("the log row with its account and key has another log id");
    }
    let is_the_same = row.fingerprint == Fingerprint::of(&envelope.event)
        && row.logged_at == envelope.header.logged_at;
    if !is_the_same {
        return refuse("its log row holds other content or another time");
    }
    match row.status {
        LogStatus::Init => RedrivePlan::Relay(key.clone()),
        LogStatus::Parked => RedrivePlan::Refuse(
            "its event is parked: redrive or discard the parked entry".to_owned(),
        ),
        LogStatus::Applied | LogStatus::Rejected => RedrivePlan::Settle(row.status),
    }
}
