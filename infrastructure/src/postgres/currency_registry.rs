//! Currencies.

use super::entity::currency;
use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::currency_registry::{CurrencyRegistry, RegisterOutcome};
use axs_application::port::store_error::StoreError;
use axs_domain::currency::Currency;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue, EntityTrait, QueryOrder};
use shaku::Component;
use std::sync::Arc;

/// [`CurrencyRegistry`] in the table `currencies`.
#[derive(Component)]
#[shaku(interface = CurrencyRegistry)]
pub struct PgCurrencyRegistry {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgCurrencyRegistry {
    /// The currencies of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    /// One statement a currency: one that is given twice is then simply registered twice, and
    /// there are few.
    async fn register_one(&self, asked: Currency) -> Result<RegisterOutcome, StoreError> {
        let decimals = i16::from(asked.decimals());
        let written = currency::Entity::insert(currency::ActiveModel {
            code: ActiveValue::Set(asked.code().as_str().to_owned()),
            decimals: ActiveValue::Set(decimals),
            active: ActiveValue::Set(asked.is_active()),
        })
        .on_conflict(
            OnConflict::column(currency::Column::Code)
                .update_column(currency::Column::Active)
                // Decimals never change: with others, the row stays as it is.
                .action_and_where(
                    Expr::col((currency::Entity, currency::Column::Decimals)).eq(decimals),
                )
                .to_owned(),
        )
        .exec_without_returning(self.database.orm())
        .await
        .map_err(|error| self.name().orm(&error))?;
        if written > 0 {
            return Ok(RegisterOutcome::Registered(asked));
        }
        let standing = currency::Entity::find_by_id(asked.code().as_str())
            .one(self.database.orm())
            .await
            .map_err(|error| self.name().orm(&error))?
            .ok_or_else(|| {
                self.name().invalid(
                    "currency",
                    asked.code(),
                    "was in the way and is gone: none is ever removed",
                )
            })?;
        Ok(RegisterOutcome::OtherDecimals(self.currency(&standing)?))
    }

    fn currency(&self, model: &currency::Model) -> Result<Currency, StoreError> {
        let name = self.name();
        let decimals = u8::try_from(model.decimals)
            .map_err(|error| name.invalid("decimals", model.decimals, error))?;
        Currency::try_new(name.currency(&model.code)?, decimals, model.active)
            .map_err(|error| name.invalid("currency", &model.code, error))
    }
}

#[async_trait]
impl CurrencyRegistry for PgCurrencyRegistry {
    async fn register(
        &self,
        currencies: Vec<Currency>,
    ) -> Result<Vec<RegisterOutcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(currencies.len());
        for currency in currencies {
            outcomes.push(self.register_one(currency).await?);
        }
        Ok(outcomes)
    }

    async fn all(&self) -> Result<Vec<Currency>, StoreError> {
        currency::Entity::find()
            .order_by_asc(currency::Column::Code)
            .all(self.database.orm())
            .await
            .map_err(|error| self.name().orm(&error))?
            .iter()
            .map(|model| self.currency(model))
            .collect()
    }
}
