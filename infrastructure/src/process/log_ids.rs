//! Log ids: UUIDs of version 7 (RFC 9562, method 2: monotonic random).
//!
//! The first 48 bits are the wall clock's milliseconds, so that ids sort by time and land side by
//! side in an index. The 74 bits that RFC 9562 leaves free are drawn at random for each new
//! millisecond, and raised by a random step inside one. Two processes would have to draw the same
//! 74 bits in the same millisecond to meet.
//!
//! When the wall clock steps back, the last millisecond used goes on: order matters more than the
//! exact time, which stands in `logged_at` by PostgreSQL's clock anyway.

use axs_application::port::log_id_generator::LogIdGenerator;
use axs_domain::id::LogId;
use shaku::Component;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Reads the wall clock: milliseconds since the Unix epoch.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

const MILLIS_BITS: u32 = 48;
/// Free bits after the version.
const RAND_A_BITS: u32 = 12;
/// Free bits after the variant.
const RAND_B_BITS: u32 = 62;
const TAIL_BITS: u32 = RAND_A_BITS + RAND_B_BITS;
const TAIL_MAX: u128 = (1 << TAIL_BITS) - 1;
const MILLIS_MAX: u64 = (1 << MILLIS_BITS) - 1;
/// A fresh tail leaves its first bit clear, so that a millisecond has room to count.
const FRESH_TAIL_MAX: u128 = TAIL_MAX >> 1;
const VERSION_7: u128 = 0b0111;
const VARIANT_RFC: u128 = 0b10;

/// The last id made, before it is a UUID.
#[derive(Debug, Default, Clone, Copy)]
pub struct Last {
    millis: u64,
    tail: u128,
}

impl Last {
    fn next(self, now_millis: u64) -> Self {
        if now_millis > self.millis && now_millis <= MILLIS_MAX {
            return Self {
                millis: now_millis,
                tail: fresh_tail(),
            };
        }
        let step = u128::from(rand::random::<u32>()) + 1;
        let tail = self.tail + step;
        if tail <= TAIL_MAX {
            Self { tail, ..self }
        } else {
            // The millisecond is full, after about 2^41 ids: borrow from the next one.
            Self {
                millis: self.millis + 1,
                tail: fresh_tail(),
            }
        }
    }

    fn uuid(self) -> Uuid {
        let rand_a = self.tail >> RAND_B_BITS;
        let rand_b = self.tail & ((1 << RAND_B_BITS) - 1);
        Uuid::from_u128(
            u128::from(self.millis) << (128 - MILLIS_BITS)
                | VERSION_7 << 76
                | rand_a << 64
                | VARIANT_RFC << RAND_B_BITS
                | rand_b,
        )
    }
}

fn fresh_tail() -> u128 {
    rand::random::<u128>() & FRESH_TAIL_MAX
}

fn system_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        // A clock set before 1970: ids then only count upwards.
        .unwrap_or(0)
}

/// Makes log ids from the wall clock and chance.
#[derive(Component)]
#[shaku(interface = LogIdGenerator)]
pub struct UuidV7LogIds {
    /// The wall clock; the system's own by default.
    #[shaku(default = Arc::new(system_millis))]
    wall_clock: WallClock,
    /// The last id made; leave the default, which is none.
    #[shaku(default)]
    last: Mutex<Last>,
}

impl UuidV7LogIds {
    /// Ids by the system's wall clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_wall_clock(Arc::new(system_millis))
    }

    /// Ids by another clock.
    #[must_use]
    pub fn with_wall_clock(wall_clock: WallClock) -> Self {
        Self {
            wall_clock,
            last: Mutex::default(),
        }
    }
}

impl Default for UuidV7LogIds {
    fn default() -> Self {
        Self::new()
    }
}

