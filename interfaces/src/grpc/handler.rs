//! Each call of the contract: read the request, run its use case, tell the result.

use super::batch::{CountMismatch, ReadBatch, check_count};
use super::detached::Detached;
use super::event_reader::read_event;
use super::field_path::FieldPath;
use super::reply;
use super::request_reader::{
    read_account_id, read_ack_level, read_consistency, read_currency, read_currency_codes,
    read_lookup, read_new_account,
};
use super::status::{self, Effect};
use super::trace_context::traceparent;
use axs_application::usecase::find_event::{FindEvent, FindEventError};
use axs_application::usecase::layout_lookup::LayoutLookupError;
use axs_application::usecase::open_accounts::{OpenAccountOutcome, OpenAccounts};
use axs_application::usecase::read_balances::{
    BalanceQuery, BalancesOutcome, ReadBalances, ReadBalancesError,
};
use axs_application::usecase::register_currencies::{RegisterCurrencies, RegisterCurrencyOutcome};
use axs_application::usecase::submit_balance_changes::{
    SubmitBalanceChanges, SubmitError, SubmitOutcome,
};
use axs_proto::v1;
use axs_proto::v1::account_balance_service_server::AccountBalanceService;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Answers the calls of the contract from the use cases.
#[derive(Clone)]
pub struct AccountBalanceHandler {
    pub(super) submit: Arc<dyn SubmitBalanceChanges>,
    pub(super) open: Arc<dyn OpenAccounts>,
    pub(super) register: Arc<dyn RegisterCurrencies>,
    pub(super) read: Arc<dyn ReadBalances>,
    pub(super) find: Arc<dyn FindEvent>,
    pub(super) batch_items_max: usize,
    pub(super) detached: Detached,
}

#[tonic::async_trait]
impl AccountBalanceService for AccountBalanceHandler {
    async fn batch_submit_balance_changes(
        &self,
        request: Request<v1::BatchSubmitBalanceChangesRequest>,
    ) -> Result<Response<v1::BatchSubmitBalanceChangesResponse>, Status> {
        use v1::submit_result::Outcome;
        let traceparent = traceparent(request.metadata());
        let request = request.into_inner();
        let ack_level = read_ack_level(request.ack_level)?;
        check_count("events", &request.events, self.batch_items_max)?;
        let at = |index| FieldPath::element("events", index);
        let mut batch =
            ReadBatch::read(request.events, |index, event| read_event(&at(index), event));
        let events = batch.take_sound();
        let outcomes = if events.is_empty() {
            Vec::new()
        } else {
            let submit = Arc::clone(&self.submit);
            let work = async move { submit.submit(events, ack_level, traceparent).await };
            let submitted = self.detached.run(Effect::Writes, work).await?;
            submitted.map_err(|error| submit_failed(&error))?
        };
        let results = batch
            .merge(outcomes, Outcome::Refused, |index, outcome| match outcome {
                SubmitOutcome::Accepted(accepted) => Outcome::Accepted(v1::AcceptedEvent {
                    log_id: accepted.log_id.to_string(),
                    duplicate: accepted.duplicate,
                    state: Some(reply::event_state(accepted.state)),
                    published: accepted.published,
                }),
                SubmitOutcome::Refused(refusal) => {
                    Outcome::Refused(reply::refusal(&at(index), refusal))
                }
                SubmitOutcome::Unknown(message) => Outcome::Unknown(v1::UnknownOutcome { message }),
            })
            .map_err(|mismatch| miscounted(&mismatch, Effect::Writes))?
            .into_iter()
            .map(|outcome| v1::SubmitResult {
                outcome: Some(outcome),
            })
            .collect();
        Ok(Response::new(v1::BatchSubmitBalanceChangesResponse {
            results,
        }))
    }

    async fn create_accounts(
        &self,
        request: Request<v1::CreateAccountsRequest>,
    ) -> Result<Response<v1::CreateAccountsResponse>, Status> {
        use v1::create_account_result::Outcome;
        let request = request.into_inner();
        check_count("accounts", &request.accounts, self.batch_items_max)?;
        let at = |index| FieldPath::element("accounts", index);
        let mut batch = ReadBatch::read(request.accounts, |index, account| {
            read_new_account(&at(index), &account)
        });
        let accounts = batch.take_sound();
        let outcomes = if accounts.is_empty() {
            Vec::new()
        } else {
            let open = Arc::clone(&self.open);
            let work = async move { open.open(accounts).await };
            let opened = self.detached.run(Effect::Writes, work).await?;
            opened.map_err(|error| open_failed(&error))?
        };
        let results = batch
            .merge(outcomes, Outcome::Refused, |index, outcome| match outcome {
                OpenAccountOutcome::Open { account, created } => {
                    Outcome::Account(reply::account(&account, created))
                }
                OpenAccountOutcome::Refused(refusal) => {
                    Outcome::Refused(reply::refusal(&at(index), refusal))
                }
            })
            .map_err(|mismatch| miscounted(&mismatch, Effect::Writes))?
            .into_iter()
            .map(|outcome| v1::CreateAccountResult {
                outcome: Some(outcome),
            })
            .collect();
        Ok(Response::new(v1::CreateAccountsResponse { results }))
    }

