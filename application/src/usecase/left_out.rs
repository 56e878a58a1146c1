//! Rules that a test leaves out, to show that somebody notices.
//!
//! Each asks a point named `break.…`, which is nothing, and `false`, without the feature
//! `failpoints`.

/// A second copy of an event in a batch is decided like any other.
pub(crate) fn second_copy() -> bool {
    fail::fail_point!("break.second_copy", |_| true);
    false
}

/// A refusal stands although the batch that it was decided on was not written.
pub(crate) fn refusal_kept() -> bool {
    fail::fail_point!("break.refusal_kept", |_| true);
    false
}

/// Balances go to the cache when their batch begins to be written.
pub(crate) fn cache_before_commit() -> bool {
    fail::fail_point!("break.cache_before_commit", |_| true);
    false
}

/// The relay goes by log ids alone: what has an id of the time it has scanned is done.
pub(crate) fn relay_cursor() -> bool {
    fail::fail_point!("break.relay_cursor", |_| true);
    false
}
