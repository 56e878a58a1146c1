//! Events that the API must refuse, each for one reason.

use super::market::RETIRED;
use super::trader::Floor;
use crate::model::whole;
use crate::script::{change, event};
use axs_proto::v1::{BalanceChangeEvent, BalanceChangeFallback};
use num_bigint::BigInt;
use rand::seq::IndexedRandom;

/// What is done to a sound event.
type Spoil = fn(&mut BalanceChangeEvent);

/// Every way in which a session spoils an event.
const FAULTS: &[Spoil] = &[
    |e| e.account_id += 5_000_000,
    |e| e.user_id += 1,
    |e| e.account_id = 0,
    |e| e.user_id = -1,
    |e| e.event_id.clear(),
    |e| e.event_type = "t".repeat(65),
    |e| e.source_service.clear(),
    |e| e.related_order_id = "o".repeat(129),
    |e| e.idempotency_key.clear(),
    |e| e.idempotency_key = "k".repeat(129),
    |e| e.idempotency_key.push('\u{7}'),
    |e| e.idempotency_key.push(' '),
    |e| e.changes.clear(),
    |e| {
        let first = e.changes[0].clone();
        e.changes = (0..65)
            .map(|index| {
                let mut change = first.clone();
                change.change_id = index.to_string();
                change
            })
            .collect();
    },
    |e| e.changes.push(e.changes[0].clone()),
    |e| e.changes[0].change_id.clear(),
    |e| e.changes[0].currency_code.clear(),
    |e| e.changes[0].currency_code = "usdt".to_owned(),
    |e| e.changes[0].currency_code = "ABCDEFGHIJKLMNOPQ".to_owned(),
    |e| e.changes[0].currency_code = "DOGE".to_owned(),
    |e| e.changes[0].currency_code = RETIRED.to_owned(),
    |e| e.changes[0].available_delta.clear(),
    |e| e.changes[0].available_delta = "1e3".to_owned(),
    |e| e.changes[0].available_delta = "NaN".to_owned(),
    |e| e.changes[0].available_delta = "+5".to_owned(),
    |e| e.changes[0].available_delta = "-0".to_owned(),
    |e| e.changes[0].available_delta = "007".to_owned(),
    |e| e.changes[0].available_delta = "1.".to_owned(),
    |e| e.changes[0].available_delta = " 1".to_owned(),
    |e| e.changes[0].available_delta = "1000000000000000000".to_owned(),
    |e| e.changes[0].available_delta = "0".to_owned(),
    |e| e.changes[0].frozen_delta = "0.0000000000000000001".to_owned(),
    |e| e.changes[0].available_delta = "0.0000001".to_owned(),
    |e| e.changes[0].fallback = second_choice("USDT", "-1"),
    |e| e.changes[0].fallback = second_choice("JPY", "-0.5"),
    |e| e.changes[0].fallback = second_choice("JPY", "five"),
    |e| e.changes[0].fallback = second_choice("JPY", "0"),
    |e| e.changes[0].fallback = second_choice("DOGE", "1"),
];

fn second_choice(currency: &str, available: &str) -> Option<BalanceChangeFallback> {
    Some(BalanceChangeFallback {
        currency_code: currency.to_owned(),
        available_delta: available.to_owned(),
        frozen_delta: "0".to_owned(),
    })
}

/// Sends an event with one fault, of somebody who has done nothing wrong besides.
pub(super) fn push(floor: &mut Floor) {
    let account = floor.someone();
    let key = floor.new_key("fault");
    let changes = vec![change("in", "USDT", &whole(1), &BigInt::ZERO)];
    let mut event = event(account, &key, "deposit", "", changes);
    if let Some(spoil) = FAULTS.choose(&mut floor.rng) {
        spoil(&mut event);
    }
    floor.script.push(event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Expected;
    use crate::session::{SessionPlan, generate};

    #[test]
    fn every_fault_alone_makes_a_sound_event_one_that_must_be_refused() {
        let mut script = generate(SessionPlan::new(0, 1));
        let sound = event(
            1,
            "sound",
            "deposit",
            "",
            vec![change("in", "USDT", &whole(1), &BigInt::ZERO)],
        );
        for (index, spoil) in FAULTS.iter().enumerate() {
            let mut spoilt = sound.clone();
            spoil(&mut spoilt);
            let answer = script.model.take(&spoilt);
            assert!(matches!(answer, Expected::Refused(_)), "fault {index}");
        }
        assert_eq!(
            script.model.take(&sound),
            Expected::Accepted { duplicate: false }
        );
    }
}
