//! Claims about publishing in order.

use crate::support::{
    NOWHERE, PATIENCE, QUEUE, add_partitions, brokers, limit_messages, new_topic, partition,
    publisher, read, record, settings, topic_of, unused_name,
};
use axs_application::port::event_publisher::{Delivery, EventPublisher, PublishError};
use axs_application::port::event_topic::EventTopic;
use axs_infrastructure::kafka::{AfterFailure, EventProducer, ProducerSettings};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SMALL_QUEUE: ProducerSettings = ProducerSettings {
    queue_records_max: 10,
    queue_kib_max: 65_536,
    after_failure: AfterFailure::ClosePartition,
};

#[tokio::test]
async fn records_land_in_the_order_of_their_enqueueing_at_the_offsets_reported() {
    const RECORDS: i64 = 20_000;
    let kafka = new_topic(2).await;
    let publisher = publisher(&kafka, QUEUE);
    let mut deliveries: [Vec<Delivery>; 2] = [Vec::new(), Vec::new()];
    for number in 0..RECORDS {
        let partition = usize::from(number % 3 == 0);
        let delivery = publisher
            .enqueue(record(i32::from(number % 3 == 0), number))
            .unwrap();
        deliveries[partition].push(delivery);
    }
    assert!(publisher.flush(PATIENCE).await);
    for (partition, deliveries) in deliveries.into_iter().enumerate() {
        let count = deliveries.len();
        for (position, delivery) in deliveries.into_iter().enumerate() {
            let offset = delivery.report().await.unwrap().unwrap();
            assert_eq!(usize::try_from(offset.value()).unwrap(), position);
        }
        let found = read(&kafka, i32::try_from(partition).unwrap(), count);
        let of_partition = (0..RECORDS).filter(|n| usize::from(n % 3 == 0) == partition);
        for ((offset, key, payload), (position, number)) in
            found.into_iter().zip(of_partition.enumerate())
        {
            assert_eq!(usize::try_from(offset).unwrap(), position);
            assert_eq!(key, (number + 1).to_string());
            assert_eq!(payload, format!("payload {number}"));
        }
    }
}

#[tokio::test]
async fn a_producer_is_made_without_a_broker_and_keeps_what_it_is_given() {
    let publisher = publisher(&settings(NOWHERE, "events"), QUEUE);
    let delivery = publisher.enqueue(record(0, 1)).unwrap();
    assert!(!publisher.flush(Duration::from_millis(300)).await);
    let report = timeout(Duration::from_millis(300), delivery.report()).await;
    assert!(report.is_err(), "no broker, yet a report: {report:?}");
}

#[tokio::test]
async fn a_full_queue_gives_the_record_back() {
    let publisher = publisher(&settings(NOWHERE, "events"), SMALL_QUEUE);
    let mut accepted = Vec::new();
    let refused = loop {
        match publisher.enqueue(record(0, 1)) {
            Ok(delivery) => accepted.push(delivery),
            Err(error) => break error,
        }
        assert!(accepted.len() <= 20, "the queue has no bound");
    };
    assert_eq!(refused, PublishError::QueueFull);
    assert!(accepted.len() >= 10, "fewer than the settings say");
}

#[tokio::test]
async fn who_has_as_many_records_waiting_as_the_settings_say_is_never_refused() {
    const RECORDS: usize = 2_000;
    let kafka = new_topic(1).await;
    let publisher = publisher(&kafka, SMALL_QUEUE);
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..RECORDS {
        if waiting.len() == 10 {
            let oldest: Delivery = waiting.pop_front().unwrap();
            oldest.report().await.unwrap();
        }
        let number = i64::try_from(number).unwrap();
        waiting.push_back(publisher.enqueue(record(0, number)).unwrap());
    }
}

#[tokio::test]
async fn a_record_given_back_is_taken_after_deliveries_and_keeps_its_place() {
    const RECORDS: usize = 500;
    let kafka = new_topic(1).await;
    let publisher = publisher(&kafka, SMALL_QUEUE);
    let mut waiting = std::collections::VecDeque::new();
    let mut given_back = 0;
    for number in 0..RECORDS {
        loop {
            match publisher.enqueue(record(0, i64::try_from(number).unwrap())) {
                Ok(delivery) => break waiting.push_back(delivery),
                Err(error) => {
                    assert_eq!(error, PublishError::QueueFull);
                    given_back += 1;
                    match waiting.pop_front() {
                        Some(oldest) => {
                            Delivery::report(oldest).await.unwrap();
                        }
                        // Reported, but not forgotten by librdkafka yet.
                        None => tokio::task::yield_now().await,
                    }
                }
            }
        }
    }
    assert!(publisher.flush(PATIENCE).await);
    assert!(given_back > 0);
    for (number, (_, _, payload)) in read(&kafka, 0, RECORDS).into_iter().enumerate() {
        assert_eq!(payload, format!("payload {number}"));
    }
}

