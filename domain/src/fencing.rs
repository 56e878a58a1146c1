//! The fence of a partition: who may write, as PostgreSQL's leader row judges it.
//!
//! This is the protocol without its storage: the adapter's SQL does exactly these steps, each in
//! one transaction under the row's lock.

use crate::id::{FencingToken, OwnerId};
use crate::incarnation::Incarnation;

/// What decides: the leader row's two columns, and the database that the row stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The newest token given out.
    pub token: FencingToken,
    /// To whom; nobody before the first leader.
    pub owner: Option<OwnerId>,
    /// The history that the row is part of.
    pub incarnation: Incarnation,
}

/// A leader's claim on a partition: what it must show with every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The token it was given.
    pub token: FencingToken,
    /// Who it is. Compared too: a failover to a lagging replica may issue a number again.
    pub owner: OwnerId,
    /// The history that it was given in. In another one neither the leader's memory nor what it
    /// told the cache is known to be true, even if token and owner came along.
    pub incarnation: Incarnation,
}

impl Fence {
    /// The fence of a partition that nobody ever led.
    #[must_use]
    pub const fn unclaimed(incarnation: Incarnation) -> Self {
        Self {
            token: FencingToken::MIN,
            owner: None,
            incarnation,
        }
    }

    /// Gives the partition to a new owner under the next token.
    ///
    /// `None` at the end of the token's numbering.
    #[must_use]
    pub fn raise(self, owner: OwnerId) -> Option<(Self, Claim)> {
        let token = self.token.next()?;
        let raised = Self {
            token,
            owner: Some(owner),
            ..self
        };
        let claim = Claim {
            token,
            owner,
            incarnation: self.incarnation,
        };
        Some((raised, claim))
    }

    /// Whether a write under the claim may commit.
    ///
    /// # Errors
    /// [`Fenced`]: leadership is lost. Stop; do not retry.
    pub fn admit(self, claim: Claim) -> Result<(), Fenced> {
        if self.incarnation != claim.incarnation {
            Err(Fenced::OtherIncarnation {
                held: claim.incarnation,
                found: self.incarnation,
            })
        } else if self.token != claim.token || self.owner != Some(claim.owner) {
            Err(Fenced::Superseded {
                held: claim.token,
                newest: self.token,
            })
        } else {
            Ok(())
        }
    }
}

/// The claim does not stand: leadership is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// Another claim is the newest.
    #[error("the claim holds token {held}, the newest is {newest}")]
    Superseded {
        /// The token of the refused claim.
        held: FencingToken,
        /// The token that stands.
        newest: FencingToken,
    },
    /// The database has another history than the one that the claim is of: it was restored, failed
    /// over or restarted, or its cache was forgotten.
    #[error("the claim is of the database as {held}, which is {found} now")]
    OtherIncarnation {
        /// The incarnation of the refused claim.
        held: Incarnation,
        /// The one that stands.
        found: Incarnation,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn owner(number: u128) -> OwnerId {
        OwnerId::new(Uuid::from_u128(number))
    }

    const HERE: Incarnation = Incarnation::new(1);
    const ELSEWHERE: Incarnation = Incarnation::new(2);

    fn claim(token: i64, owner: OwnerId) -> Claim {
        Claim {
            token: FencingToken::try_new(token).unwrap(),
            owner,
            incarnation: HERE,
        }
    }

    #[test]
    fn only_the_newest_token_in_its_owners_hands_is_admitted() {
        let fence = Fence {
            token: FencingToken::try_new(7).unwrap(),
            owner: Some(owner(1)),
            incarnation: HERE,
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
                Err(Fenced::Superseded {
                    held: claim.token,
                    newest: fence.token,
                })
            };
            assert_eq!(fence.admit(claim), expected, "{claim:?}");
        }
    }

    #[test]
    fn a_claim_of_another_history_is_refused_though_token_and_owner_came_along() {
        let (fence, claim) = Fence::unclaimed(HERE).raise(owner(1)).unwrap();
        assert_eq!(fence.admit(claim), Ok(()));
        let moved = Fence {
            incarnation: ELSEWHERE,
            ..fence
        };
        let refused = Fenced::OtherIncarnation {
            held: HERE,
            found: ELSEWHERE,
        };
        assert_eq!(moved.admit(claim), Err(refused));
        let (again, claim) = moved.raise(owner(1)).unwrap();
        assert_eq!((claim.incarnation, again.admit(claim)), (ELSEWHERE, Ok(())));
    }

    #[test]
    fn nobody_is_admitted_before_the_first_leader() {
        assert!(Fence::unclaimed(HERE).admit(claim(0, owner(1))).is_err());
        let (_, first) = Fence::unclaimed(HERE).raise(owner(1)).unwrap();
        assert_eq!(first.token.value(), 1);
    }

    #[test]
    fn a_token_is_never_given_out_again_at_the_end_of_the_numbering() {
        let last = FencingToken::try_new(i64::MAX).unwrap();
        assert_eq!(
            Fence {
                token: last,
                owner: Some(owner(1)),
                incarnation: HERE,
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
            let mut fence = Fence::unclaimed(HERE);
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
