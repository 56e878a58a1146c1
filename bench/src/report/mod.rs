//! What was measured, as a person and as a program reads it.

mod machine;
mod plot;
mod table;

pub use machine::{Machine, commit, load_average};
pub use plot::draw;
pub use table::{number, table};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One figure: the median of its runs and their spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was varied, e.g. `hot account`.
    pub case: String,
    /// What was measured, e.g. `final`.
    pub measure: String,
    /// e.g. `events/s`.
    pub unit: String,
    /// Half of the runs are below.
    pub median: f64,
    /// The lowest run.
    pub low: f64,
    /// The highest run.
    pub high: f64,
    /// Every run, in the order in which they were made.
    pub runs: Vec<f64>,
}

/// Something over time, of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What was varied.
    pub case: String,
    /// What it is.
    pub measure: String,
    /// Its unit.
    pub unit: String,
    /// Seconds since the first submit, or what the measure is by, and the value.
    pub points: Vec<(f64, f64)>,
}

/// A scenario and where its figures come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// When it began.
    pub taken_at: String,
    /// The commit of the checkout; with `+` when files differ from it.
    pub commit: String,
    /// The command.
    pub command: String,
    /// The machine's load average over the minute before, without the bench's own part.
    pub load_before: f64,
    /// How many seconds it took.
    pub took_s: f64,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What changed over time.
    pub series: Vec<Series>,
}

/// The file that the docs are made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// What was measured, by scenario.
    pub scenarios: BTreeMap<String, ScenarioReport>,
}

impl Report {
    /// The report of an earlier run on the same machine, or an empty one.
    ///
    /// # Errors
    /// The file is there and is none.
    pub fn read_or_new(path: &Path, machine: Machine) -> Result<Self> {
        let Ok(text) = fs::read_to_string(path) else {
            return Ok(Self {
                machine,
                scenarios: BTreeMap::new(),
            });
        };
        let report: Self =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        // Figures of another machine can't stand beside those of this one.
        let scenarios = if report.machine == machine {
            report.scenarios
        } else {
            BTreeMap::new()
        };
        Ok(Self { machine, scenarios })
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }
}

/// Figures while they are being measured.
#[derive(Debug, Default)]
pub struct Figures {
    figures: Vec<Figure>,
    series: Vec<Series>,
}

impl Figures {
    /// Adds one run's value.
    pub fn add(&mut self, case: &str, measure: &str, unit: &str, value: f64) {
        let value = rounded(value);
        let known = self
            .figures
            .iter_mut()
            .find(|it| it.case == case && it.measure == measure);
        let figure = match known {
            Some(figure) => figure,
            None => {
                self.figures.push(Figure {
                    case: case.to_owned(),
                    measure: measure.to_owned(),
                    unit: unit.to_owned(),
                    median: value,
                    low: value,
                    high: value,
                    runs: Vec::new(),
                });
                let last = self.figures.len() - 1;
                &mut self.figures[last]
            }
        };
        figure.runs.push(value);
        figure.median = rounded(median(&figure.runs));
        figure.low = figure.low.min(value);
        figure.high = figure.high.max(value);
    }

    /// Keeps what changed over time; the last run of a case is kept.
    pub fn keep(&mut self, series: Series) {
        self.series
            .retain(|it| (&it.case, &it.measure) != (&series.case, &series.measure));
        self.series.push(series);
    }

    /// A figure's median so far.
    pub fn median(&self, case: &str, measure: &str) -> Option<f64> {
        let found = self
            .figures
            .iter()
            .find(|it| it.case == case && it.measure == measure);
        found.map(|figure| figure.median)
    }

    /// All of it.
    pub fn into_parts(self) -> (Vec<Figure>, Vec<Series>) {
        (self.figures, self.series)
    }
}

fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Three decimals: more than any of it is worth.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn a_figure_is_the_median_of_its_runs_with_their_spread() {
        let mut figures = Figures::default();
        for value in [3.0, 1.0, 10.0, 2.0] {
            figures.add("base", "final", "events/s", value);
        }
        assert_eq!(figures.median("base", "final"), Some(2.5));
        let (figures, _) = figures.into_parts();
        assert_eq!((figures[0].low, figures[0].high), (1.0, 10.0));
        assert_eq!(figures[0].runs, [3.0, 1.0, 10.0, 2.0]);
    }
}
