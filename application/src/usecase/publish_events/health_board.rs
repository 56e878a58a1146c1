//! Whether this process publishes, as the publish loop writes it and others read it.

use super::PublishHealth;
use std::sync::{Mutex, PoisonError};

pub(super) struct HealthBoard(Mutex<PublishHealth>);

impl Default for HealthBoard {
    fn default() -> Self {
        Self(Mutex::new(PublishHealth::Publishing))
    }
}

impl HealthBoard {
    pub(super) fn read(&self) -> PublishHealth {
        let health = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        health.clone()
    }

    pub(super) fn publishing(&self) {
        self.write(PublishHealth::Publishing);
    }

    pub(super) fn renewing(&self, reason: &str) {
        self.write(PublishHealth::Renewing(reason.to_owned()));
    }

    pub(super) fn broken(&self, reason: String) {
        self.write(PublishHealth::Broken(reason));
    }

    fn write(&self, health: PublishHealth) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}
