//! Claims about the worker, on a store in memory and in paused time.

mod bench;
mod culprits;
mod pipeline;
mod preload;
mod results;
mod set_aside;
mod simulation;
mod trouble;
