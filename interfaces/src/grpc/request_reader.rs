//! Requests other than events become arguments of the use cases.

use super::field_path::FieldPath;
use super::status::{invalid_argument, invalid_fields};
use super::violations::Violations;
use axs_application::usecase::ack_level::AckLevel;
use axs_application::usecase::find_event::EventLookup;
use axs_application::usecase::open_accounts::AccountToOpen;
use axs_application::usecase::read_balances::ReadConsistency;
use axs_domain::amount::SCALE;
use axs_domain::currency::{Currency, CurrencyCode};
use axs_domain::id::{AccountId, LogId, UserId};
use axs_domain::text::{IdempotencyKey, PoolName};
use axs_proto::v1;
use axs_proto::v1::get_event_request::Lookup;
use tonic::Status;

/// The most currencies that one read may name.
pub const CURRENCY_CODES_MAX: usize = 100;

/// The acknowledgement asked for.
///
/// # Errors
/// INVALID_ARGUMENT for a number that the contract does not have: guessing a weaker promise than
/// the client believes it got would be wrong.
pub(super) fn read_ack_level(number: i32) -> Result<AckLevel, Status> {
    match v1::AckLevel::try_from(number) {
        Ok(v1::AckLevel::Unspecified | v1::AckLevel::Logged) => Ok(AckLevel::Logged),
        Ok(v1::AckLevel::Published) => Ok(AckLevel::Published),
        Err(_) => Err(invalid_argument(
            "ack_level",
            &format!("is {number}; expected 0 to 2, see AckLevel"),
        )),
    }
}

/// How fresh the read must be.
///
/// # Errors
/// INVALID_ARGUMENT for a number that the contract does not have.
pub(super) fn read_consistency(number: i32) -> Result<ReadConsistency, Status> {
    use v1::ReadConsistency::{Cached, Committed, Unspecified};
    match v1::ReadConsistency::try_from(number) {
        Ok(Unspecified | Cached) => Ok(ReadConsistency::Cached),
        Ok(Committed) => Ok(ReadConsistency::Committed),
        Err(_) => Err(invalid_argument(
            "consistency",
            &format!("is {number}; expected 0 to 2, see ReadConsistency"),
        )),
    }
}

/// The account to open at `path`.
pub(super) fn read_new_account(
    path: &FieldPath<'_>,
    account: &v1::NewAccount,
) -> Result<AccountToOpen, v1::Refusal> {
    let mut wrong = Violations::default();
    let account_id = wrong.keep(
        &path.field("account_id"),
        AccountId::try_new(account.account_id),
    );
    let user_id = wrong.keep(&path.field("user_id"), UserId::try_new(account.user_id));
    let pool = wrong.keep(&path.field("pool"), PoolName::parse(&account.pool));
    match (account_id, user_id, pool) {
        (Some(account_id), Some(user_id), Some(pool)) => Ok(AccountToOpen {
            account_id,
            user_id,
            pool,
        }),
        _ => Err(wrong.into_refusal()),
    }
}

/// The currency to register at `path`.
pub(super) fn read_currency(
    path: &FieldPath<'_>,
    currency: &v1::Currency,
) -> Result<Currency, v1::Refusal> {
    let mut wrong = Violations::default();
    let code = wrong.keep(&path.field("code"), CurrencyCode::parse(&currency.code));
    let decimals = read_decimals(currency.decimals);
    let decimals = wrong.keep(&path.field("decimals"), decimals);
    let (Some(code), Some(decimals)) = (code, decimals) else {
        return Err(wrong.into_refusal());
    };
    Currency::try_new(code, decimals, currency.active).map_err(|error| {
        wrong.add(&path.field("decimals"), error);
        wrong.into_refusal()
    })
}

fn read_decimals(decimals: i32) -> Result<u8, String> {
    let within = u8::try_from(decimals).ok();
    within
        .filter(|decimals| u32::from(*decimals) <= SCALE)
        .ok_or_else(|| format!("is {decimals}; expected 0 to {SCALE}"))
}

/// The account to read at `path`.
pub(super) fn read_account_id(
    path: &FieldPath<'_>,
    account_id: i64,
) -> Result<AccountId, v1::Refusal> {
    AccountId::try_new(account_id).map_err(|error| {
        let mut wrong = Violations::default();
        wrong.add(path, error);
        wrong.into_refusal()
    })
}

/// The currencies to read; none for all.
///
/// # Errors
/// INVALID_ARGUMENT with every wrong code: they are asked of all accounts alike, so no item of the
/// request could be answered.
pub(super) fn read_currency_codes(codes: &[String]) -> Result<Vec<CurrencyCode>, Status> {
    if codes.len() > CURRENCY_CODES_MAX {
        let description = format!(
            "holds {} items; at most {CURRENCY_CODES_MAX} are allowed",
            codes.len()
        );
        return Err(invalid_argument("currency_codes", &description));
    }
    let mut wrong = Violations::default();
    let read: Vec<CurrencyCode> = codes
        .iter()
        .enumerate()
        .filter_map(|(index, code)| {
            let path = FieldPath::element("currency_codes", index);
            wrong.keep(&path, CurrencyCode::parse(code))
        })
        .collect();
    if wrong.is_empty() {
        Ok(read)
    } else {
        Err(invalid_fields(wrong))
    }
}

/// The event to look up.
///
/// # Errors
/// INVALID_ARGUMENT with every wrong field.
pub(super) fn read_lookup(lookup: Option<Lookup>) -> Result<EventLookup, Status> {
    let mut wrong = Violations::default();
    let read = match &lookup {
        None => {
            let path = FieldPath::root("lookup");
            wrong.add(&path, "is missing; give log_id, or key");
            None
        }
        Some(Lookup::LogId(log_id)) => wrong
            .keep(&FieldPath::root("log_id"), LogId::parse(log_id))
            .map(EventLookup::LogId),
        Some(Lookup::Key(key)) => {
            let path = FieldPath::root("key");
            let account_id = wrong.keep(
                &path.field("account_id"),
                AccountId::try_new(key.account_id),
            );
            let idempotency_key = wrong.keep(
                &path.field("idempotency_key"),
                IdempotencyKey::parse(&key.idempotency_key),
            );
            account_id
                .zip(idempotency_key)
                .map(|(account_id, idempotency_key)| EventLookup::Key {
                    account_id,
                    idempotency_key,
                })
        }
    };
    read.ok_or_else(|| invalid_fields(wrong))
}
