//! One line of a submitted file: the fields of `axs.v1.BalanceChangeEvent` as a JSON object.

use axs_domain::event::BalanceChangeEvent;
use axs_domain::event_draft::{ChangeDraft, ChangeDrafts, DeltaDraft, EventDraft};
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
/// What is wrong with it, with the field: the first one, and how many more are wrong.
pub fn parse(line: &str) -> Result<BalanceChangeEvent, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(too_long());
    }
    let mut json = serde_json::Deserializer::from_str(line);
    let event: EventLine = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let problem = json_problem(error.inner());
        // The line itself has no path.
        if path == "." {
            problem
        } else {
            format!("{path}: {problem}")
        }
    })?;
    json.end().map_err(|error| json_problem(&error))?;
    event.draft().parse().map_err(|flaws| flaws.to_string())
}

/// What is wrong with a line that is longer than [`LINE_BYTES_MAX`].
pub fn too_long() -> String {
    format!("is longer than {LINE_BYTES_MAX} bytes")
}

/// What is wrong, with the column. The line that the library names is that of its text, always 1.
fn json_problem(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    match text.strip_suffix(&place) {
        Some(problem) => format!("{problem} (column {})", error.column()),
        None => text,
    }
}

impl EventLine {
    fn draft(&self) -> EventDraft<'_> {
        EventDraft {
            event_id: &self.event_id,
            event_type: &self.event_type,
            account_id: self.account_id,
            user_id: self.user_id,
            source_service: &self.source_service,
            related_order_id: &self.related_order_id,
            idempotency_key: &self.idempotency_key,
            created_msec: self.created_msec,
            changes: ChangeDrafts::new(self.changes.iter().map(ChangeLine::draft)),
        }
    }
}

impl ChangeLine {
    fn draft(&self) -> ChangeDraft<'_> {
        ChangeDraft {
            change_id: &self.change_id,
            primary: DeltaDraft {
                currency_code: &self.currency_code,
                available_delta: &self.available_delta,
                frozen_delta: &self.frozen_delta,
            },
            fallback: self.fallback.as_ref().map(|fallback| DeltaDraft {
                currency_code: &fallback.currency_code,
                available_delta: &fallback.available_delta,
                frozen_delta: &fallback.frozen_delta,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_domain::balance::Delta;

    const SOUND: &str = r#"{"event_id":"e1","event_type":"deposit","account_id":1,"user_id":2,"source_service":"files","idempotency_key":"k1","changes":[{"change_id":"c1","currency_code":"USDT","available_delta":"12.5","frozen_delta":"0"}]}"#;

    #[test]
    fn a_sound_line_is_an_event() {
        let event = parse(SOUND).unwrap();
        assert_eq!(
            event.changes()[0].primary.delta.available.to_string(),
            "12.5"
        );
        assert_eq!(event.changes()[0].fallback, None);
        assert_eq!((event.related_order_id(), event.created_msec()), (None, 0));
    }

    #[test]
    fn each_field_of_a_line_reaches_its_place_in_the_event() {
        let full = r#"{"event_id":"e1","event_type":"deposit","account_id":1,"user_id":2,
            "source_service":"files","related_order_id":"o1","idempotency_key":"k1",
            "created_msec":3,"changes":[{"change_id":"c1","currency_code":"USDT",
            "available_delta":"4","frozen_delta":"5","fallback":{"currency_code":"BNB",
            "available_delta":"6","frozen_delta":"7"}}]}"#;
        let event = parse(full).unwrap();
        assert_eq!(event.event_id().as_str(), "e1");
        assert_eq!(event.event_type().as_str(), "deposit");
        assert_eq!(
            (event.account_id().value(), event.user_id().value()),
            (1, 2)
        );
        assert_eq!(event.source_service().as_str(), "files");
        assert_eq!(event.related_order_id().unwrap().as_str(), "o1");
        assert_eq!(event.idempotency_key().as_str(), "k1");
        assert_eq!(event.created_msec(), 3);
        let change = &event.changes()[0];
        assert_eq!(change.change_id.as_str(), "c1");
        let told = [change.primary, change.fallback.unwrap()].map(|part| {
            let Delta { available, frozen } = part.delta;
            format!("{} {available} {frozen}", part.currency)
        });
        assert_eq!(told, ["USDT 4 5", "BNB 6 7"]);
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
            (&SOUND.replace("\"user_id\":2,", ""), "user_id"),
            (&" ".repeat(LINE_BYTES_MAX + 1), "longer than 65536 bytes"),
        ];
        for (line, expected) in cases {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(expected), "{problem:?} lacks {expected:?}");
            assert!(!problem.contains("line 1"), "{problem}");
        }
    }
}
