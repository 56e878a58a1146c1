//! One run end to end: a load, until all of it is final.

use crate::load::{Accounts, Changes, LoadOutcome, LoadPlan};
use crate::report::{Figures, Series};
use crate::stage::{Stage, start_load};
use crate::watch::{CpuSpent, CpuWatch, MetricsPage, Progress, ProgressWatch};
use anyhow::Result;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// The unit of CPU.
const CPU_UNIT: &str = "s/100k events";

/// What one run showed.
#[derive(Debug)]
pub struct Ran {
    /// The load.
    pub load: LoadOutcome,
    /// When everything was final, or logged when nothing becomes final.
    pub over: Instant,
    /// How it came to be.
    pub looks: Vec<Progress>,
    /// Who spent the CPU.
    pub cpu: CpuSpent,
    /// What the processes counted.
    pub metrics: MetricsPage,
}

/// Runs a load, waits until all of it is final, and watches.
///
/// # Errors
/// A request fails, or events don't become final.
pub async fn run_to_the_end(
    stage: &Stage,
    plan: LoadPlan,
    accounts: Accounts,
    changes: Changes,
) -> Result<Ran> {
    let pool = stage.deployment.database.pool.clone();
    let before = stage.stored().await?;
    let metrics_before = stage.metrics().await?;
    let cpu = CpuWatch::start(stage.processes()?, pool.clone()).await?;
    let load = start_load(plan, accounts, changes)?;
    let progress = ProgressWatch::start(pool, load.counters.clone(), before).await?;
    let load = load.outcome().await?;
    let (over, looks) = progress.all_final(load.accepted).await?;
    let cpu = cpu.end().await?;
    let metrics = stage.metrics().await?.since(&metrics_before);
    Ok(Ran {
        load,
        over,
        looks,
        cpu,
        metrics,
    })
}

/// Runs a load where no consumer is: until everything is logged.
///
/// # Errors
/// A request fails.
pub async fn run_until_logged(
    stage: &Stage,
    plan: LoadPlan,
    accounts: Accounts,
    changes: Changes,
) -> Result<Ran> {
    let metrics_before = stage.metrics().await?;
    let pool = stage.deployment.database.pool.clone();
    let cpu = CpuWatch::start(stage.processes()?, pool).await?;
    let load = start_load(plan, accounts, changes)?.outcome().await?;
    let cpu = cpu.end().await?;
    let metrics = stage.metrics().await?.since(&metrics_before);
    Ok(Ran {
        over: load.ended,
        load,
        looks: Vec::new(),
        cpu,
        metrics,
    })
}

impl Ran {
    /// Events a second from the first submit until all are final.
    pub fn rate(&self) -> f64 {
        count(self.load.accepted) / self.took().as_secs_f64()
    }

    /// From the first submit to the end.
    pub fn took(&self) -> Duration {
        self.over - self.load.began
    }

    /// Events a second from the first submit to the last answer.
    pub fn accepted_rate(&self) -> f64 {
        count(self.load.accepted) / (self.load.ended - self.load.began).as_secs_f64()
    }

    /// The most events that were logged and not final at any look.
    pub fn lag_max(&self) -> u64 {
        let lags = self.looks.iter().map(lag);
        lags.max().unwrap_or_default()
    }

    /// Adds what every run to the end has.
    pub fn add_to(&self, case: &str, figures: &mut Figures) {
        figures.add(case, "final", "events/s", self.rate());
        self.add_logged_to(case, figures);
        figures.add(case, "lag, highest", "events", count(self.lag_max()));
        if let Some(mean) = self.metrics.mean("axs_batch_events") {
            figures.add(case, "events a batch", "events", mean);
        }
        if let Some(mean) = self.metrics.mean("axs_transaction_batches") {
            figures.add(case, "batches a transaction", "batches", mean);
        }
        let refused = self.metrics.total("axs_cache_write_failures_total");
        if refused > 0.0 {
            figures.add(
                case,
                "writes that the cache did not take",
                "writes",
                refused,
            );
        }
    }

