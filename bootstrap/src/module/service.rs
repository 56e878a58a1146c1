//! Layer 4 of 5: use cases. Sees Repo and Infra by their ports; never a pool.

use super::config::{ConfigModule, ProcessConfig};
use super::infra::InfraModule;
use super::repo::RepoModule;
use super::rules::rule_set;
use crate::settings::SettingsError;
use axs_application::port::account_directory::AccountDirectory;
use axs_application::port::balance_cache::BalanceCache;
use axs_application::port::balance_store::BalanceStore;
use axs_application::port::batch_writer::BatchWriter;
use axs_application::port::change_log::ChangeLog;
use axs_application::port::clock::Clock;
use axs_application::port::consumer_registry::ConsumerRegistry;
use axs_application::port::currency_registry::CurrencyRegistry;
use axs_application::port::dead_letters::DeadLetters;
use axs_application::port::event_codec::EventCodec;
use axs_application::port::event_publisher::EventPublisher;
use axs_application::port::event_topic::EventTopic;
use axs_application::port::installation::Installation;
use axs_application::port::layout_change::LayoutChange;
use axs_application::port::layout_change_notes::LayoutChangeNotes;
use axs_application::port::layout_store::LayoutStore;
use axs_application::port::leader_beat::LeaderBeat;
use axs_application::port::ledger_audit::LedgerAudit;
use axs_application::port::log_id_generator::LogIdGenerator;
use axs_application::port::parked_events::ParkedEvents;
use axs_application::port::partition_leadership::PartitionLeadership;
use axs_application::port::record_reader::RecordReader;
use axs_application::port::record_source::RecordSource;
use axs_application::port::relay_source::RelaySource;
use axs_application::port::result_publisher::ResultPublisher;
use axs_application::port::result_source::ResultSource;
use axs_application::port::result_topic::ResultTopic;
use axs_application::port::topic_claims::TopicClaims;
use axs_application::usecase::account_lookup::{
    AccountLookupSettings, RememberedAccounts, RememberedAccountsParameters,
};
use axs_application::usecase::backlog::{
    BacklogSettings, PartitionBacklog, PartitionBacklogParameters,
};
use axs_application::usecase::change_layout::{PartitionRaising, TopicAdoption};
use axs_application::usecase::currency_lookup::CurrencySnapshot;
use axs_application::usecase::find_event::LoggedEvents;
use axs_application::usecase::incarnation_lookup::IncarnationSeen;
use axs_application::usecase::layout_lookup::LayoutSnapshot;
use axs_application::usecase::lead_partitions::{
    LeadSettings, PartitionElector, PartitionElectorParameters,
};
use axs_application::usecase::log_changes::{GroupCommit, GroupCommitParameters, LogSettings};
use axs_application::usecase::make_layout::LayoutMaking;
use axs_application::usecase::open_accounts::AccountOpening;
use axs_application::usecase::preload::AccountPreload;
use axs_application::usecase::process_partition::ProcessSettings;
use axs_application::usecase::publish_events::{
    OrderedPublishing, OrderedPublishingParameters, PublishSettings,
};
use axs_application::usecase::read_balances::{
    BalanceReading, BalanceReadingParameters, ReadSettings,
};
use axs_application::usecase::refresh_lookups::{
    PeriodicRefresh, PeriodicRefreshParameters, RefreshSettings,
};
use axs_application::usecase::register_currencies::CurrencyRegistration;
use axs_application::usecase::relay_lost_events::RelaySettings;
use axs_application::usecase::settle_dead_letters::DeadLetterSettling;
use axs_application::usecase::submit_balance_changes::{
    BalanceChangeSubmission, BalanceChangeSubmissionParameters, SubmitSettings,
};
use axs_application::usecase::verify_ledger::{VerifyLedgerService, VerifyLedgerServiceParameters};
use axs_application::usecase::vital_tasks::ProcessTasks;
use axs_domain::lease::LeaseTimes;
use shaku::{HasComponent, module};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// How long a fill of the cache may be on its way: longer than a read of the database and a round
/// trip to Redis may take.
const FILL_UNDER_WAY_MAX: Duration = Duration::from_secs(60);

