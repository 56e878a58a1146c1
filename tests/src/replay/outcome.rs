//! How every accepted event ended, read by gRPC and compared with the model.

use super::Progress;
use super::mismatch::Mismatches;
use super::submission::Submission;
use crate::client::ApiClient;
use crate::model::{Entry, Key, Outcome, Reason, parse};
use crate::script::Script;
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{EventState, EventStatus, LedgerEntry};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::time::Duration;

/// Questions under way at once.
const CONCURRENT_MAX: usize = 32;

/// What the comparison found.
#[derive(Debug, Default)]
pub struct OutcomeComparison {
    /// Events that took effect.
    pub applied: u64,
    /// Events that were decided to have none.
    pub rejected: u64,
    /// From sending the request, by this machine's clock, to the decision's time, by
    /// PostgreSQL's: all events. The commit of the decision comes a little later.
    pub sent_to_decided: Vec<Duration>,
    /// What is not as the model says.
    pub mismatches: Mismatches,
}

/// Looks up every accepted event by its log id.
///
/// # Errors
/// A request fails.
pub async fn compare_outcomes(
    clients: &[ApiClient],
    script: &Script,
    submission: &Submission,
    progress: Progress<'_>,
) -> Result<OutcomeComparison> {
    ensure!(!clients.is_empty(), "no API to ask");
    let mut comparison = OutcomeComparison::default();
    let lookups = script
        .model
        .outcomes()
        .enumerate()
        .map(|(number, (key, outcome))| {
            let client = &clients[number % clients.len()];
            let log_id = submission.log_ids.get(key);
            async move {
                let Some(log_id) = log_id else {
                    return Ok((key, outcome, None));
                };
                let found = client
                    .event(log_id)
                    .await
                    .with_context(|| format!("GetEvent {log_id} of {key:?}"))?;
                anyhow::Ok((key, outcome, Some(found)))
            }
        });
    let mut answers = stream::iter(lookups).buffer_unordered(CONCURRENT_MAX);
    while let Some((key, outcome, found)) = answers.try_next().await? {
        progress(1);
        let Some(found) = found else {
            comparison
                .mismatches
                .add(format!("{key:?} was never accepted"));
            continue;
        };
        let echoed = found.event.unwrap_or_default();
        comparison.mismatches.compare(
            &format!("{key:?} event"),
            &(echoed.account_id, echoed.idempotency_key),
            key,
        );
        let state = found.state.unwrap_or_default();
        if let Some(sent) = submission.sent_usec.get(key) {
            let taken = u64::try_from(state.decided_at_usec - sent).unwrap_or(0);
            comparison
                .sent_to_decided
                .push(Duration::from_micros(taken));
        }
        comparison.compare_state(key, &state, outcome);
    }
    Ok(comparison)
}

impl OutcomeComparison {
    fn compare_state(&mut self, key: &Key, found: &EventState, expected: &Outcome) {
        if found.logged_at_usec <= 0 || found.decided_at_usec < found.logged_at_usec {
            self.mismatches.add(format!(
                "{key:?} was decided before it was logged: {found:?}"
            ));
        }
        match found.status() {
            EventStatus::Applied => self.applied += 1,
            EventStatus::Rejected => self.rejected += 1,
            _ => {}
        }
        match (found.status(), expected) {
            (EventStatus::Applied, Outcome::Applied(entries)) => {
                self.mismatches.compare(
                    &format!("{key:?} number of entries"),
                    &found.entries.len(),
                    &entries.len(),
                );
                for (index, (found, expected)) in found.entries.iter().zip(entries).enumerate() {
                    self.compare_entry(key, index, found, expected);
                }
            }
            (EventStatus::Rejected, Outcome::Rejected(reason)) => {
                if !found.entries.is_empty() {
                    self.mismatches
                        .add(format!("{key:?} was rejected, yet has entries: {found:?}"));
                }
                self.compare_reason(key, found, reason);
            }
            (status, expected) => self.mismatches.add(format!(
                "{key:?} ended {status:?} ({:?}), the model says {expected:?}",
                found.reason
            )),
        }
    }

    fn compare_entry(&mut self, key: &Key, index: usize, found: &LedgerEntry, expected: &Entry) {
        let seen = (
            usize::try_from(found.change_index).ok(),
            found.currency_code.clone(),
            found.fallback_taken,
            found.version,
            [
                &found.available_delta,
                &found.frozen_delta,
                &found.available_after,
                &found.frozen_after,
            ]
            .map(|text| parse(text)),
        );
        let Entry {
            movement,
            fallback_taken,
            after,
        } = expected;
        let wanted = (
            Some(index),
            movement.currency.clone(),
            *fallback_taken,
            after.version,
            [
                &movement.available,
                &movement.frozen,
                &after.available,
                &after.frozen,
            ]
            .map(|units| Some(units.clone())),
        );
        self.mismatches
            .compare(&format!("{key:?} entry {index}"), &seen, &wanted);
    }

    fn compare_reason(&mut self, key: &Key, found: &EventState, expected: &Reason) {
        let found = found.reason.clone().unwrap_or_default();
        self.mismatches.compare(
            &format!("{key:?} reason"),
            &(found.code, found.name.as_str()),
            &(expected.code, expected.name),
        );
        let words: Vec<&str> = found
            .message
            .split_whitespace()
            .map(|word| word.trim_end_matches([',', ';', ':']))
            .collect();
        for figure in &expected.words {
            if !words.contains(&figure.as_str()) {
                self.mismatches.add(format!(
                    "{key:?} reason {:?} does not name {figure}",
                    found.message
                ));
            }
        }
    }
}
