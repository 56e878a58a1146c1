//! Which service a request is for.
//!
//! The router of all services matches patterns, keeps what it matched with the request and boxes
//! twice: a good part of what a small request costs. Calls of the contract are told by their prefix
//! and pass it by; health and reflection go through it.

use super::request_metrics::SERVICE_PREFIX;
use futures::future::Either;
use std::convert::Infallible;
use std::future::Future;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tower::Service;

/// Passes calls of the contract to its service, and everything else to the others.
#[derive(Clone)]
pub(super) struct Dispatch<S> {
    contract: S,
    others: Routes,
}

impl<S> Dispatch<S> {
    /// In front of these services.
    pub(super) fn new(contract: S, others: Routes) -> Self {
        Self {
            contract,
            others: others.prepare(),
        }
    }
}

impl<S, F> Service<Request<Body>> for Dispatch<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>,
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<F, <Routes as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.contract.poll_ready(cx) {
            Poll::Ready(Ok(())) => Service::<Request<Body>>::poll_ready(&mut self.others, cx),
            not_yet => not_yet,
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(SERVICE_PREFIX) {
            Either::Left(self.contract.call(request))
        } else {
            Either::Right(self.others.call(request))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
    use tonic::Code;
    use tower::service_fn;

    /// The header by which the answer tells who gave it.
    const BY: &str = "by";

    async fn asked(path: &str) -> Response<Body> {
        let contract = service_fn(|_| {
            let answer = Response::builder().header(BY, "contract");
            ready(Ok(answer.body(Body::empty()).unwrap()))
        });
        let mut dispatch = Dispatch::new(contract, Routes::default());
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        match dispatch.call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    #[tokio::test]
    async fn calls_of_the_contract_pass_the_router_by_and_no_others_do() {
        for path in [
            "/axs.v1.AccountBalanceService/GetEvent",
            "/axs.v1.AccountBalanceService/Unheard",
        ] {
            assert_eq!(asked(path).await.headers()[BY], "contract", "{path}");
        }
        for path in [
            "/",
            "/axs.v1.AccountBalanceService",
            "/axs.v1.AccountBalanceServices/GetEvent",
            "/grpc.health.v1.Health/Check",
        ] {
            let answer = asked(path).await;
            assert!(!answer.headers().contains_key(BY), "{path}");
            let code = Code::from_bytes(answer.headers()["grpc-status"].as_bytes());
            assert_eq!(code, Code::Unimplemented, "{path}");
        }
    }
}
