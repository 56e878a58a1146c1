//! Failpoints: named places where a test build stops, dies, waits or breaks a rule on purpose.
//!
//! `AXS_FAILPOINTS` says where and what, `AXS_FAILPOINTS_LOG` names a file to which each hit that
//! acts is appended before it acts, so that a test counts what really happened. The points are
//! listed in `point.rs`, the language is told in `plan.rs`. Both exist only in a build with the
//! cargo feature `failpoints`; any other build refuses to start when `AXS_FAILPOINTS` is set.

#[cfg(feature = "failpoints")]
mod act;
#[cfg(feature = "failpoints")]
mod plan;
#[cfg(feature = "failpoints")]
mod point;

use crate::exit::UsageError;

/// What to do where.
const PLAN: &str = "AXS_FAILPOINTS";

/// Arms the points that the environment names.
///
/// # Errors
/// A [`UsageError`]: a point or an action is unknown, or the log can't be written.
#[cfg(feature = "failpoints")]
pub fn arm() -> Result<(), UsageError> {
    let Some(text) = plan::read(PLAN)? else {
        return Ok(());
    };
    act::arm(plan::parse(&text)?)
}

/// Refuses a plan that this build can't follow: a fault test that injects nothing would pass.
///
/// # Errors
/// A [`UsageError`] when there is one.
#[cfg(not(feature = "failpoints"))]
pub fn arm() -> Result<(), UsageError> {
    match std::env::var_os(PLAN) {
        None => Ok(()),
        Some(_) => Err(UsageError(format!(
            "{PLAN} is set, but this program was built without failpoints; unset it, or build with \
             `--features failpoints` for a test"
        ))),
    }
}
