//! A client of the published contract.

use anyhow::{Context, Result, bail, ensure};
use axs_proto::v1::account_balance_service_client::AccountBalanceServiceClient;
use axs_proto::v1::{
    AccountBalances, AckLevel, BalanceChangeEvent, BatchSubmitBalanceChangesRequest,
    CreateAccountsRequest, Currency, EventKey, GetBalancesRequest, GetEventRequest,
    GetEventResponse, NewAccount, ReadConsistency, RefusalCode, RegisterCurrenciesRequest,
    SubmitResult, account_balances_result, create_account_result, get_event_request,
    register_currency_result, submit_result,
};
use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// One request. Longer than any deadline of the server, so that the server's own answer is seen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a request that was turned away for its backlog is sent again.
const BACKLOG_RETRIES_MAX: usize = 200;

/// The pause before it is sent again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(100);

/// Items of one request that opens accounts.
const ACCOUNTS_A_REQUEST: usize = 200;

/// The answer to a submission.
#[derive(Debug)]
pub struct Answered {
    /// One result for each event.
    pub results: Vec<SubmitResult>,
    /// How often the request was turned away for its backlog first.
    pub turned_away: usize,
}

/// A client of one API process.
#[derive(Debug, Clone)]
pub struct ApiClient(AccountBalanceServiceClient<Channel>);

impl ApiClient {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// The address makes no URI.
    pub fn connect_lazy(address: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.timeout(REQUEST_TIMEOUT);
        Ok(Self(AccountBalanceServiceClient::new(
            endpoint.connect_lazy(),
        )))
    }

    /// The generated client, for what has no shorter form here.
    #[must_use]
    pub fn raw(&self) -> AccountBalanceServiceClient<Channel> {
        self.0.clone()
    }

    /// Submits events once.
    ///
    /// # Errors
    /// The status that the server answered.
    pub async fn try_submit(
        &self,
        events: Vec<BalanceChangeEvent>,
        level: AckLevel,
    ) -> Result<Vec<SubmitResult>, Status> {
        let request = BatchSubmitBalanceChangesRequest {
            events,
            ack_level: level.into(),
        };
        let answer = self.raw().batch_submit_balance_changes(request).await?;
        Ok(answer.into_inner().results)
    }

    /// Submits events, again while the backlog is full.
    ///
    /// # Errors
    /// Any other status, or results that are not one for each event.
    pub async fn submit(&self, events: &[BalanceChangeEvent], level: AckLevel) -> Result<Answered> {
        for turned_away in 0..BACKLOG_RETRIES_MAX {
            match self.try_submit(events.to_vec(), level).await {
                Ok(results) => {
                    ensure!(
                        results.len() == events.len(),
                        "{} results for {} events",
                        results.len(),
                        events.len()
                    );
                    return Ok(Answered {
                        results,
                        turned_away,
                    });
                }
                Err(status) if status.code() == Code::ResourceExhausted => {
                    tokio::time::sleep(BACKLOG_PAUSE).await;
                }
                Err(status) => return Err(status).context("BatchSubmitBalanceChanges"),
            }
        }
        bail!("turned away {BACKLOG_RETRIES_MAX} times for the backlog")
    }

    /// Submits one event and gives its log id.
    ///
    /// # Errors
    /// It was refused, or the request failed.
    pub async fn accept(&self, event: BalanceChangeEvent) -> Result<String> {
        match self.submit_one(event).await? {
            submit_result::Outcome::Accepted(accepted) => Ok(accepted.log_id),
            other => bail!("not accepted: {other:?}"),
        }
    }

    /// Submits one event.
    ///
    /// # Errors
    /// The request failed.
    pub async fn submit_one(&self, event: BalanceChangeEvent) -> Result<submit_result::Outcome> {
        let answered = self.submit(&[event], AckLevel::Logged).await?;
        let result = answered.results.into_iter().next();
        result
            .and_then(|result| result.outcome)
            .context("a result without an outcome")
    }

