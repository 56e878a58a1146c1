//! How many partitions each live consumer should lead.

use crate::id::OwnerId;

/// The number of partitions that `me` should lead among the live `members`.
///
/// Quotas of all members add up to `partition_count` and differ by at most one; the members with
/// the smallest ids carry the remainder. A process that is not (yet) a member gets 0.
#[must_use]
pub fn quota(partition_count: usize, members: &[OwnerId], me: OwnerId) -> usize {
    let mut members = members.to_vec();
    members.sort_unstable();
    members.dedup();
    match members.binary_search(&me) {
        Ok(rank) => {
            let share = partition_count / members.len();
            let remainder = partition_count % members.len();
            share + usize::from(rank < remainder)
        }
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn owner(number: u128) -> OwnerId {
        OwnerId::new(Uuid::from_u128(number))
    }

    #[test]
    fn the_smallest_ids_carry_the_remainder() {
        let members = [owner(3), owner(1), owner(2)];
        let quotas = members.map(|me| quota(8, &members, me));
        assert_eq!(quotas, [2, 3, 3]);
    }

    #[test]
    fn a_stranger_gets_nothing_and_a_member_listed_twice_counts_once() {
        assert_eq!(quota(12, &[owner(1)], owner(2)), 0);
        assert_eq!(quota(12, &[], owner(1)), 0);
        assert_eq!(quota(12, &[owner(1), owner(1), owner(2)], owner(1)), 6);
    }

    proptest! {
        #[test]
        fn quotas_sum_to_the_count_and_differ_by_at_most_one_in_whatever_order_members_come(
            partition_count in 0usize..2_000,
            members in proptest::collection::btree_set(any::<u128>(), 1..40),
            rotation in 0usize..40,
        ) {
            let mut members: Vec<OwnerId> = members.into_iter().map(owner).collect();
            let quotas: Vec<usize> =
                members.iter().map(|me| quota(partition_count, &members, *me)).collect();
            prop_assert_eq!(quotas.iter().sum::<usize>(), partition_count);
            let spread = quotas.iter().max().unwrap() - quotas.iter().min().unwrap();
            prop_assert!(spread <= 1, "{:?}", quotas);

            let sorted = members.clone();
            let turn = rotation % members.len();
            members.rotate_left(turn);
            let seen_by_another: Vec<usize> =
                sorted.iter().map(|me| quota(partition_count, &members, *me)).collect();
            prop_assert_eq!(seen_by_another, quotas);
        }
    }
}
