//! The settings of processes, as environment variables.

use std::collections::BTreeMap;
use std::process::Command;

/// Settings by name, e.g. `AXS__LEASE__TTL_MS`.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Sets one setting.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// Gives a command these settings of AXS and no others that this process may have inherited.
    pub fn apply(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AXS_") {
                command.env_remove(name);
            }
        }
        command.envs(&self.0);
    }
}
