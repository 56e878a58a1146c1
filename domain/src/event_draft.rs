//! Text becomes an event, or a list of all that is wrong with it.
//!
//! Requests, payloads and lines of files are read here and nowhere else: a reader fills in a
//! draft, field by field, and leaves every check to [`EventDraft::parse`].

use crate::amount::Amount;
use crate::balance::Delta;
use crate::change::{BalanceChange, CurrencyDelta};
use crate::currency::CurrencyCode;
use crate::event::{BalanceChangeEvent, EventError, EventParts, KnownChange, check_count};
use crate::id::{AccountId, UserId};
use crate::text::{ChangeId, EventId, EventType, IdempotencyKey, OrderId, SourceService};
use std::collections::HashSet;
use std::fmt;

/// The most flaws that are listed of one event; the others are counted.
pub const FLAWS_MAX: usize = 20;

/// An event as text, before anything of it is known to be sound.
#[derive(Debug, Clone)]
pub struct EventDraft<'a> {
    /// See [`EventParts::event_id`].
    pub event_id: &'a str,
    /// See [`EventParts::event_type`].
    pub event_type: &'a str,
    /// See [`EventParts::account_id`].
    pub account_id: i64,
    /// See [`EventParts::user_id`].
    pub user_id: i64,
    /// See [`EventParts::source_service`].
    pub source_service: &'a str,
    /// See [`EventParts::related_order_id`]; empty for none.
    pub related_order_id: &'a str,
    /// See [`EventParts::idempotency_key`].
    pub idempotency_key: &'a str,
    /// See [`EventParts::created_msec`].
    pub created_msec: i64,
    /// See [`EventParts::changes`].
    pub changes: ChangeDrafts<'a>,
}

/// The changes of a draft, in order. Of more than an event may hold only the number is kept, so
/// that too much costs nothing.
#[derive(Debug, Clone)]
pub struct ChangeDrafts<'a>(Result<Vec<ChangeDraft<'a>>, EventError>);

/// One change as text.
#[derive(Debug, Clone)]
pub struct ChangeDraft<'a> {
    /// See [`BalanceChange::change_id`].
    pub change_id: &'a str,
    /// See [`BalanceChange::primary`].
    pub primary: DeltaDraft<'a>,
    /// See [`BalanceChange::fallback`].
    pub fallback: Option<DeltaDraft<'a>>,
}

/// A currency's movement as text.
#[derive(Debug, Clone, Copy)]
pub struct DeltaDraft<'a> {
    /// See [`CurrencyDelta::currency`].
    pub currency_code: &'a str,
    /// See [`Delta::available`]; a decimal, read exactly.
    pub available_delta: &'a str,
    /// See [`Delta::frozen`]; a decimal, read exactly.
    pub frozen_delta: &'a str,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Flaw {
    /// The path inside the event, e.g. `changes[0].available_delta`.
    pub field: String,
    /// What is wrong, as the rest of a sentence that the field begins.
    pub problem: String,
}

/// All that is wrong with an event; never empty. The first [`FLAWS_MAX`] flaws are listed, in the
/// order in which the event declares its fields, and the others are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaws {
    first: Flaw,
    /// At most `FLAWS_MAX - 1`.
    others: Vec<Flaw>,
    unlisted: usize,
}

impl EventDraft<'_> {
    /// Reads every field and checks the event as a whole, as [`BalanceChangeEvent::try_new`] does.
    ///
    /// # Errors
    /// [`Flaws`], which names every wrong field and not only the first. Too many changes are one
    /// flaw: none of them is read.
    pub fn parse(&self) -> Result<BalanceChangeEvent, Flaws> {
        let event_id = at("event_id", EventId::parse(self.event_id));
        let event_type = at("event_type", EventType::parse(self.event_type));
        let account_id = at("account_id", AccountId::try_new(self.account_id));
        let user_id = at("user_id", UserId::try_new(self.user_id));
        let source_service = at("source_service", SourceService::parse(self.source_service));
        let related_order_id = match self.related_order_id {
            "" => Ok(None),
            text => at("related_order_id", OrderId::parse(text).map(Some)),
        };
        let idempotency_key = at(
            "idempotency_key",
            IdempotencyKey::parse(self.idempotency_key),
        );
        let changes = self.changes.read();

        // Paired in the order of the fields, which is the order of the flaws.
        let labels = both(event_id, event_type);
        let owner = both(account_id, user_id);
        let origin = both(source_service, related_order_id);
        let effect = both(idempotency_key, changes);
        let (
            ((event_id, event_type), (account_id, user_id)),
            ((source_service, related_order_id), (idempotency_key, changes)),
        ) = both(both(labels, owner), both(origin, effect))?;
        // The one door to an event judges once more what was read.
        Ok(BalanceChangeEvent::try_new(EventParts {
            event_id,
            event_type,
            account_id,
            user_id,
            source_service,
            related_order_id,
            idempotency_key,
            created_msec: self.created_msec,
            changes,
        })?)
    }
}

