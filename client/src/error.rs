//! Why a call has no answer, and what the caller does.

use crate::answer::Refusal;
use axs_proto::v1::FieldViolation;
use std::time::Duration;
use tonic::Code;

/// A call ended without the server's word on its event.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// Definite: this call logged nothing, and the event has no effect by it. (What an earlier call
    /// with the same key logged stands.)
    #[error("not logged: {0}")]
    NotLogged(Cause),
    /// The event may be logged, and may still become so. Send the same key again: it settles what
    /// happened. A look-up that finds nothing settles nothing.
    #[error("unknown: send the same key again; {0}")]
    Unknown(Cause),
}

impl SubmitError {
    pub(crate) const fn new(maybe_logged: bool, cause: Cause) -> Self {
        if maybe_logged {
            Self::Unknown(cause)
        } else {
            Self::NotLogged(cause)
        }
    }

    /// Whether the event may be logged.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// What the last try came to.
    #[must_use]
    pub const fn cause(&self) -> &Cause {
        match self {
            Self::NotLogged(cause) | Self::Unknown(cause) => cause,
        }
    }

    /// The server's reason, e.g. `BACKLOG_FULL`, where it gave one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self.cause() {
            Cause::Status(status) => status.reason.as_deref(),
            Cause::Refused(refusal) => Some(refusal.code.as_str_name()),
            _ => None,
        }
    }

    /// The delay after which the server asked to try again, where it asked.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.cause() {
            Cause::Status(status) => status.retry_after,
            Cause::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }
}

/// What the last try came to before the deadline passed or trying again was of no use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Cause {
    /// The deadline passed while the event waited: for room among those held, for earlier events
    /// of its account, or for a request under way to end.
    #[error("the deadline passed before the event was sent")]
    NotSent,
    /// The deadline passed while the request with the event was under way.
    #[error("the deadline passed before an answer came")]
    NoAnswer,
    /// A request was answered by a status.
    #[error("{0}")]
    Status(StatusCause),
    /// The server can't tell what became of this event.
    #[error("{0}")]
    Unsettled(String),
    /// The server did not take the event: for now, and the delay that it asked for went beyond the
    /// deadline; or at all, after an earlier try whose outcome is unknown.
    #[error("{0}")]
    Refused(Refusal),
    /// The event is larger than any that the server takes.
    #[error("the event has {bytes} bytes; at most {max} are allowed")]
    TooLarge {
        /// Its size on the wire.
        bytes: usize,
        /// The bound: [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX).
        max: usize,
    },
    /// The runtime that carried the client's requests has ended.
    #[error("the client's runtime has ended")]
    Stopped,
}

/// A status with its details.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct StatusCause {
    /// The gRPC code.
    pub code: Code,
    /// The server's reason by `google.rpc.ErrorInfo`, e.g. `WRITES_PAUSED`.
    pub reason: Option<String>,
    /// The words that came with it.
    pub message: String,
    /// The delay by `google.rpc.RetryInfo`.
    pub retry_after: Option<Duration>,
    /// The fields by `google.rpc.BadRequest`.
    pub violations: Vec<FieldViolation>,
}

/// A client can't be made of these settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It was made outside of a tokio runtime.
    #[error("a client is made inside the tokio runtime that is to carry its requests")]
    NoRuntime,
    /// A setting is out of its bounds.
    #[error("{setting}: {value} is not between {min} and {max}")]
    OutOfBounds {
        /// Its name.
        setting: &'static str,
        /// What it was set to.
        value: usize,
        /// The smallest value that is allowed.
        min: usize,
        /// The largest.
        max: usize,
    },
    /// A deadline or a timeout of nothing.
    #[error("{setting}: must be longer than nothing")]
    NoTime {
        /// The setting's name.
        setting: &'static str,
    },
    /// The token has characters that no header may hold.
    #[error("bearer_token: holds characters that a header can't carry")]
    BadToken,
    /// The address makes no endpoint.
    #[error("address: {0:?} is no address such as http://127.0.0.1:50051")]
    BadAddress(String, #[source] tonic::transport::Error),
    /// The address does not say how to connect.
    #[error("address: {0:?} begins with neither http:// nor https://")]
    NoScheme(String),
}
