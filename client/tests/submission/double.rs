//! A server double: a real gRPC server of the contract in this process, whose answers a test
//! writes, and which notes what it saw.

use anyhow::{Context, Result};
use axs_client::{AckLevel, BalanceChangeEvent, Client, ClientSettings, EventBuilder, EventStatus};
use axs_proto::v1::account_balance_service_server::{
    AccountBalanceService, AccountBalanceServiceServer,
};
use axs_proto::v1::{self, submit_result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::{Semaphore, watch};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What the server does with a request.
pub type Plan = dyn Fn(&Call) -> Act + Send + Sync;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which request this is, from 0.
    pub number: usize,
    pub events: Vec<BalanceChangeEvent>,
    pub ack_level: AckLevel,
    pub authorization: Option<String>,
    pub at: Instant,
}

impl Call {
    pub fn keys(&self) -> Vec<&str> {
        let keys = self.events.iter();
        keys.map(|event| event.idempotency_key.as_str()).collect()
    }
}

/// What becomes of a request.
pub enum Act {
    /// Every event is logged and answered.
    Accept,
    /// Events are logged and answered, but for those whose outcome is given by their index.
    Outcomes(BTreeMap<usize, submit_result::Outcome>),
    /// Nothing is logged, and this is the answer.
    Fail(Status),
    /// Every event is logged, and the answer is this nevertheless.
    LogAndFail(Status),
    /// Every event is logged, and no answer ever comes.
    LogAndHang,
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct Book {
    pub calls: Vec<Call>,
    /// Account and key in the order in which they were logged first.
    pub logged: Vec<(i64, String)>,
    /// Requests being worked on, now and at most.
    pub under_way: usize,
    pub under_way_max: usize,
    /// Accounts of requests being worked on, and those found in two at once.
    pub busy: BTreeSet<i64>,
    pub clashes: Vec<i64>,
}

/// The running server.
pub struct Double {
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
    /// A request takes one before it is worked on. Open for ever unless the test says otherwise.
    gate: Arc<Semaphore>,
    arrived: watch::Receiver<usize>,
}

struct Service {
    plan: Box<Plan>,
    book: Arc<Mutex<Book>>,
    gate: Arc<Semaphore>,
    arrived: watch::Sender<usize>,
}

impl Double {
    /// A server that works on requests as they come.
    pub fn start(plan: impl Fn(&Call) -> Act + Send + Sync + 'static) -> Result<Self> {
        Self::gated(Semaphore::MAX_PERMITS, plan)
    }

    /// A server that works on so many requests, and on more when it is let.
    pub fn gated(
        requests: usize,
        plan: impl Fn(&Call) -> Act + Send + Sync + 'static,
    ) -> Result<Self> {
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = incoming.local_addr()?;
        let book = Arc::new(Mutex::new(Book::default()));
        let gate = Arc::new(Semaphore::new(requests));
        let (arrived, arrivals) = watch::channel(0);
        let service = Service {
            plan: Box::new(plan),
            book: Arc::clone(&book),
            gate: Arc::clone(&gate),
            arrived,
        };
        tokio::spawn(
            Server::builder()
                .add_service(AccountBalanceServiceServer::new(service))
                .serve_with_incoming(incoming),
        );
        Ok(Self {
            address,
            book,
            gate,
            arrived: arrivals,
        })
    }

    pub fn client(&self, change: impl FnOnce(&mut ClientSettings)) -> Result<Client> {
        let mut settings = ClientSettings::default();
        change(&mut settings);
        Ok(Client::connect_lazy(
            format!("http://{}", self.address),
            settings,
        )?)
    }

    /// Lets it work on so many more requests.
    pub fn admit(&self, requests: usize) {
        self.gate.add_permits(requests);
    }

