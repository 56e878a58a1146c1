//! The fingerprint of an event's content: same key and same fingerprint is the same request.
//!
//! Content is what the event does and for whom: type, account, user, source service, order and
//! the changes with their currencies and deltas. Labels that a retry may make anew (`event_id`,
//! `change_id`) and `created_msec` are not content; nor is the key, under which it is compared.
//!
//! Version 1: the first 16 bytes of SHA-256 (FIPS 180-4) over the fields in order, each text
//! with its length in front as 8 bytes big-endian, each number as its two's complement bytes
//! big-endian, each option as one byte 0 or 1 before it. A first byte carries the version.

use crate::change::CurrencyDelta;
use crate::event::BalanceChangeEvent;
use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a fingerprint: one of version, 16 of hash.
pub const FINGERPRINT_LENGTH: usize = 17;

const VERSION: u8 = 1;

/// A versioned hash of an event's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; FINGERPRINT_LENGTH]);

impl Fingerprint {
    /// The fingerprint of the event's content.
    #[must_use]
    pub fn of(event: &BalanceChangeEvent) -> Self {
        let mut hash = Sha256::new();
        text(&mut hash, event.event_type().as_str());
        hash.update(event.account_id().value().to_be_bytes());
        hash.update(event.user_id().value().to_be_bytes());
        text(&mut hash, event.source_service().as_str());
        match event.related_order_id() {
            Some(order) => {
                hash.update([1]);
                text(&mut hash, order.as_str());
            }
            None => hash.update([0]),
        }
        hash.update((event.changes().len() as u64).to_be_bytes());
        for change in event.changes() {
            currency_delta(&mut hash, &change.primary);
            match &change.fallback {
                Some(fallback) => {
                    hash.update([1]);
                    currency_delta(&mut hash, fallback);
                }
                None => hash.update([0]),
            }
        }
        let mut bytes = [0; FINGERPRINT_LENGTH];
        bytes[0] = VERSION;
        bytes[1..].copy_from_slice(&hash.finalize()[..FINGERPRINT_LENGTH - 1]);
        Self(bytes)
    }

    /// A fingerprint read back from storage; `None` when the length is not
    /// [`FINGERPRINT_LENGTH`] or the version is not one that [`Fingerprint::of`] makes.
    ///
    /// Fingerprints of two versions differ even for one content, so an unknown version must never
    /// be compared: it would pass for other content.
    #[must_use]
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; FINGERPRINT_LENGTH] = bytes.try_into().ok()?;
        (bytes[0] == VERSION).then_some(Self(bytes))
    }

    /// The bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; FINGERPRINT_LENGTH] {
        &self.0
    }
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

fn currency_delta(hash: &mut Sha256, part: &CurrencyDelta) {
    text(hash, part.currency.as_str());
    hash.update(part.delta.available.units().to_be_bytes());
    hash.update(part.delta.frozen.units().to_be_bytes());
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Names the content fields in which two events differ, as paths inside the event.
///
/// Empty exactly when the two have the same content, hence the same fingerprint.
#[must_use]
pub fn differing_fields(first: &BalanceChangeEvent, second: &BalanceChangeEvent) -> Vec<String> {
    let mut fields = Vec::new();
    let mut note = |differs: bool, path: String| {
        if differs {
            fields.push(path);
        }
    };
    note(
        first.event_type() != second.event_type(),
        "event_type".into(),
    );
    note(
        first.account_id() != second.account_id(),
        "account_id".into(),
    );
    note(first.user_id() != second.user_id(), "user_id".into());
    note(
        first.source_service() != second.source_service(),
        "source_service".into(),
    );
    note(
        first.related_order_id() != second.related_order_id(),
        "related_order_id".into(),
    );
    note(
        first.changes().len() != second.changes().len(),
        "changes".into(),
    );
    for (index, (a, b)) in first.changes().iter().zip(second.changes()).enumerate() {
        let at = format!("changes[{index}]");
        note(
            a.primary.currency != b.primary.currency,
            format!("{at}.currency_code"),
        );
        note(
            a.primary.delta.available != b.primary.delta.available,
            format!("{at}.available_delta"),
        );
        note(
            a.primary.delta.frozen != b.primary.delta.frozen,
            format!("{at}.frozen_delta"),
        );
        note(a.fallback != b.fallback, format!("{at}.fallback"));
    }
    fields
}
