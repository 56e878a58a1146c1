//! What a record of the topic was: enough to know it again.
//!
//! SHA-256 (FIPS 180-4) over the key and the payload, each with its length in front as 8 bytes
//! big-endian.

use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a digest.
pub const RECORD_DIGEST_LENGTH: usize = 32;

/// A hash of one record's key and payload. Kept for the last record below the stored offset, so
/// that a log which was made anew is told from the one whose offsets were stored, however long it
/// has grown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordDigest([u8; RECORD_DIGEST_LENGTH]);

impl RecordDigest {
    /// The digest of a record. A missing key or payload counts as an empty one, as it is read.
    #[must_use]
    pub fn of(key: &[u8], payload: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [key, payload] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// A digest read back from storage; `None` when it has another length.
    #[must_use]
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes as they are stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; RECORD_DIGEST_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for RecordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordDigest(")?;
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_key_and_what_is_payload_is_told_apart() {
        assert_ne!(RecordDigest::of(b"ab", b"c"), RecordDigest::of(b"a", b"bc"));
        assert_ne!(RecordDigest::of(b"", b"a"), RecordDigest::of(b"a", b""));
    }

    #[test]
    fn the_digest_of_stored_records_never_changes() {
        let digest = RecordDigest::of(b"7", b"payload");
        // printf '\0\0\0\0\0\0\0\0017\0\0\0\0\0\0\0\007payload' | sha256sum
        let expected = "0b4ca4c31e6b17b3335d5bbb7617128d2acef54a9a95f5158c7a09186cff83c3";
        let hex: String = digest
            .as_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, expected);
    }

    proptest! {
        #[test]
        fn it_is_read_back_as_it_was_stored(key: Vec<u8>, payload: Vec<u8>) {
            let digest = RecordDigest::of(&key, &payload);
            prop_assert_eq!(RecordDigest::restore(digest.as_bytes()), Some(digest));
            prop_assert_eq!(RecordDigest::restore(&digest.as_bytes()[1..]), None);
        }
    }
}
