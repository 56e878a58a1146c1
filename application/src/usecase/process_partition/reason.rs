//! Reasons as they are stored.

use crate::port::change_log::REASON_LENGTH_MAX;

/// The text, fit for storing: without control characters (PostgreSQL can't store NUL, and what
/// strangers wrote to the topic may hold any) and at most [`REASON_LENGTH_MAX`] bytes.
pub(super) fn storable(text: &str) -> String {
    let mut stored = String::with_capacity(text.len().min(REASON_LENGTH_MAX));
    for character in text.chars() {
        let character = if character.is_control() {
            '\u{fffd}'
        } else {
            character
        };
        if stored.len() + character.len_utf8() > REASON_LENGTH_MAX {
            break;
        }
        stored.push(character);
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_reason_is_bounded_in_bytes_and_holds_no_control_character() {
        assert_eq!(storable("plain"), "plain");
        assert_eq!(storable("a\0b\n"), "a\u{fffd}b\u{fffd}");
        let long = storable(&"\u{4f60}".repeat(REASON_LENGTH_MAX));
        assert!(long.len() <= REASON_LENGTH_MAX && long.len() > REASON_LENGTH_MAX - 3);
    }
}
