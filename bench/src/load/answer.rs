//! Answers, looked through without building them.

use bytes::Buf;

/// What an answer says about a request's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// Events that are logged.
    pub accepted: u64,
    /// Events that were not taken.
    pub refused: u64,
    /// Events of which the server can't tell.
    pub unknown: u64,
}

/// Counts the results of a `BatchSubmitBalanceChangesResponse`; `None` when it is none.
pub fn read(mut bytes: impl Buf) -> Option<Answer> {
    let mut answer = Answer::default();
    while bytes.has_remaining() {
        let (1, 2) = tag(&mut bytes)? else {
            return None;
        };
        let mut result = take(&mut bytes)?;
        match tag(&mut result)? {
            (1, 2) => answer.accepted += 1,
            (2, 2) => answer.refused += 1,
            (3, 2) => answer.unknown += 1,
            _ => return None,
        }
        let rest = result.remaining();
        result.advance(rest);
    }
    Some(answer)
}

fn tag(bytes: &mut impl Buf) -> Option<(u64, u64)> {
    let tag = varint(bytes)?;
    Some((tag >> 3, tag & 7))
}

/// The bytes of a field whose length stands before them.
fn take(bytes: &mut impl Buf) -> Option<bytes::Bytes> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    (bytes.remaining() >= length).then(|| bytes.copy_to_bytes(length))
}

fn varint(bytes: &mut impl Buf) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.has_remaining().then(|| bytes.get_u8())?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Answer, read};
    use axs_proto::v1::submit_result::Outcome;
    use axs_proto::v1::{
        AcceptedEvent, BatchSubmitBalanceChangesResponse, Refusal, SubmitResult, UnknownOutcome,
    };
    use prost::Message;

    #[test]
    fn results_are_counted_by_kind() {
        let accepted = Outcome::Accepted(AcceptedEvent {
            log_id: "0".repeat(200),
            ..AcceptedEvent::default()
        });
        let refused = Outcome::Refused(Refusal::default());
        let unknown = Outcome::Unknown(UnknownOutcome::default());
        let results = [accepted.clone(), refused, unknown, accepted].map(|outcome| SubmitResult {
            outcome: Some(outcome),
        });
        let response = BatchSubmitBalanceChangesResponse {
            results: results.to_vec(),
        };
        let counted = read(response.encode_to_vec().as_slice());
        let expected = Answer {
            accepted: 2,
            refused: 1,
            unknown: 1,
        };
        assert_eq!(counted, Some(expected));
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(read([0x0a, 0x05, 0x0a].as_slice()), None);
        assert_eq!(read([0xff].as_slice()), None);
    }
}
