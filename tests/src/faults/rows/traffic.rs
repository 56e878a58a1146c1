//! What clients do: all on one account, all under one key.

use crate::deadline::{Look, Patience, until};
use crate::faults::journal::Answer;
use crate::faults::load::send;
use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use crate::model::whole;
use crate::script::{Script, change, event};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{AckLevel, BalanceChangeEvent};
use num_bigint::BigInt;
use rand::RngExt;

/// Requests at once under one key.
const AT_ONCE: usize = 100;

/// Keys on which that is done.
const KEYS: usize = 3;

/// The account that everything goes to.
const HOT: i64 = 1_001;

/// Of a hundred events, those of the hot account.
const HOT_SHARE: u32 = 90;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "hot-account",
        "one account takes 90 % of the load, and its leader is killed",
        |scene| Box::pin(hot(scene)),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "same-key-same-content",
        "the same key 100 times at once, with the same content",
        |scene| Box::pin(same_key(scene, |_| 0)),
    ),
    Row::new(
        "same-key-other-content",
        "the same key 100 times at once, with ten contents",
        |scene| Box::pin(same_key(scene, |number| number % 10)),
    ),
];

async fn hot(scene: &mut Scene) -> Result<()> {
    heat(scene);
    let hit = scene.rng.random_range(12..30);
    let point = "batch.before_commit";
    scene.api("", None).await?;
    scene.api("", None).await?;
    // One leads everything, the hot partition among it.
    scene.leader(&format!("{point}=kill@{hit}"), None).await?;
    scene.led_by(1).await?;
    scene.start_load().await?;
    let hit = scene.hit(point).await?;
    let owner = scene.leaders[0].owner;
    scene.leader("", None).await?;
    scene.replaced(owner, hit.at).await?;
    scene.results(200).await
}

/// Deposits, holds and releases, nine in ten on one account.
fn heat(scene: &mut Scene) {
    let cold = std::mem::take(&mut scene.script);
    let mut script = Script {
        currencies: cold.currencies,
        accounts: cold.accounts,
        ..Script::default()
    };
    let rng = &mut scene.rng;
    for number in 0..6_000 {
        let account = if rng.random_ratio(HOT_SHARE, 100) {
            HOT
        } else {
            rng.random_range(1..=60)
        };
        let amount = whole(rng.random_range(1..50));
        let (available, frozen) = match rng.random_range(0..3) {
            0 => (amount, BigInt::ZERO),
            1 => (-&amount, amount),
            _ => (amount.clone(), -amount),
        };
        let changes = vec![change("c", "USDT", &available, &frozen)];
        let event = event(account, &format!("hot-{number}"), "move", "", changes);
        script.items.push(crate::script::Item {
            event,
            // What must come of it is found at the end, in the order of offsets.
            expected: crate::model::Expected::Accepted { duplicate: false },
        });
    }
    scene.script = script;
}

/// A hundred requests at once under one key, to both API processes, of as many contents as told.
async fn same_key(scene: &mut Scene, content: fn(usize) -> usize) -> Result<()> {
    scene.cast("", "").await?;
    for round in 0..KEYS {
        let account = scene.rng.random_range(1..=60);
        let key = format!("rush-{round}");
        let requests = (0..AT_ONCE).map(|number| {
            let picked = scene.roster.pick(number);
            let event = rush(account, &key, content(number));
            async move {
                let (api, client) = picked.context("no API")?;
                anyhow::Ok(send(&client, api, vec![event], AckLevel::Logged, false).await)
            }
        });
        let answered = futures::future::try_join_all(requests).await?;
        let sent: Vec<_> = answered.into_iter().flatten().collect();
        let fresh = sent.iter().filter(|it| {
            matches!(
                it.answer,
                Answer::Accepted {
                    duplicate: false,
                    ..
                }
            )
        });
        let fresh = fresh.count();
        ensure!(
            fresh == 1,
            "{fresh} of {AT_ONCE} were told that theirs is new"
        );
        scene.journal.note(sent);
        scene.injected(AT_ONCE as u64).await;
        scene.results(30).await?;
    }
    let entries = scene
        .deployment
        .database
        .number("SELECT count(*) FROM balance_change_states WHERE idempotency_key LIKE 'rush-%'");
    ensure!(
        entries.await? == i64::try_from(KEYS)?,
        "more rows than keys"
    );
    until(
        "the rushed events to be final",
        Patience::PROCESS,
        async || {
            let open = scene
                .deployment
                .database
                .number(
                    "SELECT count(*) FROM balance_change_states
                  WHERE idempotency_key LIKE 'rush-%' AND status = 0",
                )
                .await?;
            Ok(if open == 0 {
                Look::There(())
            } else {
                Look::NotYet(format!("{open}"))
            })
        },
    )
    .await
}

fn rush(account: i64, key: &str, content: usize) -> BalanceChangeEvent {
    let amount = whole(i64::try_from(content).unwrap_or(0) + 1);
    let changes = vec![change("in", "USDT", &amount, &BigInt::ZERO)];
    event(account, key, "rush", "", changes)
}
