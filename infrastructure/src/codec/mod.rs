//! Events as protobuf: payloads of log rows and envelopes on the topic.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the message of an event ⇄ the domain's event |
//! | `protobuf.rs` | the port: payloads and envelopes |

mod event;
mod protobuf;
#[cfg(test)]
mod tests;

pub use protobuf::{ProtobufEventCodec, ProtobufEventCodecParameters};