    /// Registers currencies; none may be refused.
    ///
    /// # Errors
    /// The request failed, or a currency was refused.
    pub async fn register(&self, currencies: &[Currency]) -> Result<()> {
        let request = RegisterCurrenciesRequest {
            currencies: currencies.to_vec(),
        };
        let answer = self.raw().register_currencies(request).await?.into_inner();
        ensure!(answer.results.len() == currencies.len(), "{answer:?}");
        for result in answer.results {
            match result.outcome {
                Some(register_currency_result::Outcome::Currency(_)) => {}
                other => bail!("a currency was not registered: {other:?}"),
            }
        }
        Ok(())
    }

    /// Opens accounts; none may be refused.
    ///
    /// # Errors
    /// A request failed, or an account was refused.
    pub async fn open(&self, accounts: &[NewAccount]) -> Result<()> {
        for some in accounts.chunks(ACCOUNTS_A_REQUEST) {
            let request = CreateAccountsRequest {
                accounts: some.to_vec(),
            };
            let answer = self.raw().create_accounts(request).await?.into_inner();
            ensure!(answer.results.len() == some.len(), "{answer:?}");
            for result in answer.results {
                match result.outcome {
                    Some(create_account_result::Outcome::Account(_)) => {}
                    other => bail!("an account was not opened: {other:?}"),
                }
            }
        }
        Ok(())
    }

    /// Reads all balances of accounts that must exist, in the order asked.
    ///
    /// # Errors
    /// The request failed, or an account can't be read.
    pub async fn balances(
        &self,
        accounts: &[i64],
        consistency: ReadConsistency,
    ) -> Result<Vec<AccountBalances>> {
        let request = GetBalancesRequest {
            account_ids: accounts.to_vec(),
            currency_codes: Vec::new(),
            consistency: consistency.into(),
        };
        let answer = self.raw().get_balances(request).await?.into_inner();
        ensure!(answer.results.len() == accounts.len(), "{answer:?}");
        let balances = answer
            .results
            .into_iter()
            .map(|result| match result.outcome {
                Some(account_balances_result::Outcome::Balances(balances)) => Ok(balances),
                other => bail!("an account can't be read: {other:?}"),
            });
        balances.collect()
    }

    /// One committed balance as (available, frozen), both "0" where there is none.
    ///
    /// # Errors
    /// The request failed.
    pub async fn balance(&self, account: i64, currency: &str) -> Result<(String, String)> {
        let read = self
            .balances(&[account], ReadConsistency::Committed)
            .await?;
        let found = read
            .into_iter()
            .flat_map(|account| account.balances)
            .find(|balance| balance.currency_code == currency);
        Ok(found.map_or_else(
            || ("0".to_owned(), "0".to_owned()),
            |balance| (balance.available, balance.frozen),
        ))
    }

    /// Looks an event up by its log id.
    ///
    /// # Errors
    /// The status that the server answered.
    pub async fn event(&self, log_id: &str) -> Result<GetEventResponse, Status> {
        self.look_up(get_event_request::Lookup::LogId(log_id.to_owned()))
            .await
    }

    /// Looks an event up by account and key.
    ///
    /// # Errors
    /// The status that the server answered.
    pub async fn event_by_key(&self, account: i64, key: &str) -> Result<GetEventResponse, Status> {
        self.look_up(get_event_request::Lookup::Key(EventKey {
            account_id: account,
            idempotency_key: key.to_owned(),
        }))
        .await
    }

    async fn look_up(&self, lookup: get_event_request::Lookup) -> Result<GetEventResponse, Status> {
        let request = GetEventRequest {
            lookup: Some(lookup),
        };
        Ok(self.raw().get_event(request).await?.into_inner())
    }
}

/// The code of a refusal, or `None` for an event that is or may be logged.
#[must_use]
pub fn refusal_code(outcome: &submit_result::Outcome) -> Option<RefusalCode> {
    match outcome {
        submit_result::Outcome::Accepted(_) | submit_result::Outcome::Unknown(_) => None,
        submit_result::Outcome::Refused(refusal) => Some(refusal.code()),
    }
}
