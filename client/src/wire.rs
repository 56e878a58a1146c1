//! Requests on the wire.
//!
//! An event is encoded once, by its caller, and its bytes go into every request that carries it: a
//! retry costs nothing but the request.

use crate::error::ClientError;
use crate::settings::{ClientSettings, RESPONSE_BYTES_MAX};
use axs_proto::v1;
use bytes::Bytes;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

const SUBMIT: &str = "/axs.v1.AccountBalanceService/BatchSubmitBalanceChanges";

/// [`v1::BatchSubmitBalanceChangesRequest`] with events that are encoded already: the same bytes,
/// since a message inside a message is written as its bytes are.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EncodedRequest {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) events: Vec<Bytes>,
    #[prost(enumeration = "v1::AckLevel", tag = "2")]
    pub(crate) ack_level: i32,
}

/// Why a request has no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No answer came within the time for one try.
    TimedOut,
    /// A status, by the server or by the transport.
    Status(Status),
}

/// The way to one API process.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    grpc: Grpc<Channel>,
    ack_level: v1::AckLevel,
    authorization: Option<MetadataValue<Ascii>>,
    try_timeout: Duration,
}

impl Wire {
    pub(crate) fn new(channel: Channel, settings: &ClientSettings) -> Result<Self, ClientError> {
        let authorization = settings.bearer_token.as_ref().map(|token| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
                .parse()
                .map_err(|_| ClientError::BadToken)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            grpc: Grpc::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX),
            ack_level: settings.ack_level,
            authorization: authorization.transpose()?,
            try_timeout: settings.try_timeout,
        })
    }

    /// Sends events in one request.
    pub(crate) async fn send(&self, events: Vec<Bytes>) -> Result<Vec<v1::SubmitResult>, Failure> {
        let mut request = Request::new(EncodedRequest {
            events,
            ack_level: self.ack_level.into(),
        });
        if let Some(value) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        let mut grpc = self.grpc.clone();
        let call = async {
            grpc.ready()
                .await
                .map_err(|error| Status::from_error(error.into()))?;
            let codec =
                ProstCodec::<EncodedRequest, v1::BatchSubmitBalanceChangesResponse>::default();
            let path = PathAndQuery::from_static(SUBMIT);
            grpc.unary(request, path, codec).await
        };
        match tokio::time::timeout(self.try_timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner().results),
            Ok(Err(status)) => Err(Failure::Status(status)),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventBuilder;
    use prost::Message;

    #[test]
    fn encoded_events_make_the_bytes_of_the_contracts_own_message() {
        let events = vec![
            EventBuilder::new(1, 2, "a")
                .change("USDT", "1", "0")
                .build(),
            EventBuilder::new(-1, 0, "").build(),
            v1::BalanceChangeEvent::default(),
        ];
        for level in [v1::AckLevel::Unspecified, v1::AckLevel::Published] {
            let ours = EncodedRequest {
                events: events.iter().map(|e| e.encode_to_vec().into()).collect(),
                ack_level: level.into(),
            };
            let contracts = v1::BatchSubmitBalanceChangesRequest {
                events: events.clone(),
                ack_level: level.into(),
            };
            assert_eq!(ours.encode_to_vec(), contracts.encode_to_vec());
        }
    }
}
