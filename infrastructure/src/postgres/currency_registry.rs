//! Currencies.

use super::entity::currency;
use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::currency_registry::{CurrencyRegistry, RegisterOutcome};
use axs_application::port::store_error::StoreError;
use axs_domain::currency::Currency;
use sea_orm::{EntityTrait, QueryOrder};
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
        let written: Option<Option<bool>> =
            sqlx::query_scalar(include_str!("sql/currency/register.sql"))
                .bind(asked.code().as_str())
                .bind(i16::from(asked.decimals()))
                .bind(asked.is_active())
                .fetch_optional(self.database.queries())
                .await
                .map_err(|error| self.name().sqlx(&error))?;
        if let Some(was_active) = written {
            return Ok(RegisterOutcome::Registered {
                currency: asked,
                was_active,
            });
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
