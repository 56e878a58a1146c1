//! Events as protobuf: payloads of log rows, envelopes on the events topic, records of results.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the message of an event ⇄ the domain's event |
//! | `protobuf.rs` | the port: payloads and envelopes |
//! | `result.rs` | the port: results |

mod event;
mod protobuf;
mod result;
#[cfg(test)]
mod tests;

pub use protobuf::{ProtobufEventCodec, ProtobufEventCodecParameters};
pub use result::{ProtobufResultCodec, ProtobufResultCodecParameters};
