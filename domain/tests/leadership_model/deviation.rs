//! The protocol as it is, and with one of its guards taken out.

use axs_domain::fencing::{Claim, Fence};

/// Which guards stand. [`Guards::ALL`] is AXS; each other value is a deliberate break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// `fence.sql` locks the row it reads (FOR NO KEY UPDATE), so that claim and offset still stand
    /// when the batch commits.
    pub look_locks: bool,
    /// `store_offset.sql` compares claim and offset again, under the lock that an UPDATE takes.
    pub write_looks_again: bool,
    /// The claim's token is compared.
    pub compares_token: bool,
    /// The claim's owner is compared.
    pub compares_owner: bool,
    /// The stored offset is compared with the one that the batch begins at.
    pub compares_offset: bool,
    /// `settle.sql` waits for the row, so that no earlier COMMIT is on its way any more.
    pub settle_waits: bool,
}

impl Guards {
    /// The protocol of AXS.
    pub const ALL: Self = Self {
        look_locks: true,
        write_looks_again: true,
        compares_token: true,
        compares_owner: true,
        compares_offset: true,
        settle_waits: true,
    };

    /// Whether the domain's fence, as far as these guards ask it, lets the claim write.
    pub fn admit(self, fence: Fence, claim: Claim) -> bool {
        let asked = Fence {
            token: if self.compares_token {
                fence.token
            } else {
                claim.token
            },
            owner: if self.compares_owner {
                fence.owner
            } else {
                Some(claim.owner)
            },
            incarnation: fence.incarnation,
        };
        asked.admit(claim).is_ok()
    }
}
