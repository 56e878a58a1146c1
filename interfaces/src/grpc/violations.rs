//! What is wrong with the fields of one item, all of it.

use super::field_path::FieldPath;
use axs_domain::event_draft::{FLAWS_MAX, Flaws};
use axs_proto::v1;
use std::fmt;

/// The most violations that one refusal lists. A batch of refusals must fit into a message.
pub(super) const VIOLATIONS_MAX: usize = FLAWS_MAX;

/// Collects the violations of one item.
#[derive(Debug, Default)]
pub(super) struct Violations {
    listed: Vec<v1::FieldViolation>,
    unlisted: usize,
}

impl Violations {
    /// The flaws of the event at `path`.
    pub(super) fn of(path: &FieldPath<'_>, flaws: &Flaws) -> Self {
        Self {
            listed: flaws
                .listed()
                .map(|flaw| v1::FieldViolation {
                    field: format!("{path}.{}", flaw.field),
                    description: flaw.problem.clone(),
                })
                .collect(),
            unlisted: flaws.unlisted(),
        }
    }

    /// Notes that a field is wrong.
    pub(super) fn add(&mut self, path: &FieldPath<'_>, description: impl fmt::Display) {
        if self.listed.len() == VIOLATIONS_MAX {
            self.unlisted += 1;
        } else {
            self.listed.push(v1::FieldViolation {
                field: path.to_string(),
                description: description.to_string(),
            });
        }
    }

    /// The value, or a note of why there is none.
    pub(super) fn keep<T, E: fmt::Display>(
        &mut self,
        path: &FieldPath<'_>,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed.map_err(|error| self.add(path, error)).ok()
    }

    /// Whether nothing was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The refusal of the item.
    pub(super) fn into_refusal(self) -> v1::Refusal {
        let count = self.listed.len() + self.unlisted;
        let message = match self.listed.first() {
            Some(only) if count == 1 => format!("{} {}", only.field, only.description),
            Some(first) if self.unlisted == 0 => format!(
                "{count} fields are wrong; the first: {} {}",
                first.field, first.description
            ),
            Some(first) => format!(
                "{count} fields are wrong, of which {VIOLATIONS_MAX} are listed; the first: {} {}",
                first.field, first.description
            ),
            None => "a field is wrong".to_owned(),
        };
        v1::Refusal {
            code: v1::RefusalCode::InvalidField.into(),
            message,
            retry_after_msec: 0,
            violations: self.listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lists_violations_up_to_its_bound_and_counts_the_others() {
        let mut violations = Violations::default();
        for index in 0..VIOLATIONS_MAX + 3 {
            violations.add(&FieldPath::element("events", index), "is empty");
        }
        let refusal = violations.into_refusal();
        assert_eq!(refusal.violations.len(), VIOLATIONS_MAX);
        assert_eq!(
            refusal.message,
            "23 fields are wrong, of which 20 are listed; the first: events[0] is empty"
        );
        assert_eq!(refusal.code(), v1::RefusalCode::InvalidField);
    }
}
