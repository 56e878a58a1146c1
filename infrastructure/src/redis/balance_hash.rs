//! The hash of an account: a field for each currency, `version|available|frozen`, and `complete`
//! with the time until which the fields are all that there are.

use super::key_prefix::KeyPrefix;
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, BalanceVersion, ShardId};
use axs_domain::incarnation::Incarnation;

/// The field that makes a hash complete. No currency is written in small letters.
pub(super) const COMPLETE: &[u8] = b"complete";

/// The hash of an account in one history of the database. Behind the hash tag: the keys of a shard
/// stay together.
pub(super) fn key(
    prefix: &KeyPrefix,
    shard: ShardId,
    incarnation: Incarnation,
    account: AccountId,
) -> String {
    fail::fail_point!("break.cache_incarnation", |_| format!(
        "{{{prefix}:{shard}}}:balances:{account}"
    ));
    format!("{{{prefix}:{shard}}}:balances:{incarnation}:{account}")
}

/// What stands after the version.
pub(super) fn amounts(balance: Balance) -> String {
    format!("{}|{}", balance.available, balance.frozen)
}

/// The balances of a hash in the order of their codes; `None` when it is not complete at `now`
/// (milliseconds of Redis's clock), or holds anything that is no balance.
pub(super) fn parse(
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    now: u64,
) -> Option<Vec<(CurrencyCode, VersionedBalance)>> {
    let mut complete_until = None;
    let mut balances = Vec::with_capacity(fields.len().saturating_sub(1));
    for (field, value) in fields {
        let value = str::from_utf8(&value).ok()?;
        if field == COMPLETE {
            complete_until = Some(value.parse::<u64>().ok()?);
        } else {
            let code = CurrencyCode::parse(str::from_utf8(&field).ok()?).ok()?;
            balances.push((code, parse_balance(value)?));
        }
    }
    complete_until.filter(|until| *until > now)?;
    balances.sort_unstable_by_key(|(code, _)| *code);
    Some(balances)
}

fn parse_balance(text: &str) -> Option<VersionedBalance> {
    let mut parts = text.split('|');
    let stored = VersionedBalance {
        version: BalanceVersion::try_new(parts.next()?.parse().ok()?).ok()?,
        balance: Balance {
            available: Amount::parse(parts.next()?).ok()?,
            frozen: Amount::parse(parts.next()?).ok()?,
        },
    };
    parts.next().is_none().then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs
            .iter()
            .map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn the_hash_tag_is_the_shard_and_the_incarnation_stands_behind_it() {
        let key = key(
            &KeyPrefix::parse("axs").unwrap(),
            ShardId::try_new(7).unwrap(),
            Incarnation::new(-2),
            AccountId::try_new(42).unwrap(),
        );
        assert_eq!(key, "{axs:7}:balances:fffffffffffffffe:42");
    }

    #[test]
    fn a_complete_hash_gives_its_balances_in_the_order_of_their_codes() {
        let hash = fields(&[
            ("USDT", "9223372036854775807|-12.5|0.000000000000000001"),
            ("complete", "1001"),
            ("BTC", "1|0|0"),
        ]);
        let balances = parse(hash, NOW).unwrap();
        let codes: Vec<&str> = balances.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, ["BTC", "USDT"]);
        let (_, stored) = balances[1];
        assert_eq!(stored.version.value(), i64::MAX);
        assert_eq!(amounts(stored.balance), "-12.5|0.000000000000000001");
        assert_eq!(parse(fields(&[("complete", "1001")]), NOW), Some(vec![]));
    }

    #[test]
    fn what_is_not_complete_or_no_balance_is_a_miss() {
        let rows: &[&[(&str, &str)]] = &[
            &[],
            &[("BTC", "1|0|0")],
            &[("BTC", "1|0|0"), ("complete", "1000")],
            &[("BTC", "1|0|0"), ("complete", "soon")],
            &[("BTC", ""), ("complete", "1001")],
            &[("BTC", "1|0"), ("complete", "1001")],
            &[("BTC", "1|0|0|0"), ("complete", "1001")],
            &[("BTC", "-1|0|0"), ("complete", "1001")],
            &[("BTC", "9223372036854775808|0|0"), ("complete", "1001")],
            &[("BTC", "1|1e3|0"), ("complete", "1001")],
            &[("BTC", "1|0|"), ("complete", "1001")],
            &[("btc", "1|0|0"), ("complete", "1001")],
        ];
        for row in rows {
            assert_eq!(parse(fields(row), NOW), None, "{row:?}");
        }
        let not_text = vec![
            (COMPLETE.to_vec(), b"1001".to_vec()),
            (b"BTC".to_vec(), vec![0xff, 0xfe]),
        ];
        assert_eq!(parse(not_text, NOW), None);
    }
}
