//! What is measured: one scenario a file.

mod accept;
mod baseline;
mod baseline_bulk;
mod decide;
mod drain;
mod end_to_end;
mod factors;
mod growth;
mod latency;
mod reads;
mod run;
mod settings;
mod slow_disk;
mod take_over;

pub use growth::TREND;

use crate::options::Effort;
use crate::report::Figures;
use crate::screen::Screen;
use anyhow::Result;

/// Names of all scenarios, in the order in which they run.
pub const SCENARIOS: [&str; 13] = [
    "end_to_end",
    "accept",
    "drain",
    "latency",
    "factors",
    "settings",
    "reads",
    "take_over",
    "slow_disk",
    "growth",
    "decide",
    "baseline",
    "baseline_bulk",
];

/// What a scenario is given.
#[derive(Debug)]
pub struct Bench {
    /// How much to do.
    pub effort: Effort,
    /// Where to say what is being done.
    pub screen: Screen,
    /// Where figures go.
    pub figures: Figures,
    /// Events a second that an earlier scenario found the base case to sustain.
    pub sustained: Option<f64>,
}

/// Runs one scenario.
///
/// # Errors
/// Something failed that should not: the figures up to there stand.
pub async fn run(name: &str, bench: &mut Bench) -> Result<()> {
    match name {
        "end_to_end" => end_to_end::run(bench).await,
        "accept" => accept::run(bench).await,
        "drain" => drain::run(bench).await,
        "latency" => latency::run(bench).await,
        "reads" => reads::run(bench).await,
        "take_over" => take_over::run(bench).await,
        "decide" => decide::run(bench).await,
        "baseline" => baseline::run(bench).await,
        "baseline_bulk" => baseline_bulk::run(bench).await,
        "factors" => factors::run(bench).await,
        "settings" => settings::run(bench).await,
        "growth" => growth::run(bench).await,
        "slow_disk" => slow_disk::run(bench).await,
        other => anyhow::bail!("no scenario {other}"),
    }
}
