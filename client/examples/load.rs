//! Callers in a closed loop, each with one event at a time: what gathering makes of them.
//!
//!     cargo run --release -p axs-client --example load -- \
//!         http://127.0.0.1:50051 USDT ACCOUNTS CALLERS SECONDS IN_FLIGHT...
//!
//! Registers the currency and opens accounts 1 to ACCOUNTS in the pool `retail`. For each bound on
//! the requests in flight in turn, it prints events a second, events a request, and percentiles of
//! a call's latency until LOGGED.

use anyhow::{Context, Result, ensure};
use axs_client::{Answer, Client, ClientSettings, EventBuilder};
use axs_proto::v1::{self, account_balance_service_client::AccountBalanceServiceClient};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

const ACCOUNTS_A_REQUEST: usize = 1_000;

const USAGE: &str = "usage: load ADDRESS CURRENCY ACCOUNTS CALLERS SECONDS IN_FLIGHT...";

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    ensure!(words.len() > 5, USAGE);
    let number = |index: usize| words[index].parse::<u32>().context(USAGE);
    let (accounts, callers) = (number(2)?, number(3)?);
    let seconds = Duration::from_secs(u64::from(number(4)?));
    prepare(&words[0], &words[1], accounts).await?;
    let mut out = std::io::stdout().lock();
    for in_flight in &words[5..] {
        let mut settings = ClientSettings::default();
        settings.requests_in_flight_max = in_flight.parse().context(USAGE)?;
        let client = Client::connect_lazy(words[0].clone(), settings)?;
        let run = Run {
            client: client.clone(),
            currency: words[1].clone(),
            accounts,
            callers,
            until: Instant::now() + seconds,
            name: SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos(),
        };
        let mut took = run.all().await?;
        took.sort_unstable();
        let activity = client.activity();
        let rank = |share: usize| took.get(took.len() * share / 1000).copied();
        writeln!(
            out,
            "{in_flight} in flight: {} events/s, {:.1} a request, p50 {:.2?}, p99 {:.2?}",
            u64::try_from(took.len())? / seconds.as_secs().max(1),
            ratio(activity.events_sent, activity.requests),
            rank(500).unwrap_or_default(),
            rank(990).unwrap_or_default(),
        )?;
    }
    Ok(())
}

async fn prepare(address: &str, currency: &str, accounts: u32) -> Result<()> {
    let mut api = AccountBalanceServiceClient::connect(address.to_owned()).await?;
    let currencies = vec![v1::Currency {
        code: currency.to_owned(),
        decimals: 6,
        active: true,
    }];
    api.register_currencies(v1::RegisterCurrenciesRequest { currencies })
        .await?;
    let ids: Vec<i64> = (1..=i64::from(accounts)).collect();
    for some in ids.chunks(ACCOUNTS_A_REQUEST) {
        let some = some.iter().map(|id| v1::NewAccount {
            account_id: *id,
            user_id: *id,
            pool: "retail".to_owned(),
        });
        let accounts = some.collect();
        api.create_accounts(v1::CreateAccountsRequest { accounts })
            .await?;
    }
    Ok(())
}

fn ratio(events: u64, requests: u64) -> f64 {
    let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    small(events) / small(requests.max(1))
}

#[derive(Clone)]
struct Run {
    client: Client,
    currency: String,
    accounts: u32,
    callers: u32,
    until: Instant,
    name: u128,
}

impl Run {
    async fn all(self) -> Result<Vec<Duration>> {
        let mut callers = JoinSet::new();
        for caller in 0..self.callers {
            callers.spawn(self.clone().one(caller));
        }
        let mut took = Vec::new();
        while let Some(caller) = callers.join_next().await {
            took.extend(caller??);
        }
        Ok(took)
    }

    async fn one(self, caller: u32) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        // A stride that has no factor with the number of callers' accounts spreads them evenly.
        let mut at = u64::from(caller) * 7_919;
        while Instant::now() < self.until {
            at += 104_729;
            let account = i64::try_from(at % u64::from(self.accounts))? + 1;
            let key = format!("{}-{caller}-{}", self.name, took.len());
            let event = EventBuilder::new(account, account, key)
                .event_type("deposit")
                .source_service("load")
                .change(self.currency.as_str(), "0.01", "0");
            let began = Instant::now();
            match self.client.submit(event).await? {
                Answer::Accepted(_) => took.push(began.elapsed()),
                Answer::Refused(refusal) => anyhow::bail!("{refusal}"),
            }
        }
        Ok(took)
    }
}
