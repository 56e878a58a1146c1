//! Answers that are lost and connections that are cut on the way to PostgreSQL.

use crate::deadline::{Look, Patience, until};
use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use crate::proxy::Trick;
use anyhow::Result;
use std::time::Duration;

/// How often a trick is played in a row.
const TIMES: u32 = 3;

/// A statement timeout of these tests passes meanwhile.
const STALL: Duration = Duration::from_millis(2_600);

/// The insert of a request's events is longer, and no other statement of the API is.
const APPEND_BYTES_MIN: usize = 600;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "commit-answer-lost",
        "the server commits a batch, and the reply is lost",
        |scene| Box::pin(tricked(scene, Trick::LoseCommitAnswer)),
    ),
    Row::new(
        "commit-lost",
        "the connection ends before COMMIT reaches the server",
        |scene| Box::pin(tricked(scene, Trick::LoseCommit)),
    ),
    Row::new(
        "copy-cut",
        "the connection ends in the middle of a COPY",
        |scene| Box::pin(tricked(scene, Trick::CutCopy)),
    ),
    Row::new(
        "copy-timeout",
        "statement timeout in the middle of a COPY",
        |scene| Box::pin(tricked(scene, Trick::StallCopy(STALL))),
    ),
    Row::new(
        "append-answer-lost",
        "the server commits log rows, and the reply is lost",
        |scene| Box::pin(append_answer_lost(scene)),
    )
    .counting(&[Count::Unknown]),
];

async fn tricked(scene: &mut Scene, trick: Trick) -> Result<()> {
    let doors = scene.doors().await?;
    scene.cast_behind(&doors).await?;
    for played in 1..=u64::from(TIMES) {
        doors.postgres.play(trick, 1);
        until("the trick to be played", Patience::PROCESS, async || {
            Ok(match doors.postgres.played() {
                count if count >= played => Look::There(()),
                count => Look::NotYet(format!("{count} times")),
            })
        })
        .await?;
        scene.injected(1).await;
        scene.results(50).await?;
    }
    scene.keep(doors);
    Ok(())
}

async fn append_answer_lost(scene: &mut Scene) -> Result<()> {
    let doors = scene.doors().await?;
    scene.api("", Some(&doors)).await?;
    scene.api("", None).await?;
    scene.leader("", None).await?;
    scene.leader("", None).await?;
    scene.led_by(2).await?;
    scene.begin_load().await?;
    doors
        .postgres
        .play(Trick::LoseAnswerTo(APPEND_BYTES_MIN), TIMES);
    until("answers to be lost", Patience::PROCESS, async || {
        Ok(match doors.postgres.played() {
            count if count >= u64::from(TIMES) => Look::There(()),
            count => Look::NotYet(format!("{count} times")),
        })
    })
    .await?;
    scene.injected(u64::from(TIMES)).await;
    scene.keep(doors);
    scene.results(100).await
}
