//! The fault suite: real processes on real servers under load, a fault, and then every promise
//! looked at. `make faults` runs it; `docs/faults.md` tells how to read it and how to add a row.
//!
//! | what | where |
//! |---|---|
//! | the rows of the table, a file for each group | [`rows`] |
//! | one row from start to end | [`run`], on a [`scene`] |
//! | what clients send and are answered | [`load`], [`journal`] |
//! | what is looked at while it runs | [`watch`], [`witness`] |
//! | the promises | [`invariant`], [`check`] |
//! | the table | [`report`] |

pub mod check;
pub mod failpoint;
pub mod invariant;
pub mod journal;
pub mod load;
pub mod quiet;
pub mod report;
pub mod row;
pub mod rows;
pub mod run;
pub mod scene;
pub mod server;
pub mod watch;
pub mod witness;
