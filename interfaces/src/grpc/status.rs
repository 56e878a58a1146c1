//! Refusals of whole requests, as gRPC statuses that say what to do next.

use axs_application::port::store_error::StoreError;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of this service's error reasons, by `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "axs.v1";

/// The reason of an answer that leaves the outcome of a write unknown.
pub const REASON_OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// The reason of an answer to a read that no store could give.
pub const REASON_STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";

/// The reason of a refusal for too many events under way.
pub const REASON_BACKLOG_FULL: &str = "BACKLOG_FULL";

/// The reason of a fault that a person must look at.
pub const REASON_CORRUPT: &str = "STORE_CORRUPT";

/// Whether a failed request can have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Reads,
    /// It writes, and sending it again settles what became of it.
    Writes,
}

/// A field of the request itself is wrong, so that no item was looked at.
pub(super) fn invalid_argument(field: &str, description: &str) -> Status {
    Status::with_error_details(
        Code::InvalidArgument,
        format!("{field} {description}"),
        ErrorDetails::with_bad_request_violation(field, description),
    )
}

/// Nothing was logged: too much is under way.
pub(super) fn backlog_full(retry_after: Duration) -> Status {
    let mut details = error_info(REASON_BACKLOG_FULL);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(
        Code::ResourceExhausted,
        format!(
            "the backlog is full and nothing was logged; try again after {} ms",
            retry_after.as_millis()
        ),
        details,
    )
}

/// A store failed.
pub(super) fn store_failed(error: &StoreError, effect: Effect) -> Status {
    match (error, effect) {
        (StoreError::Unavailable { .. }, Effect::Reads) => Status::with_error_details(
            Code::Unavailable,
            format!("{error}; reading again is safe"),
            error_info(REASON_STORE_UNAVAILABLE),
        ),
        (StoreError::Unavailable { .. }, Effect::Writes) => {
            outcome_unknown(Code::Unavailable, &error.to_string())
        }
        (StoreError::Corrupt { .. }, _) => Status::with_error_details(
            Code::DataLoss,
            error.to_string(),
            error_info(REASON_CORRUPT),
        ),
    }
}

/// The request took too long; what it began goes on.
pub(super) fn too_late(limit: Duration, effect: Effect) -> Status {
    let message = format!("no answer within {} ms", limit.as_millis());
    match effect {
        Effect::Reads => Status::deadline_exceeded(message),
        Effect::Writes => outcome_unknown(Code::DeadlineExceeded, &message),
    }
}

/// The use case ended by a fault of its own.
pub(super) fn fault(effect: Effect) -> Status {
    let message = "an internal fault, to be reported";
    match effect {
        Effect::Reads => Status::internal(message),
        Effect::Writes => outcome_unknown(Code::Internal, message),
    }
}

fn outcome_unknown(code: Code, cause: &str) -> Status {
    Status::with_error_details(
        code,
        format!("{cause}; the outcome is unknown: sending the same keys again settles it"),
        error_info(REASON_OUTCOME_UNKNOWN),
    )
}

fn error_info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> StoreError {
        StoreError::Unavailable {
            store: "PostgreSQL at db:5432".to_owned(),
            reason: "connection refused".to_owned(),
        }
    }

    fn reason(status: &Status) -> Option<String> {
        status.get_details_error_info().map(|info| info.reason)
    }

    #[test]
    fn an_unknown_outcome_says_how_it_is_settled_whatever_caused_it() {
        let statuses = [
            (
                store_failed(&away(), Effect::Writes),
                Code::Unavailable,
                "PostgreSQL at db:5432",
            ),
            (
                too_late(Duration::from_secs(2), Effect::Writes),
                Code::DeadlineExceeded,
                "within 2000 ms",
            ),
            (fault(Effect::Writes), Code::Internal, "internal fault"),
        ];
        for (status, code, cause) in statuses {
            assert_eq!(status.code(), code);
            assert!(status.message().contains(cause), "{status}");
            assert!(
                status
                    .message()
                    .contains("sending the same keys again settles it"),
                "{status}"
            );
            assert_eq!(reason(&status).as_deref(), Some(REASON_OUTCOME_UNKNOWN));
        }
    }

    #[test]
    fn a_failed_read_leaves_nothing_to_settle() {
        for status in [
            store_failed(&away(), Effect::Reads),
            too_late(Duration::from_secs(2), Effect::Reads),
            fault(Effect::Reads),
        ] {
            assert!(!status.message().contains("settles"), "{status}");
        }
    }

    #[test]
    fn a_full_backlog_carries_the_delay_to_wait() {
        let status = backlog_full(Duration::from_millis(250));
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(250)));
        assert_eq!(reason(&status).as_deref(), Some(REASON_BACKLOG_FULL));
    }

    #[test]
    fn a_store_that_holds_something_impossible_is_data_loss() {
        let error = StoreError::Corrupt {
            store: "PostgreSQL at db:5432".to_owned(),
            reason: "status 9".to_owned(),
        };
        let status = store_failed(&error, Effect::Writes);
        assert_eq!(status.code(), Code::DataLoss);
        assert_eq!(reason(&status).as_deref(), Some(REASON_CORRUPT));
    }
}
