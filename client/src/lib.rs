//! The client of AXS: one call submits one event.
//!
//! ```
//! use axs_client::{Answer, Client, ClientSettings, EventBuilder, SubmitError};
//! # use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), axs_client::ClientError> {
//! let mut settings = ClientSettings::default();
//! # settings.deadline = Duration::from_millis(50);
//! # let address = "http://127.0.0.1:1";
//! # /*
//! let address = "http://127.0.0.1:50051";
//! # */
//! let client = Client::connect_lazy(address, settings)?;
//!
//! let event = EventBuilder::new(1, 1, "deposit-1") // account, user, idempotency key
//!     .event_type("deposit")
//!     .source_service("ops")
//!     .change("USDT", "100.5", "0") // currency, available, frozen: exact decimal texts
//!     .build();
//! match client.submit(event).await {
//!     Ok(Answer::Accepted(accepted)) => println!("logged as {}", accepted.log_id),
//!     Ok(Answer::Refused(refusal)) => println!("refused: {refusal}"),
//!     Err(SubmitError::NotLogged(cause)) => println!("has no effect: {cause}"),
//!     Err(SubmitError::Unknown(cause)) => println!("send the same key again: {cause}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Concurrent callers' events travel together in `BatchSubmitBalanceChanges` requests: a call costs
//! gRPC more than the balance change itself. An event alone goes out at once; while requests are
//! under way, what arrives is gathered into the next one. Everything else is said where it is
//! promised: [`Client::submit_until`] for order, retries and dropped futures, [`SubmitError`] for
//! what to do next, [`ClientSettings`] for the bounds.
//!
//! Of an account, one request at a time is under way; any other account's events go in whichever
//! request is next. (Lanes of accounts by hash, each with a request of its own, were the other way:
//! they cut the same load into more and smaller requests, and let accounts wait for strangers.)
//!
//! Four requests under way are the default. With 256 callers on 2 busy cores that hold the servers
//! too, 4 carried 1.2 to 1.8 times the events of 1, 1.1 to 1.2 of 2 and 1.3 to 2.1 of 8; with 64
//! callers the differences were no larger than those between two runs, and 16 events shared a
//! request (`examples/load.rs`, two rounds, each in turn). A caller alone is as fast with any.
//!
//! Order across a restart of the API process is assured for [`AckLevel::Published`] only: what the
//! old process had logged and not yet published may come behind what the new one takes.
//!
//! Out of scope: several endpoints. A client has one API process; see [`Client`] for why.

mod answer;
mod backoff;
mod client;
mod error;
mod event;
mod gatherer;
mod settings;
mod wire;

pub use answer::{Accepted, Answer, Refusal};
pub use axs_proto::v1::{
    AckLevel, BalanceChange, BalanceChangeEvent, BalanceChangeFallback, EventReason, EventState,
    EventStatus, FieldViolation, LedgerEntry, RefusalCode,
};
pub use client::Client;
pub use error::{Cause, ClientError, StatusCause, SubmitError};
pub use event::{Deltas, EventBuilder};
pub use gatherer::Activity;
pub use settings::{ClientSettings, EVENT_BYTES_MAX};
