//! The trace of a run: every call of a port and its answer, in order, as one number.

use crate::world::lock;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Lines kept for a person.
const LINES_MAX: usize = 200_000;

/// Two runs of a seed have equal traces, or chance has leaked in from somewhere else.
pub struct Trace {
    state: Mutex<State>,
    kept: Lines,
}

/// What becomes of the lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lines {
    #[default]
    Hashed,
    Kept,
    Printed,
}

struct State {
    hash: u64,
    count: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn new(kept: Lines) -> Self {
        Self {
            state: Mutex::new(State {
                // FNV-1a: stable across builds, and needs no more than to differ.
                hash: 0xcbf2_9ce4_8422_2325,
                count: 0,
                lines: VecDeque::new(),
            }),
            kept,
        }
    }

    pub fn note(&self, line: &str) {
        let mut state = lock(&self.state);
        for byte in line.bytes().chain([b'\n']) {
            state.hash = (state.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        state.count += 1;
        if self.kept == Lines::Printed {
            eprintln!("{line}");
        }
        if self.kept == Lines::Kept {
            if state.lines.len() == LINES_MAX {
                state.lines.pop_front();
            }
            state.lines.push_back(line.to_owned());
        }
    }

    /// The number of lines and the hash over them.
    pub fn mark(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.count, state.hash)
    }

    /// The lines, where they are kept.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.state).lines.iter().cloned().collect()
    }
}
