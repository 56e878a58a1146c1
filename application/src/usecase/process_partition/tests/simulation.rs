//! The worker against a model, under every trouble at once.

use super::bench::{Bench, change, key_of, resident};
use crate::port::batch_writer::WriteError;
use crate::usecase::process_partition::fakes::{FakeStore, Trouble};
use crate::usecase::process_partition::{Progress, StopReason};
use axs_domain::log_status::LogStatus;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SEEDS: u64 = 100;
const RECORDS: usize = 120;
const ACCOUNTS: usize = 4;
const TERMS_MAX: usize = 2_000;

/// What the topic holds at one offset.
struct Written {
    payload: Bytes,
    /// The event's key, account and amount, when the record is real.
    real: Option<(String, i64, i64)>,
}

/// Plain sums in the order of the offsets, sharing nothing with the worker.
fn model(
    topic: &[Written],
    refused: &HashSet<String>,
) -> (BTreeMap<String, LogStatus>, BTreeMap<i64, (i64, i64)>) {
    let mut statuses = BTreeMap::new();
    let mut balances: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for (key, account, amount) in topic.iter().filter_map(|written| written.real.as_ref()) {
        if statuses.contains_key(key) {
            continue;
        }
        let (sum, version) = balances.get(account).copied().unwrap_or_default();
        let status = if refused.contains(key) {
            LogStatus::Parked
        } else if sum + amount < 0 {
            LogStatus::Rejected
        } else {
            balances.insert(*account, (sum + amount, version + 1));
            LogStatus::Applied
        };
        statuses.insert(key.clone(), status);
    }
    (statuses, balances)
}

fn write_topic(bench: &mut Bench, chance: &mut StdRng) -> (Vec<Written>, HashSet<String>) {
    let mut topic: Vec<Written> = Vec::new();
    let mut refused = HashSet::new();
    let mut waiting: Vec<Written> = Vec::new();
    // A dirty topic tries the redoing, a clean one the batches that grow while another is written.
    let rarity = if chance.random_bool(0.5) { 1 } else { 20 };
    for number in 0..RECORDS {
        let account = resident(chance.random_range(0..ACCOUNTS));
        let amount = chance.random_range(-40..60_i64);
        let amount = if amount == 0 { 1 } else { amount };
        let key = format!("k{number}");
        let event = change(account, &key, &amount.to_string());
        match chance.random_range(0..20 * rarity) {
            0 => topic.push(Written {
                payload: Bytes::from_static(b"garbage"),
                real: None,
            }),
            // No such row.
            1 => topic.push(Written {
                payload: bench.record(&event, 1_000_000, 5),
                real: None,
            }),
            // A forgery in front of the real one.
            2 => {
                let payload = bench.log(&event);
                let forged = change(account, &key, "7777");
                let id = {
                    let state = bench.store.state.lock().unwrap();
                    state.rows[&key_of(&event)].log_id.uuid().as_u128()
                };
                topic.push(Written {
                    payload: bench.record(&forged, id, id),
                    real: None,
                });
                waiting.push(Written {
                    payload,
                    real: Some((key, account, amount)),
                });
            }
            kind => {
                let payload = bench.log(&event);
                if kind == 3 {
                    refused.insert(key.clone());
                }
                topic.push(Written {
                    payload,
                    real: Some((key, account, amount)),
                });
            }
        }
        // A copy of something earlier, near or far.
        if chance.random_ratio(1, 6 * rarity) && !topic.is_empty() {
            let copied = &topic[chance.random_range(0..topic.len())];
            let copy = Written {
                payload: copied.payload.clone(),
                real: copied.real.clone(),
            };
            topic.push(copy);
        }
        topic.append(&mut waiting);
    }
    (topic, refused)
}

fn trouble(chance: &mut StdRng) -> Option<Trouble> {
    match chance.random_range(0..12) {
        0 => Some(Trouble::Error(WriteError::Retryable("deadlock".to_owned()))),
        1 => Some(Trouble::Error(WriteError::Moved("moved".to_owned()))),
        2 => Some(Trouble::CommittedUnknown),
        3 => Some(Trouble::LostUnknown),
        _ => None,
    }
}

