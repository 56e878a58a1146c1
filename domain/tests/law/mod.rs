//! One file for each subject; one claim for each test.

mod agreement;
mod amount;
mod batch;
mod conservation;
mod credit;
mod decision;
mod event;
mod event_draft;
mod fallback;
mod fingerprint;
mod layout;
mod layout_raise;
mod rule_set;
