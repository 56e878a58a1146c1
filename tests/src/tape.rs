//! A tape of real trades, replayed as an exchange's engine would send it.
//!
//! A tape names no accounts and no orders, so each trade gets a buyer and a seller by its number.
//! Both hold, both settle, the taker pays a fee in BNB or else in USDT, and some orders are larger
//! than their trade and are cancelled.

use crate::model::{parse, whole};
use crate::script::{Script, change, event, or_else, user_of};
use anyhow::{Context, Result};
use num_bigint::BigInt;
use std::env;
use std::fs;
use std::path::PathBuf;

/// The tape in the checkout.
const FILE: &str = "data/btcusdt-trades-2021-01-08.csv";

/// Accounts of the pool `retail`, numbered from 1.
const RETAIL: i64 = 48;
/// Accounts of the pool `whale`, numbered from here.
const WHALE_BASE: i64 = 100;
/// How many whales there are.
const WHALES: i64 = 8;

/// One buyer in so many orders more than it gets.
const BUYER_CANCELS_EVERY: u64 = 7;
/// One seller in so many orders more than it sells.
const SELLER_CANCELS_EVERY: u64 = 11;

/// The fee is one in so many parts of the cost.
const FEE_PART: i64 = 1_000;
/// USDT for one BNB.
const BNB_PRICE: i64 = 42;
/// 8 decimals: the finest step of every currency of the tape.
const STEP: i64 = 10_000_000_000;

/// A trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Its number.
    pub id: u64,
    /// USDT for one BTC, in units of 10⁻¹⁸.
    pub price: BigInt,
    /// BTC, in units of 10⁻¹⁸.
    pub quantity: BigInt,
    /// Whether the buyer's order was there first; the other side pays the fee.
    pub buyer_is_maker: bool,
}

/// Reads the tape: the file named by `AXS_TAPE`, or else the one of the checkout.
///
/// # Errors
/// The file is missing, or a line of it is no trade.
pub fn read() -> Result<Vec<Trade>> {
    let path = env::var_os("AXS_TAPE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FILE),
        PathBuf::from,
    );
    let text = fs::read_to_string(&path).with_context(|| format!("the tape {}", path.display()))?;
    let trades = text.lines().enumerate().skip(1).map(|(number, line)| {
        parse_line(line).with_context(|| format!("{}:{}: {line}", path.display(), number + 1))
    });
    trades.collect()
}

fn parse_line(line: &str) -> Option<Trade> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let (id, _time) = (next()?.parse().ok()?, next()?);
    Some(Trade {
        id,
        price: parse(next()?)?,
        quantity: parse(next()?)?,
        buyer_is_maker: next()?.parse().ok()?,
    })
}

/// The script of a tape.
#[must_use]
pub fn script(trades: &[Trade]) -> Script {
    let mut script = Script::default();
    for (code, decimals) in [("BTC", 8), ("USDT", 8), ("BNB", 8)] {
        script.register(code, decimals, true);
    }
    for (account, pool) in accounts() {
        script.open(account, user_of(account), pool);
        script.push(opening(account));
    }
    for trade in trades {
        push_trade(&mut script, trade);
    }
    script
}

/// Every account and its pool.
fn accounts() -> impl Iterator<Item = (i64, &'static str)> {
    let retail = (1..=RETAIL).map(|account| (account, "retail"));
    retail.chain((1..=WHALES).map(|number| (WHALE_BASE + number, "whale")))
}

/// What everybody starts with: enough for every trade, but too little BNB for every fee.
fn opening(account: i64) -> axs_proto::v1::BalanceChangeEvent {
    let zero = BigInt::ZERO;
    let fee_coins = whole(account % 4) / 10 + BigInt::from(STEP);
    let changes = vec![
        change("usdt", "USDT", &whole(5_000_000), &zero),
        change("btc", "BTC", &whole(100), &zero),
        change("bnb", "BNB", &fee_coins, &zero),
    ];
    event(account, "opening", "deposit", "", changes)
}

/// Buyer and seller of a trade: a function of its number, never the same account twice.
fn sides(id: u64) -> (i64, i64) {
    let all: Vec<i64> = accounts().map(|(account, _)| account).collect();
    let count = all.len() as u64;
    let at = |index: u64| all[usize::try_from(index % count).unwrap_or(0)];
    let (buyer, mut seller) = (id * 31, id * 17 + 5);
    if buyer % count == seller % count {
        seller += 1;
    }
    (at(buyer), at(seller))
}

fn push_trade(script: &mut Script, trade: &Trade) {
    let (buyer, seller) = sides(trade.id);
    let zero = BigInt::ZERO;
    let cost = &trade.price * &trade.quantity / whole(1);
    let id = trade.id;
    let (bid, ask) = (format!("bid-{id}"), format!("ask-{id}"));

    let ordered = |every: u64, amount: &BigInt| {
        if id.is_multiple_of(every) {
            amount * 2
        } else {
            amount.clone()
        }
    };
    let sides = [
        Side {
            account: buyer,
            order: &bid,
            held: "USDT",
            gives: &cost,
            holds: ordered(BUYER_CANCELS_EVERY, &cost),
            gets: ("BTC", &trade.quantity),
            pays_fee: !trade.buyer_is_maker,
        },
        Side {
            account: seller,
            order: &ask,
            held: "BTC",
            gives: &trade.quantity,
            holds: ordered(SELLER_CANCELS_EVERY, &trade.quantity),
            gets: ("USDT", &cost),
            pays_fee: trade.buyer_is_maker,
        },
    ];
    for side in &sides {
        let changes = vec![change("hold", side.held, &-&side.holds, &side.holds)];
        script.push(side.event("order.hold", changes));
    }
    for side in &sides {
        let mut changes = vec![
            change("out", side.held, &zero, &-side.gives),
            change("in", side.gets.0, side.gets.1, &zero),
        ];
        let (in_usdt, in_bnb) = fee(&cost);
        if side.pays_fee && in_bnb != zero {
            let fee = change("fee", "BNB", &-in_bnb, &zero);
            changes.push(or_else(fee, "USDT", &-in_usdt));
        }
        script.push(side.event("order.settle", changes));
    }
    for side in &sides {
        let rest = &side.holds - side.gives;
        if rest != zero {
            let changes = vec![change("release", side.held, &rest, &-&rest)];
            script.push(side.event("order.cancel", changes));
        }
    }
}

struct Side<'t> {
    account: i64,
    order: &'t str,
    held: &'static str,
    gives: &'t BigInt,
    holds: BigInt,
    gets: (&'static str, &'t BigInt),
    pays_fee: bool,
}

impl Side<'_> {
    fn event(
        &self,
        kind: &str,
        changes: Vec<axs_proto::v1::BalanceChange>,
    ) -> axs_proto::v1::BalanceChangeEvent {
        let key = format!("{kind}:{}", self.order);
        event(self.account, &key, kind, self.order, changes)
    }
}

/// The fee on a cost, in USDT and in BNB, rounded down to 8 decimals.
fn fee(cost: &BigInt) -> (BigInt, BigInt) {
    let step = BigInt::from(STEP);
    let round = |units: BigInt| units / &step * &step;
    (round(cost / FEE_PART), round(cost / FEE_PART / BNB_PRICE))
}
