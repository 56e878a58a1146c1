//! A process as the world sees it: running, paused, or dead.
//!
//! A process acts on the world through its ports alone, so every call of a port passes here on its
//! way out and on its way back. A dead process's calls never return: whatever its tasks still
//! compute, nobody will know. A paused one's wait, and its clock stands still meanwhile: for all
//! that the world can see it is not scheduled, and finds, once it goes on, that time has leapt.
//! What a server was asked before goes on at the server in either case.

use crate::settings::LEASE;
use crate::world::{World, lock};
use axs_application::port::clock::Clock;
use axs_application::port::log_id_generator::LogIdGenerator;
use axs_application::testkit::log_id;
use axs_domain::id::LogId;
use axs_domain::time::Monotonic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// An hour, which is as far as clocks are off.
const SKEW_MAX: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Paused { since: Duration },
    Dead,
}

/// One run of one process.
pub struct Process {
    pub world: Arc<World>,
    pub name: String,
    /// Different for every process of a run of the simulation.
    pub number: u64,
    life: Mutex<Life>,
    changed: Notify,
    /// Where its monotonic clock began to count.
    clock_began: Duration,
    /// How far its wall clock is off, in milliseconds.
    wall_skew_millis: i64,
    last_id: AtomicU64,
}

impl Process {
    pub fn start(world: &Arc<World>, name: &str, number: u64) -> Arc<Self> {
        let hour = i64::try_from(SKEW_MAX.as_millis()).unwrap();
        let wall_skew_millis = match world.pick(0..4) {
            0 => {
                world.tally.count("clocks an hour ahead");
                hour
            }
            1 => {
                world.tally.count("clocks an hour behind");
                -hour
            }
            _ => world.pick_signed(-20..20),
        };
        Arc::new(Self {
            clock_began: world.millis(0..7_200_000),
            world: Arc::clone(world),
            name: name.to_owned(),
            number,
            life: Mutex::new(Life::Running),
            changed: Notify::new(),
            wall_skew_millis,
            last_id: AtomicU64::new(0),
        })
    }

    /// Goes on at once while the process runs, later when it is paused, never when it is dead.
    pub async fn pass(&self) {
        self.until(|life| life == Life::Running).await;
    }

    /// Resolves when the process dies.
    pub async fn death(&self) {
        self.until(|life| life == Life::Dead).await;
    }

    // Not a watch channel: that wakes its receivers in an order of its own random choice.
    async fn until(&self, holds: impl Fn(Life) -> bool) {
        loop {
            let changed = self.changed.notified();
            if holds(self.life()) {
                return;
            }
            changed.await;
        }
    }

    fn life(&self) -> Life {
        *lock(&self.life)
    }

    fn turn(&self, life: Life) {
        *lock(&self.life) = life;
        self.changed.notify_waiters();
    }

    pub fn is_dead(&self) -> bool {
        self.life() == Life::Dead
    }

    pub fn is_running(&self) -> bool {
        self.life() == Life::Running
    }

    pub fn kill(&self) {
        self.world.note(&self.name, "dies");
        self.turn(Life::Dead);
    }

    pub fn pause(&self) {
        let since = self.world.elapsed();
        if self.is_running() {
            self.world.note(&self.name, "is paused");
            self.turn(Life::Paused { since });
        }
    }

    /// Pauses it, and resumes it later.
    pub fn pause_for(self: &Arc<Self>, how_long: Duration) {
        if how_long > LEASE {
            self.world.tally.count("processes paused beyond the lease");
        }
        self.pause();
        let process = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(how_long).await;
            process.resume();
        });
    }

    pub fn resume(&self) {
        if !self.is_dead() {
            self.world.note(&self.name, "goes on");
            self.turn(Life::Running);
        }
    }

    /// Notes a call of a port and its answer.
    pub fn note(&self, what: &str) {
        self.world.note(&self.name, what);
    }
}

/// The process's own clock.
pub struct SimClock(pub Arc<Process>);

impl Clock for SimClock {
    fn monotonic(&self) -> Monotonic {
        let now = match self.0.life() {
            Life::Paused { since } => since,
            Life::Running | Life::Dead => self.0.world.elapsed(),
        };
        Monotonic::from_start(self.0.clock_began + now)
    }
}

/// Log ids by the process's wall clock, as UUIDv7 has them: milliseconds first.
pub struct SimLogIds(pub Arc<Process>);

impl LogIdGenerator for SimLogIds {
    fn next_id(&self) -> LogId {
        let millis = self.0.world.store_micros() / 1_000 + self.0.wall_skew_millis;
        let millis = u64::try_from(millis).unwrap();
        // 48 bits of time, then a counter.
        let next = |last: u64| Some((last + 1).max(millis << 16));
        let last = self
            .0
            .last_id
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next)
            .unwrap();
        let id = (last + 1).max(millis << 16);
        log_id((u128::from(id) << 64) | u128::from(self.0.number))
    }
}
