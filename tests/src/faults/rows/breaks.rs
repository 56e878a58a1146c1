//! Guards left out on purpose: the checker must notice.

use crate::faults::invariant::Invariant;
use crate::faults::load::send;
use crate::faults::row::Row;
use crate::faults::scene::Scene;
use crate::model::whole;
use crate::script::{change, event};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::AckLevel;
use num_bigint::BigInt;
use rustix::process::Signal;

/// An account that nothing else touches.
const QUIET: i64 = 59;

/// A new leader that reads nothing yet: the old one finds everything as it left it.
const SLOW_START: &str = "takeover.before_reading=sleep(4000)@1+";

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "break-init-guard",
        "the INIT guard is left out, and a rejected event comes again",
        |scene| Box::pin(init_guard(scene)),
    )
    .caught_by(&[Invariant::I8, Invariant::I7]),
    Row::new(
        "break-token",
        "the token is not checked, and an old leader wakes in the middle of a batch",
        |scene| Box::pin(fence(scene, "break.token", "batch.after_copy")),
    )
    .caught_by(&[Invariant::I6]),
    Row::new(
        "break-fence-lock",
        "the fence is a plain SELECT, and an old leader wakes behind it",
        |scene| {
            Box::pin(fence(
                scene,
                "break.fence_plain_select",
                "batch.after_fence",
            ))
        },
    )
    .caught_by(&[Invariant::I6]),
    Row::new(
        "break-cache-first",
        "the cache is written before the commit, and the commit takes its time",
        |scene| Box::pin(cache_first(scene)),
    )
    .caught_by(&[Invariant::I9]),
];

async fn cache_first(scene: &mut Scene) -> Result<()> {
    let plan = "break.cache_before_commit=on;batch.before_commit=sleep(300)@30+";
    scene.cast("", plan).await?;
    scene.hit("batch.before_commit").await?;
    scene.results(400).await
}

/// An old leader is stopped, another takes over and has written nothing yet, the old one wakes.
async fn fence(scene: &mut Scene, guard: &str, point: &str) -> Result<()> {
    scene.api("", None).await?;
    scene.api("", None).await?;
    let plan = format!("{guard}=on;{point}=stop@12");
    scene.leader(&plan, None).await?;
    scene.led_by(1).await?;
    scene.start_load().await?;
    let hit = scene.hit(point).await?;
    let owner = scene.leaders[0].owner;
    scene.leader(SLOW_START, None).await?;
    scene.replaced(owner, hit.at).await?;
    scene.signal(0, Signal::CONT)?;
    scene.results(50).await
}

/// A hold of more than there is, rejected; a deposit; and the hold's record once more.
async fn init_guard(scene: &mut Scene) -> Result<()> {
    scene.api("", None).await?;
    scene.api("", None).await?;
    scene.leader("break.init_guard=on", None).await?;
    scene.led_by(1).await?;
    scene.begin_load().await?;
    scene.end_load().await;
    let (much, more) = (whole(900_000_000), whole(950_000_000));
    let hold = vec![change("hold", "ETH", &-&much, &much)];
    let held = once(scene, event(QUIET, "hold-too-much", "hold", "", hold)).await?;
    let gift = vec![change("in", "ETH", &more, &BigInt::ZERO)];
    once(scene, event(QUIET, "gift", "deposit", "", gift)).await?;
    let (partition, offset): (i32, i64) = sqlx::query_as(
        "SELECT partition, record_offset FROM balance_change_states WHERE log_id = $1::uuid",
    )
    .bind(&held)
    .fetch_one(&scene.deployment.database.pool)
    .await?;
    let topic = &scene.deployment.topic;
    let record = topic.read(partition, offset).await?;
    topic.write(partition, "again", &record).await?;
    scene.injected(1).await;
    // Nothing is in flight once it was rejected, and nothing need be.
    scene.count(crate::faults::row::Count::InFlight, 1);
    // Another event behind it shows when it was looked at.
    let last = vec![change("in", "ETH", &whole(1), &BigInt::ZERO)];
    once(scene, event(QUIET, "last", "deposit", "", last)).await?;
    Ok(())
}

/// Sends an event, waits for its result, and gives its log id.
async fn once(scene: &Scene, event: axs_proto::v1::BalanceChangeEvent) -> Result<String> {
    let (api, client) = scene.roster.pick(0).context("no API")?;
    let sent = send(&client, api, vec![event], AckLevel::Logged, false).await;
    scene.journal.note(sent.clone());
    let Some(crate::faults::journal::Answer::Accepted { log_id, .. }) =
        sent.into_iter().next().map(|sent| sent.answer)
    else {
        anyhow::bail!("not accepted");
    };
    let database = &scene.deployment.database;
    let began = std::time::Instant::now();
    while database.pending_events().await? > 0 {
        ensure!(began.elapsed().as_secs() < 60, "no result");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // So that the watch has seen what is to change.
    let found = client.event(&log_id).await?;
    scene.see(&log_id, found.state.unwrap_or_default());
    Ok(log_id)
}
