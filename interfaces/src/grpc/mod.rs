//! The gRPC side of the contract.
//!
//! | question | file |
//! |---|---|
//! | which use case answers which call | [`handler`] |
//! | requests become arguments | `event_reader`, `request_reader`, with `field_path` and `violations` |
//! | results become answers | `reply`; in the order of the request: `batch` |
//! | refusals of whole requests | [`status`] |
//! | a client that goes away stops no write | `detached` |
//! | sockets, bounds, health, reflection, drain | [`server`], `listener` |

pub mod api;
mod batch;
mod detached;
mod dispatch;
mod event_reader;
mod field_path;
pub mod handler;
mod listener;
mod reply;
mod request_metrics;
mod request_reader;
pub mod server;
pub mod settings;
pub mod status;
mod trace_context;
mod violations;

pub use request_metrics::{REQUEST_SECONDS, REQUESTS_TOTAL};
pub use request_reader::CURRENCY_CODES_MAX;
