//! The client crate as an outside program uses it, against a real API process.

use crate::stage::{cast, moves};
use anyhow::{Context, Result};
use axs_client::{AckLevel, Client, ClientSettings};
use axs_proto::v1::EventStatus;
use axs_tests::deployment::Deployment;
use futures::stream::{FuturesOrdered, TryStreamExt};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const ACCOUNTS: i64 = 20;

/// Events of each account: a deposit, and the withdrawal of all of it, in turn. A withdrawal that
/// came before its deposit would be rejected.
const EVENTS_EACH: usize = 60;

const TOTAL: usize = EVENTS_EACH * 20;

/// A caller has so many events handed over and not answered.
const AHEAD: usize = 6;

/// Longer than a restart of the API on a machine under load.
const DEADLINE: Duration = Duration::from_secs(100);

/// The log ids of one caller's events.
type Caller = JoinSet<Result<Vec<String>>>;

fn client(deployment: &Deployment, level: AckLevel) -> Result<Client> {
    let mut settings = ClientSettings::default();
    settings.ack_level = level;
    settings.deadline = DEADLINE;
    let address = deployment.apis[0].address;
    Ok(Client::connect_lazy(format!("http://{address}"), settings)?)
}

/// One caller for each account, all through the one client; each answer is told.
fn callers(client: &Client, name: &'static str, told: &mpsc::UnboundedSender<()>) -> Caller {
    let mut callers = JoinSet::new();
    for account in 1..=ACCOUNTS {
        let (client, told) = (client.clone(), told.clone());
        callers.spawn(async move {
            let mut log_ids = Vec::new();
            for first in (0..EVENTS_EACH).step_by(AHEAD) {
                let mut ahead = FuturesOrdered::new();
                for number in first..first + AHEAD {
                    let amount = if number % 2 == 0 { "1.5" } else { "-1.5" };
                    let key = format!("{name}-{number}");
                    let event = moves(account, &key, &[("USDT", amount, "0")])?;
                    let (client, told) = (client.clone(), told.clone());
                    ahead.push_back(async move {
                        let answer = client.submit(event).await.context(key)?;
                        let _ = told.send(());
                        answer.accepted().context("refused")
                    });
                }
                let accepted: Vec<_> = ahead.try_collect().await?;
                log_ids.extend(accepted.into_iter().map(|it| it.log_id));
            }
            Ok(log_ids)
        });
    }
    callers
}

/// Every event has a log id of its own and took effect, once.
async fn each_took_effect_once(deployment: &Deployment, mut callers: Caller) -> Result<()> {
    let mut log_ids = BTreeSet::new();
    while let Some(caller) = callers.join_next().await {
        log_ids.extend(caller??);
    }
    assert_eq!(log_ids.len(), TOTAL);
    deployment.all_final().await?;
    let api = deployment.client(0)?;
    for log_id in &log_ids {
        let state = api.event(log_id).await?.state.context("a state")?;
        assert_eq!(state.status(), EventStatus::Applied, "{state:?}");
    }
    let accounts: Vec<i64> = (1..=ACCOUNTS).collect();
    let level = axs_proto::v1::ReadConsistency::Committed;
    for read in api.balances(&accounts, level).await? {
        let balance = &read.balances[0];
        assert_eq!(
            (balance.available.as_str(), balance.frozen.as_str()),
            ("0", "0")
        );
        // The version of a balance counts the changes that made it.
        let changes = usize::try_from(balance.version)?;
        assert_eq!(changes, EVENTS_EACH, "{read:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_share_requests_and_keep_the_order_of_each_account() -> Result<()> {
    let deployment = crate::stage::deployment("client_crate", 1, 1).await?;
    let client = client(&deployment, AckLevel::Logged)?;
    let (told, _answers) = mpsc::unbounded_channel();
    let callers = callers(&client, "calm", &told);
    each_took_effect_once(&deployment, callers).await?;
    let activity = client.activity();
    assert_eq!(
        usize::try_from(activity.events_sent)?,
        TOTAL,
        "{activity:?}"
    );
    assert!(activity.requests < activity.events_sent / 2, "{activity:?}");
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_under_the_client_costs_no_event_and_doubles_none() -> Result<()> {
    let mut deployment = Deployment::builder("client_killed")
        .apis(1)
        .consumers(1)
        .start()
        .await?;
    deployment.furnish(&cast()).await?;
    // The order of an account holds across two processes for PUBLISHED only.
    let client = client(&deployment, AckLevel::Published)?;
    let (told, mut answers) = mpsc::unbounded_channel();
    let callers = callers(&client, "storm", &told);
    for _ in 0..TOTAL / 4 {
        answers.recv().await.context("the callers ended")?;
    }
    deployment.apis[0].process.kill()?;
    let listen = deployment.apis[0].address.to_string();
    let mut again = deployment.spawn_api(&[("AXS__GRPC__LISTEN", &listen)])?;
    again.process.ready().await?;
    deployment.apis[0].process = again.process;

    each_took_effect_once(&deployment, callers).await?;
    let activity = client.activity();
    let tries = usize::try_from(activity.events_sent)?;
    assert!(tries > TOTAL, "nothing was sent again: {activity:?}");
    deployment.finish().await
}
