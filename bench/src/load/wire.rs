//! Events written straight to the bytes of `BatchSubmitBalanceChangesRequest`.
//!
//! The generated types would cost some ten allocations an event. A test reads what is written here
//! back with them.

use super::dice::Dice;
use super::population::Accounts;
use axs_proto::v1::BalanceChangeEvent;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use std::fmt::Write;

/// The bytes of one event with three changes stay below this.
const EVENT_BYTES_MAX: usize = 320;

/// The currency in which accounts are funded before anything is measured: it may be taken from.
pub const FUNDED: &str = "USDT";

/// What an event does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// One change in the funded currency, up or down.
    One,
    /// Three changes: the funded currency up or down, two others up.
    Three([String; 2]),
    /// One change up in any of these currencies.
    AnyOf(Vec<String>),
    /// So much is added in the funded currency: what funds an account.
    Fund(&'static str),
}

/// Writes events, each with a key of its own.
#[derive(Debug, Clone)]
pub struct EventWriter {
    accounts: Accounts,
    changes: Changes,
    dice: Dice,
    created_msec: u64,
    event: BytesMut,
    change: BytesMut,
    text: String,
}

impl EventWriter {
    /// A writer whose keys repeat for no other seed.
    pub fn new(accounts: Accounts, changes: Changes, seed: u64) -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            accounts,
            changes,
            dice: Dice::new(seed),
            created_msec: u64::try_from(now.as_millis()).unwrap_or_default(),
            event: BytesMut::with_capacity(EVENT_BYTES_MAX),
            change: BytesMut::with_capacity(EVENT_BYTES_MAX),
            text: String::with_capacity(64),
        }
    }

    /// A request of so many events, answered when they are logged. All bear the label, so that
    /// their results can be told from others.
    pub fn request(&mut self, events: usize, label: &str) -> Bytes {
        let mut request = BytesMut::with_capacity(events * EVENT_BYTES_MAX);
        for _ in 0..events {
            self.write_event(label);
            put_bytes(&mut request, 1, &self.event);
        }
        // ack_level: LOGGED
        put_number(&mut request, 2, 1);
        request.freeze()
    }

    /// One event as the client crate takes it.
    pub fn event(&mut self, label: &str) -> BalanceChangeEvent {
        self.write_event(label);
        // What was just written is an event, as a test of this module shows.
        BalanceChangeEvent::decode(self.event.as_ref()).unwrap_or_default()
    }

    fn write_event(&mut self, label: &str) {
        let account = self.accounts.draw(&mut self.dice).unsigned_abs();
        let (high, low) = (self.dice.number(), self.dice.number());
        self.text.clear();
        // A UUID of version 4, as most callers use for keys.
        let _ = write!(
            self.text,
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        );
        self.event.clear();
        put_text(&mut self.event, 1, label);
        put_text(&mut self.event, 2, "trade");
        put_number(&mut self.event, 3, account);
        put_number(&mut self.event, 4, account);
        put_text(&mut self.event, 5, "bench");
        put_text(&mut self.event, 7, &self.text);
        put_number(&mut self.event, 8, self.created_msec);
        match &self.changes {
            Changes::One => self.put_either_way(),
            Changes::Three([second, third]) => {
                let (second, third) = (second.clone(), third.clone());
                self.put_either_way();
                self.put_change(&second, "0.00012");
                self.put_change(&third, "0.00034");
            }
            Changes::AnyOf(currencies) => {
                let place = self.dice.place(currencies.len());
                let currency = currencies.get(place).cloned().unwrap_or_default();
                self.put_change(&currency, "0.5");
            }
            Changes::Fund(amount) => self.put_change(FUNDED, amount),
        }
    }

    fn put_either_way(&mut self) {
        let cents = self.dice.place(10_000) + 1;
        let sign = if self.dice.number() & 1 == 0 { "-" } else { "" };
        let mut amount = std::mem::take(&mut self.text);
        amount.clear();
        let _ = write!(amount, "{sign}{}.{:02}", cents / 100, cents % 100);
        self.put_change(FUNDED, &amount);
        self.text = amount;
    }

    fn put_change(&mut self, currency: &str, available_delta: &str) {
        self.change.clear();
        // Ids of changes are one of a kind within their event.
        put_text(&mut self.change, 1, currency);
        put_text(&mut self.change, 2, currency);
        put_text(&mut self.change, 3, available_delta);
        put_text(&mut self.change, 4, "0");
        put_bytes(&mut self.event, 9, &self.change);
    }
}

