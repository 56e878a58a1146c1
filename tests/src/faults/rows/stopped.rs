//! SIGSTOP of the leader beyond its lease, and what it does when it wakes.

use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use anyhow::Result;
use rand::RngExt;
use rustix::process::Signal;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "leader-stopped-in-batch",
        "SIGSTOP of the leader beyond its lease, resumed between COPY and fence",
        |scene| Box::pin(stopped(scene, "batch.after_copy")),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "leader-stopped-in-copy",
        "SIGSTOP of the leader in the middle of a COPY, resumed beyond its lease",
        |scene| Box::pin(stopped(scene, "batch.in_copy")),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "leader-stopped-with-lock",
        "SIGSTOP of the leader while it holds the row lock",
        |scene| Box::pin(stopped(scene, "batch.after_apply")),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "leader-stopped-at-commit",
        "SIGSTOP of the leader right before COMMIT, the row locked",
        |scene| Box::pin(stopped(scene, "batch.before_commit")),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "late-cache-write",
        "an old leader's cache write comes after the new leader's",
        |scene| Box::pin(stopped(scene, "cache.before_write")),
    )
    .counting(&[Count::TakeOvers]),
];

async fn stopped(scene: &mut Scene, point: &str) -> Result<()> {
    let hit = scene.rng.random_range(12..40);
    scene.cast("", &format!("{point}=stop@{hit}")).await?;
    let hit = scene.hit(point).await?;
    let owner = scene.leaders[0].owner;
    scene.replaced(owner, hit.at).await?;
    // The new leader has written before the old one wakes.
    scene.results(100).await?;
    scene.signal(0, Signal::CONT)?;
    scene.results(100).await
}
