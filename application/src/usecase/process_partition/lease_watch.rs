//! The lease as the elector knows it, shared with those who must not act without it.

use axs_domain::lease::HeldLease;
use axs_domain::time::Monotonic;
use std::sync::{Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A led partition's lease. The elector renews and revokes it; worker and relay ask it before
/// anything that only a leader may begin.
#[derive(Debug)]
pub(crate) struct LeaseWatch {
    held: Mutex<HeldLease>,
    revoked: CancellationToken,
}

impl LeaseWatch {
    pub(crate) fn new(held: HeldLease) -> Self {
        Self {
            held: Mutex::new(held),
            revoked: CancellationToken::new(),
        }
    }

    /// Whether a write may begin now. Once `false`, a revoked lease never comes back.
    pub(crate) fn is_sure_at(&self, now: Monotonic) -> bool {
        !self.revoked.is_cancelled() && self.held().is_sure_at(now)
    }

    /// When the holder must stop unless it is renewed before.
    pub(crate) fn step_down_at(&self) -> Monotonic {
        self.held().step_down_at()
    }

    /// Notes a confirmed renewal that was requested at `requested_at`.
    pub(crate) fn renew(&self, requested_at: Monotonic) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.renewed(requested_at);
    }

    /// Ends the lease for this process, whatever the store says.
    pub(crate) fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Resolves when the lease is revoked.
    pub(crate) async fn until_revoked(&self) {
        self.revoked.cancelled().await;
    }

    fn held(&self) -> HeldLease {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
