//! What the API refuses, with code and path, and that a refusal leaves nothing behind.

use crate::stage::{balance, deployment, deposit, moves};
use anyhow::{Result, bail};
use axs_proto::v1::{AckLevel, BalanceChangeEvent, ReadConsistency, RefusalCode, submit_result};
use tonic::Code;

const CHANGE: &str = "changes[0]";

type Spoil = fn(&mut BalanceChangeEvent);

/// The row's name, what is done to a sound event, and the refusal it must meet.
const ROWS: &[(&str, Spoil, RefusalCode, &str)] = {
    use RefusalCode::{
        InactiveCurrency, InvalidField, TooPrecise, UnknownAccount, UnknownCurrency, WrongUser,
    };
    &[
        (
            "unknown account",
            |e| e.account_id = 999,
            UnknownAccount,
            "account_id",
        ),
        ("another user", |e| e.user_id = 5, WrongUser, "user_id"),
        (
            "unknown currency",
            |e| currency(e, "XXX"),
            UnknownCurrency,
            "changes[0].currency_code",
        ),
        (
            "retired currency",
            |e| currency(e, "LUNA"),
            InactiveCurrency,
            "changes[0].currency_code",
        ),
        (
            "empty currency",
            |e| currency(e, ""),
            InvalidField,
            "changes[0].currency_code",
        ),
        (
            "empty changes",
            |e| e.changes.clear(),
            InvalidField,
            "changes",
        ),
        (
            "19 decimals",
            |e| amount(e, "0.0000000000000000001"),
            InvalidField,
            "changes[0].available_delta",
        ),
        (
            "more decimals than the currency",
            |e| amount(e, "0.0000001"),
            TooPrecise,
            "changes[0].available_delta",
        ),
        (
            "an exponent",
            |e| amount(e, "1e3"),
            InvalidField,
            "changes[0].available_delta",
        ),
        (
            "no number",
            |e| amount(e, "NaN"),
            InvalidField,
            "changes[0].available_delta",
        ),
        (
            "a plus sign",
            |e| amount(e, "+5"),
            InvalidField,
            "changes[0].available_delta",
        ),
        (
            "a negative zero",
            |e| amount(e, "-0"),
            InvalidField,
            "changes[0].available_delta",
        ),
        (
            "an empty amount",
            |e| amount(e, ""),
            InvalidField,
            "changes[0].available_delta",
        ),
        (
            "beyond the range",
            |e| amount(e, "1000000000000000000"),
            InvalidField,
            "changes[0].available_delta",
        ),
        ("moves nothing", |e| amount(e, "0"), InvalidField, CHANGE),
        (
            "over-long key",
            |e| e.idempotency_key = "k".repeat(129),
            InvalidField,
            "idempotency_key",
        ),
        (
            "empty key",
            |e| e.idempotency_key.clear(),
            InvalidField,
            "idempotency_key",
        ),
        (
            "over-long type",
            |e| e.event_type = "t".repeat(65),
            InvalidField,
            "event_type",
        ),
        (
            "over-long order",
            |e| e.related_order_id = "o".repeat(129),
            InvalidField,
            "related_order_id",
        ),
        (
            "over-long service",
            |e| e.source_service = "s".repeat(65),
            InvalidField,
            "source_service",
        ),
        (
            "over-long label",
            |e| e.event_id = "i".repeat(129),
            InvalidField,
            "event_id",
        ),
        (
            "NUL in a text",
            |e| e.related_order_id = "a\0b".to_owned(),
            InvalidField,
            "related_order_id",
        ),
        ("too many changes", many_changes, InvalidField, "changes"),
        (
            "a repeated change id",
            |e| e.changes.push(e.changes[0].clone()),
            InvalidField,
            "changes[1].change_id",
        ),
    ]
};

fn currency(event: &mut BalanceChangeEvent, code: &str) {
    event.changes[0].currency_code = code.to_owned();
}

fn amount(event: &mut BalanceChangeEvent, text: &str) {
    event.changes[0].available_delta = text.to_owned();
}

