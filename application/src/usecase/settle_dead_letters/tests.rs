//! Claims about ending dead records and parked events.

use super::*;
use crate::port::change_log::{ChangeLogKey, MockChangeLog, RecordedReason};
use crate::port::dead_letters::{
    DeadLetterKind, DeadLetterSummary, MockDeadLetters, PARKED_REASON,
};
use crate::port::event_codec::EnvelopeHeader;
use crate::port::event_publisher::{Delivery, PublishError};
use crate::port::parked_events::{MetEvent, MockParkedEvents};
use crate::port::result_publisher::MockResultPublisher;
use crate::testkit::{EventBuilder, TableCodec, account, log_id};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LayoutEpoch, LogId, Offset, PartitionId};
use axs_domain::time::Timestamp;

const ID: DeadLetterId = DeadLetterId(7);

fn note() -> OperatorNote {
    OperatorNote::parse("ann", "ticket 12").unwrap()
}

fn event() -> BalanceChangeEvent {
    EventBuilder::new(1, "k").build()
}

fn key() -> ChangeLogKey {
    ChangeLogKey {
        shard_id: account(1).shard_id,
        account_id: event().account_id(),
        idempotency_key: event().idempotency_key().clone(),
    }
}

fn row(status: LogStatus) -> ChangeLogRecord {
    ChangeLogRecord {
        log_id: log_id(1),
        key: key(),
        fingerprint: Fingerprint::of(&event()),
        payload: Bytes::new(),
        status,
        reason: None,
        logged_at: Timestamp::from_unix_micros(5),
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}

fn entry(kind: DeadLetterKind, state: DeadLetterState, body: DeadLetterBody) -> DeadLetterEntry {
    DeadLetterEntry {
        summary: DeadLetterSummary {
            id: ID,
            kind,
            state,
            partition: PartitionId::MIN,
            offset: Offset::MIN,
            log_id: Some(log_id(1)),
            account_id: Some(event().account_id()),
            reason: PARKED_REASON.to_owned(),
            message: String::new(),
            at: Timestamp::from_unix_micros(0),
            times: 1,
        },
        body,
        actions: Vec::new(),
    }
}

/// What the mocks hold, and the settling over them.
#[derive(Default)]
struct Bench {
    dead: MockDeadLetters,
    parked: MockParkedEvents,
    log: MockChangeLog,
    codec: TableCodec,
    results: MockResultPublisher,
}

impl Bench {
    /// A dead record: the envelope of the event under this log id, or bytes that are none.
    fn dead_record(&mut self, state: DeadLetterState, log_id: Option<LogId>) {
        let payload = match log_id {
            Some(log_id) => {
                let payload = self.codec.encode_payload(&event());
                let header = EnvelopeHeader {
                    log_id,
                    shard_id: key().shard_id,
                    layout_epoch: LayoutEpoch::MIN,
                    logged_at: Timestamp::from_unix_micros(5),
                    traceparent: None,
                };
                self.codec.encode_envelope(header, payload)
            }
            None => Bytes::from_static(b"?"),
        };
        let body = DeadLetterBody::Record {
            key: Bytes::from_static(b"1"),
            payload,
        };
        let found = entry(DeadLetterKind::Dead, state, body);
        self.dead
            .expect_find()
            .returning(move |_| Ok(Some(found.clone())));
    }

    fn parked_event(&mut self) {
        let body = DeadLetterBody::Row(key());
        let found = entry(DeadLetterKind::Parked, DeadLetterState::Open, body);
        self.dead
            .expect_find()
            .returning(move |_| Ok(Some(found.clone())));
    }

    fn log_row(&mut self, found: Option<ChangeLogRecord>) {
        self.log
            .expect_find_by_key()
            .returning(move |_| Ok(found.clone()));
    }

    fn settling(self) -> DeadLetterSettling {
        DeadLetterSettling::new(
            Arc::new(self.dead),
            Arc::new(self.parked),
            Arc::new(self.log),
            Arc::new(self.codec),
            Arc::new(self.results),
        )
    }
}

fn met(status: LogStatus, changed: bool) -> MetEvent {
    MetEvent {
        key: key(),
        log_id: log_id(1),
        status,
        changed,
    }
}

#[tokio::test]
async fn a_parked_event_is_redriven_once_and_told_where_it_stands_after_that() {
    for (found, expected) in [
        (met(LogStatus::Parked, true), SettleOutcome::Redriven),
        (
            met(LogStatus::Init, false),
            SettleOutcome::Already(stands(LogStatus::Init)),
        ),
        (
            met(LogStatus::Applied, false),
            SettleOutcome::Already(stands(LogStatus::Applied)),
        ),
    ] {
        let mut bench = Bench::default();
        bench.parked_event();
        bench
            .parked
            .expect_redrive()
            .withf(|id, note| *id == ID && note.operator() == "ann")
            .returning(move |_, _| Ok(Some(found.clone())));
        let outcome = bench.settling().redrive(ID, note()).await.unwrap();
        assert_eq!(outcome, expected);
    }
}

/// The row of an event that was rejected with this code.
fn rejected(bench: &Bench, code: i16) -> ChangeLogRecord {
    ChangeLogRecord {
        payload: bench.codec.encode_payload(&event()),
        reason: Some(RecordedReason {
            code,
            message: "ticket 12".to_owned(),
        }),
        decided_at: Some(Timestamp::from_unix_micros(9)),
        position: Some((PartitionId::MIN, Offset::MIN)),
        ..row(LogStatus::Rejected)
    }
}

/// What a discard that met the event so comes to, with a result topic that answers so.
async fn discarded(
    found: MetEvent,
    code: RejectionCode,
    delivered: Result<Option<Offset>, PublishError>,
) -> (SettleOutcome, usize) {
    let mut bench = Bench::default();
    bench.parked_event();
    let stored = rejected(&bench, code.number());
    bench.log_row(Some(stored.clone()));
    bench
        .parked
        .expect_discard()
        .returning(move |_, _| Ok(Some(found.clone())));
    let published = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sent = Arc::clone(&published);
    bench.results.expect_enqueue().returning(move |finished| {
        sent.lock().unwrap().push(finished.clone());
        let (report, delivery) = Delivery::pending();
        report.send(delivered.clone()).unwrap();
        Ok(delivery)
    });
    let outcome = bench.settling().discard(ID, note()).await.unwrap();
    let published = published.lock().unwrap();
    for finished in published.iter() {
        assert_eq!(finished.log_id, stored.log_id);
        assert_eq!(finished.event, event());
        let reason = stored.reason.clone().unwrap();
        assert_eq!(finished.outcome, FinishedOutcome::Rejected(reason));
    }
    (outcome, published.len())
}

#[tokio::test]
async fn a_discarded_event_has_its_result_published_and_again_when_it_is_discarded_again() {
    let by_operator = RejectionCode::Discarded;
    let first = discarded(met(LogStatus::Parked, true), by_operator, Ok(None)).await;
    assert_eq!(first, (SettleOutcome::Discarded, 1));
    let (again, published) =
        discarded(met(LogStatus::Rejected, false), by_operator, Ok(None)).await;
    assert!(matches!(again, SettleOutcome::Already(_)), "{again:?}");
    assert_eq!(published, 1);
    let refused = Err(PublishError::Failed("away".to_owned()));
    for found in [
        met(LogStatus::Parked, true),
        met(LogStatus::Rejected, false),
    ] {
        let (outcome, _) = discarded(found, by_operator, refused.clone()).await;
        assert!(
            matches!(outcome, SettleOutcome::Unpublished(_)),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_is_final_or_on_its_way_is_not_discarded_and_nothing_is_published() {
    let by_rules = RejectionCode::InsufficientAvailable;
    let on_its_way = "it was redriven and is on its way: wait for its result";
    for (found, expected) in [
        (
            met(LogStatus::Init, false),
            SettleOutcome::Refused(on_its_way.to_owned()),
        ),
        (
            met(LogStatus::Applied, false),
            SettleOutcome::Already(stands(LogStatus::Applied)),
        ),
        (
            met(LogStatus::Rejected, false),
            SettleOutcome::Already(stands(LogStatus::Rejected)),
        ),
    ] {
        let outcome = discarded(found, by_rules, Ok(None)).await;
        assert_eq!(outcome, (expected, 0));
    }
}

#[tokio::test]
async fn a_dead_record_whose_event_is_init_is_left_to_the_relay() {
    let mut bench = Bench::default();
    bench.dead_record(DeadLetterState::Open, Some(log_id(1)));
    bench.log_row(Some(row(LogStatus::Init)));
    bench
        .dead
        .expect_settle()
        .withf(|_, settlement, _| *settlement == RecordSettlement::Redriven(key()))
        .times(1)
        .returning(|_, _, _| Ok(Some(DeadLetterState::Open)));
    let outcome = bench.settling().redrive(ID, note()).await.unwrap();
    assert_eq!(outcome, SettleOutcome::Redriven);
}

#[tokio::test]
async fn a_dead_record_whose_event_is_final_is_settled() {
    for status in [LogStatus::Applied, LogStatus::Rejected] {
        let mut bench = Bench::default();
        bench.dead_record(DeadLetterState::Open, Some(log_id(1)));
        bench.log_row(Some(row(status)));
        bench
            .dead
            .expect_settle()
            .withf(|_, settlement, _| *settlement == RecordSettlement::Settled)
            .returning(|_, _, _| Ok(Some(DeadLetterState::Open)));
        let outcome = bench.settling().redrive(ID, note()).await.unwrap();
        assert_eq!(outcome, SettleOutcome::Settled);
    }
}

#[tokio::test]
async fn what_never_was_an_accepted_event_is_refused_with_the_reason_and_changes_nothing() {
    let altered = ChangeLogRecord {
        fingerprint: Fingerprint::of(&EventBuilder::new(1, "k").change("USD", "9", "0").build()),
        ..row(LogStatus::Init)
    };
    let at_another_time = ChangeLogRecord {
        logged_at: Timestamp::from_unix_micros(6),
        ..row(LogStatus::Init)
    };
    let rows = [
        (None, None, "undecodable"),
        (Some(log_id(1)), None, "no log row"),
        (
            Some(log_id(2)),
            Some(row(LogStatus::Init)),
            "another log id",
        ),
        (Some(log_id(1)), Some(altered), "other content"),
        (Some(log_id(1)), Some(at_another_time), "another time"),
        (
            Some(log_id(1)),
            Some(row(LogStatus::Parked)),
            "its event is parked",
        ),
    ];
    for (envelope, log_row, expected) in rows {
        let mut bench = Bench::default();
        bench.dead_record(DeadLetterState::Open, envelope);
        bench.log_row(log_row);
        bench.dead.expect_settle().never();
        let settling = bench.settling();
        let plan = settling.inspect(ID).await.unwrap().unwrap().plan;
        let outcome = settling.redrive(ID, note()).await.unwrap();
        assert_eq!(outcome, SettleOutcome::Refused(plan.to_string()));
        assert!(plan.to_string().contains(expected), "{plan}");
    }
}

#[tokio::test]
async fn what_was_done_with_a_dead_record_before_is_told_and_not_done_again() {
    for state in [
        DeadLetterState::Redriven,
        DeadLetterState::Discarded,
        DeadLetterState::Settled,
    ] {
        let mut bench = Bench::default();
        bench.dead_record(state, Some(log_id(1)));
        bench
            .dead
            .expect_settle()
            .returning(move |_, _, _| Ok(Some(state)));
        let settling = bench.settling();
        let expected = already(state);
        assert_eq!(settling.redrive(ID, note()).await.unwrap(), expected);
        assert_eq!(settling.discard(ID, note()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn an_entry_that_is_not_there_is_refused() {
    let mut bench = Bench::default();
    bench.dead.expect_find().returning(|_| Ok(None));
    let settling = bench.settling();
    let expected = SettleOutcome::Refused("there is no entry 7".to_owned());
    assert_eq!(settling.redrive(ID, note()).await.unwrap(), expected);
    assert_eq!(settling.discard(ID, note()).await.unwrap(), expected);
    assert_eq!(settling.inspect(ID).await.unwrap(), None);
}

#[test]
fn a_note_is_one_line_that_is_not_empty_and_not_too_long() {
    assert_eq!(OperatorNote::parse(" ann ", "x").unwrap().operator(), "ann");
    let long = "x".repeat(501);
    for (operator, reason, named) in [
        ("", "why", "operator"),
        ("ann", " ", "reason"),
        ("ann", "a\nb", "reason"),
        ("ann", long.as_str(), "reason"),
    ] {
        let refused = OperatorNote::parse(operator, reason).unwrap_err();
        assert!(refused.to_string().contains(named), "{refused}");
    }
}
