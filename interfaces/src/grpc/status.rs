//! Refusals of whole requests, as gRPC statuses that say what to do next.

use super::violations::Violations;
use axs_application::port::store_error::StoreError;
use axs_proto::v1;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of this service's error reasons, by `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "axs.v1";

/// The reason of an answer that leaves the outcome of a write unknown.
pub const REASON_OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// The reason of an answer to a read that no store could give.
pub const REASON_STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";

/// The reason of a refusal for too many events under way.
pub const REASON_BACKLOG_FULL: &str = "BACKLOG_FULL";

/// The reason of a refusal while an operator changes the layout.
pub const REASON_WRITES_PAUSED: &str = "WRITES_PAUSED";

/// The reason of a refusal for too many reads at once.
pub const REASON_READS_BUSY: &str = "READS_BUSY";

/// The reason of a fault that a person must look at.
pub const REASON_CORRUPT: &str = "STORE_CORRUPT";

/// The reason of an answer to a request that the store refuses for a right that the role lacks.
pub const REASON_STORE_DENIED: &str = "STORE_DENIED";

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

/// Fields of the request itself are wrong, so that nothing was looked up.
pub(super) fn invalid_fields(wrong: Violations) -> Status {
    invalid_request(wrong.into_refusal())
}

/// The request itself is refused.
pub(super) fn invalid_request(refusal: v1::Refusal) -> Status {
    let violations: Vec<FieldViolation> = refusal
        .violations
        .into_iter()
        .map(|violation| FieldViolation::new(violation.field, violation.description))
        .collect();
    Status::with_error_details(
        Code::InvalidArgument,
        refusal.message,
        ErrorDetails::with_bad_request(violations),
    )
}

/// Nothing was logged: too much is under way.
pub(super) fn backlog_full(reason: &str, retry_after: Duration) -> Status {
    let consequence = "nothing was logged";
    exhausted(REASON_BACKLOG_FULL, reason, consequence, retry_after)
}

/// Nothing was logged: an operator changes the layout.
pub(super) fn writes_paused(reason: &str, retry_after: Duration) -> Status {
    let consequence = "nothing was logged";
    exhausted(REASON_WRITES_PAUSED, reason, consequence, retry_after)
}

/// Nothing was read: too many read at once.
pub(super) fn reads_busy(reason: &str, retry_after: Duration) -> Status {
    let consequence = "nothing was read";
    exhausted(REASON_READS_BUSY, reason, consequence, retry_after)
}

fn exhausted(reason: &str, cause: &str, consequence: &str, retry_after: Duration) -> Status {
    let mut details = error_info(reason);
    details.set_retry_info(Some(retry_after));
    let pause = retry_after.as_millis();
    Status::with_error_details(
        Code::ResourceExhausted,
        format!("{cause}; {consequence}, try again after {pause} ms"),
        details,
    )
}

/// Something that an operator sets up once is not there yet.
pub(super) fn not_set_up(reason: &str) -> Status {
    Status::failed_precondition(reason)
}

/// What was asked for is not in the log, as far as is known.
pub(super) fn event_not_found() -> Status {
    Status::not_found(
        "no such event is in the log; that settles nothing while a request that carried it may be \
         under way: sending the same key again does",
    )
}

/// A store failed.
pub(super) fn store_failed(error: &StoreError, effect: Effect) -> Status {
    match error {
        StoreError::Unavailable { .. } => unavailable(&error.to_string(), effect),
        StoreError::Denied { .. } => denied(&error.to_string(), effect),
        StoreError::Corrupt { .. } => corrupt(&error.to_string()),
    }
}

/// A store is away, too slow or too busy.
pub(super) fn unavailable(reason: &str, effect: Effect) -> Status {
    match effect {
        Effect::Reads => Status::with_error_details(
            Code::Unavailable,
            format!("{reason}; reading again is safe"),
            error_info(REASON_STORE_UNAVAILABLE),
        ),
        Effect::Writes => outcome_unknown(Code::Unavailable, reason),
    }
}

/// A store refuses it for a right that the role lacks. A statement that is refused has no effect.
pub(super) fn denied(reason: &str, effect: Effect) -> Status {
    let consequence = match effect {
        Effect::Reads => "nothing was read",
        Effect::Writes => "nothing was written by what was refused",
    };
    Status::with_error_details(
        Code::FailedPrecondition,
        format!("{reason}; {consequence}"),
        error_info(REASON_STORE_DENIED),
    )
}

/// A store holds something impossible.
pub(super) fn corrupt(reason: &str) -> Status {
    Status::with_error_details(Code::DataLoss, reason, error_info(REASON_CORRUPT))
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
        let status = backlog_full("8 of 8 are under way", Duration::from_millis(250));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.message(),
            "8 of 8 are under way; nothing was logged, try again after 250 ms"
        );
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(250)));
        assert_eq!(reason(&status).as_deref(), Some(REASON_BACKLOG_FULL));
    }

    #[test]
    fn a_right_that_is_lacking_is_definite_and_leaves_nothing_to_settle() {
        let error = StoreError::Denied {
            store: "PostgreSQL at db:5432".to_owned(),
            reason: "permission denied for table accounts".to_owned(),
        };
        for effect in [Effect::Reads, Effect::Writes] {
            let status = store_failed(&error, effect);
            assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
            assert_eq!(reason(&status).as_deref(), Some(REASON_STORE_DENIED));
            assert!(status.message().contains("table accounts"), "{status}");
            assert!(!status.message().contains("unknown"), "{status}");
        }
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