impl LogIdGenerator for UuidV7LogIds {
    fn next_id(&self) -> LogId {
        let now_millis = (self.wall_clock)();
        // `Last` is replaced whole, so that a thread that panicked can't have left half of one.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.next(now_millis);
        LogId::new(last.uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const SOME_MILLIS: u64 = 1_700_000_000_123;

    fn ids_at(millis: &Arc<AtomicU64>) -> UuidV7LogIds {
        let millis = Arc::clone(millis);
        UuidV7LogIds::with_wall_clock(Arc::new(move || millis.load(Ordering::Relaxed)))
    }

    fn millis_of(id: LogId) -> u128 {
        id.uuid().as_u128() >> (128 - MILLIS_BITS)
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_that_holds_the_time() {
        let id = ids_at(&Arc::new(AtomicU64::new(SOME_MILLIS))).next_id();
        assert_eq!(id.uuid().get_version_num(), 7);
        assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!(millis_of(id), u128::from(SOME_MILLIS));
        let timestamp = id.uuid().get_timestamp().unwrap().to_unix();
        assert_eq!(timestamp, (SOME_MILLIS / 1_000, 123_000_000));
    }

    #[test]
    fn ids_rise_inside_a_millisecond_and_while_the_wall_clock_steps_back() {
        let clock = Arc::new(AtomicU64::new(SOME_MILLIS));
        let ids = ids_at(&clock);
        let mut made: Vec<LogId> = (0..1_000).map(|_| ids.next_id()).collect();
        clock.store(SOME_MILLIS - 3_600_000, Ordering::Relaxed);
        made.extend((0..1_000).map(|_| ids.next_id()));
        clock.store(0, Ordering::Relaxed);
        made.extend((0..1_000).map(|_| ids.next_id()));
        clock.store(SOME_MILLIS + 1, Ordering::Relaxed);
        made.extend((0..1_000).map(|_| ids.next_id()));
        assert!(made.is_sorted_by(|a, b| a < b));
        assert_eq!(millis_of(made[2_999]), u128::from(SOME_MILLIS));
        assert_eq!(millis_of(made[3_000]), u128::from(SOME_MILLIS + 1));
    }

    #[test]
    fn ids_rise_over_the_end_of_a_full_millisecond() {
        let full = Last {
            millis: SOME_MILLIS,
            tail: TAIL_MAX,
        };
        let next = full.next(SOME_MILLIS);
        assert_eq!(next.millis, SOME_MILLIS + 1);
        assert!(full.uuid() < next.uuid());
        assert_eq!(full.uuid().get_version_num(), 7);
        assert_eq!(full.uuid().get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn a_clock_beyond_the_last_millisecond_that_fits_is_not_followed() {
        let clock = Arc::new(AtomicU64::new(SOME_MILLIS));
        let ids = ids_at(&clock);
        let first = ids.next_id();
        clock.store(u64::MAX, Ordering::Relaxed);
        let second = ids.next_id();
        assert!(first < second);
        assert_eq!(millis_of(second), u128::from(SOME_MILLIS));
    }

    #[test]
    fn two_processes_in_the_same_millisecond_make_different_ids() {
        let clock = Arc::new(AtomicU64::new(SOME_MILLIS));
        let (one, other) = (ids_at(&clock), ids_at(&clock));
        let mut all: Vec<LogId> = (0..10_000)
            .flat_map(|_| [one.next_id(), other.next_id()])
            .collect();
        all.sort_unstable();
        assert!(all.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn ids_of_many_threads_are_distinct() {
        let ids = UuidV7LogIds::new();
        let mut all: Vec<LogId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..5_000).map(|_| ids.next_id()).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        all.sort_unstable();
        assert!(all.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_thread_that_panicked_with_the_lock_stops_nobody() {
        let ids = UuidV7LogIds::new();
        let before = ids.next_id();
        let panicked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _held = ids.last.lock().unwrap();
                    panic!("with the lock held");
                })
                .join()
        });
        assert!(panicked.is_err() && ids.last.is_poisoned());
        assert!(before < ids.next_id());
    }
}
