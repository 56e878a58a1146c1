//! One line of a submitted file: the fields of `axs.v1.BalanceChangeEvent` as a JSON object.

use axs_domain::event::BalanceChangeEvent;
use axs_infrastructure::codec::event_from_message;
use axs_proto::v1;
use serde::Deserialize;

/// The longest line, in bytes: an event of 64 changes with all texts at their longest fits.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// An event as a file holds it. Amounts are texts: a JSON number may have lost digits already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    event_id: String,
    event_type: String,
    account_id: i64,
    user_id: i64,
    source_service: String,
    #[serde(default)]
    related_order_id: String,
    idempotency_key: String,
    #[serde(default)]
    created_msec: i64,
    changes: Vec<ChangeLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeLine {
    change_id: String,
    currency_code: String,
    available_delta: String,
    frozen_delta: String,
    #[serde(default)]
    fallback: Option<FallbackLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FallbackLine {
    currency_code: String,
    available_delta: String,
    frozen_delta: String,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, with the field.
pub fn parse(line: &str) -> Result<BalanceChangeEvent, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!(
            "is {} bytes long; at most {LINE_BYTES_MAX} are allowed",
            line.len()
        ));
    }
    let mut json = serde_json::Deserializer::from_str(line);
    let event: EventLine = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        format!("{path}: {}", error.into_inner())
    })?;
    json.end().map_err(|error| error.to_string())?;
    event_from_message(&event.into()).map_err(|error| error.to_string())
}

impl From<EventLine> for v1::BalanceChangeEvent {
    fn from(line: EventLine) -> Self {
        Self {
            event_id: line.event_id,
            event_type: line.event_type,
            account_id: line.account_id,
            user_id: line.user_id,
            source_service: line.source_service,
            related_order_id: line.related_order_id,
            idempotency_key: line.idempotency_key,
            created_msec: line.created_msec,
            changes: line.changes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ChangeLine> for v1::BalanceChange {
    fn from(line: ChangeLine) -> Self {
        Self {
            change_id: line.change_id,
            currency_code: line.currency_code,
            available_delta: line.available_delta,
            frozen_delta: line.frozen_delta,
            fallback: line.fallback.map(|fallback| v1::BalanceChangeFallback {
                currency_code: fallback.currency_code,
                available_delta: fallback.available_delta,
                frozen_delta: fallback.frozen_delta,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"{"event_id":"e1","event_type":"deposit","account_id":1,"user_id":2,
        "source_service":"files","idempotency_key":"k1","changes":[
        {"change_id":"c1","currency_code":"USDT","available_delta":"12.5","frozen_delta":"0"}]}"#;

    #[test]
    fn a_sound_line_is_an_event() {
        let event = parse(SOUND).unwrap();
        assert_eq!(
            event.changes()[0].primary.delta.available.to_string(),
            "12.5"
        );
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named() {
        let cases = [
            ("", "EOF"),
            ("{", "EOF"),
            (
                &SOUND.replace("\"12.5\"", "12.5"),
                "changes[0].available_delta",
            ),
            (
                &SOUND.replace("\"12.5\"", "\"1e3\""),
                "changes[0].available_delta",
            ),
            (&SOUND.replace("event_type", "event_kind"), "event_kind"),
            (
                &SOUND.replace("\"account_id\":1", "\"account_id\":0"),
                "account_id",
            ),
            (
                &SOUND.replace("\"account_id\":1", "\"account_id\":1.5"),
                "account_id",
            ),
            (&format!("{SOUND} {SOUND}"), "trailing"),
            (&" ".repeat(LINE_BYTES_MAX + 1), "bytes long"),
        ];
        for (line, expected) in cases {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(expected), "{problem:?} lacks {expected:?}");
        }
    }
}
