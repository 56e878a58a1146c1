//! The leadership protocol, checked in every order in which its steps can happen.
//!
//! [stateright](https://docs.rs/stateright) walks all reachable states of [`model::Protocol`] and
//! compares each with the properties in [`property`]. Who may write is decided by the domain's own
//! [`Fence`](axs_domain::fencing::Fence): the model adds only what is around it.
//!
//! # What a step stands for
//!
//! | step | in AXS |
//! |---|---|
//! | [`LockLease`](step::Step::LockLease) | BEGIN, `lock_free_lease.sql`: the lease is free or over, or one's own; what is locked is skipped |
//! | [`RaiseToken`](step::Step::RaiseToken) | `raise_token.sql`, waiting for the row, and `grant_lease.sql` |
//! | [`Stage`](step::Step::Stage) | BEGIN, `copy_staging.sql`: nothing is locked |
//! | [`Look`](step::Step::Look) | `fence.sql`, waiting for the row |
//! | [`Write`](step::Step::Write) | `apply.sql`, `insert_dead_letters.sql`, `store_offset.sql` |
//! | [`SendCommit`](step::Step::SendCommit) | COMMIT leaves the client; nothing is known from here on |
//! | [`Commits`](step::Step::Commits) | the server commits, its answer is on the way |
//! | [`HearsCommit`](step::Step::HearsCommit) | the answer arrives |
//! | [`LosesAnswer`](step::Step::LosesAnswer) | it does not, or COMMIT takes longer than `commit_timeout` |
//! | [`BackendEnds`](step::Step::BackendEnds) | `end_backend.sql` by a candidate, idle timeout, a dead peer |
//! | [`NoticesLoss`](step::Step::NoticesLoss) | the client's connection is found broken |
//! | [`Settle`](step::Step::Settle) | `settle.sql`, waiting for the row |
//! | [`GoesOn`](step::Step::GoesOn) | the worker acts on a verdict: continues, or ends its term |
//! | [`StepsDown`](step::Step::StepsDown) | the lease is unsure, or the worker drains |
//! | [`Crash`](step::Step::Crash) | kill -9, and a new process with a new owner id |
//! | [`FailsOver`](step::Step::FailsOver) | an asynchronous replica takes over; the last commits are lost |
//!
//! Statements run under READ COMMITTED: each sees what is committed when it begins or, if it waits
//! for a row, when it gets it. A statement that waits is a step that can't happen yet.
//!
//! # What needs no step of its own
//!
//! - **A pause.** Any process may take its next step at any time or never, whatever the others do
//!   meanwhile. A frozen process is one that does not move; its transaction stays open until it
//!   moves again or its backend is ended.
//! - **Clocks.** A lease may be over at any moment, also at once, and no process stops by its own
//!   count. Every real clock allows fewer orders of steps. `lease.rs` shows that the holder's count
//!   ends before the server's; safety must not rest on it, and here it can't.
//! - **Heartbeats.** Renewing a lease only keeps candidates away for a while.
//!
//! # What is not modelled
//!
//! - Balances, their versions and the INIT guard. They would stop a second writer too, and are left
//!   out so that the fence must hold alone.
//! - More than one partition: partitions share no row.
//! - `record_backend.sql`: every backend can be ended at any time here.
//! - Two terms of one process at once. A worker waits for its write before its process may take
//!   over again; were it not so, the token would tell the terms apart, since the owner would be the
//!   same.
//! - The incarnation, which is one and the same throughout: a failover changes it, and each break
//!   of a guard would then be covered by it.
//! - Liveness. That a successor comes within the lease is shown on real servers.
//! - A replica that lost something and keeps serving beside the old primary (two primaries): that
//!   is for the operator of the failover to prevent.
//!
//! # How far
//!
//! [`bounds::Bounds`] limit owners, tokens, offsets, crashes and failovers; within them every state
//! is visited, and a run that was cut fails. `cargo test` checks [`bounds::Bounds::SHORT`]. The
//! long form, for the night, is
//! `cargo test -p axs-domain --test leadership_model -- --ignored --nocapture`.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod database;
#[cfg(test)]
mod deviation;
#[cfg(test)]
mod model;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod process;
#[cfg(test)]
mod property;
#[cfg(test)]
mod sound;
#[cfg(test)]
mod step;
#[cfg(test)]
mod story;
#[cfg(test)]
mod symmetry;
