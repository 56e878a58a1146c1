//! What the records of a batch that was not written become before they are decided again. Pure.

use super::draft::parked_because;
use super::item::Item;
use super::stop::StopReason;
use crate::port::batch_writer::Culprit;
use axs_domain::id::Offset;
use std::collections::HashMap;

/// The items with those at `places` parked: deciding them panics.
pub(super) fn parked(mut items: Vec<Item>, places: &[usize]) -> Vec<Item> {
    for place in places {
        if let Some(item) = items.get_mut(*place) {
            item.park(parked_because("a rule panicked while deciding the event"));
        }
    }
    items
}

/// The items with what the store found wrong noted on them.
pub(super) fn convicted(
    mut items: Vec<Item>,
    culprits: &[Culprit],
) -> Result<Vec<Item>, StopReason> {
    let kinds: HashMap<Offset, _> = culprits.iter().map(|c| (c.offset, c.kind)).collect();
    let mut found = 0;
    for item in &mut items {
        if let Some(kind) = kinds.get(&item.offset())
            && item.convict(*kind)
        {
            found += 1;
        }
    }
    // Fewer would be decided again for ever: the store names what the batch does not hold.
    if found == kinds.len() && found > 0 {
        Ok(items)
    } else {
        Err(StopReason::Fault(format!(
            "the store names {} culprits, {found} of them in the batch",
            kinds.len()
        )))
    }
}

/// The items in halves; a single event is parked with the database's words.
pub(super) fn halved(mut items: Vec<Item>, message: &str) -> Result<Vec<Vec<Item>>, StopReason> {
    if items.len() > 1 {
        let second = items.split_off(items.len() / 2);
        return Ok(vec![items, second]);
    }
    let refused = items.first().map(Item::offset);
    let why = format!("the database refuses the event: {message}");
    if items.iter_mut().all(|item| item.park(parked_because(&why))) && refused.is_some() {
        return Ok(vec![items]);
    }
    Err(StopReason::Refused {
        offset: refused.unwrap_or(Offset::MIN),
        message: message.to_owned(),
    })
}