    /// Adds what the write side did.
    pub fn add_logged_to(&self, case: &str, figures: &mut Figures) {
        figures.add(case, "logged", "events/s", self.accepted_rate());
        add_percentiles(case, "logged", &self.load.logged, figures);
        if self.load.turned_away > 0 {
            figures.add(
                case,
                "turned away",
                "requests",
                count(self.load.turned_away),
            );
        }
        if let Some(mean) = self.metrics.mean("axs_log_commit_events") {
            figures.add(case, "events a log commit", "events", mean);
        }
    }

    /// Adds CPU by process, in core-seconds for 100,000 events, and how busy the machine was.
    pub fn add_cpu_to(&self, case: &str, figures: &mut Figures) {
        let took = self.took();
        self.cpu.add_to(case, self.load.accepted, took, figures);
        let load = self.load.cpu.as_secs_f64() * 1e5 / count(self.load.accepted);
        figures.add(case, "cpu, the load's thread alone", CPU_UNIT, load);
    }

    /// Adds where the time of a batch went.
    pub fn add_steps_to(&self, case: &str, figures: &mut Figures) {
        self.metrics.add_steps_to(case, figures);
    }

    /// Keeps rate and lag over time.
    pub fn keep_series(&self, case: &str, figures: &mut Figures) {
        let began = self.load.began;
        let at = |look: &Progress| look.at.saturating_duration_since(began).as_secs_f64();
        let rates = self.looks.windows(2).filter_map(|pair| {
            let [before, after] = pair else { return None };
            let seconds = (after.at - before.at).as_secs_f64();
            let events = after.finalised.saturating_sub(before.finalised);
            (seconds > 0.0).then(|| (at(after), count(events) / seconds))
        });
        let lags = self.looks.iter().map(|look| (at(look), count(lag(look))));
        for (measure, unit, points) in [
            ("rate", "events/s", rates.collect::<Vec<_>>()),
            ("lag", "events", lags.collect()),
        ] {
            figures.keep(Series {
                case: case.to_owned(),
                measure: measure.to_owned(),
                unit: unit.to_owned(),
                points,
            });
        }
    }
}

impl CpuSpent {
    /// Adds CPU by process, in core-seconds for 100,000 events, and how busy the machine was.
    pub fn add_to(&self, case: &str, events: u64, took: Duration, figures: &mut Figures) {
        let per_100k = 1e5 / count(events);
        for (role, seconds) in &self.0 {
            let measure = format!("cpu, {}", role.word());
            figures.add(case, &measure, CPU_UNIT, seconds * per_100k);
        }
        let whole: f64 = self.0.values().sum();
        figures.add(case, "cores busy", "cores", whole / took.as_secs_f64());
    }
}

impl MetricsPage {
    /// Adds where the time of a batch went, by step and by stage.
    pub fn add_steps_to(&self, case: &str, figures: &mut Figures) {
        for (metric, label) in [
            ("axs_batch_step_seconds", "step"),
            ("axs_batch_seconds", "stage"),
        ] {
            let sums = self.by_label(&format!("{metric}_sum"), label);
            let counts = self.by_label(&format!("{metric}_count"), label);
            for (name, sum) in sums {
                let times = counts.get(&name).copied().unwrap_or_default();
                if times > 0.0 {
                    let measure = format!("{label}, {name}");
                    figures.add(case, &measure, "ms/batch", sum / times * 1e3);
                }
            }
        }
        if let Some(mean) = self.mean("axs_log_commit_seconds") {
            figures.add(case, "log commit", "ms", mean * 1e3);
        }
    }
}

/// Adds the percentiles of latencies in microseconds.
pub fn add_percentiles(case: &str, what: &str, latencies: &Histogram<u64>, figures: &mut Figures) {
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let micros = latencies.value_at_quantile(quantile);
        figures.add(case, &format!("{what}, {name}"), "ms", count(micros) / 1e3);
    }
}

fn lag(look: &Progress) -> u64 {
    look.accepted.saturating_sub(look.finalised)
}

/// A count as a figure; beyond 2^53 it would be rounded, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub const fn count(number: u64) -> f64 {
    number as f64
}
