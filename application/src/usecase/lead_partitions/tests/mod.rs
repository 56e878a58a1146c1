//! Claims about leading, on a cluster in memory and in paused time.

mod cluster;
mod election;
mod end;
mod refusal;
mod results;
mod settings;
