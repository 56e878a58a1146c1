//! Publishing to the events topic, in order.

use async_trait::async_trait;
use axs_domain::id::{AccountId, Offset, PartitionId};
use bytes::Bytes;
use shaku::Interface;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Unreported records of a partition beyond which handing over more of it is of no use: a producer
/// that keeps the order by sequence numbers sends so many ahead of their reports and no more.
/// librdkafka counts records there, not requests, and looks for the report without a pause, for as
/// long as it holds others whose linger is over: all of a core.
pub const UNREPORTED_MAX: usize = 5;

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRecord {
    /// Where to.
    pub partition: PartitionId,
    /// The record's key.
    pub account_id: AccountId,
    /// The envelope.
    pub payload: Bytes,
}

/// Why a record was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The producer's queue is full. Wait for deliveries, then try the same record again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// The producer has failed. Nothing more is taken until it is renewed.
    #[error("the producer has failed: {0}")]
    Failed(String),
}

/// The delivery report of one record, when it comes.
#[derive(Debug)]
pub struct Delivery(oneshot::Receiver<Result<Option<Offset>, PublishError>>);

impl Delivery {
    /// A delivery, and the end through which the adapter reports it.
    #[must_use]
    pub fn pending() -> (oneshot::Sender<Result<Option<Offset>, PublishError>>, Self) {
        let (report, delivery) = oneshot::channel();
        (report, Self(delivery))
    }

    /// Waits for the report: the record is on the topic, at this offset. `None` when the broker
    /// recognised a retry and did not say where the record stands. There is no timeout: callers
    /// have deadlines, records don't.
    ///
    /// # Errors
    /// [`PublishError::Failed`]; whether the record was written is unknown.
    pub async fn report(mut self) -> Result<Option<Offset>, PublishError> {
        poll_fn(|cx| self.poll_report(cx)).await
    }

    /// [`Delivery::report`] for who waits for many at once. Not to be asked again once it is ready.
    pub fn poll_report(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Offset>, PublishError>> {
        let gone = |_| Err(PublishError::Failed("the producer is gone".into()));
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|report| report.unwrap_or_else(gone))
    }
}

/// Publishes records.
///
/// # Contract
/// - Records of a partition land in the order in which they were enqueued, through retries and
///   outages; none is given up unless the producer fails or is renewed.
/// - What lands of a partition after a failed record of it is nothing: those behind it fail too.
/// - `enqueue` never blocks.
/// - Once `renew` has returned `Ok`, every earlier delivery has its report. Records whose report
///   was a failure may still land, also later, but only such that nothing before them is missing.
///   So whoever enqueues them again, all of them and in their old order, keeps the order of the
///   first copies.
///
/// # Errors
/// [`PublishError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait EventPublisher: Interface {
    /// Hands a record to the producer.
    fn enqueue(&self, record: OutboundRecord) -> Result<Delivery, PublishError>;

    /// Begins anew after a failure: gives up what is still enqueued, waits for its reports and goes
    /// on with a fresh producer. Bounded in time; on an error nothing is taken, and the caller
    /// tries again after a pause.
    async fn renew(&self) -> Result<(), PublishError>;

    /// Waits until everything enqueued is delivered; `false` when the time ends first.
    async fn flush(&self, timeout: Duration) -> bool;
}
