//! What the process itself gives: its monotonic clock and the ids of its log rows.

mod log_ids;
mod system_clock;

pub use log_ids::{UuidV7LogIds, UuidV7LogIdsParameters, WallClock};
pub use system_clock::{SystemClock, SystemClockParameters};
