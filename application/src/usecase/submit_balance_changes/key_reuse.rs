//! The same key with other content.

use crate::usecase::refusal::{FieldViolation, Refusal, RefusalCode};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::differing_fields;

/// The refusal that names what differs from the first event under the key, which is `None` when
/// its payload can't be read.
pub(super) fn key_reused(
    submitted: &BalanceChangeEvent,
    first: Option<&BalanceChangeEvent>,
) -> Refusal {
    let differing = first.map_or_else(Vec::new, |first| differing_fields(first, submitted));
    let names = if differing.is_empty() {
        "its content".to_owned()
    } else {
        differing.join(", ")
    };
    Refusal {
        code: RefusalCode::KeyReused,
        message: format!(
            "idempotency_key {} is known for account {} with other content; what differs: {names}",
            submitted.idempotency_key(),
            submitted.account_id()
        ),
        violations: differing
            .into_iter()
            .map(|field| FieldViolation {
                field,
                description: "differs from the first event under this idempotency_key".to_owned(),
            })
            .collect(),
        retry_after: None,
    }
}
