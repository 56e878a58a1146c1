//! Progress for a person: bars on a terminal, plain lines elsewhere. Always on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Where progress is shown.
pub struct Screen {
    terminal: bool,
    began: Instant,
}

impl Screen {
    /// A screen on standard error.
    pub fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            began: Instant::now(),
        }
    }

    /// Says what begins now.
    pub fn say(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f32();
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr(), "[demo] {seconds:6.1} s  {text}");
    }

    /// A bar for so many steps; drawn on a terminal only.
    pub fn bar(&self, steps: usize, what: &'static str) -> ProgressBar {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(
            Some(steps),
            if self.terminal {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        if let Ok(style) =
            ProgressStyle::with_template("         {msg:12} {wide_bar} {pos}/{len} {per_sec}")
        {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
    }
}