    async fn register_currencies(
        &self,
        request: Request<v1::RegisterCurrenciesRequest>,
    ) -> Result<Response<v1::RegisterCurrenciesResponse>, Status> {
        use v1::register_currency_result::Outcome;
        let request = request.into_inner();
        check_count("currencies", &request.currencies, self.batch_items_max)?;
        let at = |index| FieldPath::element("currencies", index);
        let mut batch = ReadBatch::read(request.currencies, |index, currency| {
            read_currency(&at(index), &currency)
        });
        let currencies = batch.take_sound();
        let outcomes = if currencies.is_empty() {
            Vec::new()
        } else {
            let register = Arc::clone(&self.register);
            let work = async move { register.register(currencies).await };
            let registered = self.detached.run(Effect::Writes, work).await?;
            registered.map_err(|error| status::store_failed(&error, Effect::Writes))?
        };
        let results = batch
            .merge(outcomes, Outcome::Refused, |index, outcome| match outcome {
                RegisterCurrencyOutcome::Registered { currency, .. } => {
                    Outcome::Currency(reply::currency(&currency))
                }
                RegisterCurrencyOutcome::Refused(refusal) => {
                    Outcome::Refused(reply::refusal(&at(index), refusal))
                }
            })
            .map_err(|mismatch| miscounted(&mismatch, Effect::Writes))?
            .into_iter()
            .map(|outcome| v1::RegisterCurrencyResult {
                outcome: Some(outcome),
            })
            .collect();
        Ok(Response::new(v1::RegisterCurrenciesResponse { results }))
    }

    async fn get_balances(
        &self,
        request: Request<v1::GetBalancesRequest>,
    ) -> Result<Response<v1::GetBalancesResponse>, Status> {
        use v1::account_balances_result::Outcome;
        let request = request.into_inner();
        let consistency = read_consistency(request.consistency)?;
        check_count("account_ids", &request.account_ids, self.batch_items_max)?;
        let currencies = read_currency_codes(&request.currency_codes)?;
        let at = |index| FieldPath::element("account_ids", index);
        let mut batch = ReadBatch::read(request.account_ids, |index, account_id| {
            read_account_id(&at(index), account_id)
        });
        let account_ids = batch.take_sound();
        let outcomes = if account_ids.is_empty() {
            Vec::new()
        } else {
            let read = Arc::clone(&self.read);
            let query = BalanceQuery {
                account_ids,
                currencies,
                consistency,
            };
            let work = async move { read.read(query).await };
            let read = self.detached.run(Effect::Reads, work).await?;
            read.map_err(read_failed)?
        };
        let results = batch
            .merge(outcomes, Outcome::Refused, |index, outcome| match outcome {
                BalancesOutcome::Found(found) => Outcome::Balances(reply::balances(&found)),
                // The use case was asked for the sound accounts alone, so its index is not the
                // request's.
                BalancesOutcome::Refused(refusal) => {
                    Outcome::Refused(reply::refusal_with_paths(refusal, |_| {
                        at(index).to_string()
                    }))
                }
            })
            .map_err(|mismatch| miscounted(&mismatch, Effect::Reads))?
            .into_iter()
            .map(|outcome| v1::AccountBalancesResult {
                outcome: Some(outcome),
            })
            .collect();
        Ok(Response::new(v1::GetBalancesResponse { results }))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::GetEventResponse>, Status> {
        let lookup = read_lookup(request.into_inner().lookup)?;
        let find = Arc::clone(&self.find);
        let work = async move { find.find(lookup).await };
        let found = self
            .detached
            .run(Effect::Reads, work)
            .await?
            .map_err(|error| find_failed(&error))?
            .ok_or_else(status::event_not_found)?;
        Ok(Response::new(v1::GetEventResponse {
            log_id: found.log_id.to_string(),
            event: Some(reply::event(&found.event)),
            state: Some(reply::event_state(found.state)),
        }))
    }
}

fn submit_failed(error: &SubmitError) -> Status {
    match error {
        SubmitError::Unavailable(reason) => status::unavailable(reason, Effect::Writes),
        SubmitError::Denied(reason) => status::denied(reason, Effect::Writes),
        SubmitError::NotLaidOut => status::not_set_up(&error.to_string()),
        SubmitError::BacklogFull {
            reason,
            retry_after,
        } => status::backlog_full(reason, *retry_after),
        SubmitError::Paused { retry_after } => {
            status::writes_paused(&error.to_string(), *retry_after)
        }
    }
}

fn open_failed(error: &LayoutLookupError) -> Status {
    match error {
        LayoutLookupError::NotLaidOut => status::not_set_up(&error.to_string()),
        LayoutLookupError::Store(error) => status::store_failed(error, Effect::Writes),
    }
}

fn read_failed(error: ReadBalancesError) -> Status {
    let text = error.to_string();
    match error {
        ReadBalancesError::Refused(refusal) => {
            status::invalid_request(reply::refusal_with_paths(refusal, str::to_owned))
        }
        ReadBalancesError::Busy { retry_after, .. } => status::reads_busy(&text, retry_after),
        ReadBalancesError::Store(error) => status::store_failed(&error, Effect::Reads),
    }
}

fn find_failed(error: &FindEventError) -> Status {
    match error {
        FindEventError::Store(error) => status::store_failed(error, Effect::Reads),
        FindEventError::Payload { .. } => status::corrupt(&error.to_string()),
    }
}

fn miscounted(mismatch: &CountMismatch, effect: Effect) -> Status {
    tracing::error!(%mismatch, "a use case broke its contract");
    status::fault(effect)
}
