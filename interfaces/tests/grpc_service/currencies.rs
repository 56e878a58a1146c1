use super::harness::{UseCases, assert_invalid, client, fields};
use axs_application::usecase::refusal::{Refusal, RefusalCode};
use axs_application::usecase::register_currencies::{
    MockRegisterCurrencies, RegisterCurrencyOutcome,
};
use axs_proto::v1;
use axs_proto::v1::register_currency_result::Outcome;
use std::sync::Arc;

fn with_register(register: MockRegisterCurrencies) -> UseCases {
    UseCases {
        register: Arc::new(register),
        ..UseCases::default()
    }
}

fn currency(code: &str, decimals: i32) -> v1::Currency {
    v1::Currency {
        code: code.to_owned(),
        decimals,
        active: true,
    }
}

#[tokio::test]
async fn currencies_are_answered_in_their_places() {
    let mut register = MockRegisterCurrencies::new();
    register
        .expect_register()
        .withf(|asked| asked.len() == 2)
        .once()
        .returning(|asked| {
            let refusal = Refusal::of_field(RefusalCode::AlreadyExists, "decimals", "is 3");
            Ok(vec![
                RegisterCurrencyOutcome::Registered {
                    currency: asked[0],
                    was_active: None,
                },
                RegisterCurrencyOutcome::Refused(refusal),
            ])
        });
    let mut client = client(with_register(register)).await;
    let currencies = vec![
        currency("usd", 19),
        currency("BTC", 8),
        currency("ETH", -1),
        currency("EUR", 3),
    ];
    let request = v1::RegisterCurrenciesRequest { currencies };
    let answer = client.register_currencies(request).await.unwrap();
    let told: Vec<String> = answer
        .into_inner()
        .results
        .into_iter()
        .map(|result| match result.outcome.unwrap() {
            Outcome::Currency(currency) => format!("{} {}", currency.code, currency.decimals),
            Outcome::Refused(refusal) => {
                format!("{:?} {}", refusal.code(), fields(&refusal).join(" "))
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "InvalidField currencies[0].code currencies[0].decimals",
            "BTC 8",
            "InvalidField currencies[2].decimals",
            "AlreadyExists currencies[3].decimals",
        ]
    );
}

#[tokio::test]
async fn a_list_without_a_sound_currency_never_reaches_the_use_case() {
    let mut register = MockRegisterCurrencies::new();
    register.expect_register().never();
    let mut client = client(with_register(register)).await;
    let request = |currencies| v1::RegisterCurrenciesRequest { currencies };
    let refused = client.register_currencies(request(vec![])).await;
    assert_invalid(&refused.unwrap_err(), &["currencies"]);
    let answer = client
        .register_currencies(request(vec![currency("", 2)]))
        .await;
    assert_eq!(answer.unwrap().into_inner().results.len(), 1);
}
