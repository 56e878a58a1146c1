//! Work that a caller's cancellation must not stop half-way.

use crate::port::store_error::StoreError;
use std::future::Future;

/// Runs a write in a task of its own and waits for it. When the caller's future is dropped, e.g.
/// because a client went away, the write still goes on to its end: no transaction is left open on
/// a pooled connection.
///
/// # Errors
/// What the write gives; [`StoreError::Unavailable`] when its task died, since its outcome is then
/// unknown.
pub(crate) async fn run_detached<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(died) => Err(StoreError::Unavailable {
            store: "the store's task".to_owned(),
            reason: died.to_string(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_whose_task_dies_has_an_unknown_outcome_and_does_not_take_its_caller_along() {
        let outcome = run_detached::<(), StoreError>(async { panic!("an adapter's bug") }).await;
        assert!(matches!(outcome, Err(StoreError::Unavailable { .. })));
    }
}
