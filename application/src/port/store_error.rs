//! What can go wrong with any question to a store.

/// A store could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store is away, too slow or too busy. Try again later; a write may have happened.
    #[error("{store} is unavailable: {reason}")]
    Unavailable {
        /// Which store, with its address and without its password.
        store: String,
        /// What the client library said.
        reason: String,
    },
    /// The store is there and the role may not do what was asked: a person has to grant it.
    #[error("{store} does not allow it: {reason}")]
    Denied {
        /// Which store.
        store: String,
        /// What was denied, and what to do.
        reason: String,
    },
    /// The store answered with something that can't be. A person must look.
    #[error("{store} holds something unexpected: {reason}")]
    Corrupt {
        /// Which store.
        store: String,
        /// What was found and what was expected.
        reason: String,
    },
}
