//! Every root is built and everything it resolves is resolved: a forgotten parameter or a cycle
//! would panic here instead of at a customer's start. No server is contacted.

use super::clients::Clients;
use super::layers::Layers;
use super::rules::rule_set;
use crate::settings::{RulesSection, Settings, Strays};
use axs_application::port::balance_cache::BalanceCache;
use axs_application::port::change_log_partitions::ChangeLogPartitions;
use axs_application::port::currency_registry::CurrencyRegistry;
use axs_application::port::dead_letters::DeadLetters;
use axs_application::port::event_publisher::EventPublisher;
use axs_application::port::installation::Installation;
use axs_application::port::layout_change::LayoutChange;
use axs_application::port::layout_change_notes::LayoutChangeNotes;
use axs_application::port::layout_store::LayoutStore;
use axs_application::port::partition_leadership::PartitionLeadership;
use axs_application::port::record_reader::RecordReader;
use axs_application::port::result_publisher::ResultPublisher;
use axs_application::port::schema_store::SchemaStore;
use axs_application::usecase::backlog::Backlog;
use axs_application::usecase::change_layout::{AdoptTopic, RaisePartitions};
use axs_application::usecase::find_event::FindEvent;
use axs_application::usecase::lead_partitions::LeadPartitions;
use axs_application::usecase::log_changes::LogChanges;
use axs_application::usecase::make_layout::MakeLayout;
use axs_application::usecase::open_accounts::OpenAccounts;
use axs_application::usecase::preload::PreloadAccounts;
use axs_application::usecase::publish_events::PublishEvents;
use axs_application::usecase::read_balances::ReadBalances;
use axs_application::usecase::refresh_lookups::RefreshLookups;
use axs_application::usecase::register_currencies::RegisterCurrencies;
use axs_application::usecase::settle_dead_letters::SettleDeadLetters;
use axs_application::usecase::submit_balance_changes::SubmitBalanceChanges;
use axs_application::usecase::verify_ledger::VerifyLedger;
use axs_infrastructure::kafka::AfterFailure;
use axs_infrastructure::postgres::pool::Database;
use axs_infrastructure::redis::RedisPools;
use axs_interfaces::grpc::api::AccountBalanceApi;
use shaku::{HasComponent, Interface};

fn settings() -> Settings {
    Settings::load(None, &Strays::default()).unwrap()
}

fn resolves<I: Interface + ?Sized>(module: &impl HasComponent<I>) {
    let _built = module.resolve_ref();
}

#[tokio::test]
async fn the_root_of_grpc_is_whole() {
    let settings = settings();
    let clients = Clients::default()
        .with_database(&settings)
        .and_then(|clients| clients.with_cache(&settings))
        .and_then(|clients| clients.with_kafka(&settings))
        .and_then(|clients| clients.with_producer(&settings, AfterFailure::ClosePartition))
        .unwrap();
    let layers = Layers::stack(settings, clients).unwrap();
    resolves::<dyn AccountBalanceApi>(layers.api.as_ref());
    resolves::<dyn PublishEvents>(layers.service.as_ref());
    resolves::<dyn LogChanges>(layers.service.as_ref());
    resolves::<dyn PreloadAccounts>(layers.service.as_ref());
    resolves::<dyn RefreshLookups>(layers.service.as_ref());
    resolves::<dyn Backlog>(layers.service.as_ref());
    resolves::<dyn ChangeLogPartitions>(layers.repo.as_ref());
    resolves::<dyn SchemaStore>(layers.repo.as_ref());
    resolves::<dyn Database>(layers.infra.as_ref());
    resolves::<dyn RedisPools>(layers.infra.as_ref());
}

#[tokio::test]
async fn the_root_of_consumer_is_whole() {
    let settings = settings();
    let clients = Clients::default()
        .with_database(&settings)
        .and_then(|clients| clients.with_cache(&settings))
        .and_then(|clients| clients.with_kafka(&settings))
        .and_then(|clients| clients.with_producer(&settings, AfterFailure::ClosePartition))
        .and_then(|clients| clients.with_results(&settings))
        .and_then(|clients| clients.with_reader(&settings))
        .and_then(|clients| clients.with_reading(&settings))
        .unwrap();
    let layers = Layers::stack(settings, clients).unwrap();
    resolves::<dyn LeadPartitions>(layers.service.as_ref());
    resolves::<dyn EventPublisher>(layers.infra.as_ref());
    resolves::<dyn RecordReader>(layers.infra.as_ref());
    resolves::<dyn ResultPublisher>(layers.infra.as_ref());
}

#[tokio::test]
async fn the_roots_of_the_operators_commands_are_whole_without_what_they_do_not_use() {
    let settings = settings();
    let database = || Clients::default().with_database(&settings).unwrap();
    let stack = |clients| Layers::stack(settings.clone(), clients).unwrap();

    let plain = stack(database());
    resolves::<dyn OpenAccounts>(plain.service.as_ref());
    resolves::<dyn RegisterCurrencies>(plain.service.as_ref());
    resolves::<dyn CurrencyRegistry>(plain.repo.as_ref());
    resolves::<dyn LayoutStore>(plain.repo.as_ref());
    resolves::<dyn Installation>(plain.repo.as_ref());
    resolves::<dyn LayoutChange>(plain.repo.as_ref());
    resolves::<dyn LayoutChangeNotes>(plain.repo.as_ref());
    resolves::<dyn PartitionLeadership>(plain.repo.as_ref());

    let dead_letters = stack(database().with_results(&settings).unwrap());
    resolves::<dyn DeadLetters>(dead_letters.repo.as_ref());
    resolves::<dyn SettleDeadLetters>(dead_letters.service.as_ref());

    let with_kafka = stack(database().with_kafka(&settings).unwrap());
    resolves::<dyn MakeLayout>(with_kafka.service.as_ref());
    resolves::<dyn RaisePartitions>(with_kafka.service.as_ref());
    resolves::<dyn AdoptTopic>(with_kafka.service.as_ref());

    let with_cache = stack(database().with_cache(&settings).unwrap());
    resolves::<dyn VerifyLedger>(with_cache.service.as_ref());
    resolves::<dyn ReadBalances>(with_cache.service.as_ref());
    resolves::<dyn BalanceCache>(with_cache.repo.as_ref());

    let submit = database()
        .with_kafka(&settings)
        .unwrap()
        .with_producer(&settings, AfterFailure::ClosePartition)
        .unwrap();
    let submit = stack(submit);
    resolves::<dyn SubmitBalanceChanges>(submit.service.as_ref());
    resolves::<dyn FindEvent>(submit.service.as_ref());
}

#[test]
fn rules_are_found_by_name_in_their_order() {
    let section = |order: &[&str]| RulesSection {
        order: order.iter().map(|name| (*name).to_owned()).collect(),
        credit_limits: Vec::new(),
    };
    let rules = rule_set(&section(&["non-negative", "credit-limit"])).unwrap();
    assert_eq!(
        rules.names().collect::<Vec<_>>(),
        ["non-negative", "credit-limit"]
    );
    for (order, expected) in [
        (&["credit-limit"] as &[&str], "non-negative"),
        (&["non-negative", "moonshot"], "moonshot"),
        (
            &["non-negative", "credit-limit", "credit-limit"],
            "credit-limit",
        ),
        (&[], "non-negative"),
    ] {
        let error = rule_set(&section(order)).unwrap_err().to_string();
        assert!(
            error.contains("rules.order") && error.contains(expected),
            "{error}"
        );
    }
}
