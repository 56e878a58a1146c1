//! What all keys of one deployment begin with.

use std::fmt;
use std::sync::Arc;

/// A key's beginning: ASCII without white space and without braces, which would move the hash tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(Arc<str>);

/// A text that can't begin keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPrefixError {
    /// No text: two deployments on one Redis would share their keys.
    #[error("is empty")]
    Empty,
    /// Beyond [`KeyPrefix::LENGTH_MAX`].
    #[error("is {length} bytes long; at most {max} are allowed", max = KeyPrefix::LENGTH_MAX)]
    TooLong {
        /// Bytes found.
        length: usize,
    },
    /// A brace, a space, a control character, or no ASCII.
    #[error("may hold only visible ASCII other than '{{' and '}}'")]
    BadCharacter,
}

impl KeyPrefix {
    /// The longest prefix, in bytes: every key carries it.
    pub const LENGTH_MAX: usize = 64;

    /// Checks length and characters.
    ///
    /// # Errors
    /// [`KeyPrefixError`] that says which of the two fails.
    pub fn parse(text: &str) -> Result<Self, KeyPrefixError> {
        if text.is_empty() {
            return Err(KeyPrefixError::Empty);
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(KeyPrefixError::TooLong { length: text.len() });
        }
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
        if !text.bytes().all(allowed) {
            return Err(KeyPrefixError::BadCharacter);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_short_visible_and_without_braces() {
        let over_long = "x".repeat(65);
        let rows: &[(&str, Result<(), KeyPrefixError>)] = &[
            ("axs", Ok(())),
            ("axs:prod-1", Ok(())),
            ("", Err(KeyPrefixError::Empty)),
            (&over_long, Err(KeyPrefixError::TooLong { length: 65 })),
            ("a{b", Err(KeyPrefixError::BadCharacter)),
            ("a}b", Err(KeyPrefixError::BadCharacter)),
            ("a b", Err(KeyPrefixError::BadCharacter)),
            ("\u{e9}", Err(KeyPrefixError::BadCharacter)),
        ];
        for (text, expected) in rows {
            assert_eq!(KeyPrefix::parse(text).map(|_| ()), *expected, "{text:?}");
        }
    }
}
