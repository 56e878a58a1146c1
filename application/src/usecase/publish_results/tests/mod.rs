//! Claims about results on their way.

mod making_good;
mod offset;
mod order;
mod world;
