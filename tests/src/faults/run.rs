//! One row, from an empty deployment to a verdict.

use super::check::{Evidence, check};
use super::invariant::{Invariant, Violations};
use super::quiet;
use super::row::{Count, Proves, Row};
use super::scene::{LEASE, Scene, moment, take_overs};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A take-over after a kill may take so much longer than the lease.
pub const TAKE_OVER_GRACE: Duration = Duration::from_secs(1);

/// A row that takes longer hangs.
const ROW_BOUND: Duration = Duration::from_secs(240);

/// Results that must come after healing, so that the work is seen to go on.
const RESULTS_AFTER: i64 = 50;

/// How a row ended.
#[derive(Debug)]
pub struct Verdict {
    /// The row's name.
    pub name: &'static str,
    /// Its fault, for a person.
    pub fault: &'static str,
    /// What it was to show.
    pub proves: Proves,
    /// What was counted.
    pub counts: BTreeMap<Count, u64>,
    /// Broken promises.
    pub violations: Violations,
    /// The longest take-over after a kill.
    pub take_over: Option<Duration>,
    /// From healing until everything was final.
    pub quiet: Duration,
    /// The whole row.
    pub took: Duration,
    /// Why it counts for nothing, whatever the promises: counts that are zero, a step that failed.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Whether it shows what it was to show.
    #[must_use]
    pub fn is_green(&self) -> bool {
        let shown = match self.proves {
            Proves::Kept => self.violations.is_empty(),
            Proves::Caught(by) => by.iter().any(|it| self.violations.of(*it) > 0),
        };
        shown && self.faults.is_empty()
    }
}

/// Runs a row.
pub async fn run(row: &Row, seed: u64) -> Verdict {
    let began = Instant::now();
    let mut verdict = Verdict {
        name: row.name,
        fault: row.fault,
        proves: row.proves,
        counts: BTreeMap::new(),
        violations: Violations::default(),
        take_over: None,
        quiet: Duration::ZERO,
        took: Duration::ZERO,
        faults: Vec::new(),
    };
    match tokio::time::timeout(ROW_BOUND, play(row, seed_of(row, seed), &mut verdict)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => verdict.faults.push(format!("{error:#}")),
        Err(_) => verdict
            .faults
            .push(format!("it took longer than {ROW_BOUND:?}")),
    }
    verdict.took = began.elapsed();
    verdict
}

/// Rows differ under one seed, and a row is the same with and without its neighbours.
fn seed_of(row: &Row, seed: u64) -> u64 {
    row.name.bytes().fold(seed, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    })
}

async fn play(row: &Row, seed: u64, verdict: &mut Verdict) -> Result<()> {
    let mut scene = Scene::set(row, seed).await?;
    let played = played(row, &mut scene, verdict).await;
    verdict.counts = std::mem::take(&mut scene.counts);
    verdict.take_over = scene.take_over;
    played?;

    let required = [Count::Injections, Count::InFlight];
    for count in required.iter().chain(row.counts) {
        if verdict.counts.get(count).copied().unwrap_or(0) == 0 {
            verdict.faults.push(format!("{count}: 0"));
        }
    }
    let bound = LEASE + TAKE_OVER_GRACE;
    if let Some(took) = verdict.take_over.filter(|took| *took > bound) {
        verdict
            .faults
            .push(format!("the take-over took {took:?}, {bound:?} at most"));
    }
    if verdict.is_green() {
        scene.end();
    }
    Ok(())
}

async fn played(row: &Row, scene: &mut Scene, verdict: &mut Verdict) -> Result<()> {
    let began = moment();
    (row.play)(scene).await.context("putting the fault in")?;
    scene.heal().await.context("healing")?;
    let healed = Instant::now();
    if row.proves == Proves::Kept
        && let Err(error) = scene.results(RESULTS_AFTER).await
    {
        let what = format!("after healing: {error:#}");
        verdict.violations.add(Invariant::I12, what);
    }
    if row.proves == Proves::Kept
        && let Err(error) = scene.cache_compared().await
    {
        verdict.faults.push(format!("after healing: {error:#}"));
    }
    scene.end_load().await;
    let violations = &mut verdict.violations;
    let unknown = quiet::settle(&scene.roster, &scene.journal, healed, violations).await;
    quiet::wait(&scene.deployment.database, healed, violations).await;
    verdict.quiet = healed.elapsed();

    let mut seen = match scene.watch.take() {
        Some(watch) => watch.stop().await,
        None => anyhow::bail!("the row began no load"),
    };
    // The leases of the start are no take-overs.
    let took_over = take_overs(&std::mem::take(&mut seen.changes), began);
    let skipped = scene.skipped().await;
    let evidence = Evidence {
        deployment: &scene.deployment,
        script: &scene.script,
        journal: &scene.journal,
        roster: &scene.roster,
        seen,
    };
    let facts = check(evidence, &mut verdict.violations)
        .await
        .context("checking")?;
    scene.count(Count::TakeOvers, took_over);
    scene.count(Count::Redeliveries, skipped.max(facts.copies));
    scene.count(Count::Refusals, scene.refusals());
    scene.count(Count::Unknown, unknown);
    Ok(())
}
