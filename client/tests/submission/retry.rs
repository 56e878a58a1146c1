//! Unknown outcomes are settled under the same key; delays are kept; what is definite is said.

use crate::double::{Act, Double, deposit, refused, unknown};
use anyhow::{Context, Result};
use axs_client::{Answer, Cause, Client, ClientSettings, RefusalCode, SubmitError};
use futures::future::join;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DELAY: Duration = Duration::from_millis(150);

/// A delay beyond every deadline: what asked for it is the last word.
const BEYOND: Duration = Duration::from_secs(3_600);

/// A deadline that tests wait for, long enough for two tries on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

fn exhausted(reason: &str, delay: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "axs.v1", []);
    details.set_retry_info(Some(delay));
    Status::with_error_details(Code::ResourceExhausted, "full", details)
}

#[tokio::test]
async fn a_lost_answer_is_settled_under_the_same_key() -> Result<()> {
    for hang in [false, true] {
        let server = Double::start(move |call| match (call.number, hang) {
            (0, true) => Act::LogAndHang,
            (0, false) => Act::LogAndFail(Status::unavailable("the connection is lost")),
            _ => Act::Accept,
        })?;
        let client = server.client(|settings| settings.try_timeout = SHORT)?;
        let accepted = client.submit(deposit(1, "k")).await?.accepted();
        let accepted = accepted.context("accepted")?;
        assert!(accepted.duplicate, "the first try had logged it");
        assert_eq!(accepted.log_id, "row 0");
        let book = server.book();
        assert_eq!(book.calls.len(), 2);
        assert_eq!(book.calls[0].events, book.calls[1].events);
        drop(book);
        assert_eq!(client.activity().unknown, 1);
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_the_server_cant_tell_of_is_sent_again_alone() -> Result<()> {
    let server = Double::start(|call| match call.number {
        0 => Act::Outcomes(BTreeMap::from([(0, unknown())])),
        _ => Act::Accept,
    })?;
    let client = server.client(|_| {})?;
    let (first, second) = join(
        client.submit(deposit(1, "a")),
        client.submit(deposit(2, "b")),
    )
    .await;
    assert!(matches!(first?, Answer::Accepted(_)));
    assert!(matches!(second?, Answer::Accepted(_)));
    let book = server.book();
    assert_eq!(book.calls[0].keys(), ["a", "b"]);
    assert_eq!(book.calls[1].keys(), ["a"]);
    Ok(())
}

#[tokio::test]
async fn no_try_comes_before_the_delay_that_the_server_asked_for() -> Result<()> {
    for reason in ["BACKLOG_FULL", "WRITES_PAUSED"] {
        let server = Double::start(move |call| match call.number {
            0 => Act::Fail(exhausted(reason, DELAY)),
            _ => Act::Accept,
        })?;
        let client = server.client(|_| {})?;
        let answer = client.submit(deposit(1, "k")).await?;
        assert!(!answer.accepted().context("accepted")?.duplicate);
        let book = server.book();
        assert!(book.calls[1].at - book.calls[0].at >= DELAY, "{reason}");
        drop(book);
        assert_eq!(client.activity().turned_away, 1);
    }
    Ok(())
}

#[tokio::test]
async fn an_account_that_has_to_wait_holds_up_no_other() -> Result<()> {
    let server = Double::start(|call| match call.number {
        0 => Act::Outcomes(BTreeMap::from([(
            0,
            refused(RefusalCode::BacklogFull, 0, i64::from(u16::MAX)),
        )])),
        _ => Act::Accept,
    })?;
    // One request at a time: a sender that kept its place would stop everybody.
    let client = server.client(|settings| {
        settings.requests_in_flight_max = 1;
        settings.deadline = SHORT;
    })?;
    let full = client.submit(deposit(1, "full"));
    let behind = client.submit(deposit(1, "behind"));
    let others = async {
        for key in ["a", "b", "c"] {
            client.submit(deposit(2, key)).await?;
        }
        anyhow::Ok(())
    };
    let ((full, behind), others) = join(join(full, behind), others).await;
    others?;
    let error = full.unwrap_err();
    assert!(!error.is_unknown());
    assert_eq!(error.reason(), Some("REFUSAL_CODE_BACKLOG_FULL"));
    let asked = Duration::from_millis(u64::from(u16::MAX));
    assert_eq!(error.retry_after(), Some(asked));
    // It was in the same request, and was logged there: the double refused the first alone.
    assert!(behind.is_ok());
    assert_eq!(server.book().logged.len(), 4);
    Ok(())
}

#[tokio::test]
async fn what_is_still_unknown_at_the_deadline_is_told_so() -> Result<()> {
    let server = Double::start(|_| Act::Fail(Status::unavailable("PostgreSQL is away")))?;
    let client = server.client(|settings| settings.deadline = SHORT)?;
    let error = client.submit(deposit(1, "k")).await.unwrap_err();
    assert!(error.is_unknown());
    let text = error.to_string();
    assert!(
        text.starts_with("unknown: send the same key again"),
        "{text}"
    );
    assert!(server.sizes().len() > 1, "it was tried again");
    Ok(())
}

#[tokio::test]
async fn an_earlier_unknown_try_outlives_a_later_definite_one() -> Result<()> {
    let server = Double::start(|call| match call.number {
        0 => Act::LogAndFail(Status::unavailable("lost")),
        _ => Act::Fail(exhausted("BACKLOG_FULL", BEYOND)),
    })?;
    let client = server.client(|settings| settings.deadline = SHORT)?;
    let error = client.submit(deposit(1, "k")).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert_eq!(error.reason(), Some("BACKLOG_FULL"));
    Ok(())
}

#[tokio::test]
async fn a_refusal_settles_no_earlier_try_that_may_still_be_committed() -> Result<()> {
    let settles = [
        (RefusalCode::InactiveCurrency, false),
        (RefusalCode::KeyReused, true),
    ];
    for (code, settled) in settles {
        let server = Double::start(move |call| match call.number {
            0 => Act::LogAndFail(Status::unavailable("lost")),
            _ => Act::Outcomes(BTreeMap::from([(0, refused(code, 0, 0))])),
        })?;
        let client = server.client(|_| {})?;
        match client.submit(deposit(1, "k")).await {
            Ok(Answer::Refused(refusal)) => assert!(settled && refusal.code == code),
            Err(error) => assert!(!settled && error.is_unknown(), "{error}"),
            Ok(other) => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_deadline_of_a_request_under_way_leaves_it_unknown() -> Result<()> {
    let server = Double::gated(0, |_| Act::Accept)?;
    let client = server.client(|_| {})?;
    let deadline = Instant::now() + SHORT;
    let error = client.submit_until(deposit(1, "k"), deadline).await;
    assert_eq!(error, Err(SubmitError::Unknown(Cause::NoAnswer)));
    // The account is free again once the request has ended.
    server.admit(2);
    assert!(client.submit(deposit(1, "k")).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_has_logged_nothing() -> Result<()> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut settings = ClientSettings::default();
    settings.deadline = SHORT;
    let client = Client::connect_lazy(format!("http://{address}"), settings)?;
    let error = client.submit(deposit(1, "k")).await.unwrap_err();
    let SubmitError::NotLogged(Cause::Status(status)) = error else {
        panic!("{error}");
    };
    assert_eq!(status.code, Code::Unavailable);
    Ok(())
}

#[tokio::test]
async fn a_status_that_no_retry_mends_is_told_at_once() -> Result<()> {
    let rows = [
        Status::failed_precondition("no shards are laid out"),
        Status::unauthenticated("no token"),
        Status::invalid_argument("ack_level is 7"),
    ];
    for status in rows {
        let code = status.code();
        let server = Double::start(move |_| Act::Fail(status.clone()))?;
        let client = server.client(|_| {})?;
        let error = client.submit(deposit(1, "k")).await.unwrap_err();
        assert!(!error.is_unknown());
        let Cause::Status(cause) = error.cause() else {
            panic!("{error}");
        };
        assert_eq!(cause.code, code);
        assert_eq!(server.sizes(), [1]);
    }
    Ok(())
}