fn many_changes(event: &mut BalanceChangeEvent) {
    let first = event.changes[0].clone();
    event.changes = (0..65)
        .map(|index| {
            let mut change = first.clone();
            change.change_id = format!("c{index}");
            change
        })
        .collect();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named_by_its_path_and_leaves_nothing() -> Result<()> {
    let deployment = deployment("contract", 1, 1).await?;
    every_faulty_item_is_refused_beside_accepted_neighbours(&deployment).await?;
    a_batch_that_is_empty_or_too_large_is_refused_as_a_whole(&deployment).await?;
    an_unknown_event_and_an_unknown_account_are_not_found(&deployment).await?;
    deployment.finish().await
}

type Deployment = axs_tests::deployment::Deployment;

async fn every_faulty_item_is_refused_beside_accepted_neighbours(
    deployment: &Deployment,
) -> Result<()> {
    // A sound neighbour before each faulty item: nobody is harmed by what stands beside him.
    let mut batch = Vec::new();
    for (number, (_, spoil, _, _)) in ROWS.iter().enumerate() {
        batch.push(deposit(1, &format!("sound-{number}"), "USDT", "1")?);
        let mut event = moves(2, &format!("faulty-{number}"), &[("USDT", "1", "0")])?;
        spoil(&mut event);
        batch.push(event);
    }
    let answered = deployment
        .client(0)?
        .submit(&batch, AckLevel::Logged)
        .await?;
    for (index, result) in answered.results.into_iter().enumerate() {
        let (name, _, code, field) = ROWS[index / 2];
        match (index % 2, result.outcome) {
            (0, Some(submit_result::Outcome::Accepted(_))) => {}
            (1, Some(submit_result::Outcome::Refused(refusal))) => {
                assert_eq!(refusal.code(), code, "{name}: {refusal:?}");
                let path = format!("events[{index}].{field}");
                let named: Vec<_> = refusal.violations.iter().map(|v| &v.field).collect();
                assert!(named.contains(&&path), "{name}: {path} in {refusal:?}");
                assert!(!refusal.message.is_empty(), "{name}");
            }
            (_, other) => bail!("{name}: {other:?}"),
        }
    }
    deployment.all_final().await?;
    let sound = ROWS.len().to_string();
    assert_eq!(
        balance(deployment, 1, "USDT").await?,
        [sound, "0".to_owned()]
    );
    assert_eq!(balance(deployment, 2, "USDT").await?, ["0", "0"]);
    let logged = deployment
        .database
        .number("SELECT count(*) FROM balance_change_logs")
        .await?;
    assert_eq!(
        usize::try_from(logged)?,
        ROWS.len(),
        "refused items have no log row"
    );
    Ok(())
}

async fn a_batch_that_is_empty_or_too_large_is_refused_as_a_whole(
    deployment: &Deployment,
) -> Result<()> {
    let client = deployment.client(0)?;
    let before = deployment
        .database
        .number("SELECT count(*) FROM balance_change_logs")
        .await?;
    let one = deposit(1, "large", "USDT", "1")?;
    let too_large = (0..1_001)
        .map(|number| BalanceChangeEvent {
            idempotency_key: format!("large-{number}"),
            ..one.clone()
        })
        .collect();
    for (name, events) in [("empty", Vec::new()), ("too large", too_large)] {
        let answer = client.try_submit(events, AckLevel::Logged).await;
        let Err(status) = answer else {
            bail!("the {name} batch was taken");
        };
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
        assert!(status.message().contains("events"), "{name}: {status:?}");
    }
    let after = deployment
        .database
        .number("SELECT count(*) FROM balance_change_logs")
        .await?;
    assert_eq!(before, after);
    Ok(())
}

async fn an_unknown_event_and_an_unknown_account_are_not_found(
    deployment: &Deployment,
) -> Result<()> {
    let client = deployment.client(0)?;
    let unknown = uuid::Uuid::now_v7().to_string();
    for answer in [
        client.event(&unknown).await,
        client.event_by_key(1, "never").await,
    ] {
        assert_eq!(
            answer.err().map(|status| status.code()),
            Some(Code::NotFound)
        );
    }
    let answer = client.event("no uuid").await;
    assert_eq!(
        answer.err().map(|status| status.code()),
        Some(Code::InvalidArgument)
    );
    for consistency in [ReadConsistency::Cached, ReadConsistency::Committed] {
        let answer = client.balances(&[1, 999], consistency).await;
        let refused = answer
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            refused.contains("UnknownAccount") || refused.contains("code: 2"),
            "{refused}"
        );
    }
    Ok(())
}
