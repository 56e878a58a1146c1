//! Claims about whose a topic is.

use crate::support::{NOWHERE, PATIENCE, admin, new_topic, partition, settings, skipped, topic_of};
use axs_application::port::event_topic::EventTopic;
use axs_application::port::topic_claims::{Claimant, TopicClaim, TopicClaims};
use axs_infrastructure::kafka::{KafkaClient, KafkaSettings, KafkaTopicClaims};
use rdkafka::admin::AdminOptions;
use std::time::{Duration, Instant};

fn claims(kafka: &KafkaSettings) -> KafkaTopicClaims {
    KafkaTopicClaims::new(KafkaClient::try_new(kafka).unwrap())
}

fn database(number: u32) -> Claimant {
    Claimant {
        id: format!("7300000000000000000/{number}"),
        name: format!("axs {number}"),
    }
}

#[tokio::test]
async fn a_topic_is_of_the_first_database_that_claims_it_until_another_takes_it_over() {
    if skipped("a_topic_is_of_the_first_database_that_claims_it_until_another_takes_it_over") {
        return;
    }
    let kafka = new_topic(2).await;
    let topic = || kafka.events_topic.clone();
    let claim = async |number| {
        claims(&kafka)
            .claim(topic(), database(number))
            .await
            .unwrap()
    };
    for _ in 0..2 {
        assert_eq!(claim(1).await, TopicClaim::Own);
        assert_eq!(claim(2).await, TopicClaim::Foreign(database(1)));
    }
    let taken = claims(&kafka).take_over(topic(), database(2)).await;
    taken.unwrap();
    assert_eq!(claim(1).await, TopicClaim::Foreign(database(2)));
    assert_eq!(claim(2).await, TopicClaim::Own);
    // The topic itself is as new.
    for number in 0..2 {
        let log = topic_of(&kafka).bounds(partition(number)).await.unwrap();
        assert_eq!((log.start.value(), log.end.value()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_databases_that_claim_a_topic_at_once_one_at_most_is_told_that_it_is_its_own() {
    if skipped("of_databases_that_claim_a_topic_at_once_one_at_most_is_told_that_it_is_its_own") {
        return;
    }
    for _ in 0..5 {
        let kafka = new_topic(1).await;
        let at_once = (1..=4).map(|number| {
            let claims = claims(&kafka);
            let topic = kafka.events_topic.clone();
            tokio::spawn(async move { claims.claim(topic, database(number)).await })
        });
        let mut own = 0;
        for claim in at_once.collect::<Vec<_>>() {
            // Who is fenced is told nothing, and claims again.
            own += i32::from(claim.await.unwrap() == Ok(TopicClaim::Own));
        }
        assert!(own <= 1, "{own} databases have the topic");
        let mut owners = 0;
        for number in 1..=4 {
            let topic = kafka.events_topic.clone();
            let again = claims(&kafka).claim(topic, database(number)).await.unwrap();
            owners += i32::from(again == TopicClaim::Own);
        }
        assert_eq!(owners, 1);
    }
}

#[tokio::test]
async fn a_claim_ends_with_the_topic() {
    if skipped("a_claim_ends_with_the_topic") {
        return;
    }
    let kafka = new_topic(1).await;
    let topic = || kafka.events_topic.clone();
    let claimed = claims(&kafka).claim(topic(), database(1)).await;
    assert_eq!(claimed, Ok(TopicClaim::Own));
    let deleted = admin()
        .delete_topics(&[&kafka.events_topic], &AdminOptions::new())
        .await;
    assert!(deleted.unwrap().iter().all(Result::is_ok));
    // The brokers tell each other about it a little later.
    let deadline = Instant::now() + PATIENCE;
    while !matches!(topic_of(&kafka).create(1).await, Ok(true)) {
        assert!(Instant::now() < deadline, "the topic does not go");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while claims(&kafka).claim(topic(), database(2)).await != Ok(TopicClaim::Own) {
        assert!(Instant::now() < deadline, "the claim does not go");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_claim_without_brokers_is_an_error_that_names_what_it_needs() {
    let kafka = settings(NOWHERE, "events");
    let before = Instant::now();
    let claimed = claims(&kafka).claim("events".to_owned(), database(1)).await;
    let error = claimed.unwrap_err();
    assert!(before.elapsed() < PATIENCE);
    assert!(error.to_string().contains(NOWHERE), "{error}");
    let reason = "consumer group and transactional id axs-claim.events";
    assert!(error.to_string().contains(reason), "{error}");
}
