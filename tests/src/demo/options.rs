//! The command line of the demo.

/// What the demo shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Events of the session.
    pub events: usize,
    /// Its seed.
    pub seed: u64,
    /// Requests under way at once.
    pub streams: usize,
}

const USAGE: &str = "usage: demo [--events N] [--seed S] [--streams N]";

/// More than 20,000 of them are new and sound; the others are copies and faults.
const EVENTS_DEFAULT: usize = 24_000;
const SEED_DEFAULT: u64 = 20_210_108;
const STREAMS_DEFAULT: usize = 16;

impl Options {
    /// Reads the arguments; the error is what to tell the user.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            events: EVENTS_DEFAULT,
            seed: SEED_DEFAULT,
            streams: STREAMS_DEFAULT,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| USAGE.to_owned())?;
            let wrong = |_| format!("{word} {value:?} is no number\n{USAGE}");
            match word.as_str() {
                "--events" => options.events = value.parse().map_err(wrong)?,
                "--seed" => options.seed = value.parse().map_err(wrong)?,
                "--streams" => options.streams = value.parse().map_err(wrong)?,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }
}
