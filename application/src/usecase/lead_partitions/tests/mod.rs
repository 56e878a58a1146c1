//! Claims about leading, on a cluster in memory and in paused time.

mod cluster;
mod election;
mod end;
mod giving_way;
mod refusal;
mod results;
mod settings;