/// Opens and shuts the gate at random, so that batches wait while others are decided on them.
async fn doorkeeper(store: Arc<FakeStore>, mut chance: StdRng) {
    loop {
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..20))).await;
        store.gate.add_permits(1);
    }
}

async fn run(seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new();
    let (topic, refused) = write_topic(&mut bench, &mut chance);
    bench.settings.batch_events_max = NonZeroUsize::new(chance.random_range(1..15)).unwrap();
    bench.settings.memory_balances_max = NonZeroUsize::new(chance.random_range(1..9)).unwrap();
    bench.settings.preload_balances = chance.random_bool(0.7);
    bench.settings.poison_in_a_row_max = NonZeroUsize::new(1_000).unwrap();
    bench.settings.batch_linger = Duration::from_millis(chance.random_range(0..10));
    bench.settings.batch_interval = Duration::from_millis(chance.random_range(0..50));
    {
        let mut state = bench.store.state.lock().unwrap();
        state.refused_keys = refused.clone();
        state.troubles = (0..10_000).map(|_| trouble(&mut chance)).collect();
    }
    bench.store.gate.forget_permits(1_000_000);
    let door = tokio::spawn(doorkeeper(
        bench.store.clone(),
        StdRng::seed_from_u64(seed + 1),
    ));
    let end = i64::try_from(topic.len()).unwrap();
    // Terms of leading, ended by trouble or, at random, by a drain or a kill.
    let mut terms = 0;
    while bench.stored() < end {
        terms += 1;
        assert!(terms < TERMS_MAX, "seed {seed} gets nowhere");
        bench.lease = Bench::lease_from(&bench.clock);
        let from = bench.store.state.lock().unwrap().stored_offset;
        bench.progress = Arc::new(Progress::new(from));
        bench.drain = CancellationToken::new();
        let mut worker = bench.start();
        bench.read_from(from);
        let mut next = usize::try_from(from.value()).unwrap();
        let dies_after = chance.random_range(20..400_u64);
        let death = tokio::time::sleep(Duration::from_millis(dies_after));
        tokio::pin!(death);
        let ended = loop {
            let chunk = chance.random_range(1..20).min(topic.len() - next);
            if chunk > 0 {
                let chunk = &topic[next..next + chunk];
                next += chunk.len();
                bench
                    .publish(chunk.iter().map(|w| w.payload.clone()).collect())
                    .await;
            }
            let pause = Duration::from_millis(chance.random_range(0..15));
            tokio::select! {
                ended = &mut worker => break Some(ended.unwrap()),
                () = &mut death => break None,
                () = tokio::time::sleep(pause) => {}
            }
        };
        match ended {
            Some(end) => assert!(
                matches!(end.reason, StopReason::Moved(_)),
                "seed {seed}: {end:?}"
            ),
            None if chance.random_bool(0.5) => {
                bench.drain.cancel();
                worker.await.unwrap();
            }
            None => {
                // Killed; its write may still land, as a successor's take-over waits for.
                bench.lease.revoke();
                worker.abort();
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        }
    }
    door.abort();

    let (statuses, balances) = model(&topic, &refused);
    assert_eq!(bench.store.statuses(), statuses, "seed {seed}");
    for nth in 0..ACCOUNTS {
        let account = resident(nth);
        let (sum, version) = balances.get(&account).copied().unwrap_or_default();
        let expected = if version == 0 {
            "-".to_owned()
        } else {
            sum.to_string()
        };
        assert_eq!(bench.store.usd(account), (expected, version), "seed {seed}");
    }
    let state = bench.store.state.lock().unwrap();
    assert_eq!(state.moved, 0, "seed {seed}: decided on what did not stand");
    // Every dead letter once, in order, and nothing real among them.
    let dead: Vec<usize> = state
        .dead_letters
        .iter()
        .map(|letter| usize::try_from(letter.offset.value()).unwrap())
        .collect();
    let expected: Vec<usize> = (0..topic.len())
        .filter(|at| topic[*at].real.is_none())
        .collect();
    assert_eq!(dead, expected, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_and_whoever_dies_every_event_has_its_one_effect_in_the_order_of_offsets() {
    for seed in 0..SEEDS {
        run(seed).await;
    }
}
