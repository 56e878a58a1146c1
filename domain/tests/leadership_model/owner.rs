//! Who is who: processes by letter, owners by letter and life.

use axs_domain::id::OwnerId;
use std::fmt;
use uuid::Uuid;

/// A place where a process runs; it outlives the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub usize);

impl Place {
    /// The owner id of the process that runs here in this life.
    pub fn owner(self, life: u8) -> OwnerId {
        OwnerId::new(Uuid::from_u128(
            (self.0 as u128 + 1) << 8 | u128::from(life),
        ))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = ["A", "B", "C", "D"].get(self.0).copied().unwrap_or("?");
        f.write_str(letter)
    }
}

/// Where the owner ran, and in which life.
pub fn place_and_life(owner: OwnerId) -> (Place, u8) {
    let bytes = owner.uuid().into_bytes();
    (Place(usize::from(bytes[14]) - 1), bytes[15])
}

/// The owner in a person's words: `A0`, `B1`.
pub fn name(owner: OwnerId) -> String {
    let (place, life) = place_and_life(owner);
    format!("{place:?}{life}")
}
