//! Time of this process.

use axs_domain::time::Monotonic;
use shaku::Interface;

/// The process's monotonic clock. Wall clocks of two hosts are never compared.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
pub trait Clock: Interface {
    /// Now, on a clock that never steps back.
    fn monotonic(&self) -> Monotonic;
}
