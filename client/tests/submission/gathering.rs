//! Many callers, few requests; each gets its own answer.

use crate::double::{Act, Double, deposit, refused};
use anyhow::{Context, Result};
use axs_client::{AckLevel, Answer, RefusalCode};
use futures::future::{join, join_all, try_join_all};
use std::collections::BTreeMap;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

#[tokio::test]
async fn an_event_alone_is_a_request_of_its_own() -> Result<()> {
    let server = Double::start(|_| Act::Accept)?;
    let client = server.client(|_| {})?;
    for (number, key) in ["a", "b"].into_iter().enumerate() {
        let answer = client.submit(deposit(1, key)).await?;
        let accepted = answer.accepted().context("accepted")?;
        assert_eq!(accepted.log_id, format!("row {number}"));
        assert!(!accepted.duplicate);
    }
    assert_eq!(server.sizes(), [1, 1]);
    assert_eq!(server.book().calls[0].ack_level, AckLevel::Logged);
    Ok(())
}

#[tokio::test]
async fn what_arrives_while_requests_are_under_way_shares_the_next_one() -> Result<()> {
    let server = Double::gated(0, |_| Act::Accept)?;
    let client = server.client(|settings| settings.requests_in_flight_max = 2)?;
    let early: Vec<_> = (1..=2)
        .map(|account| {
            let client = client.clone();
            tokio::spawn(async move { client.submit(deposit(account, "early")).await })
        })
        .collect();
    // Both go out together or one by one, depending on who is scheduled when.
    server.has_seen(1).await?;
    let others = (3..=200).map(|account| client.submit(deposit(account, "late")));
    let open = async { server.admit(10) };
    let (answers, ()) = join(join_all(others), open).await;
    for answer in answers {
        assert!(matches!(answer?, Answer::Accepted(_)));
    }
    for answer in early {
        answer.await??;
    }
    let sizes = server.sizes();
    assert_eq!(sizes.iter().sum::<usize>(), 200);
    assert!(sizes.len() <= 4, "{sizes:?}");
    let activity = client.activity();
    assert_eq!(usize::try_from(activity.requests)?, sizes.len());
    assert_eq!(activity.events_sent, 200);
    Ok(())
}

#[tokio::test]
async fn callers_that_one_answer_wakes_share_the_next_request() -> Result<()> {
    let server = Double::start(|_| Act::Accept)?;
    let client = server.client(|_| {})?;
    let rounds = 20;
    let callers = (1..=50).map(|account| {
        let client = client.clone();
        async move {
            for round in 0..rounds {
                client.submit(deposit(account, round.to_string())).await?;
            }
            anyhow::Ok(())
        }
    });
    try_join_all(callers).await?;
    assert_eq!(server.book().logged.len(), 50 * rounds);
    let requests = server.sizes().len();
    assert!(requests <= 4 * rounds, "{:?}", server.sizes());
    Ok(())
}

#[tokio::test]
async fn each_caller_gets_the_answer_to_its_own_event() -> Result<()> {
    let server = Double::start(|call| {
        let events = call.events.iter().enumerate();
        let odd = events.filter(|(_, event)| event.account_id % 2 == 1);
        Act::Outcomes(
            odd.map(|(index, _)| (index, refused(RefusalCode::WrongUser, index, 0)))
                .collect::<BTreeMap<_, _>>(),
        )
    })?;
    let client = server.client(|_| {})?;
    let calls = (0..40).map(|account| client.submit(deposit(account, "k")));
    for (account, answer) in join_all(calls).await.into_iter().enumerate() {
        match answer? {
            Answer::Accepted(accepted) => {
                assert_eq!(account % 2, 0);
                let row: usize = accepted.log_id["row ".len()..].parse()?;
                let account = i64::try_from(account)?;
                assert_eq!(server.book().logged[row], (account, "k".to_owned()));
            }
            Answer::Refused(refusal) => {
                assert_eq!(account % 2, 1);
                assert_eq!(refusal.code, RefusalCode::WrongUser);
                assert_eq!(refusal.message, "account_id is wrong");
                assert_eq!(refusal.violations[0].field, "account_id");
            }
        }
    }
    assert!(server.sizes().len() < 40, "{:?}", server.sizes());
    Ok(())
}

#[tokio::test]
async fn a_server_that_takes_fewer_events_a_request_gets_fewer() -> Result<()> {
    let server = Double::start(|call| {
        if call.events.len() <= 3 {
            return Act::Accept;
        }
        let details = ErrorDetails::with_bad_request_violation("events", "holds too many items");
        Act::Fail(Status::with_error_details(
            tonic::Code::InvalidArgument,
            "events holds too many items",
            details,
        ))
    })?;
    let client = server.client(|_| {})?;
    let calls = (1..=20).map(|account| client.submit(deposit(account, "k")));
    for answer in join_all(calls).await {
        assert!(!answer?.accepted().context("accepted")?.duplicate);
    }
    assert_eq!(server.book().logged.len(), 20);
    Ok(())
}

#[tokio::test]
async fn level_and_token_go_with_every_request() -> Result<()> {
    let server = Double::start(|_| Act::Accept)?;
    let client = server.client(|settings| {
        settings.ack_level = AckLevel::Published;
        settings.bearer_token = Some("t0ken".to_owned());
    })?;
    client.submit(deposit(1, "k")).await?;
    let book = server.book();
    assert_eq!(book.calls[0].ack_level, AckLevel::Published);
    assert_eq!(book.calls[0].authorization.as_deref(), Some("Bearer t0ken"));
    Ok(())
}
