//! The load: events submitted over gRPC by a thread of its own, in a closed or an open loop.
//!
//! It shares the machine with what it measures, so it is made to cost little: requests are written
//! straight to the bytes of the wire ([`wire`]), answers are only looked through ([`answer`]), and
//! one thread does it all.

mod answer;
mod client_loop;
mod closed_loop;
mod codec;
mod connection;
mod dice;
mod open_loop;
mod population;
mod run;
mod tally;
mod wire;

pub use dice::Dice;
pub use population::{Accounts, Population};
pub use run::{Ending, LoadPlan, LoadRun, Pace, number_in, start};
pub use tally::{Counters, LATENCY_MAX_US, LoadOutcome, latencies};
pub use wire::{Changes, EventWriter, FUNDED};
