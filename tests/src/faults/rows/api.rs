//! kill -9 of the API.

use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use anyhow::Result;
use rand::RngExt;
use std::ops::Range;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "api-killed-after-commit",
        "kill -9 of the API after the log commit, before anything is published or answered",
        |scene| Box::pin(killed(scene, "api.after_log_commit", 60..200, "")),
    )
    .counting(&[Count::Unknown]),
    Row::new(
        "api-killed-before-answer",
        "kill -9 of the API after the log commit, published and not answered",
        |scene| Box::pin(killed(scene, "api.before_answer", 60..200, "")),
    )
    .counting(&[Count::Unknown]),
    Row::new(
        "api-killed-before-note",
        "kill -9 of the API between publish and the offset update",
        |scene| {
            Box::pin(killed(
                scene,
                "api.before_position_note",
                2..4,
                SLOW_BATCHES,
            ))
        },
    ),
];

/// Positions are noted seconds after they were put: without it everything may be final by then.
const SLOW_BATCHES: &str = "batch.before_commit=sleep(100)@1+";

async fn killed(scene: &mut Scene, point: &str, hits: Range<u32>, leader_plan: &str) -> Result<()> {
    let hit = scene.rng.random_range(hits);
    let api_plan = format!("{point}=kill@{hit}");
    scene.cast(&api_plan, leader_plan).await?;
    scene.hit(point).await?;
    scene.results(100).await
}
