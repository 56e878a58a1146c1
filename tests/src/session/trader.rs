//! The floor: who has which orders open, and what traders do next.

use super::SessionPlan;
use super::market::{self, FEE_COIN, PAIRS, Pair, RETIRED};
use crate::model::{Expected, Outcome, whole};
use crate::script::{Script, change, event, or_else};
use axs_proto::v1::{BalanceChange, BalanceChangeEvent};
use num_bigint::BigInt;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Whales are numbered from here.
pub const WHALE_BASE: i64 = 1_000;

/// An account that only ever holds absurd amounts.
pub const VAULT: i64 = 900;

/// An order with a hold.
#[derive(Debug, Clone)]
struct Order {
    account: i64,
    name: String,
    pair: Pair,
    buys: bool,
    price: i64,
    /// Of the base, still to trade.
    quantity: BigInt,
    /// Of the quote for a buyer, of the base for a seller.
    held: BigInt,
}

impl Order {
    const fn held_currency(&self) -> &'static str {
        if self.buys {
            self.pair.quote
        } else {
            self.pair.base
        }
    }
}

/// The state of the session while it is generated.
pub struct Floor {
    pub rng: StdRng,
    pub plan: SessionPlan,
    pub script: Script,
    orders: Vec<Order>,
    serial: usize,
}

impl Floor {
    /// Registers the currencies, opens the accounts and gives everybody something to trade.
    pub fn open(rng: StdRng, plan: SessionPlan) -> Self {
        let mut floor = Self {
            rng,
            plan,
            script: Script::default(),
            orders: Vec::new(),
            serial: 0,
        };
        for (code, decimals) in market::CURRENCIES {
            floor.script.register(code, decimals, true);
        }
        floor.script.register(RETIRED, 6, false);
        let retail = (1..=plan.retail_accounts).chain([VAULT]);
        for account in retail {
            floor
                .script
                .open(account, crate::script::user_of(account), "retail");
        }
        for number in 1..=plan.whale_accounts {
            let account = WHALE_BASE + number;
            floor
                .script
                .open(account, crate::script::user_of(account), "whale");
        }
        let accounts: Vec<i64> = floor.script.accounts.iter().map(|a| a.account_id).collect();
        for account in accounts {
            floor.endow(account);
        }
        floor
    }

    fn endow(&mut self, account: i64) {
        let scale = if account > WHALE_BASE { 100 } else { 1 };
        let gifts = [
            ("USDT", 50_000),
            ("BTC", 2),
            ("ETH", 40),
            ("JPY", 6_000_000),
        ];
        let mut changes: Vec<BalanceChange> = gifts
            .iter()
            .map(|(code, wholes)| {
                let amount = market::some(&mut self.rng, code, wholes * scale);
                change(code, code, &amount, &BigInt::ZERO)
            })
            .collect();
        // Not everybody owns the fee coin, and most soon run out of it.
        if self.rng.random_bool(0.6) {
            let amount = market::some(&mut self.rng, FEE_COIN, scale);
            changes.push(change(FEE_COIN, FEE_COIN, &amount, &BigInt::ZERO));
        }
        self.push(account, "deposit", "", changes);
    }

    /// Sends a sound event under a new key and says whether it was applied.
    fn push(&mut self, account: i64, kind: &str, order: &str, changes: Vec<BalanceChange>) -> bool {
        let key = self.new_key(kind);
        self.script.push(event(account, &key, kind, order, changes));
        matches!(
            self.script.model.outcome(account, &key),
            Some(Outcome::Applied(_))
        )
    }

