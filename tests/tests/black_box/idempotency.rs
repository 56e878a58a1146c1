//! The same key again: from several APIs at once, and with other content.

use crate::stage::{apply, balance, deployment, deposit, final_state};
use anyhow::{Context, Result, bail};
use axs_proto::v1::{AckLevel, EventStatus, RefusalCode, submit_result};
use futures::future::try_join_all;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_takes_effect_once_and_keeps_its_meaning() -> Result<()> {
    let deployment = deployment("idempotency", 2, 1).await?;
    the_same_key_five_times_from_both_apis_at_once_takes_effect_once(&deployment).await?;
    a_replay_of_a_final_event_gives_its_first_result(&deployment).await?;
    a_rejection_is_final_even_when_funds_have_come_since(&deployment).await?;
    the_same_key_with_other_content_is_refused_and_its_neighbours_are_not(&deployment).await?;
    deployment.finish().await
}

type Deployment = axs_tests::deployment::Deployment;

async fn the_same_key_five_times_from_both_apis_at_once_takes_effect_once(
    deployment: &Deployment,
) -> Result<()> {
    for round in 0..10 {
        let key = format!("five-{round}");
        let requests = (0..5).map(|number| {
            let client = deployment.client(number % 2);
            let event = deposit(1, &key, "USDT", "7");
            async move {
                let outcome = client?.submit_one(event?).await?;
                match outcome {
                    submit_result::Outcome::Accepted(accepted) => anyhow::Ok(accepted),
                    other => bail!("{other:?}"),
                }
            }
        });
        let accepted = try_join_all(requests).await?;
        let ids: BTreeSet<&str> = accepted.iter().map(|a| a.log_id.as_str()).collect();
        assert_eq!(ids.len(), 1, "one event has one log id: {accepted:?}");
        let first = accepted.iter().filter(|a| !a.duplicate).count();
        assert_eq!(first, 1, "one is the first, four are marked: {accepted:?}");
        let state = final_state(deployment, &accepted[0].log_id).await?;
        assert_eq!(state.status(), EventStatus::Applied);
        let paid = (7 * (round + 1)).to_string();
        assert_eq!(
            balance(deployment, 1, "USDT").await?,
            [paid, "0".to_owned()]
        );
    }
    Ok(())
}

async fn a_replay_of_a_final_event_gives_its_first_result(deployment: &Deployment) -> Result<()> {
    let event = deposit(2, "once", "USDT", "5.5")?;
    let first = apply(deployment, event.clone()).await?;
    for number in [0, 1] {
        let mut again = event.clone();
        again.event_id = "a retry's own label".to_owned();
        again.created_msec += 60_000;
        let outcome = deployment.client(number)?.submit_one(again).await?;
        let submit_result::Outcome::Accepted(accepted) = outcome else {
            bail!("{outcome:?}");
        };
        assert!(accepted.duplicate);
        assert_eq!(accepted.state, Some(first.clone()));
    }
    assert_eq!(balance(deployment, 2, "USDT").await?, ["5.5", "0"]);
    Ok(())
}

async fn a_rejection_is_final_even_when_funds_have_come_since(
    deployment: &Deployment,
) -> Result<()> {
    let spend = deposit(3, "spend", "USDT", "-9")?;
    let log_id = deployment.client(0)?.accept(spend.clone()).await?;
    let rejected = final_state(deployment, &log_id).await?;
    assert_eq!(rejected.status(), EventStatus::Rejected);
    apply(deployment, deposit(3, "funds", "USDT", "100")?).await?;
    let outcome = deployment.client(1)?.submit_one(spend).await?;
    let submit_result::Outcome::Accepted(again) = outcome else {
        bail!("{outcome:?}");
    };
    assert_eq!((again.duplicate, again.state), (true, Some(rejected)));
    assert_eq!(balance(deployment, 3, "USDT").await?, ["100", "0"]);
    Ok(())
}

async fn the_same_key_with_other_content_is_refused_and_its_neighbours_are_not(
    deployment: &Deployment,
) -> Result<()> {
    apply(deployment, deposit(4, "mine", "USDT", "1")?).await?;
    let other = deposit(4, "mine", "USDT", "2")?;
    let batch = [
        deposit(4, "before", "USDT", "10")?,
        other,
        deposit(5, "after", "USDT", "10")?,
    ];
    let answered = deployment
        .client(1)?
        .submit(&batch, AckLevel::Logged)
        .await?;
    let outcomes: Vec<_> = answered
        .results
        .into_iter()
        .filter_map(|r| r.outcome)
        .collect();
    let [
        submit_result::Outcome::Accepted(_),
        submit_result::Outcome::Refused(refused),
        submit_result::Outcome::Accepted(_),
    ] = outcomes.as_slice()
    else {
        bail!("{outcomes:?}");
    };
    assert_eq!(refused.code(), RefusalCode::KeyReused);
    let named: Vec<&str> = refused
        .violations
        .iter()
        .map(|v| v.field.as_str())
        .collect();
    assert_eq!(named, ["events[1].changes[0].available_delta"]);
    deployment.all_final().await?;
    assert_eq!(balance(deployment, 4, "USDT").await?, ["11", "0"]);
    let kept = deployment.client(0)?.event_by_key(4, "mine").await?;
    let event = kept.event.context("an event")?;
    assert_eq!(event.changes[0].available_delta, "1");
    Ok(())
}
