//! The balance core, pure: amounts, balances, changes, rules, fencing, idempotency.
//!
//! Nothing here awaits, reads a clock, draws a random number or knows a framework. Time, ids and
//! chance are arguments. What this crate may know is what its manifest lists.
//!
//! | noun | file |
//! |---|---|
//! | whose balances these are | [`account`] |
//! | exact decimal money | [`amount`] |
//! | typed ids and bounded texts | [`id`], [`text`] |
//! | registered currencies | [`currency`] |
//! | what an account owns | [`balance`] |
//! | what a client asks for | [`change`], [`event`] |
//! | text becomes an event, or all that is wrong with it | [`event_draft`] |
//! | same key, same content | [`fingerprint`] |
//! | the domain's "no" | [`rejection`] |
//! | business rules | [`rule`] |
//! | the decision | [`decision`], [`book`] |
//! | the life of a log row | [`log_status`] |
//! | who may write | [`fencing`], [`lease`], [`quota`] |
//! | which history of the database | [`incarnation`] |
//! | account → shard → partition | [`layout`], [`layout_raise`] |
//! | a record of the topic is known again | [`record_digest`] |

pub mod account;
pub mod amount;
pub mod balance;
pub mod book;
pub mod change;
pub mod currency;
pub mod decision;
pub mod event;
pub mod event_draft;
pub mod fencing;
pub mod fingerprint;
pub mod id;
pub mod incarnation;
pub mod layout;
pub mod layout_raise;
pub mod lease;
pub mod log_status;
pub mod quota;
pub mod record_digest;
pub mod rejection;
pub mod rule;
pub mod text;
pub mod time;
