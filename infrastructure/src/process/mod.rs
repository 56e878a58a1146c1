//! What the process itself gives: its monotonic clock, the ids of its log rows, and where it runs.

mod log_ids;
mod place;
mod system_clock;

pub use log_ids::{UuidV7LogIds, UuidV7LogIdsParameters, WallClock};
pub use place::place;
pub use system_clock::{SystemClock, SystemClockParameters};
