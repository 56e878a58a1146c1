use super::*;
use crate::port::currency_registry::MockCurrencyRegistry;
use crate::testkit::{away, currency};
use crate::usecase::currency_lookup::MockCurrencyLookup;
use axs_domain::currency::CurrencySet;

fn registration(
    registry: MockCurrencyRegistry,
    lookup: MockCurrencyLookup,
) -> CurrencyRegistration {
    CurrencyRegistration::new(Arc::new(registry), Arc::new(lookup))
}

#[tokio::test]
async fn currencies_are_answered_one_by_one_and_known_here_at_once() {
    let mut registry = MockCurrencyRegistry::new();
    registry.expect_register().times(1).returning(|asked| {
        Ok(vec![
            RegisterOutcome::Registered {
                currency: asked[0],
                was_active: Some(false),
            },
            RegisterOutcome::OtherDecimals(currency("BTC", 8)),
        ])
    });
    let mut lookup = MockCurrencyLookup::new();
    lookup
        .expect_refreshed()
        .times(1)
        .returning(|| Ok(Arc::new(CurrencySet::default())));
    let asked = vec![currency("USD", 2), currency("BTC", 6)];
    let outcomes = registration(registry, lookup)
        .register(asked)
        .await
        .unwrap();
    let registered = RegisterCurrencyOutcome::Registered {
        currency: currency("USD", 2),
        was_active: Some(false),
    };
    assert_eq!(outcomes[0], registered);
    let RegisterCurrencyOutcome::Refused(refusal) = &outcomes[1] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(refusal.code, RefusalCode::AlreadyExists);
    assert_eq!(refusal.violations[0].field, "decimals");
    assert!(refusal.message.contains("is 6"), "{}", refusal.message);
    assert!(refusal.message.contains("with 8"), "{}", refusal.message);
}

#[tokio::test]
async fn a_refresh_that_fails_does_not_undo_a_registration() {
    let mut registry = MockCurrencyRegistry::new();
    registry.expect_register().returning(|asked| {
        Ok(vec![RegisterOutcome::Registered {
            currency: asked[0],
            was_active: None,
        }])
    });
    let mut lookup = MockCurrencyLookup::new();
    lookup.expect_refreshed().returning(|| Err(away()));
    let asked = vec![currency("USD", 2)];
    let outcomes = registration(registry, lookup).register(asked).await;
    assert_eq!(outcomes.unwrap().len(), 1);
}

#[tokio::test]
async fn a_registry_that_is_away_is_told_and_nothing_is_refreshed() {
    let mut registry = MockCurrencyRegistry::new();
    registry.expect_register().returning(|_| Err(away()));
    let mut lookup = MockCurrencyLookup::new();
    lookup.expect_refreshed().never();
    let asked = vec![currency("USD", 2)];
    let failed = registration(registry, lookup).register(asked).await;
    assert_eq!(failed, Err(away()));
}