    /// A key that nobody has used.
    pub fn new_key(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}-{}", self.serial)
    }

    pub fn deposit(&mut self) {
        let account = self.someone();
        let (code, _) = *market::CURRENCIES
            .choose(&mut self.rng)
            .unwrap_or(&("USDT", 6));
        let amount = market::some(&mut self.rng, code, 100);
        let changes = vec![change("in", code, &amount, &BigInt::ZERO)];
        self.push(account, "deposit", "", changes);
    }

    /// Opens an order and holds what it may cost.
    pub fn hold(&mut self) {
        let account = self.someone();
        let pair = self.pair();
        let buys = self.rng.random_bool(0.5);
        let price = pair.price
            + self
                .rng
                .random_range(-(pair.price / 100)..=pair.price / 100);
        let currency = if buys { pair.quote } else { pair.base };
        let available = self.script.model.holding(account, currency).available;
        let spend = market::truncate(&(available * self.rng.random_range(1..=30) / 100), currency);
        let quantity = if buys {
            market::truncate(&(spend / price), pair.base)
        } else {
            spend
        };
        let held = if buys {
            market::cost(pair, &quantity, price)
        } else {
            quantity.clone()
        };
        if held == BigInt::ZERO {
            return self.deposit();
        }
        let name = format!("o-{}", self.serial);
        let changes = vec![change("hold", currency, &-&held, &held)];
        if self.push(account, "order.hold", &name, changes) {
            self.orders.push(Order {
                account,
                name,
                pair,
                buys,
                price,
                quantity,
                held,
            });
        }
    }

    /// Two orders meet: an event for each side, with a fee in the coin or else in quote.
    pub fn trade(&mut self) {
        let pair = self.pair();
        let find = |buys: bool, orders: &[Order], from: usize| {
            let count = orders.len();
            (0..count).map(|step| (from + step) % count).find(|index| {
                let order = &orders[*index];
                order.pair == pair && order.buys == buys && order.quantity != BigInt::ZERO
            })
        };
        let from = self.rng.random_range(0..self.orders.len().max(1));
        let (Some(buyer), Some(seller)) = (
            find(true, &self.orders, from),
            find(false, &self.orders, from),
        ) else {
            return self.hold();
        };
        let price = self.orders[buyer].price;
        let quantity = self.orders[buyer]
            .quantity
            .clone()
            .min(self.orders[seller].quantity.clone());
        let paid = market::cost(pair, &quantity, price);
        if paid == BigInt::ZERO {
            return self.cancel_order(buyer);
        }
        self.settle(
            buyer,
            &quantity,
            (pair.quote, &paid),
            (pair.base, &quantity),
        );
        self.settle(
            seller,
            &quantity,
            (pair.base, &quantity),
            (pair.quote, &paid),
        );
        self.orders
            .retain(|order| order.quantity != BigInt::ZERO || order.held != BigInt::ZERO);
    }

    /// One side of a trade: what was held goes, the other currency comes, the fee is paid.
    fn settle(
        &mut self,
        index: usize,
        quantity: &BigInt,
        out: (&str, &BigInt),
        got: (&str, &BigInt),
    ) {
        let order = self.orders[index].clone();
        let mut changes = vec![
            change("out", out.0, &BigInt::ZERO, &-out.1),
            change("in", got.0, got.1, &BigInt::ZERO),
        ];
        let paid = if order.buys { out.1 } else { got.1 };
        if let Some((in_coin, in_quote)) = market::fee(order.pair, paid) {
            let fee = change("fee", FEE_COIN, &-in_coin, &BigInt::ZERO);
            changes.push(or_else(fee, order.pair.quote, &-in_quote));
        }
        if self.push(order.account, "order.settle", &order.name, changes) {
            self.orders[index].quantity -= quantity;
            self.orders[index].held -= out.1;
        }
    }

    /// Somebody takes an order back.
    pub fn cancel(&mut self) {
        if self.orders.is_empty() {
            return self.hold();
        }
        let index = self.rng.random_range(0..self.orders.len());
        self.cancel_order(index);
    }

    fn cancel_order(&mut self, index: usize) {
        let order = self.orders.swap_remove(index);
        let changes = vec![change(
            "release",
            order.held_currency(),
            &order.held,
            &-&order.held,
        )];
        self.push(order.account, "order.cancel", &order.name, changes);
    }

    /// A hold of more than there is.
    pub fn overspend(&mut self) {
        let account = self.someone();
        let pair = self.pair();
        let available = self.script.model.holding(account, pair.quote).available;
        let asked = available + market::some(&mut self.rng, pair.quote, 1_000);
        let changes = vec![change("hold", pair.quote, &-&asked, &asked)];
        self.push(account, "order.hold", "too-much", changes);
    }

    /// A release of more than is held.
    pub fn over_release(&mut self) {
        let account = self.someone();
        let pair = self.pair();
        let frozen = self.script.model.holding(account, pair.base).frozen;
        let asked = frozen + market::some(&mut self.rng, pair.base, 3);
        let changes = vec![change("release", pair.base, &asked, &-&asked)];
        self.push(account, "order.cancel", "too-much", changes);
    }

    /// Three changes, of which the third lacks funds, its second choice too.
    pub fn basket(&mut self) {
        let account = self.someone();
        let one = market::some(&mut self.rng, "USDT", 5);
        let owned = self.script.model.holding(account, "BTC").available;
        let too_much = owned + market::some(&mut self.rng, "BTC", 2);
        let owned = self.script.model.holding(account, "ETH").available;
        let too_much_else = owned + market::some(&mut self.rng, "ETH", 2);
        let third = change("third", "BTC", &-too_much, &BigInt::ZERO);
        let changes = vec![
            change("first", "USDT", &one, &BigInt::ZERO),
            change("second", "USDT", &-&one, &one),
            or_else(third, "ETH", &-too_much_else),
        ];
        self.push(account, "basket", "", changes);
    }

    /// A deposit beyond what a balance can hold, the first time excepted.
    pub fn overflow(&mut self) {
        let most = whole(999_999_999_999_999_999);
        let changes = vec![change("in", "JPY", &most, &BigInt::ZERO)];
        self.push(VAULT, "deposit", "", changes);
    }

    /// The same again, as a client's retry would send it: new labels, another clock, and amounts
    /// that are written otherwise.
    pub fn replay(&mut self) {
        let Some(mut event) = self.earlier() else {
            return self.deposit();
        };
        event.event_id = format!("retry-{}", self.serial);
        event.created_msec += 1;
        for change in &mut event.changes {
            change.change_id = format!("r-{}", change.change_id);
            let (_, fraction) = change.available_delta.split_once('.').unwrap_or(("", ""));
            if !fraction.is_empty() && fraction.len() < 18 {
                change.available_delta.push('0');
            }
        }
        self.script.push(event);
    }

    /// A key of before with another meaning.
    pub fn reuse_key(&mut self) {
        let Some(mut event) = self.earlier() else {
            return self.deposit();
        };
        match self.rng.random_range(0..3) {
            0 => event.related_order_id.push_str("-other"),
            1 => event.event_type = "correction".to_owned(),
            _ => {
                let change = &mut event.changes[0];
                change.currency_code = match change.currency_code.as_str() {
                    // As many decimals or more, so that only the key is wrong.
                    "JPY" | "BNB" | "BTC" | "USDT" => "ETH".to_owned(),
                    _ => return self.deposit(),
                };
                change.fallback = None;
            }
        }
        self.script.push(event);
    }

    /// An event that was accepted before.
    fn earlier(&mut self) -> Option<BalanceChangeEvent> {
        let index = self.rng.random_range(0..self.script.items.len());
        let item = self.script.items.get(index)?;
        matches!(item.expected, Expected::Accepted { .. }).then(|| item.event.clone())
    }

    fn pair(&mut self) -> Pair {
        *PAIRS.choose(&mut self.rng).unwrap_or(&PAIRS[0])
    }
}
