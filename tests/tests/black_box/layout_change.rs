//! Raising the layout under load, and adopting a topic that was made anew.

use crate::stage::{self, balance, deposit, final_state};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{AckLevel, EventStatus};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::Deployment;
use axs_tests::ops;
use axs_tests::process::Process;
use axs_tests::replay::{SubmitPlan, submit};
use axs_tests::server::KafkaKind;
use axs_tests::session::{SessionPlan, generate};
use rustix::process::Signal;
use tonic::Code;

/// From three partitions, two of `retail` and one of `whale`, to six.
const RAISE: [&str; 7] = [
    "layout", "raise", "6", "--pool", "retail=4", "--pool", "whale=2",
];

/// What a deployment of tests was laid out by.
const INIT: [&str; 6] = [
    "layout",
    "init",
    "--pool",
    "retail=6/2",
    "--pool",
    "whale=2/1",
];

async fn until_number(
    deployment: &Deployment,
    what: &str,
    query: &'static str,
    at_least: i64,
) -> Result<()> {
    until(what, Patience::PROCESS, async || {
        let found = deployment.database.number(query).await?;
        Ok(if found >= at_least {
            Look::There(())
        } else {
            Look::NotYet(found.to_string())
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_under_load_loses_and_doubles_nothing_and_clients_are_only_told_to_wait()
-> Result<()> {
    let script = generate(SessionPlan {
        retail_accounts: 60,
        whale_accounts: 6,
        ..SessionPlan::new(20_000, 21)
    });
    let deployment = Deployment::builder("raised")
        .apis(2)
        .consumers(2)
        .start()
        .await?;
    deployment.led_by(3, 2).await?;
    deployment.furnish(&script).await?;
    let clients = deployment.clients();
    let raising = async {
        let decided = "SELECT count(*) FROM balance_change_states WHERE status <> 0";
        until_number(&deployment, "the first results", decided, 1).await?;
        let ran = deployment.run(&RAISE).await?;
        ensure!(ran.code == Some(0), "bootstrap layout raise {ran}");
        Ok(ran)
    };
    // Requests that are refused for a full backlog or a pause are sent again; any other error
    // fails.
    let sending = submit(&clients, &script, SubmitPlan::default(), &|_| {});
    let (submission, ran) = futures::future::try_join(sending, raising).await?;
    assert!(ran.stdout.contains("epoch 2, 6 partitions"), "{ran}");
    deployment.led_by(6, 2).await?;
    let replayed = deployment.compare(&script, submission).await?;
    assert!(replayed.outcomes.applied > 7_500);
    let after = "SELECT count(DISTINCT partition) FROM balance_change_states WHERE partition >= 3";
    assert!(
        deployment.database.number(after).await? > 0,
        "new partitions carry events"
    );
    assert_eq!(deployment.database.dead_letters().await?, []);
    let mistyped = [("AXS__KAFKA__RESULTS_TOPIC", "mistyped")];
    for arguments in [&["grpc"][..], &["consumer"], &INIT, &RAISE] {
        let refused = deployment.run_with(arguments, &mistyped).await?;
        assert_ne!(refused.code, Some(0), "{arguments:?}: {refused}");
        for words in ["kafka.results_topic is mistyped", &deployment.results.name] {
            assert!(refused.stderr.contains(words), "{arguments:?}: {refused}");
        }
    }
    for arguments in [&INIT[..], &RAISE[..]] {
        let again = deployment.run(arguments).await?;
        assert_eq!(again.code, Some(0), "{arguments:?}: {again}");
        let unchanged = again.stdout.contains("epoch 2, 6 partitions");
        assert!(unchanged, "{arguments:?}: {again}");
    }
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_records_of_another_database_is_not_taken_unless_it_is_said() -> Result<()> {
    let builder = Deployment::builder("foreign");
    let mut deployment = builder.prepare().await?;
    let ran = deployment.run(&["migrate"]).await?;
    ensure!(ran.code == Some(0), "bootstrap migrate {ran}");
    deployment.topic.make(3).await?;
    let foreign = vec![&b"of another database"[..]; 40];
    deployment.topic.write_all(0, "1", &foreign).await?;
    let refused = deployment.run(&INIT).await?;
    assert_eq!(refused.code, Some(2), "{refused}");
    for words in [
        deployment.topic.name.as_str(),
        "40 records",
        "kafka.events_topic",
        "--adopt-records",
    ] {
        assert!(refused.stderr.contains(words), "{words}: {refused}");
    }
    let adopting = [&INIT[..], &["--adopt-records"]].concat();
    for arguments in [&adopting[..], &INIT[..]] {
        let made = deployment.run(arguments).await?;
        assert_eq!(made.code, Some(0), "{arguments:?}: {made}");
    }
    deployment.start(1, 1).await?;
    deployment.furnish(&stage::cast()).await?;
    for account in 1..=20 {
        stage::apply(&deployment, deposit(account, "first", "USDT", "5")?).await?;
    }
    assert_eq!(deployment.database.dead_letters().await?, []);
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_database_is_not_laid_out_on_topics_that_hold_no_record_yet() -> Result<()> {
    let builder = Deployment::builder("laid_out_first");
    let first = builder.prepare().await?;
    if first.servers.kafka == KafkaKind::Mock {
        let reason = "the mock broker forgets offsets of transactions";
        axs_tests::server::note_skipped("a_second_database_is_not_laid_out", reason)?;
        first.abandon();
        return Ok(());
    }
    builder.lay_out(&first).await?;
    let second = Deployment::builder("laid_out_second").prepare().await?;
    let ran = second.run(&["migrate"]).await?;
    ensure!(ran.code == Some(0), "bootstrap migrate {ran}");
    let (events, results) = ("AXS__KAFKA__EVENTS_TOPIC", "AXS__KAFKA__RESULTS_TOPIC");
    let topics = [
        (
            vec![(events, first.topic.name.as_str())],
            &first.topic.name,
            "kafka.events_topic",
        ),
        (
            vec![(results, first.results.name.as_str())],
            &first.results.name,
            "kafka.results_topic",
        ),
    ];
    for (settings, topic, setting) in topics {
        let refused = second.run_with(&INIT, &settings).await?;
        assert_eq!(refused.code, Some(2), "{refused}");
        for words in [
            topic.as_str(),
            first.database.name.as_str(),
            setting,
            "--adopt-records",
        ] {
            assert!(refused.stderr.contains(words), "{words}: {refused}");
        }
        let shown = second.run(&["layout", "show"]).await?;
        assert_eq!(shown.code, Some(3), "nothing is stored: {shown}");
    }
    // Each on its own, and the first one again.
    for deployment in [&first, &second] {
        let made = deployment.run(&INIT).await?;
        assert_eq!(made.code, Some(0), "{made}");
    }
    second.abandon();
    first.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_that_is_killed_while_it_drains_is_finished_by_the_same_command() -> Result<()> {
    let mut deployment = stage::deployment("raise_killed", 1, 1).await?;
    deployment.led_by(3, 1).await?;
    stage::apply(&deployment, deposit(1, "before", "USDT", "5")?).await?;
    deployment.consumers[0].signal(Signal::STOP)?;
    let waiting = deployment
        .client(0)?
        .accept(deposit(1, "undecided", "USDT", "2")?)
        .await?;

    let mut raise = deployment.spawn_command(&RAISE)?;
    let paused = "SELECT count(*) FROM layout WHERE paused_at IS NOT NULL";
    until_number(&deployment, "the pause", paused, 1).await?;
    raise.kill()?;
    let event = deposit(1, "while paused", "USDT", "1")?;
    let refused = deployment
        .client(0)?
        .try_submit(vec![event.clone()], AckLevel::Logged)
        .await;
    let status = refused.err().context("an answer while writing is paused")?;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("nothing was logged"), "{status}");
    let logged = "SELECT count(*) FROM balance_change_states";
    assert_eq!(deployment.database.number(logged).await?, 2);

    let shown = deployment.run(&["layout", "show"]).await?;
    for words in [
        "writing is paused since",
        "`layout raise 6`",
        "last heard of",
    ] {
        assert!(shown.stdout.contains(words), "{shown}");
    }
    let other = deployment
        .run(&["layout", "raise", "4", "--pool", "retail=3"])
        .await?;
    assert_eq!(other.code, Some(3), "{other}");
    assert!(
        other
            .stderr
            .contains("another change of the layout is under way"),
        "{other}"
    );
    deployment.consumers[0].signal(Signal::CONT)?;
    let ran = deployment.run(&RAISE).await?;
    assert_eq!(ran.code, Some(0), "{ran}");
    deployment.led_by(6, 1).await?;
    let state = final_state(&deployment, &waiting).await?;
    assert_eq!(state.status(), EventStatus::Applied);
    stage::apply(&deployment, event).await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?[0], "8");
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_that_is_taken_back_leaves_the_layout_as_it_was() -> Result<()> {
    let deployment = stage::deployment("raise_back", 1, 0).await?;
    deployment
        .client(0)?
        .accept(deposit(1, "undecided", "USDT", "2")?)
        .await?;
    let arguments = [&RAISE[..], &["--drain-seconds", "1"]].concat();
    let ran = deployment.run(&arguments).await?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stderr.contains("not everything became final in time"),
        "{ran}"
    );
    assert_eq!(deployment.topic.partition_count().await?, 3);
    deployment
        .client(0)?
        .accept(deposit(1, "goes on", "USDT", "2")?)
        .await?;
    let not_paused = deployment.run(&["layout", "resume"]).await?;
    assert!(not_paused.stdout.contains("was not paused"), "{not_paused}");
    let shown = deployment.run(&["layout", "show"]).await?;
    assert!(shown.stdout.contains("writing goes on\n"), "{shown}");
    let standing = deployment.run(&["layout", "raise", "3"]).await?;
    assert_eq!(standing.code, Some(0), "{standing}");
    assert!(
        standing.stdout.contains("3 partitions already"),
        "{standing}"
    );
    for (arguments, words) in [
        (&["layout", "raise", "2"][..], "3 partitions already"),
        (&["layout", "raise", "6"][..], "several pools"),
        (
            &["layout", "raise", "5", "--pool", "whale=3"][..],
            "too few",
        ),
        (
            &["layout", "raise", "5", "--pool", "whale"][..],
            "NAME=PARTITIONS",
        ),
    ] {
        let ran = deployment.run(arguments).await?;
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains(words), "{ran}");
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_refused_until_it_is_adopted_and_then_what_was_lost_is_decided()
-> Result<()> {
    let mut deployment = Deployment::builder("made_anew")
        .setting("AXS__PROCESSING__RELAY_GRACE_MS", 1_000)
        .setting("AXS__DATABASE__STATEMENT_TIMEOUT_MS", 900)
        .setting("AXS__PROCESSING__RELAY_INTERVAL_MS", 200)
        .apis(1)
        .consumers(1)
        .start()
        .await?;
    deployment.furnish(&stage::cast()).await?;
    for account in 1..=20 {
        stage::apply(&deployment, deposit(account, "kept", "USDT", "5")?).await?;
    }
    let mut consumer = deployment.consumers.pop().context("a consumer")?;
    consumer.drain().await?;
    let mut lost = Vec::new();
    for account in 1..=20 {
        let event = deposit(account, "lost", "USDT", "2")?;
        let client = deployment.client(0)?;
        client
            .submit(std::slice::from_ref(&event), AckLevel::Published)
            .await?;
        lost.push(client.accept(event).await?);
    }
    let mut api = deployment.apis.pop().context("an API")?;
    api.process.drain().await?;

    // Anew, and longer than it was.
    deployment.topic.remove().await?;
    deployment.topic.make(3).await?;
    for partition in 0..3 {
        let junk = vec![&b"not of this ledger"[..]; 60];
        deployment.topic.write_all(partition, "1", &junk).await?;
    }
    let consumer = deployment.spawn_consumer(&[])?;
    refuses(&consumer, "adopt-topic").await?;
    let shown = deployment.run(&["layout", "adopt-topic"]).await?;
    assert_eq!(shown.code, Some(2), "{shown}");
    assert!(shown.stderr.contains("nothing was done"), "{shown}");
    refuses(&consumer, "adopt-topic").await?;

    let ran = deployment.run(&["layout", "adopt-topic", "--yes"]).await?;
    assert_eq!(ran.code, Some(0), "{ran}");
    deployment.consumers.push(consumer);
    deployment.start(1, 0).await?;
    for log_id in &lost {
        let state = final_state(&deployment, log_id).await?;
        assert_eq!(state.status(), EventStatus::Applied);
    }
    stage::apply(&deployment, deposit(1, "afterwards", "USDT", "1")?).await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?[0], "8");
    assert_eq!(balance(&deployment, 2, "USDT").await?[0], "7");
    deployment.finish().await
}

/// Waits until a consumer's `/readyz` says so.
async fn refuses(consumer: &Process, words: &str) -> Result<()> {
    until("a refusal in /readyz", Patience::PROCESS, async || {
        Ok(match ops::get(consumer.ops(), "/readyz").await {
            Ok(answer) if answer.body.contains(words) => Look::There(()),
            Ok(answer) => Look::NotYet(answer.body),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })
    .await
}
