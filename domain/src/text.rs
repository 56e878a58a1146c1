//! Bounded texts: labels and keys that clients choose.

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// No text where one is required.
    #[error("is empty")]
    Empty,
    /// More bytes of UTF-8 than the bound.
    #[error("is {length} bytes long; at most {max} are allowed")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A control character: PostgreSQL can't store NUL, and the others hide in logs.
    #[error("contains a control character")]
    ControlCharacter,
    /// White space at an end: two keys that look alike would differ.
    #[error("begins or ends with white space")]
    SurroundingSpace,
}

pub(crate) fn check(text: &str, max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > max {
        return Err(TextError::TooLong {
            length: text.len(),
            max,
        });
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::ControlCharacter);
    }
    if text.trim().len() != text.len() {
        return Err(TextError::SurroundingSpace);
    }
    Ok(())
}

macro_rules! bounded_text {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The longest text, in bytes of UTF-8.
            pub const LENGTH_MAX: usize = $max;

            /// Checks the text: not empty, within the bound, no control characters, no white
            /// space at either end.
            ///
            /// # Errors
            /// A [`TextError`] that says which of these fails.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                check(text, Self::LENGTH_MAX).map(|()| Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

bounded_text!(
    /// The client's label of an event. Not unique, and no part of what the event does.
    EventId, 128);
bounded_text!(
    /// What kind of event the client says this is, e.g. `order.hold`.
    EventType, 64);
bounded_text!(
    /// The client service that sent the event.
    SourceService, 64);
bounded_text!(
    /// The order that the event belongs to, in the client's own numbering.
    OrderId, 128);
bounded_text!(
    /// The client's label of a change, unique inside its event.
    ChangeId, 64);
bounded_text!(
    /// The key under which an account's event takes effect at most once.
    IdempotencyKey, 128);
bounded_text!(
    /// The name of a pool of shards, e.g. `retail`.
    PoolName, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_text_is_visible_trimmed_and_within_its_bound() {
        let rows: &[(&str, Result<(), TextError>)] = &[
            ("a", Ok(())),
            ("12345678", Ok(())),
            ("a b", Ok(())),
            ("\u{4f60}\u{597d}", Ok(())),
            ("", Err(TextError::Empty)),
            ("123456789", Err(TextError::TooLong { length: 9, max: 8 })),
            // Three characters, nine bytes: the bound counts what is stored.
            (
                "\u{4f60}\u{4f60}\u{4f60}",
                Err(TextError::TooLong { length: 9, max: 8 }),
            ),
            ("a\0", Err(TextError::ControlCharacter)),
            ("a\nb", Err(TextError::ControlCharacter)),
            ("\u{7f}", Err(TextError::ControlCharacter)),
            ("\u{85}", Err(TextError::ControlCharacter)),
            (" a", Err(TextError::SurroundingSpace)),
            ("a ", Err(TextError::SurroundingSpace)),
            ("a\u{3000}", Err(TextError::SurroundingSpace)),
            (" ", Err(TextError::SurroundingSpace)),
        ];
        for (text, expected) in rows {
            assert_eq!(check(text, 8), *expected, "{text:?}");
        }
    }

    #[test]
    fn each_text_has_the_bound_that_its_column_has() {
        let longest = |max: usize| "k".repeat(max);
        macro_rules! bound {
            ($($name:ident = $max:expr),+) => {$(
                assert_eq!($name::LENGTH_MAX, $max);
                assert_eq!($name::parse(&longest($max)).unwrap().as_str(), longest($max));
                assert_eq!(
                    $name::parse(&longest($max + 1)),
                    Err(TextError::TooLong { length: $max + 1, max: $max })
                );
            )+};
        }
        bound!(
            EventId = 128,
            EventType = 64,
            SourceService = 64,
            OrderId = 128,
            ChangeId = 64,
            IdempotencyKey = 128,
            PoolName = 32
        );
    }
}
