//! Batches: bounds, and answers in the order of the request although some items never got to the
//! use case.

use super::status::invalid_argument;
use tonic::Status;
use validator::ValidateLength;

/// Checks the number of a batch's items.
///
/// # Errors
/// INVALID_ARGUMENT, which names the field and the bound.
pub(super) fn check_count<T>(
    field: &'static str,
    items: &[T],
    items_max: usize,
) -> Result<(), Status> {
    if !items.validate_length(Some(1), None, None) {
        return Err(invalid_argument(field, "is empty; at least one is needed"));
    }
    let max = u64::try_from(items_max).unwrap_or(u64::MAX);
    if !items.validate_length(None, Some(max), None) {
        let description = format!(
            "holds {} items; at most {items_max} are allowed",
            items.len()
        );
        return Err(invalid_argument(field, &description));
    }
    Ok(())
}

/// A batch whose items were read: some are sound, the others are refused already.
#[derive(Debug)]
pub(super) struct ReadBatch<T, F> {
    /// The sound items, in the order of the request.
    sound: Vec<T>,
    slots: Vec<Slot<F>>,
}

#[derive(Debug)]
enum Slot<F> {
    /// The item at this index of the request is sound.
    Sound,
    /// The refusal of an item that is not.
    Refused(F),
}

impl<T, F> ReadBatch<T, F> {
    /// Reads every item with its index.
    pub(super) fn read<I>(items: Vec<I>, mut read: impl FnMut(usize, I) -> Result<T, F>) -> Self {
        let mut sound = Vec::with_capacity(items.len());
        let slots = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match read(index, item) {
                Ok(item) => {
                    sound.push(item);
                    Slot::Sound
                }
                Err(refusal) => Slot::Refused(refusal),
            })
            .collect();
        Self { sound, slots }
    }

    /// Takes the sound items out, for the use case.
    pub(super) fn take_sound(&mut self) -> Vec<T> {
        std::mem::take(&mut self.sound)
    }

    /// All answers in the order of the request, given those of the sound items in their order.
    ///
    /// # Errors
    /// [`CountMismatch`] when there are not as many answers as there were sound items: giving
    /// them out would give an item another one's answer.
    pub(super) fn merge<R, A>(
        self,
        results: Vec<R>,
        mut refuse: impl FnMut(F) -> A,
        mut answer: impl FnMut(usize, R) -> A,
    ) -> Result<Vec<A>, CountMismatch> {
        let expected = self
            .slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Sound))
            .count();
        let mismatch = CountMismatch {
            expected,
            found: results.len(),
        };
        if results.len() != expected {
            return Err(mismatch);
        }
        let mut results = results.into_iter();
        self.slots
            .into_iter()
            .enumerate()
            .map(|(index, slot)| match slot {
                Slot::Refused(refusal) => Ok(refuse(refusal)),
                Slot::Sound => {
                    let result = results.next().ok_or(mismatch)?;
                    Ok(answer(index, result))
                }
            })
            .collect()
    }
}

/// A use case gave another number of results than it was given items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} results for {expected} items")]
pub(super) struct CountMismatch {
    expected: usize,
    found: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tonic_types::StatusExt;

    #[test]
    fn a_batch_is_refused_when_it_is_empty_or_beyond_its_bound() {
        let rows = [
            (0, Some("is empty; at least one is needed")),
            (1, None),
            (3, None),
            (4, Some("holds 4 items; at most 3 are allowed")),
        ];
        for (count, expected) in rows {
            let checked = check_count("events", vec![(); count].as_slice(), 3);
            let Some(description) = expected else {
                assert!(checked.is_ok(), "{count}");
                continue;
            };
            let status = checked.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            let violations = status.get_details_bad_request().unwrap().field_violations;
            assert_eq!(violations.len(), 1);
            assert_eq!(violations[0].field, "events");
            assert_eq!(violations[0].description, description);
        }
    }

    fn odd_numbers_are_refused() -> ReadBatch<u32, usize> {
        ReadBatch::read(vec![4, 1, 6, 3, 8], |index, item| {
            if item % 2 == 0 { Ok(item) } else { Err(index) }
        })
    }

    #[test]
    fn answers_stand_in_the_order_of_the_request() {
        let mut batch = odd_numbers_are_refused();
        assert_eq!(batch.take_sound(), [4, 6, 8]);
        let answers = batch.merge(
            vec!["four", "six", "eight"],
            |index| format!("item {index} is odd"),
            |index, result| format!("item {index} is {result}"),
        );
        assert_eq!(
            answers.unwrap(),
            [
                "item 0 is four",
                "item 1 is odd",
                "item 2 is six",
                "item 3 is odd",
                "item 4 is eight"
            ]
        );
    }

    #[test]
    fn another_number_of_results_gives_nobody_a_strangers_answer() {
        for found in [2, 4] {
            let merged = odd_numbers_are_refused().merge(vec![(); found], |_| (), |_, ()| ());
            assert_eq!(merged, Err(CountMismatch { expected: 3, found }));
        }
    }
}
