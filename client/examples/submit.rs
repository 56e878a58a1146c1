//! Submits deposits from many callers at once and says how many requests that took.
//!
//!     cargo run -p axs-client --example submit -- http://127.0.0.1:50051 USDT 1 2 3
//!
//! The address of an API, a registered currency, and open accounts whose user has the same number.
//! Each account gets a deposit of 0.01 from each of its callers. Run again it changes nothing: the
//! keys are the same, so the answers are those of the first run.

use anyhow::{Context, Result, ensure};
use axs_client::{Answer, Client, ClientSettings, EventBuilder};
use std::io::Write;
use tokio::task::JoinSet;

const CALLERS_AN_ACCOUNT: u32 = 20;

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: submit ADDRESS CURRENCY ACCOUNT...";
    let address = words.next().context(usage)?;
    let currency = words.next().context(usage)?;
    let accounts: Vec<i64> = words
        .map(|word| word.parse().with_context(|| format!("{word}: {usage}")))
        .collect::<Result<_>>()?;
    ensure!(!accounts.is_empty(), usage);

    let client = Client::connect_lazy(address, ClientSettings::default())?;
    let mut callers = JoinSet::new();
    for account in accounts {
        for caller in 0..CALLERS_AN_ACCOUNT {
            let event = EventBuilder::new(account, account, format!("example-{caller}"))
                .event_type("deposit")
                .source_service("example")
                .change(currency.as_str(), "0.01", "0");
            let client = client.clone();
            callers.spawn(async move { client.submit(event).await });
        }
    }
    let (mut new, mut known, mut refused) = (0, 0, 0);
    let mut out = std::io::stdout().lock();
    while let Some(answer) = callers.join_next().await {
        // An error that says "unknown" is settled by running this again.
        match answer?? {
            Answer::Accepted(accepted) if accepted.duplicate => known += 1,
            Answer::Accepted(_) => new += 1,
            Answer::Refused(refusal) => {
                refused += 1;
                writeln!(out, "{refusal}")?;
            }
        }
    }
    let requests = client.activity().requests;
    writeln!(
        out,
        "{new} new, {known} known, {refused} refused, in {requests} requests"
    )?;
    Ok(())
}