impl<'a> ChangeDrafts<'a> {
    /// Takes the changes, unless there are more than an event may hold.
    pub fn new<I>(changes: I) -> Self
    where
        I: IntoIterator<Item = ChangeDraft<'a>, IntoIter: ExactSizeIterator>,
    {
        let changes = changes.into_iter();
        Self(check_count(changes.len()).map(|()| changes.collect()))
    }

    fn read(&self) -> Result<Vec<BalanceChange>, Flaws> {
        let drafts = self.0.as_ref().map_err(|error| Flaws::from(*error))?;
        let mut earlier = HashSet::with_capacity(drafts.len());
        let none = Ok(Vec::with_capacity(drafts.len()));
        drafts.iter().enumerate().fold(none, |all, (index, draft)| {
            let (mut all, change) = both(all, draft.read(index, &mut earlier))?;
            all.push(change);
            Ok(all)
        })
    }
}

impl<'a> ChangeDraft<'a> {
    fn read(&self, index: usize, earlier: &mut HashSet<&'a str>) -> Result<BalanceChange, Flaws> {
        let change_id = at(
            format_args!("changes[{index}].change_id"),
            ChangeId::parse(self.change_id),
        );
        let primary = self.primary.read(format_args!("changes[{index}]"));
        let fallback = self
            .fallback
            .map(|fallback| fallback.read(format_args!("changes[{index}].fallback")))
            .transpose();
        let known = KnownChange {
            change_id: change_id.is_ok().then_some(self.change_id),
            primary: primary.as_ref().ok().copied(),
            fallback: fallback.as_ref().ok().copied().flatten(),
        };
        let [new_id, primary_moves, fallback_moves, another_currency] =
            known.checks(index, earlier);
        let change_id = both(change_id, sound(new_id));
        let primary = both(primary, sound(primary_moves));
        let fallback = both(
            fallback,
            both(sound(fallback_moves), sound(another_currency)),
        );
        let ((change_id, ()), ((primary, ()), (fallback, _))) =
            both(change_id, both(primary, fallback))?;
        Ok(BalanceChange {
            change_id,
            primary,
            fallback,
        })
    }
}

impl DeltaDraft<'_> {
    fn read(self, path: fmt::Arguments<'_>) -> Result<CurrencyDelta, Flaws> {
        let currency = at(
            format_args!("{path}.currency_code"),
            CurrencyCode::parse(self.currency_code),
        );
        let available = at(
            format_args!("{path}.available_delta"),
            Amount::parse(self.available_delta),
        );
        let frozen = at(
            format_args!("{path}.frozen_delta"),
            Amount::parse(self.frozen_delta),
        );
        let (currency, (available, frozen)) = both(currency, both(available, frozen))?;
        Ok(CurrencyDelta {
            currency,
            delta: Delta { available, frozen },
        })
    }
}

/// Names the field that was read; a sound one costs no text.
fn at<T>(field: impl fmt::Display, read: Result<T, impl fmt::Display>) -> Result<T, Flaws> {
    read.map_err(|problem| Flaws::one(field, problem))
}

fn sound(check: Result<(), EventError>) -> Result<(), Flaws> {
    check.map_err(Flaws::from)
}

/// Both, or the flaws of both: the left ones first.
fn both<A, B>(left: Result<A, Flaws>, right: Result<B, Flaws>) -> Result<(A, B), Flaws> {
    match (left, right) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(left), Err(right)) => Err(left.and(right)),
        (Err(flaws), Ok(_)) | (Ok(_), Err(flaws)) => Err(flaws),
    }
}

impl Flaws {
    fn one(field: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self {
            first: Flaw {
                field: field.to_string(),
                problem: problem.to_string(),
            },
            others: Vec::new(),
            unlisted: 0,
        }
    }

    fn and(mut self, later: Self) -> Self {
        let room = FLAWS_MAX - 1 - self.others.len();
        let mut listed = std::iter::once(later.first).chain(later.others);
        self.others.extend(listed.by_ref().take(room));
        self.unlisted += listed.count() + later.unlisted;
        self
    }

    /// The flaw of the field that comes first.
    #[must_use]
    pub const fn first(&self) -> &Flaw {
        &self.first
    }

    /// The listed flaws, in the order of the fields.
    pub fn listed(&self) -> impl Iterator<Item = &Flaw> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// How many flaws there are beyond the listed ones.
    #[must_use]
    pub const fn unlisted(&self) -> usize {
        self.unlisted
    }
}

impl From<EventError> for Flaws {
    fn from(error: EventError) -> Self {
        Self::one(error.field(), error)
    }
}

/// The first flaw, and how many more there are.
impl fmt::Display for Flaws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        match self.others.len() + self.unlisted {
            0 => Ok(()),
            1 => f.write_str("; 1 more field is wrong"),
            more => write!(f, "; {more} more fields are wrong"),
        }
    }
}

impl std::error::Error for Flaws {}
