//! Servers that are not there at the start.

use crate::stage::{cast, deposit, final_state};
use anyhow::{Context, Result};
use axs_proto::v1::{EventStatus, ReadConsistency, ReadSource};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::Deployment;
use axs_tests::gate::Gate;
use axs_tests::process::Process;
use axs_tests::{ops, port};
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;

/// Far beyond the second that the settings of these tests allow, and far below for ever.
const BOUND: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_every_command_ends_within_a_bound_and_names_the_address() -> Result<()>
{
    let deployment = Deployment::builder("outage_pg").prepare().await?;
    let nowhere = port::free()?.to_string();
    let url = format!("postgres://axs:hushhush@{nowhere}/axs");
    let listen = port::free()?.to_string();
    let settings = [
        ("AXS__DATABASE__URL", url.as_str()),
        ("AXS__DATABASE__START_WAIT_MS", "1000"),
        ("AXS__DATABASE__CONNECT_TIMEOUT_MS", "500"),
        ("AXS__GRPC__LISTEN", listen.as_str()),
        ("AXS__OPS__LISTEN", "127.0.0.1:0"),
    ];
    for command in ["grpc", "consumer", "migrate", "verify"] {
        let ran = deployment.run_with(&[command], &settings).await?;
        assert_eq!(ran.code, Some(3), "{command}: {ran}");
        assert!(
            ran.stderr.contains(&nowhere),
            "{command} names no address: {ran}"
        );
        assert!(ran.took < BOUND, "{command} took {:?}", ran.took);
        assert!(
            !ran.to_string().contains("hushhush"),
            "{command} prints the password: {ran}"
        );
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_postgresql_ends_at_once_when_it_is_told_to() -> Result<()> {
    let mut deployment = Deployment::builder("outage_stop").prepare().await?;
    let url = format!("postgres://axs@{}/axs", port::free()?);
    // Longer than the test's patience: the end of the wait must not be what ends them.
    let settings = [
        ("AXS__DATABASE__URL", url.as_str()),
        ("AXS__DATABASE__START_WAIT_MS", "600000"),
    ];
    let api = deployment.spawn_api(&settings)?.process;
    let consumer = deployment.spawn_consumer(&settings)?;
    for mut process in [api, consumer] {
        until("the wait to begin", Patience::PROCESS, async || {
            let log = process.log();
            Ok(if log.contains("waiting for the database") {
                Look::There(())
            } else {
                Look::NotYet(log)
            })
        })
        .await?;
        process.signal(Signal::TERM)?;
        let ended = process.end(Patience::PROCESS).await?;
        assert!(ended.success(), "{} ended with {ended}", process.name());
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_schema_is_refused_with_the_command_that_helps() -> Result<()> {
    let deployment = Deployment::builder("outage_schema").prepare().await?;
    for command in ["grpc", "consumer", "verify"] {
        let settings = [
            ("AXS__GRPC__LISTEN", "127.0.0.1:0"),
            ("AXS__OPS__LISTEN", "127.0.0.1:0"),
        ];
        let ran = deployment.run_with(&[command], &settings).await?;
        assert!(ran.code.is_some_and(|code| code != 0), "{command}: {ran}");
        assert!(
            ran.stderr.contains("migrate"),
            "{command} does not say what to do: {ran}"
        );
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_the_api_logs_and_the_consumer_waits_until_kafka_comes() -> Result<()> {
    let mut deployment = Deployment::builder("outage_kafka").prepare().await?;
    Deployment::builder("outage_kafka")
        .lay_out(&deployment)
        .await?;
    let mut gate = Gate::closed(&deployment.servers.brokers)?;
    deployment
        .environment
        .set("AXS__KAFKA__BROKERS", gate.address());

    let mut api = deployment.spawn_api(&[])?;
    api.process.ready().await?;
    degraded_without("kafka", &api.process).await?;
    deployment.apis.push(api);
    deployment.furnish(&cast()).await?;
    let log_id = deployment
        .client(0)?
        .accept(deposit(1, "logged", "USDT", "8")?)
        .await?;

    let mut consumer = deployment.spawn_consumer(&[])?;
    says_down("kafka", &consumer).await?;
    assert_eq!(consumer.ended()?, None, "the consumer waits for Kafka");
    let found = deployment.client(0)?.event(&log_id).await?;
    assert_eq!(
        found.state.context("a state")?.status(),
        EventStatus::Pending
    );

    gate.open().await?;
    let state = final_state(&deployment, &log_id).await?;
    assert_eq!(state.status(), EventStatus::Applied);
    consumer.ready().await?;
    deployment.consumers.push(consumer);
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_both_start_degraded_say_so_and_do_everything() -> Result<()> {
    let mut deployment = Deployment::builder("outage_redis").prepare().await?;
    Deployment::builder("outage_redis")
        .lay_out(&deployment)
        .await?;
    let host = deployment
        .servers
        .redis
        .host_str()
        .context("Redis has no host")?;
    let server = format!("{host}:{}", deployment.servers.redis.port().unwrap_or(6379));
    let mut gate = Gate::closed(&server)?;
    let mut url = deployment.servers.redis.clone();
    url.set_ip_host(gate.address().ip())
        .ok()
        .context("an address")?;
    url.set_port(Some(gate.address().port()))
        .ok()
        .context("a port")?;
    deployment.environment.set("AXS__CACHE__URL", url);
    deployment.start(1, 1).await?;
    degraded_without("redis", &deployment.apis[0].process).await?;
    degraded_without("redis", &deployment.consumers[0]).await?;

    deployment.furnish(&cast()).await?;
    crate::stage::apply(&deployment, deposit(1, "in", "USDT", "8")?).await?;
    let client = deployment.client(0)?;
    for consistency in [ReadConsistency::Cached, ReadConsistency::Committed] {
        let read = client.balances(&[1], consistency).await?;
        assert_eq!(read[0].source(), ReadSource::Database);
        assert_eq!(read[0].balances[0].available, "8");
    }

    gate.open().await?;
    until("the cache to answer", Patience::PROCESS, async || {
        let read = client.balances(&[1], ReadConsistency::Cached).await?;
        assert_eq!(read[0].balances[0].available, "8");
        Ok(match read[0].source() {
            ReadSource::Cache => Look::There(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })
    .await?;
    deployment.finish().await
}

/// The process is ready, and says that it is degraded and by what.
async fn degraded_without(dependency: &str, process: &Process) -> Result<()> {
    let answer = says_down(dependency, process).await?;
    assert_eq!(answer["ready"], Value::Bool(true), "{answer}");
    assert_eq!(answer["degraded"], Value::Bool(true), "{answer}");
    Ok(())
}

/// Waits until `/readyz` names the dependency as down, and gives the whole answer.
async fn says_down(dependency: &str, process: &Process) -> Result<Value> {
    let what = format!("{} to say that {dependency} is down", process.name());
    until(&what, Patience::PROCESS, async || {
        let Ok(answer) = ops::get(process.ops(), "/readyz").await else {
            return Ok(Look::NotYet("no answer".to_owned()));
        };
        let report: Value = serde_json::from_str(&answer.body).context(answer.body.clone())?;
        let named = report["dependencies"].as_array().is_some_and(|all| {
            all.iter()
                .any(|it| it["name"] == dependency && it["state"] == "down")
        });
        Ok(if named {
            Look::There(report)
        } else {
            Look::NotYet(answer.body)
        })
    })
    .await
}
