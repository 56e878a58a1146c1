//! Events of one account take effect in the order in which they were handed over.

use crate::double::{Act, Call, Double, deposit, refused, unknown};
use anyhow::Result;
use axs_client::{Answer, RefusalCode};
use futures::future::try_join_all;
use futures::stream::{FuturesOrdered, TryStreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Mutex;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const ACCOUNTS: i64 = 12;
const EVENTS_EACH: usize = 100;

/// A server that does everything that a server may do, and keeps the contract: what it refuses for
/// now, it refuses for the whole account.
fn moody(seed: u64) -> impl Fn(&Call) -> Act + Send + Sync {
    let chance = Mutex::new(StdRng::seed_from_u64(seed));
    move |call| {
        let mut chance = chance.lock().unwrap();
        match chance.random_range(0..10) {
            0 => Act::Fail(Status::unavailable("before it was logged")),
            1 => Act::LogAndFail(Status::unavailable("after it was logged")),
            2 => {
                let mut details = ErrorDetails::with_error_info("BACKLOG_FULL", "axs.v1", []);
                details.set_retry_info(Some(std::time::Duration::from_millis(2)));
                let code = Code::ResourceExhausted;
                Act::Fail(Status::with_error_details(code, "full", details))
            }
            3 => {
                let unlucky = chance.random_range(1..=ACCOUNTS);
                let events = call.events.iter().enumerate();
                let theirs = events.filter(|(_, event)| event.account_id == unlucky);
                Act::Outcomes(
                    theirs
                        .map(|(index, _)| (index, refused(RefusalCode::BacklogFull, index, 2)))
                        .collect(),
                )
            }
            // Of the last one only: nothing behind it can be logged before it.
            4 => Act::Outcomes(BTreeMap::from([(call.events.len() - 1, unknown())])),
            _ => Act::Accept,
        }
    }
}

async fn storm(seed: u64, held_max: usize) -> Result<()> {
    let server = Double::start(moody(seed))?;
    let client = server.client(|settings| {
        settings.events_held_max = held_max;
        settings.request_events_max = 40;
        settings.requests_in_flight_max = 4;
    })?;
    let callers = (1..=ACCOUNTS).map(|account| {
        let client = client.clone();
        let caller = async move {
            // Handed over one after another, without waiting for answers.
            let calls: FuturesOrdered<_> = (0..EVENTS_EACH)
                .map(|number| client.submit(deposit(account, number.to_string())))
                .collect();
            let answers: Vec<Answer> = calls.try_collect().await?;
            assert!(answers.iter().all(|it| matches!(it, Answer::Accepted(_))));
            anyhow::Ok(())
        };
        tokio::spawn(caller)
    });
    for done in try_join_all(callers).await? {
        done?;
    }
    let book = server.book();
    assert_eq!(book.clashes, [], "one request at a time carries an account");
    let mut by_account: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (account, key) in &book.logged {
        by_account.entry(*account).or_default().push(key.clone());
    }
    let expected: Vec<String> = (0..EVENTS_EACH).map(|number| number.to_string()).collect();
    for account in 1..=ACCOUNTS {
        assert_eq!(
            by_account[&account], expected,
            "account {account}, seed {seed}"
        );
    }
    assert!(
        book.calls.len() < book.logged.len() / 2,
        "{}",
        book.calls.len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_and_refusals_let_nobody_overtake() -> Result<()> {
    for seed in 0..3 {
        storm(seed, 10_000).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_room_lets_nobody_overtake() -> Result<()> {
    for seed in 10..13 {
        storm(seed, 30).await?;
    }
    Ok(())
}
