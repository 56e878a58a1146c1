//! The rows, a file for each group of faults. A new fault is a new entry in one of them.

mod api;
mod breaks;
mod clock;
mod connection;
mod cut_off;
mod kafka;
mod killed;
mod poison;
mod postgres;
mod redis;
mod rivals;
mod stopped;
mod traffic;

use super::row::Row;

/// Every row, in the order of the table.
#[must_use]
pub fn all() -> Vec<&'static Row> {
    [
        api::ROWS,
        killed::ROWS,
        connection::ROWS,
        stopped::ROWS,
        cut_off::ROWS,
        postgres::ROWS,
        kafka::ROWS,
        redis::ROWS,
        rivals::ROWS,
        poison::ROWS,
        traffic::ROWS,
        clock::ROWS,
        breaks::ROWS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The row of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Row> {
    all().into_iter().find(|row| row.name == name)
}
