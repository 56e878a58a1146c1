//! How long a submission waits before it answers.

/// How long a submission waits before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckLevel {
    /// Until the event is committed to the change log.
    #[default]
    Logged,
    /// Until the event is on the events topic as well, within a bound.
    Published,
}
