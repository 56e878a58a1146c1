//! What the server offers beside the service: health, reflection, and clear errors.

use super::harness::{Running, UseCases, run, settings};
use axs_interfaces::grpc::server::{Drain, GrpcError, GrpcServer};
use futures::StreamExt;
use std::error::Error;
use std::time::Duration;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Longer than any of these tests takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const SERVICE: &str = "axs.v1.AccountBalanceService";

fn running() -> Running {
    run(UseCases::default(), settings())
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// Follows the health of a service until it is as wanted.
async fn until_health_is(running: &Running, service: &str, wanted: ServingStatus) {
    let mut client = HealthClient::new(running.channel().await);
    let mut watch = client.watch(about(service)).await.unwrap().into_inner();
    let seen = async {
        while let Some(answer) = watch.next().await {
            if answer.unwrap().status() == wanted {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, seen).await.unwrap());
}

#[tokio::test]
async fn health_follows_the_readiness_for_the_server_and_the_service() {
    let running = running();
    for service in ["", SERVICE] {
        until_health_is(&running, service, ServingStatus::Serving).await;
    }
    running.postgresql.set(false);
    for service in ["", SERVICE] {
        until_health_is(&running, service, ServingStatus::NotServing).await;
    }
    running.postgresql.set(true);
    until_health_is(&running, SERVICE, ServingStatus::Serving).await;
}

#[tokio::test]
async fn the_health_of_a_service_that_is_not_here_is_not_found() {
    let mut client = HealthClient::new(running().channel().await);
    let status = client.check(about("axs.v9.Nothing")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_watcher_of_the_health_hears_of_the_stop_and_does_not_hold_it_up() {
    let running = running();
    until_health_is(&running, SERVICE, ServingStatus::Serving).await;
    let mut client = HealthClient::new(running.channel().await);
    let watching = client.watch(about(SERVICE)).await.unwrap();
    let mut watch = watching.into_inner();
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    running.shutdown.cancel();
    let next = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().status(), ServingStatus::NotServing);
    let end = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
    assert!(end.is_none());
    let drain = tokio::time::timeout(PATIENCE, running.serving).await;
    assert_eq!(drain.unwrap().unwrap().unwrap(), Drain::Complete);
}

macro_rules! reflected_services {
    ($version:ident, $running:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new($running.channel().await);
        let asked = futures::stream::iter([request]);
        let answers = client.server_reflection_info(asked).await.unwrap();
        let answer = answers.into_inner().next().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("no list of services");
        };
        let names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
        names
    }};
}

#[tokio::test]
async fn reflection_lists_the_service_and_health_in_both_versions() {
    let running = running();
    let lists = [
        reflected_services!(v1, running),
        reflected_services!(v1alpha, running),
    ];
    for names in lists {
        for name in [SERVICE, "grpc.health.v1.Health"] {
            assert!(
                names.iter().any(|n| n == name),
                "{name} is not in {names:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_reported_with_its_address_and_setting() {
    let first = running();
    let mut taken = settings();
    taken.listen = first.at;
    let Err(error) = GrpcServer::bind(taken) else {
        panic!("the port was free");
    };
    assert!(matches!(error, GrpcError::Listen { .. }));
    let expected = format!("grpc.listen: can't listen on {}", first.at);
    assert_eq!(error.to_string(), expected);
    assert!(error.source().unwrap().to_string().contains("in use"));
}
