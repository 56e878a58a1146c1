use async_trait::async_trait;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use axs_interfaces::ops::readiness::{Dependency, Need, ProbeTiming, ReadinessBoard};
use axs_interfaces::ops::server::{OpsError, OpsServer};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A dependency that answers as it was told to, or never.
struct Probe {
    name: &'static str,
    answer: Option<Result<(), ProbeFailure>>,
}

#[async_trait]
impl ReadinessProbe for Probe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn address(&self) -> String {
        format!("{}.example:1", self.name)
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        match &self.answer {
            Some(answer) => answer.clone(),
            None => std::future::pending().await,
        }
    }
}

fn dependency(
    name: &'static str,
    need: Need,
    answer: Option<Result<(), ProbeFailure>>,
) -> Dependency {
    Dependency {
        probe: Arc::new(Probe { name, answer }),
        need,
    }
}

fn refused() -> Option<Result<(), ProbeFailure>> {
    let reason = "connection refused".to_owned();
    Some(Err(ProbeFailure { reason }))
}

struct Running {
    at: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), OpsError>>,
}

async fn run(dependencies: Vec<Dependency>) -> Running {
    let timing = ProbeTiming {
        timeout: Duration::from_millis(50),
        ..ProbeTiming::default()
    };
    let board = Arc::new(ReadinessBoard::new(dependencies, None, timing));
    let server = OpsServer::bind(ANY_PORT).await.unwrap();
    let at = server.local_addr();
    let shutdown = CancellationToken::new();
    let metrics = Arc::new(|| "axs_example_total 1\n".to_owned());
    let serving = tokio::spawn(server.serve(board, metrics, shutdown.clone()));
    Running {
        at,
        shutdown,
        serving,
    }
}

/// The status line and the rest of the answer.
async fn get(at: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (status, rest) = answer.split_once("\r\n").unwrap();
    (status.to_owned(), rest.to_owned())
}

#[tokio::test]
async fn the_process_lives_whatever_its_dependencies_do() {
    let running = run(vec![dependency("postgresql", Need::Required, refused())]).await;
    let (status, body) = get(running.at, "/livez").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.ends_with("ok\n"), "{body}");
}

#[tokio::test]
async fn a_process_that_lacks_what_it_can_do_without_is_ready_and_says_what_it_lacks() {
    let running = run(vec![
        dependency("postgresql", Need::Required, Some(Ok(()))),
        dependency("kafka", Need::Optional, refused()),
    ])
    .await;
    let (status, body) = get(running.at, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("content-type: application/json"), "{body}");
    let json = body.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        json,
        concat!(
            r#"{"ready":true,"degraded":true,"dependencies":["#,
            r#"{"name":"postgresql","address":"postgresql.example:1","#,
            r#""state":"up","required":true},"#,
            r#"{"name":"kafka","address":"kafka.example:1","#,
            r#""state":"down","required":false,"reason":"connection refused"}]}"#,
        )
    );
}

#[tokio::test]
async fn a_dependency_that_never_answers_makes_the_process_unready_within_the_timeout() {
    let running = run(vec![dependency("postgresql", Need::Required, None)]).await;
    let limit = Duration::from_secs(5);
    let (status, body) = tokio::time::timeout(limit, get(running.at, "/readyz"))
        .await
        .unwrap();
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(body.contains("no answer within 50 ms"), "{body}");
}

#[tokio::test]
async fn metrics_are_given_in_the_text_format_of_prometheus() {
    let running = run(Vec::new()).await;
    let (status, body) = get(running.at, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        body.contains("content-type: text/plain; version=0.0.4"),
        "{body}"
    );
    assert!(body.ends_with("axs_example_total 1\n"), "{body}");
}

#[tokio::test]
async fn a_taken_port_is_reported_with_its_address_and_setting() {
    let first = OpsServer::bind(ANY_PORT).await.unwrap();
    let error = OpsServer::bind(first.local_addr()).await.unwrap_err();
    let expected = format!("ops.listen: can't listen on {}", first.local_addr());
    assert_eq!(error.to_string(), expected);
    assert!(error.source().unwrap().to_string().contains("in use"));
}

#[tokio::test]
async fn the_server_ends_when_told_even_while_a_peer_holds_its_connection() {
    let running = run(Vec::new()).await;
    let mut held = TcpStream::connect(running.at).await.unwrap();
    // Half a request, so that the server can't take the connection for an idle one.
    held.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    running.shutdown.cancel();
    let limit = Duration::from_secs(10);
    let ended = tokio::time::timeout(limit, running.serving).await;
    assert!(ended.unwrap().unwrap().is_ok());
}
