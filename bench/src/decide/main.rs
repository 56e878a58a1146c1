//! What deciding costs by itself: the pure domain on one core, and the allocations of an event.
//!
//! A round decides one batch of events over balances that are all there. Each line of standard
//! output is one case: its name, events a second over all rounds, and allocations and bytes
//! allocated for an event.

use anyhow::{Context, Result, anyhow};
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
use axs_domain::book::BalanceBook;
use axs_domain::currency::CurrencyCode;
use axs_domain::decision::decide;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::event_draft::{ChangeDraft, ChangeDrafts, DeltaDraft, EventDraft};
use axs_domain::id::{AccountId, BalanceVersion};
use axs_domain::rule::BalanceRuleSet;
use axs_domain::time::Timestamp;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How long one case is measured, and how long it runs before.
const MEASURED: Duration = Duration::from_millis(1_500);
const WARM_UP: Duration = Duration::from_millis(300);

const CURRENCIES: [&str; 3] = ["USDT", "C00", "C01"];

/// Cases: name, events of a batch, accounts, changes of an event.
const CASES: [(&str, usize, i64, usize); 5] = [
    ("1 change, batches of 1,000", 1_000, 100_000, 1),
    ("1 change, batches of 5,000", 5_000, 100_000, 1),
    ("1 change, batches of 100", 100, 100_000, 1),
    ("3 changes, batches of 1,000", 1_000, 100_000, 3),
    ("1 change, one account, batches of 1,000", 1_000, 1, 1),
];

fn main() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, events, accounts, changes) in CASES {
        let batch = events_of(events, accounts, changes)?;
        let book = book_of(accounts)?;
        let measured = measure(&batch, &book)?;
        writeln!(
            out,
            "{name}\t{}\t{}\t{}",
            measured.events_per_second, measured.allocations, measured.bytes
        )?;
    }
    Ok(())
}

struct Measured {
    events_per_second: f64,
    allocations: f64,
    bytes: f64,
}

fn measure(batch: &[BalanceChangeEvent], book: &BalanceBook) -> Result<Measured> {
    let rules = BalanceRuleSet::non_negative();
    let logged_at = Timestamp::from_unix_micros(1_700_000_000_000_000);
    let round = || -> Result<()> {
        let events = black_box(batch).iter().map(|event| (event, logged_at));
        let decision = decide(events, black_box(book), &rules)?;
        black_box(decision);
        Ok(())
    };
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        round()?;
    }
    let region = Region::new(ALLOCATOR);
    let (began, mut rounds) = (Instant::now(), 0u32);
    while began.elapsed() < MEASURED {
        round()?;
        rounds += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    let change = region.change();
    let events = f64::from(rounds) * real(batch.len());
    Ok(Measured {
        events_per_second: events / seconds,
        allocations: real(change.allocations + change.reallocations) / events,
        bytes: real(change.bytes_allocated) / events,
    })
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
const fn real(count: usize) -> f64 {
    count as f64
}

fn events_of(count: usize, accounts: i64, changes: usize) -> Result<Vec<BalanceChangeEvent>> {
    // A step that is prime to the number of accounts visits them all before any comes again.
    (0..i64::try_from(count)?)
        .map(|nth| event(nth, 1 + nth * 7_919 % accounts, changes))
        .collect()
}

fn event(nth: i64, account: i64, changes: usize) -> Result<BalanceChangeEvent> {
    let drafts: Vec<ChangeDraft<'_>> = CURRENCIES
        .iter()
        .take(changes)
        .map(|currency| ChangeDraft {
            change_id: currency,
            primary: DeltaDraft {
                currency_code: currency,
                available_delta: "-12.34",
                frozen_delta: "12.34",
            },
            fallback: None,
        })
        .collect();
    let draft = EventDraft {
        event_id: "e",
        event_type: "trade",
        account_id: account,
        user_id: account,
        source_service: "bench",
        related_order_id: "",
        idempotency_key: &format!("00000000-0000-4000-8000-{nth:012}"),
        created_msec: 1_700_000_000_000,
        changes: ChangeDrafts::new(drafts),
    };
    draft.parse().map_err(|flaws| anyhow!("{flaws}"))
}

fn book_of(accounts: i64) -> Result<BalanceBook> {
    let balance = VersionedBalance {
        balance: Balance {
            available: Amount::parse("1000000000")?,
            frozen: Amount::ZERO,
        },
        version: BalanceVersion::try_new(1)?,
    };
    let mut book = BalanceBook::default();
    for account in 1..=accounts {
        for currency in CURRENCIES {
            let key = BalanceKey {
                account_id: AccountId::try_new(account).context("an account")?,
                currency: CurrencyCode::parse(currency)?,
            };
            book.put(key, balance);
        }
    }
    Ok(book)
}
