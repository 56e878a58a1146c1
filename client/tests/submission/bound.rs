//! Nothing waits without a bound, and nobody who leaves disturbs the others.

use crate::double::{Act, Double, deposit};
use anyhow::Result;
use axs_client::{Cause, EVENT_BYTES_MAX, EventBuilder, SubmitError};
use futures::future::join_all;
use futures::poll;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn requests_and_their_sizes_stay_within_their_bounds() -> Result<()> {
    let server = Double::start(|_| Act::Accept)?;
    let client = server.client(|settings| {
        settings.request_events_max = 7;
        settings.requests_in_flight_max = 3;
    })?;
    let calls = (1..=300).map(|account| client.submit(deposit(account, "k")));
    for answer in join_all(calls).await {
        answer?;
    }
    let largest = server.sizes().into_iter().max();
    assert_eq!(largest, Some(7));
    assert!(server.book().under_way_max <= 3);
    Ok(())
}

#[tokio::test]
async fn when_the_client_is_full_callers_wait_and_their_deadline_counts() -> Result<()> {
    let server = Double::gated(0, |_| Act::Accept)?;
    let client = server.client(|settings| settings.events_held_max = 2)?;
    let mut first = pin!(client.submit(deposit(1, "first")));
    let mut second = pin!(client.submit(deposit(2, "second")));
    assert!(poll!(first.as_mut()).is_pending());
    assert!(poll!(second.as_mut()).is_pending());
    server.has_seen(1).await?;

    let deadline = Instant::now() + Duration::from_millis(50);
    let hurried = client.submit_until(deposit(3, "hurried"), deadline).await;
    assert_eq!(hurried, Err(SubmitError::NotLogged(Cause::NotSent)));
    let mut patient = pin!(client.submit(deposit(4, "patient")));
    assert!(poll!(patient.as_mut()).is_pending());

    server.admit(10);
    first.await?;
    second.await?;
    patient.await?;
    let logged: Vec<String> = server.book().logged.iter().map(|it| it.1.clone()).collect();
    assert_eq!(logged, ["first", "second", "patient"]);
    Ok(())
}

#[tokio::test]
async fn room_that_comes_free_is_not_for_those_who_come_last() -> Result<()> {
    let server = Double::start(|_| Act::Accept)?;
    let client = server.client(|settings| settings.events_held_max = 2)?;
    let held = [1, 2].map(|account| client.submit(deposit(account, "held")));
    let mut held = pin!(join_all(held));
    assert!(poll!(held.as_mut()).is_pending());
    let mut earlier = pin!(client.submit(deposit(3, "earlier")));
    assert!(poll!(earlier.as_mut()).is_pending());
    for answer in held.await {
        answer?;
    }
    // There is room for two now, and the one who waits for it has not moved yet.
    let mut later = pin!(client.submit(deposit(3, "later")));
    assert!(poll!(later.as_mut()).is_pending());
    earlier.await?;
    later.await?;
    let logged: Vec<String> = server.book().logged.iter().map(|it| it.1.clone()).collect();
    assert_eq!(logged, ["held", "held", "earlier", "later"]);
    Ok(())
}

#[tokio::test]
async fn an_event_whose_caller_left_before_it_was_sent_is_not_sent() -> Result<()> {
    let server = Double::gated(0, |_| Act::Accept)?;
    let client = server.client(|settings| {
        settings.requests_in_flight_max = 1;
        settings.events_held_max = 2;
    })?;
    {
        let mut sent = pin!(client.submit(deposit(1, "sent")));
        assert!(poll!(sent.as_mut()).is_pending());
        server.has_seen(1).await?;
        let mut waiting = pin!(client.submit(deposit(2, "waiting")));
        assert!(poll!(waiting.as_mut()).is_pending());
        let mut at_door = pin!(client.submit(deposit(3, "at the door")));
        assert!(poll!(at_door.as_mut()).is_pending());
    }
    // The room of those who left is free: two more are held, and sent.
    server.admit(10);
    let calls = [4, 5].map(|account| client.submit(deposit(account, "stays")));
    for answer in join_all(calls).await {
        answer?;
    }
    let accounts: Vec<i64> = server.book().logged.iter().map(|it| it.0).collect();
    assert_eq!(accounts, [1, 4, 5]);
    Ok(())
}

#[tokio::test]
async fn an_event_beyond_the_contract_is_refused_before_it_waits() -> Result<()> {
    let server = Double::start(|_| Act::Accept)?;
    let client = server.client(|_| {})?;
    let event = EventBuilder::new(1, 1, "k".repeat(EVENT_BYTES_MAX));
    let error = client.submit(event).await.unwrap_err();
    assert!(matches!(
        error,
        SubmitError::NotLogged(Cause::TooLarge { max, .. }) if max == EVENT_BYTES_MAX
    ));
    assert!(server.sizes().is_empty());
    Ok(())
}
