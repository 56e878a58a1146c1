//! Layer 3 of 5: every port that stores or reads something. Sees connections, never settings.

use super::config::{ConfigModule, ProcessConfig};
use super::infra::InfraModule;
use crate::settings::SettingsError;
use axs_infrastructure::postgres::account_directory::PgAccountDirectory;
use axs_infrastructure::postgres::balance_store::PgBalanceStore;
#[cfg(not(feature = "reference-form"))]
use axs_infrastructure::postgres::batch::{
    BatchWriterSettings, PgBatchWriter as StoreBatchWriter,
    PgBatchWriterParameters as StoreBatchWriterParameters,
};
#[cfg(feature = "reference-form")]
use axs_infrastructure::postgres::batch::{
    BatchWriterSettings, ReferenceBatchWriter as StoreBatchWriter,
    ReferenceBatchWriterParameters as StoreBatchWriterParameters,
};
use axs_infrastructure::postgres::change_log::PgChangeLog;
use axs_infrastructure::postgres::change_log_partitions::PgChangeLogPartitions;
use axs_infrastructure::postgres::currency_registry::PgCurrencyRegistry;
use axs_infrastructure::postgres::dead_letters::{PgDeadLetters, PgParkedEvents};
use axs_infrastructure::postgres::installation::PgInstallation;
use axs_infrastructure::postgres::layout_change::PgLayoutChange;
use axs_infrastructure::postgres::layout_change_notes::PgLayoutChangeNotes;
use axs_infrastructure::postgres::layout_store::PgLayoutStore;
use axs_infrastructure::postgres::leadership::{PgConsumerRegistry, PgPartitionLeadership};
use axs_infrastructure::postgres::ledger_audit::PgLedgerAudit;
use axs_infrastructure::postgres::pool::Database;
use axs_infrastructure::postgres::relay_source::PgRelaySource;
use axs_infrastructure::postgres::result_source::PgResultSource;
use axs_infrastructure::postgres::schema_store::PgSchemaStore;
use axs_infrastructure::redis::{
    BalanceCacheSettings, KeyPrefix, RedisBalanceCache, RedisBalanceCacheParameters,
    RedisLeaderBeat, RedisLeaderBeatParameters, RedisPools,
};
use shaku::{HasComponent, module};
use std::sync::Arc;
use std::time::Duration;

/// How much longer than its fill a hash is kept: longer than any fill is on its way, so that an
/// old fill still meets the newer versions.
pub const RETENTION_PAST_FILL: Duration = Duration::from_secs(3_600);

module! {
    pub RepoModule {
        components = [
            #[lazy] PgAccountDirectory,
            #[lazy] PgBalanceStore,
            #[lazy] StoreBatchWriter,
            #[lazy] PgChangeLog,
            #[lazy] PgChangeLogPartitions,
            #[lazy] PgConsumerRegistry,
            #[lazy] PgCurrencyRegistry,
            #[lazy] PgDeadLetters,
            #[lazy] PgInstallation,
            #[lazy] PgLayoutChange,
            #[lazy] PgLayoutChangeNotes,
            #[lazy] PgLayoutStore,
            #[lazy] PgLedgerAudit,
            #[lazy] PgParkedEvents,
            #[lazy] PgPartitionLeadership,
            #[lazy] PgRelaySource,
            #[lazy] PgResultSource,
            #[lazy] PgSchemaStore,
            #[lazy] RedisBalanceCache,
            #[lazy] RedisLeaderBeat
        ],
        providers = [],
        use InfraModule { components = [dyn Database, dyn RedisPools], providers = [] }
    }
}

/// The module over the infrastructure.
///
/// # Errors
/// A key prefix that can't be.
pub fn repo_module(
    config: &Arc<ConfigModule>,
    infra: &Arc<InfraModule>,
) -> anyhow::Result<RepoModule> {
    let config: &dyn ProcessConfig = HasComponent::resolve_ref(config.as_ref());
    let cache = &config.settings().cache;
    let key_prefix =
        KeyPrefix::parse(&cache.key_prefix).map_err(SettingsError::at("cache.key_prefix"))?;
    let fill_ttl = Duration::from_secs(cache.fill_ttl_s);
    let settings = BalanceCacheSettings {
        key_prefix: key_prefix.clone(),
        fill_ttl,
        retention: fill_ttl + RETENTION_PAST_FILL,
    };
    let writing = BatchWriterSettings {
        transactions_max: config.settings().processing.transactions_max,
        ..BatchWriterSettings::default()
    };
    Ok(RepoModule::builder(Arc::clone(infra))
        .with_component_parameters::<RedisBalanceCache>(RedisBalanceCacheParameters { settings })
        .with_component_parameters::<RedisLeaderBeat>(RedisLeaderBeatParameters {
            key_prefix,
            events_topic: config.settings().kafka.events_topic.clone(),
        })
        .with_component_parameters::<StoreBatchWriter>(StoreBatchWriterParameters {
            settings: writing,
        })
        .build())
}