#[tokio::test]
async fn what_was_enqueued_during_an_outage_is_published_in_order_after_it() {
    const RECORDS: usize = 2_000;
    let kafka = new_topic(1).await;
    // The producer begins at an address where a way to the broker opens only later.
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = way.local_addr().unwrap();
    drop(way);
    let behind = settings(&address.to_string(), &kafka.events_topic);
    let publisher = publisher(&behind, QUEUE);
    let deliveries: Vec<Delivery> = (0..RECORDS)
        .map(|n| {
            publisher
                .enqueue(record(0, i64::try_from(n).unwrap()))
                .unwrap()
        })
        .collect();
    assert!(!publisher.flush(Duration::from_millis(500)).await);

    let way = TcpListener::bind(address).await.unwrap();
    let opened = tokio::spawn(async move {
        loop {
            let (mut client, _) = way.accept().await.unwrap();
            tokio::spawn(async move {
                let mut broker = TcpStream::connect(brokers()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut broker).await;
            });
        }
    });
    assert!(publisher.flush(PATIENCE).await);
    for (position, delivery) in deliveries.into_iter().enumerate() {
        let offset = delivery.report().await.unwrap().unwrap();
        assert_eq!(usize::try_from(offset.value()).unwrap(), position);
    }
    for (number, (_, _, payload)) in read(&kafka, 0, RECORDS).into_iter().enumerate() {
        assert_eq!(payload, format!("payload {number}"));
    }
    opened.abort();
}

#[tokio::test]
async fn a_topic_that_is_not_there_yet_is_waited_for() {
    if crate::support::skipped("a_topic_that_is_not_there_yet_is_waited_for") {
        return;
    }
    let kafka = settings(&brokers(), &unused_name());
    let publisher = publisher(&kafka, QUEUE);
    let delivery = publisher.enqueue(record(1, 1)).unwrap();
    assert!(!publisher.flush(Duration::from_secs(1)).await);
    let topic = topic_of(&kafka);
    topic.create(2).await.unwrap();
    let offset = timeout(PATIENCE, delivery.report()).await.unwrap();
    assert_eq!(offset.unwrap().unwrap().value(), 0);
}

#[tokio::test]
async fn a_failed_delivery_closes_its_partition_and_no_other() {
    let kafka = new_topic(1).await;
    let publisher = publisher(&kafka, QUEUE);
    // Enqueued before the producer knows the topic: refused only by the delivery report.
    let lost = publisher.enqueue(record(7, 1)).unwrap();
    let report = timeout(PATIENCE, lost.report()).await.unwrap();
    assert!(matches!(report, Err(PublishError::Failed(_))), "{report:?}");
    let next = publisher.enqueue(record(7, 2));
    assert!(matches!(next, Err(PublishError::Failed(_))), "{next:?}");
    assert!(!publisher.flush(PATIENCE).await, "a loss is no success");

    let elsewhere = publisher.enqueue(record(0, 3)).unwrap();
    let report = timeout(PATIENCE, elsewhere.report()).await.unwrap();
    assert_eq!(report.unwrap().unwrap().value(), 0);
}

#[tokio::test]
async fn a_renewed_publisher_publishes_to_the_partition_that_was_closed() {
    let claim = "a_renewed_publisher_publishes_to_the_partition_that_was_closed";
    if crate::support::skipped(claim) {
        return;
    }
    let kafka = new_topic(1).await;
    let publisher = publisher(&kafka, QUEUE);
    let lost = publisher.enqueue(record(1, 1)).unwrap();
    let report = timeout(PATIENCE, lost.report()).await.unwrap();
    assert!(matches!(report, Err(PublishError::Failed(_))), "{report:?}");
    add_partitions(&kafka, 2).await;
    let closed = publisher.enqueue(record(1, 2));
    assert!(matches!(closed, Err(PublishError::Failed(_))), "{closed:?}");

    publisher.renew().await.unwrap();
    for (number, position) in [(1, 0), (2, 1)] {
        let delivery = publisher.enqueue(record(1, number)).unwrap();
        let report = timeout(PATIENCE, delivery.report()).await.unwrap();
        assert_eq!(report.unwrap().unwrap().value(), position);
    }
    assert!(publisher.flush(PATIENCE).await, "the old failure is over");
}

