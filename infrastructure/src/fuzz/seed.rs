//! Seeds and their mutations.

use bolero::{Driver, ValueGenerator};

/// Mutations of one input at most.
const MUTATIONS_MAX: usize = 6;

/// Words that code at limits stumbles over, as big-endian bytes.
const EDGES: [&[u8]; 12] = [
    b"",
    b"-",
    b".",
    b"0",
    b"000000000000000000",
    b"999999999999999999",
    &[0],
    &[0xff],
    &[0x7f, 0xff],
    &[0x80, 0x00],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
];

/// Inputs that are seeds with some bytes changed, left out, doubled, or taken from another seed.
#[derive(Debug, Clone)]
pub(super) struct Mutated {
    pub(super) seeds: Vec<Vec<u8>>,
}

impl Mutated {
    /// Seeds as lines of text; what follows ` #` is a remark.
    pub(super) fn texts(corpus: &str) -> Self {
        let seeds = lines(corpus).map(|line| line.as_bytes().to_vec());
        Self {
            seeds: seeds.collect(),
        }
    }

    /// Seeds as lines of hexadecimal digits.
    pub(super) fn hex(corpus: &str) -> Self {
        let seeds = lines(corpus).map(|line| {
            let digits: Vec<char> = line.chars().filter(|c| !c.is_whitespace()).collect();
            digits
                .chunks(2)
                .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
                .collect()
        });
        Self {
            seeds: seeds.collect(),
        }
    }
}

fn lines(corpus: &str) -> impl Iterator<Item = &str> {
    corpus
        .lines()
        .map(|line| line.split(" #").next().unwrap_or_default())
        .filter(|line| !line.starts_with('#'))
}

fn below<D: Driver>(driver: &mut D, bound: usize) -> Option<usize> {
    Some(usize::from(driver.produce::<u16>()?) % bound.max(1))
}

impl ValueGenerator for Mutated {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let mut bytes = self.seeds[below(driver, self.seeds.len())?].clone();
        for _ in 0..=below(driver, MUTATIONS_MAX)? {
            let at = below(driver, bytes.len() + 1)?;
            let end = (at + below(driver, 9)?).min(bytes.len());
            match below(driver, 8)? {
                0 if at < bytes.len() => bytes[at] ^= 1 << below(driver, 8)?,
                1 if at < bytes.len() => bytes[at] = driver.produce()?,
                2 => bytes.insert(at, driver.produce()?),
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let run = bytes[at..end].to_vec();
                    bytes.splice(at..at, run);
                }
                5 => bytes.truncate(at),
                6 => {
                    let other = &self.seeds[below(driver, self.seeds.len())?];
                    let from = below(driver, other.len() + 1)?;
                    bytes.splice(at.., other[from..].iter().copied());
                }
                _ => {
                    let edge = EDGES[below(driver, EDGES.len())?];
                    bytes.splice(at..end, edge.iter().copied());
                }
            }
        }
        Some(bytes)
    }
}
