//! The producer of one process: records land in order, or the producer fails.

use super::{Broker, Record};
use crate::process::Process;
use crate::world::lock;
use async_trait::async_trait;
use axs_application::port::event_publisher::{
    Delivery, EventPublisher, OutboundRecord, PublishError,
};
use axs_domain::id::Offset;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

type Sent = (OutboundRecord, Report);
type Reports = Vec<(Report, Option<Offset>)>;
type Report = oneshot::Sender<Result<Option<Offset>, PublishError>>;

/// Records on their way at one time.
const SENT_AT_ONCE_MAX: usize = 8;

/// What a producer does after a record that the broker refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fails, until it is renewed: nothing lands behind the gap. The API's.
    Gapless,
    /// Goes on: who uses it sends an account's next record only after the last one's report. The
    /// relay's.
    GoesOn,
    /// The same, on the result topic: who uses it begins again from the record that failed.
    Results,
}

/// One process's producer.
pub struct SimProducer {
    broker: Arc<Broker>,
    process: Arc<Process>,
    queue: Mutex<Queue>,
    more: Notify,
    queue_max: usize,
    kind: Kind,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(OutboundRecord, Report)>,
    sending: usize,
    failed: Option<String>,
}

impl SimProducer {
    pub fn start(
        broker: &Arc<Broker>,
        process: &Arc<Process>,
        queue_max: usize,
        kind: Kind,
    ) -> Arc<Self> {
        let producer = Arc::new(Self {
            broker: Arc::clone(broker),
            process: Arc::clone(process),
            queue: Mutex::default(),
            more: Notify::new(),
            queue_max,
            kind,
        });
        let sending = Arc::clone(&producer);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = sending.process.death() => {}
                () = sending.send() => {}
            }
        });
        producer
    }

    async fn send(&self) {
        let world = &self.broker.world;
        loop {
            let batch: Vec<_> = {
                let mut queue = lock(&self.queue);
                let many = queue.waiting.len().min(SENT_AT_ONCE_MAX);
                queue.sending = many;
                queue.waiting.drain(..many).collect()
            };
            if batch.is_empty() {
                self.more.notified().await;
                continue;
            }
            self.process.pass().await;
            self.broker.until_up().await;
            world.travel().await;
            self.process.pass().await;
            let (mut reports, lost) = self.land_all(batch);
            let failed = !lost.is_empty();
            self.land_late(lost, &mut reports);
            world.travel().await;
            self.process.pass().await;
            if failed && self.kind == Kind::Gapless {
                self.fail(&mut reports);
            }
            self.tell(reports);
        }
    }

    /// Lands records in order, and gives those that the broker refuses: for a gapless producer all
    /// from the first refused one on, since nothing lands behind a gap.
    fn land_all(&self, batch: Vec<(OutboundRecord, Report)>) -> (Reports, Vec<Sent>) {
        let world = &self.broker.world;
        let (mut reports, mut lost) = (Vec::new(), Vec::new());
        for (record, report) in batch {
            let behind_a_gap = self.kind == Kind::Gapless && !lost.is_empty();
            if behind_a_gap || world.strikes(world.weather.rates().delivery_fails) {
                lost.push((record, report));
            } else {
                let offset = self.land(record);
                reports.push((report, Some(offset)));
            }
        }
        (reports, lost)
    }

    /// What failed may have been written all the same, or be written later, up to some record, so
    /// that nothing is written whose predecessor is missing.
    fn land_late(&self, lost: Vec<Sent>, reports: &mut Reports) {
        let world = &self.broker.world;
        let landing = world.pick_place(lost.len() + 1);
        let mut late = Vec::new();
        for (place, (record, report)) in lost.into_iter().enumerate() {
            reports.push((report, None));
            if place < landing {
                world.tally.count("deliveries failed, landed");
                late.push(record);
            } else {
                world.tally.count("deliveries failed, not landed");
            }
        }
        if late.is_empty() {
            return;
        }
        let (broker, way) = (Arc::clone(&self.broker), world.millis(0..600));
        let way = if world.happens(0.5) {
            Duration::ZERO
        } else {
            way
        };
        tokio::spawn(async move {
            tokio::time::sleep(way).await;
            for record in late {
                let key = Bytes::from(record.account_id.to_string());
                let payload = record.payload;
                broker.land(record.partition, Record { key, payload });
            }
        });
    }

    fn land(&self, record: OutboundRecord) -> Offset {
        let key = Bytes::from(record.account_id.to_string());
        let (partition, payload) = (record.partition, record.payload);
        let offset = self.broker.land(partition, Record { key, payload });
        self.broker.world.tally.count(match self.kind {
            Kind::Gapless => "published events",
            Kind::GoesOn => "relayed events",
            Kind::Results => "published results",
        });
        self.process.note(&format!("lands at {partition}:{offset}"));
        offset
    }

    fn fail(&self, reports: &mut Reports) {
        self.process.note("the producer fails");
        let mut queue = lock(&self.queue);
        queue.failed = Some("a delivery failed".to_owned());
        let waiting = queue.waiting.drain(..);
        reports.extend(waiting.map(|(_, report)| (report, None)));
    }

    fn tell(&self, reports: Reports) {
        let world = &self.broker.world;
        for (report, offset) in reports {
            let answer = match offset {
                Some(_) if world.strikes(world.weather.rates().delivery_unplaced) => {
                    world.tally.count("deliveries without an offset");
                    Ok(None)
                }
                Some(offset) => Ok(Some(offset)),
                None => Err(PublishError::Failed("the delivery failed".to_owned())),
            };
            let _ = report.send(answer);
        }
        lock(&self.queue).sending = 0;
    }
}

#[async_trait]
impl EventPublisher for SimProducer {
    fn enqueue(&self, record: OutboundRecord) -> Result<Delivery, PublishError> {
        let mut queue = lock(&self.queue);
        if let Some(reason) = &queue.failed {
            return Err(PublishError::Failed(reason.clone()));
        }
        if queue.waiting.len() + queue.sending >= self.queue_max {
            self.broker.world.tally.count("producer queues full");
            return Err(PublishError::QueueFull);
        }
        let (report, delivery) = Delivery::pending();
        queue.waiting.push_back((record, report));
        drop(queue);
        self.more.notify_one();
        Ok(delivery)
    }

    async fn renew(&self) -> Result<(), PublishError> {
        self.process.pass().await;
        self.broker.world.travel().await;
        // What is on its way gets its report first.
        while lock(&self.queue).sending > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.process.pass().await;
        let given_up: Vec<_> = {
            let mut queue = lock(&self.queue);
            queue.failed = None;
            queue.waiting.drain(..).map(|(_, report)| report).collect()
        };
        self.broker.world.tally.count("producers renewed");
        self.process.note("renews its producer");
        for report in given_up {
            let _ = report.send(Err(PublishError::Failed("given up".to_owned())));
        }
        Ok(())
    }

    async fn flush(&self, timeout: Duration) -> bool {
        let empty = async {
            loop {
                {
                    let queue = lock(&self.queue);
                    if queue.waiting.is_empty() && queue.sending == 0 {
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(timeout, empty).await.is_ok()
    }
}