fn put_text(out: &mut BytesMut, field: u8, text: &str) {
    put_bytes(out, field, text.as_bytes());
}

fn put_bytes(out: &mut BytesMut, field: u8, bytes: &[u8]) {
    out.put_u8(field << 3 | 2);
    put_varint(out, u64::try_from(bytes.len()).unwrap_or_default());
    out.put_slice(bytes);
}

fn put_number(out: &mut BytesMut, field: u8, number: u64) {
    out.put_u8(field << 3);
    put_varint(out, number);
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.put_u8(u8::try_from(number).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::{Changes, EVENT_BYTES_MAX, EventWriter};
    use crate::load::{Accounts, Population};
    use axs_proto::v1::{AckLevel, BatchSubmitBalanceChangesRequest};
    use prost::Message;
    use std::collections::HashSet;

    fn read(changes: Changes, events: usize) -> BatchSubmitBalanceChangesRequest {
        let accounts = Accounts::new(vec![9_000_000_001], Population::Uniform);
        let bytes = EventWriter::new(accounts, changes, 5).request(events, "label");
        assert!(bytes.len() < events * EVENT_BYTES_MAX, "{}", bytes.len());
        BatchSubmitBalanceChangesRequest::decode(bytes).expect("bytes of the contract")
    }

    #[test]
    fn what_is_written_is_what_the_contract_reads() {
        let request = read(Changes::One, 3);
        assert_eq!(request.ack_level(), AckLevel::Logged);
        let labels: Vec<&str> = request
            .events
            .iter()
            .map(|it| it.event_id.as_str())
            .collect();
        assert_eq!(labels, ["label", "label", "label"]);
        let event = &request.events[0];
        assert_eq!(
            (event.account_id, event.user_id),
            (9_000_000_001, 9_000_000_001)
        );
        assert_eq!(event.event_type, "trade");
        assert_eq!(event.source_service, "bench");
        assert!(event.created_msec > 1_700_000_000_000);
        let key = uuid::Uuid::parse_str(&event.idempotency_key).expect("a UUID");
        assert_eq!(key.get_version_num(), 4);
        let change = &event.changes[0];
        assert_eq!(change.currency_code, "USDT");
        assert!(
            change
                .available_delta
                .trim_start_matches('-')
                .parse::<f64>()
                .expect("a decimal")
                > 0.0
        );
        assert_eq!(change.frozen_delta, "0");
    }

    #[test]
    fn three_changes_are_three_and_a_hundred_currencies_are_many() {
        let three = read(Changes::Three(["BTC".to_owned(), "ETH".to_owned()]), 1);
        let codes: Vec<&str> = three.events[0]
            .changes
            .iter()
            .map(|it| it.currency_code.as_str())
            .collect();
        assert_eq!(codes, ["USDT", "BTC", "ETH"]);
        let many = (0..100).map(|n| format!("C{n}")).collect();
        let request = read(Changes::AnyOf(many), 500);
        let seen: HashSet<&str> = request
            .events
            .iter()
            .map(|it| it.changes[0].currency_code.as_str())
            .collect();
        assert!(seen.len() > 50, "{}", seen.len());
    }

    #[test]
    fn a_single_event_is_as_those_of_a_request() {
        let accounts = Accounts::new(vec![7], Population::Uniform);
        let event = EventWriter::new(accounts, Changes::One, 5).event("label");
        assert_eq!((event.account_id, event.event_id.as_str()), (7, "label"));
        assert_eq!(event.changes.len(), 1);
    }

    #[test]
    fn every_key_is_another() {
        let request = read(Changes::One, 1_000);
        let keys: HashSet<&str> = request
            .events
            .iter()
            .map(|it| it.idempotency_key.as_str())
            .collect();
        assert_eq!(keys.len(), 1_000);
    }
}
