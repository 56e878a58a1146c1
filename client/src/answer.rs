//! What the server answers for one event.

use axs_proto::v1;
use std::fmt;
use std::time::Duration;

/// The server's word on one event: it is settled.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The event is logged, now or earlier under the same key, and can't be lost.
    Accepted(Accepted),
    /// The event was not taken. It has no effect.
    Refused(Refusal),
}

impl Answer {
    /// The accepted event, if it is one.
    #[must_use]
    pub fn accepted(self) -> Option<Accepted> {
        match self {
            Self::Accepted(accepted) => Some(accepted),
            Self::Refused(_) => None,
        }
    }
}

/// A logged event.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The id of its change log row, a UUID.
    pub log_id: String,
    /// Whether the server knew the key, with the same content. Also true when an earlier try of
    /// this very call was logged and its answer lost.
    pub duplicate: bool,
    /// Whether it is known to be on the events topic; always false for
    /// [`AckLevel::Logged`](crate::AckLevel::Logged).
    pub published: bool,
    /// Where it stands: pending, or its result with entries, or the rejection with its code and
    /// reason.
    pub state: v1::EventState,
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The kind; `Unspecified` for one that this build does not know.
    pub code: v1::RefusalCode,
    /// What is wrong and, where it is known, what is expected.
    pub message: String,
    /// The fields that are wrong, by their paths inside the event, e.g.
    /// `changes[0].available_delta`; an empty path is the event itself.
    pub violations: Vec<v1::FieldViolation>,
    /// After which time the same event may be taken; `None` when waiting does not help.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The refusal of the event that stood at `index` of a request. That place means nothing to
    /// the caller, so it is taken out of paths and message.
    pub(crate) fn of_item(index: usize, refusal: v1::Refusal) -> Self {
        let code = refusal.code();
        let element = format!("events[{index}]");
        let inside = format!("{element}.");
        let violations = refusal.violations.into_iter().map(|violation| {
            let field = match violation.field.strip_prefix(&element) {
                Some(rest) => rest.strip_prefix('.').unwrap_or(rest).to_owned(),
                None => violation.field,
            };
            v1::FieldViolation { field, ..violation }
        });
        let delay = u64::try_from(refusal.retry_after_msec).unwrap_or(0);
        Self {
            code,
            message: refusal
                .message
                .replace(&inside, "")
                .replace(&element, "the event"),
            violations: violations.collect(),
            retry_after: (delay > 0).then(|| Duration::from_millis(delay)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str_name(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_speaks_of_the_event_and_not_of_its_place_in_a_request() {
        let violation = |field: &str| v1::FieldViolation {
            field: field.to_owned(),
            description: "is wrong".to_owned(),
        };
        let refusal = Refusal::of_item(
            12,
            v1::Refusal {
                code: v1::RefusalCode::InvalidField.into(),
                message: "events[12].changes[0].x is wrong; events[12] is wrong".to_owned(),
                violations: vec![
                    violation("events[12].changes[0].x"),
                    violation("events[12]"),
                ],
                retry_after_msec: -1,
            },
        );
        let paths: Vec<&str> = refusal
            .violations
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(paths, ["changes[0].x", ""]);
        assert_eq!(refusal.message, "changes[0].x is wrong; the event is wrong");
        assert_eq!(refusal.retry_after, None);
    }
}
