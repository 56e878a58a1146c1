//! Wall clocks that are wrong: nothing may rest on them.

use crate::deployment::run;
use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use anyhow::{Result, ensure};
use std::fs;
use std::process::Command;

/// Moves the wall clock of the process that loads it.
const SOURCE: &str = include_str!("clock_shift.c");

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "clock-ahead",
        "the consumer's clock is an hour ahead",
        |scene| Box::pin(off_by(scene, "3600")),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "clock-behind",
        "the consumer's clock is an hour behind",
        |scene| Box::pin(off_by(scene, "-3600")),
    )
    .counting(&[Count::TakeOvers]),
];

/// A consumer with a wrong clock takes over from one with the right clock, and the other way round.
async fn off_by(scene: &mut Scene, seconds: &str) -> Result<()> {
    let wrong = [
        ("LD_PRELOAD".to_owned(), library(scene).await?),
        ("FAULT_CLOCK_SHIFT_SECONDS".to_owned(), seconds.to_owned()),
    ];
    scene.api("", None).await?;
    scene.api("", None).await?;
    scene.leader("", None).await?;
    scene.led_by(1).await?;
    scene.begin_load().await?;
    let wrong = scene.leader_with(&wrong).await?;
    let told = |leader: usize| -> Option<String> {
        let log = scene.leaders[leader].process.log();
        log.get(..HOUR_LENGTH).map(str::to_owned)
    };
    let (right, shifted) = (told(0), told(wrong));
    ensure!(
        right != shifted,
        "its log tells the right hour: {shifted:?}"
    );
    scene.injected(1).await;
    scene.led_by(2).await?;
    scene.results(100).await?;
    scene.kill_leader(0).await?;
    scene.led_by(1).await?;
    scene.results(100).await?;
    scene.leader("", None).await?;
    scene.led_by(2).await?;
    scene.kill_leader(wrong).await?;
    scene.injected(1).await;
    scene.results(100).await
}

/// A line of a log begins with the date and the hour.
const HOUR_LENGTH: usize = "2026-11-22T15".len();

/// Compiles it; the C compiler is there, since librdkafka needs it.
async fn library(scene: &Scene) -> Result<String> {
    let folder = scene.deployment.folder();
    let (source, library) = (folder.join("clock_shift.c"), folder.join("clock_shift.so"));
    fs::write(&source, SOURCE)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
    compiler.arg(&library).arg(&source);
    let ran = run(compiler).await?;
    ensure!(ran.code == Some(0), "cc {ran}");
    Ok(library.display().to_string())
}
