//! The fence of a partition: who may write, as PostgreSQL's leader row judges it.
//!
//! This is the protocol without its storage: the adapter's SQL does exactly these steps, each in
//! one transaction under the row's lock.

use crate::id::{FencingToken, OwnerId};

/// The leader row's two columns that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The newest token given out.
    pub token: FencingToken,
    /// To whom; nobody before the first leader.
    pub owner: Option<OwnerId>,
}

/// A leader's claim on a partition: what it must show with every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The token it was given.
    pub token: FencingToken,
    /// Who it is. Compared too: a failover to a lagging replica may issue a number again.
    pub owner: OwnerId,
}

impl Fence {
    /// The fence of a partition that nobody ever led.
    pub const UNCLAIMED: Self = Self { token: FencingToken::MIN, owner: None };

    /// Gives the partition to a new owner under the next token.
    ///
    /// `None` at the end of the token's numbering.
    #[must_use]
    pub fn raise(self, owner: OwnerId) -> Option<(Self, Claim)> {
        let token = self.token.next()?;
        Some((Self { token, owner: Some(owner) }, Claim { token, owner }))
    }

    /// Whether a write under the claim may commit.
    ///
    /// # Errors
    /// [`Fenced`]: another leader holds the partition. Stop; do not retry.
    pub fn admit(self, claim: Claim) -> Result<(), Fenced> {
        if self.token == claim.token && self.owner == Some(claim.owner) {
            Ok(())
        } else {
            Err(Fenced { held: claim.token, newest: self.token })
        }
    }
}

/// The claim is not the newest: leadership is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fenced: holds token {held}, the newest is {newest}")]
pub struct Fenced {
    /// The token of the refused claim.
    pub held: FencingToken,
    /// The token that stands.
    pub newest: FencingToken,
}
