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
    pub const UNCLAIMED: Self = Self {
        token: FencingToken::MIN,
        owner: None,
    };

    /// Gives the partition to a new owner under the next token.
    ///
    /// `None` at the end of the token's numbering.
    #[must_use]
    pub fn raise(self, owner: OwnerId) -> Option<(Self, Claim)> {
        let token = self.token.next()?;
        Some((
            Self {
                token,
                owner: Some(owner),
            },
            Claim { token, owner },
        ))
    }

    /// Whether a write under the claim may commit.
    ///
    /// # Errors
    /// [`Fenced`]: another leader holds the partition. Stop; do not retry.
    pub fn admit(self, claim: Claim) -> Result<(), Fenced> {
        if self.token == claim.token && self.owner == Some(claim.owner) {
            Ok(())
        } else {
            Err(Fenced {
                held: claim.token,
                newest: self.token,
            })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn owner(number: u128) -> OwnerId {
        OwnerId::new(Uuid::from_u128(number))
    }

    fn claim(token: i64, owner: OwnerId) -> Claim {
        Claim {
            token: FencingToken::try_new(token).unwrap(),
            owner,
        }
    }

    #[test]
    fn only_the_newest_token_in_its_owners_hands_is_admitted() {
        let fence = Fence {
            token: FencingToken::try_new(7).unwrap(),
            owner: Some(owner(1)),
        };
        let rows = [
            (claim(7, owner(1)), true),
            (claim(7, owner(2)), false), // a number that a lagging replica issued again
            (claim(6, owner(1)), false),
            (claim(8, owner(1)), false), // from a future that was lost with the old primary
            (claim(0, owner(1)), false),
        ];
        for (claim, admitted) in rows {
            let expected = if admitted {
                Ok(())
            } else {
                Err(Fenced {
                    held: claim.token,
                    newest: fence.token,
                })
            };
            assert_eq!(fence.admit(claim), expected, "{claim:?}");
        }
    }

    #[test]
    fn nobody_is_admitted_before_the_first_leader() {
        assert!(Fence::UNCLAIMED.admit(claim(0, owner(1))).is_err());
        let (_, first) = Fence::UNCLAIMED.raise(owner(1)).unwrap();
        assert_eq!(first.token.value(), 1);
    }

    #[test]
    fn a_token_is_never_given_out_again_at_the_end_of_the_numbering() {
        let last = FencingToken::try_new(i64::MAX).unwrap();
        assert_eq!(
            Fence {
                token: last,
                owner: Some(owner(1))
            }
            .raise(owner(2)),
            None
        );
    }

    proptest! {
        #[test]
        fn of_all_claims_ever_given_out_only_the_newest_is_admitted(
            owners in proptest::collection::vec(0u128..3, 1..20),
        ) {
            let mut fence = Fence::UNCLAIMED;
            let mut claims = Vec::new();
            for number in owners {
                let (raised, claim) = fence.raise(owner(number)).unwrap();
                prop_assert!(raised.token > fence.token);
                fence = raised;
                claims.push(claim);
                let admitted: Vec<Claim> =
                    claims.iter().copied().filter(|c| fence.admit(*c).is_ok()).collect();
                prop_assert_eq!(admitted, vec![claim]);
            }
        }
    }
}
