//! Events as protobuf: payloads of log rows and envelopes on the topic.
//!
//! | file | what |
//! |---|---|
//! | `event.rs` | the message of an event ⇄ the domain's event, with field paths in errors |
//! | `protobuf.rs` | the port: payloads and envelopes |

mod event;
mod protobuf;
#[cfg(test)]
mod tests;

pub use event::{FieldError, event_from_message, event_to_message};
pub use protobuf::{ProtobufEventCodec, ProtobufEventCodecParameters};