#[tokio::test]
async fn a_renewal_gives_back_what_no_broker_took_and_goes_on_afresh() {
    const RECORDS: i64 = 1_000;
    let publisher = publisher(&settings(NOWHERE, "events"), QUEUE);
    for _ in 0..3 {
        let deliveries: Vec<Delivery> = (0..RECORDS)
            .map(|number| publisher.enqueue(record(0, number)).unwrap())
            .collect();
        timeout(PATIENCE, publisher.renew()).await.unwrap().unwrap();
        for delivery in deliveries {
            // Without waiting: every report is in when the renewal is over.
            let report = timeout(Duration::ZERO, delivery.report()).await.unwrap();
            assert!(matches!(report, Err(PublishError::Failed(_))), "{report:?}");
        }
    }
}

#[tokio::test]
async fn records_refused_by_the_broker_are_published_in_order_once_it_takes_them() {
    const RECORDS: i64 = 2_000;
    const REFUSED: i64 = 700;
    let claim = "records_refused_by_the_broker_are_published_in_order_once_it_takes_them";
    if crate::support::skipped(claim) {
        return;
    }
    let kafka = new_topic(1).await;
    limit_messages(&kafka, 20_000).await;
    let publisher = publisher(&kafka, QUEUE);
    let large = |number: i64| {
        let mut record = record(0, number);
        if number == REFUSED {
            // Random, so that it stays large when it is compressed.
            let noise: String = (0..100_000)
                .map(|_| char::from(rand::random_range(b' '..=b'~')))
                .collect();
            record.payload = noise.into();
        }
        record
    };
    let records: Vec<_> = (0..RECORDS).map(large).collect();
    let mut left: Vec<usize> = (0..records.len()).collect();
    let mut renewals = 0;
    while !left.is_empty() {
        let enqueued: Vec<_> = left
            .iter()
            .map(|index| (*index, publisher.enqueue(records[*index].clone())))
            .collect();
        let mut failed = Vec::new();
        for (index, enqueued) in enqueued {
            let delivered = match enqueued {
                Ok(delivery) => timeout(PATIENCE, delivery.report()).await.unwrap().is_ok(),
                Err(_) => false,
            };
            assert!(
                !delivered || failed.is_empty(),
                "{index} landed before {failed:?}"
            );
            if !delivered {
                failed.push(index);
            }
        }
        if !failed.is_empty() {
            assert!(renewals < 3, "{} records never land", failed.len());
            renewals += 1;
            limit_messages(&kafka, 1_000_000).await;
            publisher.renew().await.unwrap();
        }
        left = failed;
    }
    assert!(renewals > 0, "nothing was refused");
    let topic = topic_of(&kafka);
    let end = topic.bounds(partition(0)).await.unwrap().end.value();
    let end = usize::try_from(end).unwrap();
    let found = read(&kafka, 0, end);
    let mut seen = std::collections::BTreeSet::new();
    let first_copies: Vec<i64> = found
        .iter()
        .map(|(_, key, _)| key.parse::<i64>().unwrap() - 1)
        .filter(|number| seen.insert(*number))
        .collect();
    let in_order: Vec<i64> = (0..RECORDS).collect();
    assert_eq!(first_copies, in_order);
}

#[tokio::test]
async fn records_that_a_dropped_producer_still_held_are_reported_as_failed() {
    let publisher = publisher(&settings(NOWHERE, "events"), QUEUE);
    let delivery = publisher.enqueue(record(0, 1)).unwrap();
    tokio::task::spawn_blocking(move || drop(publisher))
        .await
        .unwrap();
    let report = timeout(PATIENCE, delivery.report()).await.unwrap();
    assert!(matches!(report, Err(PublishError::Failed(_))), "{report:?}");
}

#[test]
fn settings_can_not_take_a_promise_back() {
    for (key, value) in [
        ("acks", "0"),
        ("delivery.timeout.ms", "1"),
        ("linger.ms", "500"),
        ("message.send.max.retries", "1"),
    ] {
        let mut kafka = settings(NOWHERE, "events");
        kafka.connection.properties.insert(key.into(), value.into());
        let error = EventProducer::try_new(&kafka, QUEUE).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn a_property_that_is_none_is_refused_with_its_name() {
    let mut kafka = settings(NOWHERE, "events");
    kafka
        .connection
        .properties
        .insert("no.such.property".into(), "1".into());
    let error = EventProducer::try_new(&kafka, QUEUE).unwrap_err();
    assert!(error.to_string().contains("no.such.property"), "{error}");
    assert!(error.to_string().contains(NOWHERE), "{error}");
}
