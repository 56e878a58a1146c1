//! What a person sees while it runs: lines on standard error.

use std::io::Write;
use std::time::Instant;

/// Says lines with the time since the start.
#[derive(Debug, Clone, Copy)]
pub struct Screen(Instant);

impl Screen {
    /// Time counts from here.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// One line.
    pub fn say(self, line: &str) {
        let seconds = self.0.elapsed().as_secs();
        // A closed standard error is no reason to stop measuring.
        let _ = writeln!(
            std::io::stderr(),
            "[bench {:>3}:{:02}] {line}",
            seconds / 60,
            seconds % 60
        );
    }
}