module! {
    pub ServiceModule {
        components = [
            #[lazy] AccountOpening,
            #[lazy] BalanceChangeSubmission,
            #[lazy] BalanceReading,
            #[lazy] CurrencyRegistration,
            #[lazy] CurrencySnapshot,
            #[lazy] DeadLetterSettling,
            #[lazy] GroupCommit,
            #[lazy] IncarnationSeen,
            #[lazy] LayoutMaking,
            #[lazy] LayoutSnapshot,
            #[lazy] LoggedEvents,
            #[lazy] OrderedPublishing,
            #[lazy] PartitionBacklog,
            #[lazy] PartitionElector,
            #[lazy] PartitionRaising,
            #[lazy] PeriodicRefresh,
            #[lazy] ProcessTasks,
            #[lazy] RememberedAccounts,
            #[lazy] AccountPreload,
            #[lazy] TopicAdoption,
            #[lazy] VerifyLedgerService
        ],
        providers = [],
        use RepoModule {
            components = [
                dyn AccountDirectory, dyn BalanceCache, dyn BalanceStore, dyn BatchWriter,
                dyn ChangeLog, dyn ConsumerRegistry, dyn CurrencyRegistry, dyn DeadLetters,
                dyn Installation, dyn LayoutChange, dyn LayoutChangeNotes, dyn LayoutStore,
                dyn LeaderBeat, dyn LedgerAudit, dyn ParkedEvents, dyn PartitionLeadership, dyn RelaySource, dyn ResultSource
            ],
            providers = []
        },
        use InfraModule {
            components = [
                dyn Clock, dyn EventCodec, dyn EventPublisher, dyn EventTopic, dyn LogIdGenerator,
                dyn RecordReader, dyn RecordSource, dyn ResultPublisher, dyn ResultTopic,
                dyn TopicClaims
            ],
            providers = []
        }
    }
}

/// The module over stores and infrastructure.
///
/// # Errors
/// Settings whose parts don't fit together: the rules.
pub fn service_module(
    config: &Arc<ConfigModule>,
    infra: &Arc<InfraModule>,
    repo: &Arc<RepoModule>,
) -> anyhow::Result<ServiceModule> {
    let config: &dyn ProcessConfig = HasComponent::resolve_ref(config.as_ref());
    let settings = config.settings();
    let write = &settings.write_side;
    let processing = &settings.processing;
    let millis = Duration::from_millis;
    let at_least_one = |value: usize| NonZeroUsize::new(value).unwrap_or(NonZeroUsize::MIN);
    let retry_after = millis(write.retry_after_ms);
    let leading = LeadSettings {
        lease: LeaseTimes::try_new(millis(settings.lease.ttl_ms))
            .map_err(SettingsError::at("lease.ttl_ms"))?,
        results_topic: settings.kafka.results_topic.clone(),
        drain_max: millis(processing.drain_ms),
        refusal_pause: millis(settings.lease.retry_after_refusal_ms),
        process: ProcessSettings {
            batch_events_max: at_least_one(processing.batch_events_max),
            batch_linger: millis(processing.batch_linger_ms),
            batch_interval: millis(processing.batch_interval_ms),
            memory_balances_max: at_least_one(processing.memory_balances_max),
            preload_balances: processing.preload_balances,
            poison_in_a_row_max: at_least_one(processing.poison_in_a_row_max),
            write_retries_max: processing.store_retries_max,
        },
        relay: RelaySettings {
            every: millis(processing.relay_interval_ms),
            grace: millis(processing.relay_grace_ms),
            rows_max: processing.relay_batch_max,
        },
        cache_moot_after: Duration::from_secs(settings.cache.fill_ttl_s) + FILL_UNDER_WAY_MAX,
    };
    let rules = rule_set(&settings.rules)?;
    Ok(ServiceModule::builder(Arc::clone(repo), Arc::clone(infra))
        .with_component_parameters::<RememberedAccounts>(RememberedAccountsParameters {
            settings: AccountLookupSettings {
                remembered_max: at_least_one(write.account_cache_entries),
            },
        })
        .with_component_parameters::<PeriodicRefresh>(PeriodicRefreshParameters {
            settings: RefreshSettings {
                period: millis(write.lookup_refresh_ms),
            },
        })
        .with_component_parameters::<PartitionBacklog>(PartitionBacklogParameters {
            settings: BacklogSettings {
                events_max: write.backlog_events_max,
                retry_after,
            },
        })
        .with_component_parameters::<OrderedPublishing>(OrderedPublishingParameters {
            settings: PublishSettings {
                window_events: write.publish_window_events,
                window_wait: millis(write.window_wait_ms),
                retry_after,
            },
        })
        .with_component_parameters::<GroupCommit>(GroupCommitParameters {
            settings: LogSettings {
                commit_events_max: write.commit_events_max,
                retry_after,
            },
        })
        .with_component_parameters::<BalanceChangeSubmission>(BalanceChangeSubmissionParameters {
            settings: SubmitSettings {
                batch_events_max: write.batch_items_max,
                published_wait: millis(write.published_wait_ms),
            },
        })
        .with_component_parameters::<BalanceReading>(BalanceReadingParameters {
            settings: ReadSettings {
                store_reads_max: settings.reading.store_reads_max,
                store_read_wait: millis(settings.reading.store_wait_ms),
                retry_after,
                cache_fills_max: settings.reading.cache_fills_max,
            },
        })
        .with_component_parameters::<PartitionElector>(PartitionElectorParameters {
            owner: config.owner(),
            rules: rules.clone(),
            settings: leading,
        })
        .with_component_parameters::<VerifyLedgerService>(VerifyLedgerServiceParameters { rules })
        .build())
}
