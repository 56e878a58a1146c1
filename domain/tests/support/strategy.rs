//! Random scenarios. Numbers are small, so that events meet on the same balances and run out of
//! funds; now and then one is as large as an amount can be, so that sums leave the range.

use super::spec::{BalanceSpec, ChangeSpec, EventSpec, MoveSpec, Scenario, SpecKey};
use axs_domain::amount::UNITS_MAX;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub const ACCOUNTS: [i64; 3] = [1, 2, 9_007_199_254_740_993];
pub const CURRENCIES: [&str; 3] = ["AAA", "BBB", "CCC"];

/// The whole range of amounts, at every order of magnitude.
pub fn any_units() -> impl Strategy<Value = i128> {
    prop_oneof![
        4 => (-UNITS_MAX..=UNITS_MAX, 0u32..120).prop_map(|(units, shift)| units >> shift),
        1 => prop_oneof![
            Just(0), Just(UNITS_MAX), Just(-UNITS_MAX), Just(UNITS_MAX - 1), Just(1 - UNITS_MAX)
        ],
    ]
}

fn delta_units() -> impl Strategy<Value = i128> {
    prop_oneof![
        30 => -12i128..=12,
        8 => Just(0),
        1 => Just(UNITS_MAX),
        1 => Just(-UNITS_MAX),
    ]
}

fn move_in(currency: &'static str) -> impl Strategy<Value = MoveSpec> {
    (delta_units(), delta_units()).prop_map(move |(available, frozen)| {
        let available = if available == 0 && frozen == 0 {
            -1
        } else {
            available
        };
        MoveSpec {
            currency,
            available,
            frozen,
        }
    })
}

fn any_change() -> impl Strategy<Value = ChangeSpec> {
    (0..CURRENCIES.len(), 1..CURRENCIES.len()).prop_flat_map(|(first, step)| {
        let other = CURRENCIES[(first + step) % CURRENCIES.len()];
        (
            move_in(CURRENCIES[first]),
            proptest::option::of(move_in(other)),
        )
            .prop_map(|(primary, fallback)| ChangeSpec { primary, fallback })
    })
}

fn any_event() -> impl Strategy<Value = EventSpec> {
    (
        prop::sample::select(ACCOUNTS.to_vec()),
        vec(any_change(), 1..5),
    )
        .prop_map(|(account, changes)| EventSpec { account, changes })
}

/// A balance as earlier events may have left it; below zero where credit was granted once.
fn any_balance() -> impl Strategy<Value = BalanceSpec> {
    let available = prop_oneof![20 => 0i128..30, 3 => -10i128..0, 1 => Just(UNITS_MAX - 5)];
    let frozen = prop_oneof![20 => 0i128..15, 1 => Just(UNITS_MAX - 5)];
    prop_oneof![
        1 => Just(BalanceSpec { available: 0, frozen: 0, version: 0 }),
        3 => (available, frozen, 1i64..9)
            .prop_map(|(available, frozen, version)| BalanceSpec { available, frozen, version }),
    ]
}

fn all_keys() -> Vec<SpecKey> {
    ACCOUNTS
        .into_iter()
        .flat_map(|account| CURRENCIES.map(|currency| (account, currency)))
        .collect()
}

/// A book of every balance, some credit limits, and events over them.
pub fn any_scenario() -> impl Strategy<Value = Scenario> {
    let keys = all_keys();
    let limit = prop_oneof![3 => Just(0i128), 1 => 1i128..15];
    (
        vec(any_balance(), keys.len()),
        vec(limit, keys.len()),
        vec(any_event(), 0..14),
    )
        .prop_map(move |(balances, limits, events)| Scenario {
            balances: keys.iter().copied().zip(balances).collect(),
            credit: keys.iter().copied().zip(limits).collect(),
            events,
        })
}

/// A scenario in which nobody was ever granted credit.
pub fn any_scenario_without_credit() -> impl Strategy<Value = Scenario> {
    any_scenario().prop_map(|mut scenario| {
        scenario.credit = BTreeMap::new();
        for balance in scenario.balances.values_mut() {
            balance.available = balance.available.max(0);
        }
        scenario
    })
}
