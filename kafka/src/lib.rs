//! What the Kafka clients of AXS share: how the brokers are reached, which properties are the
//! operator's, what librdkafka says, and the bounds of a log.
//!
//! The consumer is a driving adapter and the producers are driven ones. Neither side may know the
//! other; both know this.

mod connection;
mod log_bounds;
mod log_line;
mod property;

pub use connection::{KafkaConnection, KafkaSettingsError};
pub use log_bounds::log_bounds;
pub use log_line::log_line;
pub use property::{Property, is_set_by_axs, property_problem};
