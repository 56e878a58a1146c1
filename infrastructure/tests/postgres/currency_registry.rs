//! Which currencies exist.

use crate::event::currency as code;
use crate::support::on_database;
use axs_application::port::currency_registry::{CurrencyRegistry, RegisterOutcome};
use axs_domain::currency::Currency;
use axs_infrastructure::postgres::currency_registry::PgCurrencyRegistry;

fn currency(text: &str, decimals: u8, active: bool) -> Currency {
    Currency::try_new(code(text), decimals, active).unwrap()
}

fn registered(currency: Currency, was_active: Option<bool>) -> RegisterOutcome {
    RegisterOutcome::Registered {
        currency,
        was_active,
    }
}

#[tokio::test]
async fn currencies_are_listed_in_the_order_of_the_bytes_of_their_codes() {
    on_database(async |test| {
        let registry = PgCurrencyRegistry::new(test.database());
        assert_eq!(registry.all().await.unwrap(), []);
        // A locale's order would put `U_T` elsewhere.
        let asked: Vec<Currency> = ["USD", "1INCH", "U_T", "BTC", "U.T"]
            .iter()
            .map(|text| currency(text, 8, true))
            .collect();
        registry.register(asked.clone()).await.unwrap();
        let mut sorted = asked;
        sorted.sort_by_key(Currency::code);
        assert_eq!(registry.all().await.unwrap(), sorted);
    })
    .await;
}

#[tokio::test]
async fn decimals_never_change_while_a_currency_is_switched_off_and_on() {
    on_database(async |test| {
        let registry = PgCurrencyRegistry::new(test.database());
        let on = currency("BTC", 8, true);
        let off = currency("BTC", 8, false);
        let rows = [
            (on, None),
            (on, Some(true)),
            (off, Some(true)),
            (on, Some(false)),
        ];
        for (asked, was_active) in rows {
            let outcomes = registry.register(vec![asked]).await.unwrap();
            assert_eq!(outcomes, [registered(asked, was_active)]);
            assert_eq!(registry.all().await.unwrap(), [asked]);
        }
        let refused = registry
            .register(vec![currency("BTC", 9, false)])
            .await
            .unwrap();
        assert_eq!(refused, [RegisterOutcome::OtherDecimals(on)]);
        assert_eq!(registry.all().await.unwrap(), [on], "not even switched off");
    })
    .await;
}

#[tokio::test]
async fn outcomes_stand_in_the_order_asked_even_when_a_code_is_given_twice() {
    on_database(async |test| {
        let registry = PgCurrencyRegistry::new(test.database());
        let outcomes = registry
            .register(vec![
                currency("USD", 2, true),
                currency("BTC", 8, true),
                currency("USD", 3, true),
                currency("USD", 2, false),
            ])
            .await
            .unwrap();
        assert_eq!(
            outcomes,
            [
                registered(currency("USD", 2, true), None),
                registered(currency("BTC", 8, true), None),
                RegisterOutcome::OtherDecimals(currency("USD", 2, true)),
                registered(currency("USD", 2, false), Some(true)),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn two_that_register_a_code_with_different_decimals_at_once_get_one_answer() {
    on_database(async |test| {
        let here = PgCurrencyRegistry::new(test.database());
        let there = PgCurrencyRegistry::new(test.elsewhere().database());
        let (first, second) = tokio::join!(
            here.register(vec![currency("ETH", 18, true)]),
            there.register(vec![currency("ETH", 9, true)])
        );
        let (first, second) = (first.unwrap()[0], second.unwrap()[0]);
        let standing = here.all().await.unwrap()[0];
        for outcome in [first, second] {
            let (RegisterOutcome::Registered { currency: seen, .. }
            | RegisterOutcome::OtherDecimals(seen)) = outcome;
            assert_eq!(seen, standing);
        }
        assert_ne!(first, second);
    })
    .await;
}
