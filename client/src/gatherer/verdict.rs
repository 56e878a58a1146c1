//! What an answer means for each event of its request.

use crate::answer::{Accepted, Answer, Refusal};
use crate::error::{Cause, StatusCause};
use crate::wire::Failure;
use axs_proto::v1::{self, submit_result};
use std::error::Error;
use std::time::Duration;
use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

/// Whose reasons mean what the contract says: `google.rpc.ErrorInfo`'s domain of AXS. Behind a
/// proxy, other parties may answer with the same codes.
const ERROR_DOMAIN: &str = "axs.v1";

/// The reason of a refusal while an operator changes the layout: it concerns every account.
const REASON_WRITES_PAUSED: &str = "WRITES_PAUSED";

/// The field whose violation means that a request holds too many events.
const EVENTS_FIELD: &str = "events";

/// What becomes of one event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// The caller gets the answer.
    Answered(Answer),
    /// Trying again is of no use. This try logged nothing.
    Failed(Cause),
    /// It is sent again.
    Again {
        /// Whether this try may have logged it.
        maybe_logged: bool,
        /// What this try came to.
        cause: Cause,
        /// When.
        rest: Rest,
    },
}

/// How long an event, and with it its account, waits before it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Not at all.
    None,
    /// As long as the sender whose request failed: another sender would try too soon.
    WithSender,
    /// As long as its own tries suggest.
    ByTries,
    /// As long as the server asked.
    AsAsked(Duration),
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The server answered for each event, in their order.
    Each(Vec<Fate>),
    /// All have the same fate. The sender pauses, at least for this long, when the fault is not
    /// one of these events.
    All(Fate, Option<Duration>),
    /// Too large for the server: again, in smaller requests.
    Smaller {
        /// Whether the events may be logged nevertheless.
        maybe_logged: bool,
        /// What this try came to.
        cause: Cause,
    },
}

/// Judges what came back for a request of `count` events.
pub(crate) fn judge(answer: Result<Vec<v1::SubmitResult>, Failure>, count: usize) -> Verdict {
    match answer {
        Ok(results) if results.len() == count => {
            let fates = results.into_iter().enumerate();
            Verdict::Each(fates.map(|(index, result)| fate(index, result)).collect())
        }
        Ok(results) => {
            let found = results.len();
            let text = format!("the server gave {found} results for {count} events");
            unknown(Cause::Unsettled(text))
        }
        Err(Failure::TimedOut) => unknown(Cause::NoAnswer),
        Err(Failure::Status(status)) => judge_status(&status, count),
    }
}

fn fate(index: usize, result: v1::SubmitResult) -> Fate {
    match result.outcome {
        Some(submit_result::Outcome::Accepted(accepted)) => {
            Fate::Answered(Answer::Accepted(Accepted {
                log_id: accepted.log_id,
                duplicate: accepted.duplicate,
                published: accepted.published,
                state: accepted.state.unwrap_or_default(),
            }))
        }
        Some(submit_result::Outcome::Refused(refused)) => {
            let refusal = Refusal::of_item(index, refused);
            match refusal.retry_after {
                // This try logged nothing; what an earlier one logged stands.
                Some(delay) => Fate::Again {
                    maybe_logged: false,
                    cause: Cause::Refused(refusal),
                    rest: Rest::AsAsked(delay),
                },
                None => Fate::Answered(Answer::Refused(refusal)),
            }
        }
        Some(submit_result::Outcome::Unknown(unknown)) => Fate::Again {
            maybe_logged: true,
            cause: Cause::Unsettled(unknown.message),
            rest: Rest::ByTries,
        },
        None => Fate::Again {
            maybe_logged: true,
            cause: Cause::Unsettled("the server gave a result without an outcome".to_owned()),
            rest: Rest::ByTries,
        },
    }
}

fn judge_status(status: &Status, count: usize) -> Verdict {
    let cause = status_cause(status);
    let info = status.get_details_error_info();
    let reason = info
        .filter(|info| info.domain == ERROR_DOMAIN)
        .map(|info| info.reason);
    match status.code() {
        Code::ResourceExhausted if reason.is_some() => {
            let delay = cause.retry_after.unwrap_or_default();
            let (rest, sender) = if reason.as_deref() == Some(REASON_WRITES_PAUSED) {
                (Rest::WithSender, Some(delay))
            } else {
                (Rest::AsAsked(delay), None)
            };
            let again = Fate::Again {
                maybe_logged: false,
                cause: Cause::Status(cause),
                rest,
            };
            Verdict::All(again, sender)
        }
        Code::InvalidArgument if count > 1 && names_events(&cause) => Verdict::Smaller {
            maybe_logged: false,
            cause: Cause::Status(cause),
        },
        // Too large was the request, and nothing is logged, or the response, and all of it is.
        Code::OutOfRange if count > 1 => Verdict::Smaller {
            maybe_logged: true,
            cause: Cause::Status(cause),
        },
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::NotFound => Verdict::All(Fate::Failed(Cause::Status(cause)), None),
        _ if never_connected(status) => {
            let again = Fate::Again {
                maybe_logged: false,
                cause: Cause::Status(cause),
                rest: Rest::WithSender,
            };
            Verdict::All(again, Some(Duration::ZERO))
        }
        _ => {
            let pause = cause.retry_after.unwrap_or_default();
            let again = Fate::Again {
                maybe_logged: true,
                cause: Cause::Status(cause),
                rest: Rest::WithSender,
            };
            Verdict::All(again, Some(pause))
        }
    }
}

fn unknown(cause: Cause) -> Verdict {
    let again = Fate::Again {
        maybe_logged: true,
        cause,
        rest: Rest::WithSender,
    };
    Verdict::All(again, Some(Duration::ZERO))
}

fn names_events(cause: &StatusCause) -> bool {
    let fields = cause.violations.iter();
    fields.into_iter().any(|it| it.field == EVENTS_FIELD)
}

/// Whether the request can't have left this machine: there was no connection for it.
fn never_connected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn status_cause(status: &Status) -> StatusCause {
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    let mut message = status.message().to_owned();
    // The transport keeps what really happened in the sources.
    let mut source = status.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = error.source();
    }
    StatusCause {
        code: status.code(),
        reason: details.error_info().map(|info| info.reason.clone()),
        message,
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
        violations: violations
            .unwrap_or_default()
            .into_iter()
            .map(|violation| v1::FieldViolation {
                field: violation.field,
                description: violation.description,
            })
            .collect(),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
