//! How many partitions each live consumer should lead.

use crate::id::OwnerId;

/// The number of partitions that `me` should lead among the live `members`.
///
/// Quotas of all members add up to `partition_count` and differ by at most one; the members
/// with the smallest ids carry the remainder. A process that is not (yet) a member gets 0.
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
