//! A codec without a wire format.

use crate::port::event_codec::{Envelope, EnvelopeError, EnvelopeHeader, EventCodec, PayloadError};
use axs_domain::event::BalanceChangeEvent;
use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Keeps events and envelopes in a table and gives their place as the bytes: what was written can
/// be read back, and other bytes are undecodable.
#[derive(Debug, Default)]
pub struct TableCodec {
    events: Mutex<Vec<BalanceChangeEvent>>,
    envelopes: Mutex<Vec<(EnvelopeHeader, Bytes)>>,
}

const EVENT: u8 = b'e';
const ENVELOPE: u8 = b'v';

impl EventCodec for TableCodec {
    fn encode_payload(&self, event: &BalanceChangeEvent) -> Bytes {
        put(EVENT, &self.events, event.clone())
    }

    fn decode_payload(&self, payload: Bytes) -> Result<BalanceChangeEvent, PayloadError> {
        find(EVENT, &self.events, &payload).ok_or_else(|| PayloadError {
            reason: "never encoded".to_owned(),
        })
    }

    fn encode_envelope(&self, header: EnvelopeHeader, payload: Bytes) -> Bytes {
        put(ENVELOPE, &self.envelopes, (header, payload))
    }

    fn decode_envelope(&self, record: Bytes) -> Result<Envelope, EnvelopeError> {
        let undecodable = |log_id| EnvelopeError::Undecodable {
            reason: "never encoded".to_owned(),
            log_id,
        };
        let (header, payload) =
            find(ENVELOPE, &self.envelopes, &record).ok_or_else(|| undecodable(None))?;
        let event = self
            .decode_payload(payload)
            .map_err(|_| undecodable(Some(header.log_id)))?;
        Ok(Envelope { header, event })
    }
}

fn put<T>(kind: u8, table: &Mutex<Vec<T>>, row: T) -> Bytes {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    table.push(row);
    let mut bytes = vec![kind];
    bytes.extend((table.len() - 1).to_be_bytes());
    Bytes::from(bytes)
}

fn find<T: Clone>(kind: u8, table: &Mutex<Vec<T>>, bytes: &Bytes) -> Option<T> {
    let place = bytes.strip_prefix(&[kind])?;
    let place = usize::from_be_bytes(place.try_into().ok()?);
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    table.get(place).cloned()
}
