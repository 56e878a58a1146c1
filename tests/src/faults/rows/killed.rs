//! kill -9 of the leader at each step.

use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use anyhow::Result;
use rand::RngExt;

/// A kill of a leader at a point.
const fn at(
    name: &'static str,
    fault: &'static str,
    play: for<'s> fn(&'s mut Scene) -> crate::faults::row::Played<'s>,
) -> Row {
    Row::new(name, fault, play).counting(&[Count::TakeOvers])
}

pub(super) const ROWS: &[Row] = &[
    at(
        "leader-killed-poll",
        "kill -9 of the leader after poll",
        |scene| Box::pin(killed(scene, "leader.after_poll")),
    ),
    at(
        "leader-killed-decide",
        "kill -9 of the leader after it decided",
        |scene| Box::pin(killed(scene, "leader.after_decide")),
    ),
    at(
        "leader-killed-in-copy",
        "kill -9 of the leader in the middle of a COPY",
        |scene| Box::pin(killed(scene, "batch.in_copy")),
    ),
    at(
        "leader-killed-copy",
        "kill -9 of the leader after the COPY",
        |scene| Box::pin(killed(scene, "batch.after_copy")),
    ),
    at(
        "leader-killed-fence",
        "kill -9 of the leader that holds the row lock",
        |scene| Box::pin(killed(scene, "batch.after_fence")),
    ),
    at(
        "leader-killed-cte",
        "kill -9 of the leader after the CTE",
        |scene| Box::pin(killed(scene, "batch.after_apply")),
    ),
    at(
        "leader-killed-before-commit",
        "kill -9 of the leader before COMMIT",
        |scene| Box::pin(killed(scene, "batch.before_commit")),
    ),
    at(
        "leader-killed-after-commit",
        "kill -9 of the leader after COMMIT",
        |scene| Box::pin(killed(scene, "batch.after_commit")),
    ),
    at(
        "leader-killed-before-cache",
        "kill -9 of the leader before the cache write",
        |scene| Box::pin(killed(scene, "cache.before_write")),
    ),
    at(
        "leader-killed-after-cache",
        "kill -9 of the leader after the cache write",
        |scene| Box::pin(killed(scene, "cache.after_write")),
    ),
    at(
        "leader-killed-before-result",
        "kill -9 of the leader before the result publish",
        |scene| Box::pin(killed(scene, "results.before_publish")),
    ),
    at(
        "leader-killed-after-result",
        "kill -9 of the leader after the result publish, before it is noted",
        |scene| Box::pin(killed(scene, "results.after_publish")),
    ),
    at(
        "candidate-killed-token",
        "kill -9 of a candidate that has raised the token, before COMMIT",
        |scene| Box::pin(candidate_killed(scene, "takeover.before_commit")),
    ),
    at(
        "candidate-killed-lease",
        "kill -9 of a new leader before it reads anything",
        |scene| Box::pin(candidate_killed(scene, "takeover.before_reading")),
    ),
];

async fn killed(scene: &mut Scene, point: &str) -> Result<()> {
    let hit = scene.rng.random_range(12..40);
    scene.cast("", &format!("{point}=kill@{hit}")).await?;
    let hit = scene.hit(point).await?;
    let owner = scene.leaders[0].owner;
    scene.replaced_after_kill(owner, hit.at).await
}

/// A leader is killed by hand, and the first that would take its place dies as well.
async fn candidate_killed(scene: &mut Scene, point: &str) -> Result<()> {
    scene.api("", None).await?;
    scene.api("", None).await?;
    scene.leader("", None).await?;
    scene.led_by(1).await?;
    scene.begin_load().await?;
    scene.leader(&format!("{point}=kill"), None).await?;
    scene.hit(point).await?;
    // It had checked in as a live consumer, and perhaps held a lease.
    scene.leader("", None).await?;
    scene.led_by(2).await
}
