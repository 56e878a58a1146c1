//! Amounts on the binary wire, against PostgreSQL's own text.

use crate::support::on_database;
use axs_domain::amount::{Amount, UNITS_MAX, UNITS_PER_WHOLE};
use axs_infrastructure::postgres::numeric::PgAmount;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const SAMPLES: usize = 5_000;

/// Whole range, small ones, and those with long runs of zeros, where digits are left out.
fn units() -> impl Strategy<Value = i128> {
    let power = (0u32..36).prop_map(|power| 10i128.pow(power));
    prop_oneof![
        -UNITS_MAX..=UNITS_MAX,
        -100_000i128..=100_000,
        (power.clone(), -9_999i128..=9_999)
            .prop_map(|(power, digits)| power.saturating_mul(digits).clamp(-UNITS_MAX, UNITS_MAX)),
        (power.clone(), power, -1i128..=1)
            .prop_map(|(a, b, c)| (a - b + c).clamp(-UNITS_MAX, UNITS_MAX)),
    ]
}

/// As `NUMERIC(36,18)` prints.
fn printed(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (whole, fraction) = (units.abs() / UNITS_PER_WHOLE, units.abs() % UNITS_PER_WHOLE);
    format!("{sign}{whole}.{fraction:018}")
}

#[tokio::test]
async fn amounts_are_sent_and_read_as_postgresql_prints_them() {
    on_database(async |test| {
        let mut runner = TestRunner::default();
        let strategy = units();
        let mut sent: Vec<i128> = vec![0, 1, -1, UNITS_MAX, -UNITS_MAX];
        sent.extend((0..SAMPLES).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
        let amounts: Vec<PgAmount> = sent
            .iter()
            .map(|units| PgAmount(Amount::try_from_units(*units).unwrap()))
            .collect();
        let texts: Vec<String> = sqlx::query_scalar(
            "SELECT amount::numeric(36,18)::text
               FROM unnest($1::numeric[]) WITH ORDINALITY AS sent (amount, place) ORDER BY place",
        )
        .bind(&amounts)
        .fetch_all(test.database().queries())
        .await
        .unwrap();
        let read: Vec<PgAmount> = sqlx::query_scalar(
            "SELECT amount::numeric(36,18)
               FROM unnest($1::text[]) WITH ORDINALITY AS sent (amount, place) ORDER BY place",
        )
        .bind(
            sent.iter()
                .map(|units| printed(*units))
                .collect::<Vec<String>>(),
        )
        .fetch_all(test.database().queries())
        .await
        .unwrap();
        assert_eq!(texts.len(), sent.len());
        for ((units, text), read) in sent.iter().zip(&texts).zip(&read) {
            assert_eq!(*text, printed(*units));
            assert_eq!(read.0.units(), *units);
        }
    })
    .await;
}
