//! Counts and times every request, however it ends.

use metrics::{Counter, Histogram};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::Code;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

/// Requests by method and code. A request whose client went away counts as `CANCELLED`.
pub const REQUESTS_TOTAL: &str = "axs_grpc_requests_total";

/// How long requests take until their answer is ready, by method.
pub const REQUEST_SECONDS: &str = "axs_grpc_request_seconds";

/// The label of paths that no service of this server has, so that a client can't make labels.
const OTHER_METHOD: &str = "other";

pub(super) const SERVICE_PREFIX: &str = "/axs.v1.AccountBalanceService/";

const METHODS: [&str; 5] = [
    "BatchSubmitBalanceChanges",
    "CreateAccounts",
    "RegisterCurrencies",
    "GetBalances",
    "GetEvent",
];

/// The number of a path's method; that of no method of the contract is the one behind the last.
fn method_of(path: &str) -> usize {
    let name = path.strip_prefix(SERVICE_PREFIX);
    name.and_then(|name| METHODS.iter().position(|method| *method == name))
        .unwrap_or(METHODS.len())
}

fn method_label(method: usize) -> &'static str {
    METHODS.get(method).copied().unwrap_or(OTHER_METHOD)
}

/// What is counted for nearly every request, looked up once and not each time.
#[derive(Default)]
struct Kept([KeptOfMethod; METHODS.len() + 1]);

#[derive(Default)]
struct KeptOfMethod {
    answered: OnceLock<Counter>,
    seconds: OnceLock<Histogram>,
}

impl Kept {
    fn note(&self, method: usize, code: Code, took: Duration) {
        let label = method_label(method);
        let ended =
            || metrics::counter!(REQUESTS_TOTAL, "method" => label, "code" => code_label(code));
        let Some(kept) = self.0.get(method) else {
            return;
        };
        if code == Code::Ok {
            kept.answered.get_or_init(ended).increment(1);
        } else {
            ended().increment(1);
        }
        kept.seconds
            .get_or_init(|| metrics::histogram!(REQUEST_SECONDS, "method" => label))
            .record(took.as_secs_f64());
    }
}

/// Wraps a service with [`RequestMetrics`].
#[derive(Clone, Default)]
pub(super) struct RequestMetricsLayer {
    kept: Arc<Kept>,
}

impl<S> Layer<S> for RequestMetricsLayer {
    type Service = RequestMetrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestMetrics {
            inner,
            kept: Arc::clone(&self.kept),
        }
    }
}

/// Counts and times what passes to the service inside.
#[derive(Clone)]
pub(super) struct RequestMetrics<S> {
    inner: S,
    kept: Arc<Kept>,
}

impl<S, B, R> Service<Request<B>> for RequestMetrics<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let observed = ObservedRequest {
            kept: Arc::clone(&self.kept),
            method: method_of(request.uri().path()),
            begun: Instant::now(),
            code: Code::Cancelled,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            observed.end(
                answer
                    .as_ref()
                    .map_or(Code::Unknown, |response| code_of(response.headers())),
            );
            answer
        })
    }
}

/// An error of a unary call is in the headers; what has no code there goes well.
fn code_of(headers: &HeaderMap) -> Code {
    headers
        .get("grpc-status")
        .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

/// Notes the request when it is dropped, since a client that goes away drops it half way.
struct ObservedRequest {
    kept: Arc<Kept>,
    method: usize,
    begun: Instant,
    code: Code,
}

impl ObservedRequest {
    // By value: a block that only sets the field would capture the field alone, and the rest
    // would be dropped before the answer is there.
    fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for ObservedRequest {
    fn drop(&mut self) {
        self.kept.note(self.method, self.code, self.begun.elapsed());
    }
}

const fn code_label(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_proto::FILE_DESCRIPTOR_SET;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use std::convert::Infallible;
    use tower::service_fn;

    #[test]
    fn only_methods_of_the_contract_become_labels() {
        for method in METHODS {
            let path = format!("{SERVICE_PREFIX}{method}");
            assert_eq!(method_label(method_of(&path)), method);
            let named = FILE_DESCRIPTOR_SET
                .windows(method.len())
                .any(|window| window == method.as_bytes());
            assert!(named, "{method} is no method of the contract");
        }
        for path in [
            "/",
            "",
            "/axs.v1.AccountBalanceService/Drain",
            "/x/GetEvent",
        ] {
            assert_eq!(method_label(method_of(path)), OTHER_METHOD, "{path}");
        }
    }

    async fn call<S>(layer: &RequestMetricsLayer, service: S)
    where
        S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
        S::Future: Send + 'static,
    {
        let request = Request::builder()
            .uri(format!("{SERVICE_PREFIX}GetEvent"))
            .body(())
            .unwrap();
        let mut counted = layer.layer(service);
        let mut answer = counted.call(request);
        let _ = futures::poll!(answer.as_mut());
    }

    #[tokio::test]
    async fn every_way_a_request_can_end_is_counted_under_its_own_code() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let layer = RequestMetricsLayer::default();
        call(&layer, service_fn(|_| async { Ok(Response::new(())) })).await;
        let refused = service_fn(|_| async {
            let refused = Response::builder().header("grpc-status", "8").body(());
            Ok(refused.unwrap())
        });
        call(&layer, refused).await;
        call(&layer, service_fn(|_| std::future::pending())).await;
        let text = handle.render();
        for code in ["OK", "RESOURCE_EXHAUSTED", "CANCELLED"] {
            let line = format!("{REQUESTS_TOTAL}{{method=\"GetEvent\",code=\"{code}\"}} 1");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.contains(&format!("{REQUEST_SECONDS}_count{{method=\"GetEvent\"}} 3")));
    }
}
