//! What is traded, for how much, and the fee.

use crate::model::{print, whole};
use num_bigint::BigInt;
use rand::RngExt;
use rand::rngs::StdRng;

/// The coin in which fees are paid first.
pub const FEE_COIN: &str = "BNB";

/// A currency that takes no new changes.
pub const RETIRED: &str = "LUNA";

/// Registered currencies with their decimals.
pub const CURRENCIES: [(&str, u32); 5] =
    [("BTC", 8), ("ETH", 18), ("USDT", 6), ("BNB", 8), ("JPY", 0)];

/// Two currencies that trade against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// What is bought and sold.
    pub base: &'static str,
    /// In what it is paid.
    pub quote: &'static str,
    /// The usual price of one base in quote.
    pub price: i64,
}

/// What the floor trades.
pub const PAIRS: [Pair; 3] = [
    Pair {
        base: "BTC",
        quote: "USDT",
        price: 39_432,
    },
    Pair {
        base: "ETH",
        quote: "USDT",
        price: 1_225,
    },
    Pair {
        base: "BTC",
        quote: "JPY",
        price: 4_100_000,
    },
];

/// One in so many parts of the cost is the fee.
const FEE_PART: i64 = 1_000;

/// Quote units for one fee coin.
const FEE_COIN_PRICE: i64 = 42;

/// The decimals of a currency, 0 for one that is not registered.
pub fn decimals_of(currency: &str) -> u32 {
    CURRENCIES
        .iter()
        .find(|(code, _)| *code == currency)
        .map_or(0, |(_, decimals)| *decimals)
}

/// The amount without the decimals that the currency does not have.
pub fn truncate(units: &BigInt, currency: &str) -> BigInt {
    let step = BigInt::from(10).pow(18 - decimals_of(currency));
    units / &step * step
}

/// Some of a currency, up to so many wholes, with all the decimals it has; never zero.
pub fn some(rng: &mut StdRng, currency: &str, wholes_max: i64) -> BigInt {
    let whole_part = whole(rng.random_range(0..wholes_max));
    let fraction = BigInt::from(rng.random_range(0..1_000_000_000_000_000_000i64));
    let step = BigInt::from(10).pow(18 - decimals_of(currency));
    truncate(&(whole_part + fraction), currency) + step
}

/// What a quantity costs at a price.
pub fn cost(pair: Pair, quantity: &BigInt, price: i64) -> BigInt {
    truncate(&(quantity * price), pair.quote)
}

/// The fee on a cost, in the fee coin and in quote; `None` when either is nothing.
pub fn fee(pair: Pair, cost: &BigInt) -> Option<(BigInt, BigInt)> {
    let in_quote = truncate(&(cost / FEE_PART), pair.quote);
    let in_coin = truncate(&(cost / FEE_PART / FEE_COIN_PRICE), FEE_COIN);
    (print(&in_quote) != "0" && print(&in_coin) != "0").then_some((in_coin, in_quote))
}