    /// Waits until so many requests have come.
    pub async fn has_seen(&self, requests: usize) -> Result<()> {
        let mut arrived = self.arrived.clone();
        arrived
            .wait_for(|seen| *seen >= requests)
            .await
            .context("the server ended")?;
        Ok(())
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// The numbers of events of the requests so far.
    pub fn sizes(&self) -> Vec<usize> {
        let book = self.book();
        book.calls.iter().map(|call| call.events.len()).collect()
    }
}

/// A deposit of one.
pub fn deposit(account: i64, key: impl Into<String>) -> BalanceChangeEvent {
    EventBuilder::new(account, account, key)
        .event_type("deposit")
        .source_service("test")
        .change("USDT", "1", "0")
        .build()
}

pub fn refused(code: v1::RefusalCode, index: usize, retry_ms: i64) -> submit_result::Outcome {
    submit_result::Outcome::Refused(v1::Refusal {
        code: code.into(),
        message: format!("events[{index}].account_id is wrong"),
        violations: vec![v1::FieldViolation {
            field: format!("events[{index}].account_id"),
            description: "is wrong".to_owned(),
        }],
        retry_after_msec: retry_ms,
    })
}

pub fn unknown() -> submit_result::Outcome {
    submit_result::Outcome::Unknown(v1::UnknownOutcome {
        message: "the row can't be read".to_owned(),
    })
}

impl Service {
    fn begin(&self, request: Request<v1::BatchSubmitBalanceChangesRequest>) -> Call {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.map(|it| it.to_str().unwrap().to_owned());
        let request = request.into_inner();
        let mut book = self.book.lock().unwrap();
        let call = Call {
            number: book.calls.len(),
            ack_level: request.ack_level(),
            events: request.events,
            authorization,
            at: Instant::now(),
        };
        book.calls.push(call.clone());
        book.under_way += 1;
        book.under_way_max = book.under_way_max.max(book.under_way);
        let accounts: BTreeSet<i64> = call.events.iter().map(|it| it.account_id).collect();
        for account in accounts {
            if !book.busy.insert(account) {
                book.clashes.push(account);
            }
        }
        self.arrived.send_replace(book.calls.len());
        call
    }

    fn end(&self, call: &Call) {
        let mut book = self.book.lock().unwrap();
        book.under_way -= 1;
        for event in &call.events {
            book.busy.remove(&event.account_id);
        }
    }

    fn log(&self, event: &BalanceChangeEvent) -> submit_result::Outcome {
        let mut book = self.book.lock().unwrap();
        let key = (event.account_id, event.idempotency_key.clone());
        let known = book.logged.iter().position(|it| *it == key);
        let row = known.unwrap_or_else(|| {
            book.logged.push(key);
            book.logged.len() - 1
        });
        submit_result::Outcome::Accepted(v1::AcceptedEvent {
            log_id: format!("row {row}"),
            duplicate: known.is_some(),
            state: Some(v1::EventState {
                status: EventStatus::Pending.into(),
                ..v1::EventState::default()
            }),
            published: false,
        })
    }

    fn answer(
        &self,
        call: &Call,
        mut outcomes: BTreeMap<usize, submit_result::Outcome>,
    ) -> Response<v1::BatchSubmitBalanceChangesResponse> {
        let results = call.events.iter().enumerate();
        let results = results.map(|(index, event)| v1::SubmitResult {
            outcome: Some(outcomes.remove(&index).unwrap_or_else(|| self.log(event))),
        });
        Response::new(v1::BatchSubmitBalanceChangesResponse {
            results: results.collect(),
        })
    }
}

#[tonic::async_trait]
impl AccountBalanceService for Service {
    async fn batch_submit_balance_changes(
        &self,
        request: Request<v1::BatchSubmitBalanceChangesRequest>,
    ) -> Result<Response<v1::BatchSubmitBalanceChangesResponse>, Status> {
        let call = self.begin(request);
        self.gate.acquire().await.unwrap().forget();
        let answer = match (self.plan)(&call) {
            Act::Accept => Ok(self.answer(&call, BTreeMap::new())),
            Act::Outcomes(outcomes) => Ok(self.answer(&call, outcomes)),
            Act::Fail(status) => Err(status),
            Act::LogAndFail(status) => {
                self.answer(&call, BTreeMap::new());
                Err(status)
            }
            Act::LogAndHang => {
                self.answer(&call, BTreeMap::new());
                std::future::pending().await
            }
        };
        self.end(&call);
        answer
    }

    async fn create_accounts(
        &self,
        _: Request<v1::CreateAccountsRequest>,
    ) -> Result<Response<v1::CreateAccountsResponse>, Status> {
        Err(Status::unimplemented("not by the double"))
    }

    async fn register_currencies(
        &self,
        _: Request<v1::RegisterCurrenciesRequest>,
    ) -> Result<Response<v1::RegisterCurrenciesResponse>, Status> {
        Err(Status::unimplemented("not by the double"))
    }

    async fn get_balances(
        &self,
        _: Request<v1::GetBalancesRequest>,
    ) -> Result<Response<v1::GetBalancesResponse>, Status> {
        Err(Status::unimplemented("not by the double"))
    }

    async fn get_event(
        &self,
        _: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::GetEventResponse>, Status> {
        Err(Status::unimplemented("not by the double"))
    }
}
