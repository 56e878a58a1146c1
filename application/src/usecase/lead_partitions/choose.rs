//! Which partitions to take over and which to hand over. Pure.

use axs_domain::id::{OwnerId, PartitionId};
use axs_domain::quota::quota;

/// What to do after a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Free partitions to take over, in this order.
    pub(super) take: Vec<PartitionId>,
    /// A free partition to take over beyond the quota. One at a time, so that others get their
    /// part.
    pub(super) adopt: Option<PartitionId>,
    /// Led partitions to hand over.
    pub(super) hand_over: Vec<PartitionId>,
}

/// What a process sees when it chooses.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    pub(super) me: OwnerId,
    pub(super) members: &'a [OwnerId],
    /// All partitions of the layout.
    pub(super) partitions: &'a [PartitionId],
    /// Partitions that nobody holds and that I don't refuse.
    pub(super) free: &'a [PartitionId],
    /// Those among them that were free for so long that nobody else will take them.
    pub(super) left_over: &'a [PartitionId],
    /// Partitions that I lead and am not handing over.
    pub(super) led: &'a [PartitionId],
    /// Partitions that I am taking over.
    pub(super) taking: usize,
    /// How many of mine I took over beyond my quota.
    pub(super) adopted: usize,
}

/// Takes up to the quota and hands over what is beyond it; what was adopted counts on top. A
/// partition that is left over, because the member whose share it is refuses it, is adopted: an
/// uneven spread is better than a partition that nobody leads.
///
/// Each member prefers other partitions, those whose place is its own rank modulo the members, so
/// that candidates that look at the same moment don't run for the same ones.
pub(super) fn choose(seen: &Seen<'_>) -> Choice {
    let quota = quota(seen.partitions.len(), seen.members, seen.me) + seen.adopted;
    let leading = seen.led.len() + seen.taking;
    if leading < quota {
        let mut take = preferred(seen, seen.free);
        take.truncate(quota - leading);
        return Choice {
            take,
            ..Choice::default()
        };
    }
    // Not a member (yet, or any more): the registry doesn't know me, which says nothing about
    // what I lead.
    if !seen.members.contains(&seen.me) {
        return Choice::default();
    }
    let mut led = preferred(seen, seen.led);
    let hand_over = led.split_off(quota.min(led.len()));
    let left_over = preferred(seen, seen.left_over).into_iter().next();
    Choice {
        take: Vec::new(),
        adopt: left_over.filter(|_| hand_over.is_empty()),
        hand_over,
    }
}

fn preferred(seen: &Seen<'_>, among: &[PartitionId]) -> Vec<PartitionId> {
    let mut members = seen.members.to_vec();
    members.sort_unstable();
    members.dedup();
    let count = members.len().max(1);
    let rank = members.binary_search(&seen.me).unwrap_or(0);
    let mut among = among.to_vec();
    among.sort_by_key(|partition| {
        let place = seen
            .partitions
            .iter()
            .position(|known| known == partition)
            .unwrap_or(0);
        // How far the place's natural owner is from me, going round.
        ((place + count - rank) % count, place)
    });
    among
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(number: u128) -> OwnerId {
        OwnerId::parse(&format!("{number:032x}")).unwrap()
    }

    fn partitions(numbers: &[i32]) -> Vec<PartitionId> {
        numbers
            .iter()
            .map(|number| PartitionId::try_new(*number).unwrap())
            .collect()
    }

    fn chosen(me: u128, members: &[u128], free: &[i32], led: &[i32], taking: usize) -> Choice {
        let members: Vec<_> = members.iter().map(|number| owner(*number)).collect();
        choose(&Seen {
            me: owner(me),
            members: &members,
            partitions: &partitions(&[0, 1, 2, 3, 4, 5]),
            free: &partitions(free),
            left_over: &[],
            led: &partitions(led),
            taking,
            adopted: 0,
        })
    }

    #[test]
    fn takes_up_to_the_quota_and_hands_over_what_is_beyond_it() {
        // me, members, free, led, taking; to take, to hand over
        type Row<'a> = (
            u128,
            &'a [u128],
            &'a [i32],
            &'a [i32],
            usize,
            &'a [i32],
            &'a [i32],
        );
        let rows: [Row<'_>; 8] = [
            (
                1,
                &[1],
                &[0, 1, 2, 3, 4, 5],
                &[],
                0,
                &[0, 1, 2, 3, 4, 5],
                &[],
            ),
            (1, &[1, 2], &[0, 1, 2, 3, 4, 5], &[], 0, &[0, 2, 4], &[]),
            (2, &[1, 2], &[0, 1, 2, 3, 4, 5], &[], 0, &[1, 3, 5], &[]),
            (2, &[1, 2], &[0, 2, 4], &[], 0, &[0, 2, 4], &[]),
            (1, &[1, 2], &[4], &[0, 2], 1, &[], &[]),
            (1, &[1, 2], &[], &[0, 1, 2, 3, 4, 5], 0, &[], &[1, 3, 5]),
            (1, &[1, 2], &[], &[0, 1, 2], 0, &[], &[]),
            (9, &[1, 2], &[0], &[3], 0, &[], &[]),
        ];
        for (me, members, free, led, taking, take, hand_over) in rows {
            let choice = chosen(me, members, free, led, taking);
            assert_eq!(choice.take, partitions(take), "{me} of {members:?}");
            assert_eq!(
                choice.hand_over,
                partitions(hand_over),
                "{me} of {members:?}"
            );
        }
    }

    #[test]
    fn what_is_left_over_is_adopted_one_at_a_time_beyond_the_quota_and_kept() {
        let members = [owner(1), owner(2)];
        let all = partitions(&[0, 1, 2, 3]);
        let left_over = partitions(&[1, 3]);
        let seen = |led: &[i32], adopted| {
            let led = partitions(led);
            let found = choose(&Seen {
                me: owner(1),
                members: &members,
                partitions: &all,
                free: &left_over,
                left_over: &left_over,
                led: &led,
                taking: 0,
                adopted,
            });
            (
                found.take.len(),
                found.adopt.is_some(),
                found.hand_over.len(),
            )
        };
        assert_eq!(seen(&[0], 0), (1, false, 0), "its own share first");
        assert_eq!(seen(&[0, 2], 0), (0, true, 0));
        assert_eq!(seen(&[0, 2, 1], 1), (0, true, 0));
        assert_eq!(seen(&[0, 2, 1], 0), (0, false, 1), "shares counted anew");
    }

    #[test]
    fn candidates_that_look_at_once_never_run_for_the_same_partition() {
        let members = [1, 2, 3, 4];
        let mut taken: Vec<PartitionId> = members
            .iter()
            .flat_map(|me| chosen(*me, &members, &[0, 1, 2, 3, 4, 5], &[], 0).take)
            .collect();
        taken.sort_unstable();
        assert_eq!(taken, partitions(&[0, 1, 2, 3, 4, 5]));
    }
}
