//! Accounts, log rows and decided batches: one currency, uniform over the accounts.

use crate::measured_form::Failure;
use axs_application::port::batch_writer::{
    DecidedBatch, FinalResult, FinalisedEvent, GuardedWrite,
};
use axs_application::port::change_log::ChangeLogKey;
use axs_application::port::partition_leadership::{PartitionLeadership, TakeOver};
use axs_application::port::schema_store::SchemaStore;
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, BalanceKey, Delta, VersionedBalance};
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::decision::{BalanceWrite, LedgerEntry};
use axs_domain::fencing::Claim;
use axs_domain::fingerprint::{FINGERPRINT_LENGTH, Fingerprint};
use axs_domain::id::{AccountId, BalanceVersion, LogId, Offset, OwnerId, PartitionId, ShardId};
use axs_domain::record_digest::RecordDigest;
use axs_domain::text::IdempotencyKey;
use axs_domain::time::Timestamp;
use axs_infrastructure::postgres::leadership::{LeadershipSettings, PgPartitionLeadership};
use axs_infrastructure::postgres::pool::{Database, DatabaseSettings, PgDatabase, PgPools};
use axs_infrastructure::postgres::schema_store::PgSchemaStore;
use rand::RngExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const ACCOUNTS: i64 = 100_000;
const SHARDS: i32 = 48;

/// Longer than any run.
const LEASE: Duration = Duration::from_secs(300);

const LAYOUT: &str = "
    SELECT make_shard_range(0, 24);
    SELECT make_shard_range(24, 48);
    INSERT INTO partition_leader_locks (partition) VALUES (0);
    INSERT INTO partition_leases (partition) VALUES (0);
    INSERT INTO account_balances (shard_id, account_id, currency_code, available, frozen, version)
    SELECT a % 48, a, 'USDT', 1000000, 0, 1 FROM generate_series(1, 100000) a";

/// A database for one run.
pub struct ScratchDatabase {
    server: String,
    pub name: String,
}

pub async fn scratch_database(server: &str) -> Result<ScratchDatabase, Failure> {
    let name = format!("axs_bulk_{}", Uuid::now_v7().simple());
    run(server, &format!("CREATE DATABASE {name}")).await?;
    Ok(ScratchDatabase {
        server: server.to_owned(),
        name,
    })
}

impl ScratchDatabase {
    pub async fn drop(self) -> Result<(), Failure> {
        run(
            &self.server,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .await
    }
}

async fn run(server: &str, statement: &str) -> Result<(), Failure> {
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(connection.close().await?)
}

pub fn address_in(server: &str, database: &str) -> Result<String, Failure> {
    let mut url = url::Url::parse(server)?;
    url.set_path(database);
    Ok(url.into())
}

pub fn pools(address: &str) -> Result<PgPools, Failure> {
    let settings = DatabaseSettings {
        url: address.to_owned(),
        writer_connections: 1,
        query_connections: 2,
        operations_connections: 2,
        connect_timeout: Duration::from_secs(10),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(120),
        idle_in_transaction_timeout: Duration::from_secs(120),
        max_lifetime: Duration::from_secs(3_600),
    };
    Ok(PgPools::try_new(&settings)?)
}

/// What is decided next.
pub struct Workload {
    database: Arc<dyn Database>,
    claim: Claim,
    next_offset: i64,
    currency: CurrencyCode,
    balances: Vec<VersionedBalance>,
}

impl Workload {
    pub async fn prepare(address: &str) -> Result<Self, Failure> {
        let database: Arc<dyn Database> = Arc::new(PgDatabase::new(pools(address)?));
        PgSchemaStore::new(Arc::clone(&database)).migrate().await?;
        for statement in LAYOUT.split(';') {
            database.operations().execute(statement).await?;
        }
        database.operations().execute("VACUUM ANALYZE").await?;
        let owner = OwnerId::new(Uuid::new_v4());
        let leadership =
            PgPartitionLeadership::new(Arc::clone(&database), LeadershipSettings::default());
        let taken = leadership.take_over(PartitionId::MIN, owner, LEASE).await?;
        let TakeOver::Taken { claim, .. } = taken else {
            return Err("the partition of a new database is held".into());
        };
        let first = VersionedBalance {
            balance: Balance {
                available: Amount::parse("1000000")?,
                frozen: Amount::ZERO,
            },
            version: BalanceVersion::try_new(1)?,
        };
        Ok(Self {
            database,
            claim,
            next_offset: 0,
            currency: CurrencyCode::parse("USDT")?,
            balances: vec![first; usize::try_from(ACCOUNTS)?],
        })
    }

    /// A decided batch whose log rows are written.
    pub async fn next_batch(&mut self, events: usize) -> Result<DecidedBatch, Failure> {
        let mut decided = Vec::with_capacity(events);
        let mut versions_read: BTreeMap<usize, BalanceVersion> = BTreeMap::new();
        let offset_before = Offset::try_new(self.next_offset)?;
        for _ in 0..events {
            let place = rand::rng().random_range(0..self.balances.len());
            decided.push(self.next_event(place, &mut versions_read)?);
        }
        self.log(&decided).await?;
        let writes = versions_read
            .into_iter()
            .map(|(place, version_read)| self.write(place, version_read))
            .collect::<Result<_, Failure>>()?;
        Ok(DecidedBatch {
            partition: PartitionId::MIN,
            claim: self.claim,
            offset_before,
            offset_after: Offset::try_new(self.next_offset)?,
            last_record: RecordDigest::of(b"", b""),
            events: decided,
            writes,
            reads: Vec::new(),
            dead_letters: Vec::new(),
        })
    }

    fn next_event(
        &mut self,
        place: usize,
        versions_read: &mut BTreeMap<usize, BalanceVersion>,
    ) -> Result<FinalisedEvent, Failure> {
        let (shard_id, account_id) = account(place)?;
        let before = self.balances[place];
        versions_read.entry(place).or_insert(before.version);
        let delta = Delta {
            available: Amount::parse("-0.000000000000012345")?,
            frozen: Amount::parse("0.000000000000012345")?,
        };
        let after = VersionedBalance {
            balance: before.balance.plus(delta).ok_or("the balance overflows")?,
            version: before.version.next().ok_or("the version overflows")?,
        };
        self.balances[place] = after;
        let offset = Offset::try_new(self.next_offset)?;
        self.next_offset += 1;
        let log_id = LogId::new(Uuid::now_v7());
        let mut fingerprint = [7; FINGERPRINT_LENGTH];
        fingerprint[0] = 1;
        Ok(FinalisedEvent {
            log_id,
            key: ChangeLogKey {
                shard_id,
                account_id,
                idempotency_key: IdempotencyKey::parse(&Uuid::new_v4().to_string())?,
            },
            fingerprint: Fingerprint::restore(&fingerprint).ok_or("no fingerprint")?,
            logged_at: Timestamp::from_unix_micros(1_700_000_000_000_000),
            offset,
            result: FinalResult::Applied(vec![LedgerEntry {
                change_index: 0,
                branch: Branch::Primary,
                applied: CurrencyDelta {
                    currency: self.currency,
                    delta,
                },
                after,
            }]),
        })
    }

    fn write(&self, place: usize, version_read: BalanceVersion) -> Result<GuardedWrite, Failure> {
        let (shard_id, account_id) = account(place)?;
        Ok(GuardedWrite {
            shard_id,
            key: BalanceKey {
                account_id,
                currency: self.currency,
            },
            write: BalanceWrite {
                version_read,
                after: self.balances[place],
            },
        })
    }

    async fn log(&self, events: &[FinalisedEvent]) -> Result<(), Failure> {
        let shards: Vec<i32> = events.iter().map(|e| e.key.shard_id.value()).collect();
        let accounts: Vec<i64> = events.iter().map(|e| e.key.account_id.value()).collect();
        let keys: Vec<&str> = events
            .iter()
            .map(|e| e.key.idempotency_key.as_str())
            .collect();
        let ids: Vec<Uuid> = events.iter().map(|e| e.log_id.uuid()).collect();
        let prints: Vec<&[u8]> = events
            .iter()
            .map(|e| e.fingerprint.as_bytes().as_slice())
            .collect();
        sqlx::query(
            "INSERT INTO balance_change_states
                    (shard_id, account_id, idempotency_key, log_id, fingerprint, logged_at)
             SELECT s, a, k, i, f, timestamptz 'epoch' + 1700000000 * interval '1 second'
               FROM unnest($1::int[], $2::bigint[], $3::text[], $4::uuid[], $5::bytea[])
                    AS row (s, a, k, i, f)
              ORDER BY s, a, k",
        )
        .bind(shards)
        .bind(accounts)
        .bind(keys)
        .bind(ids)
        .bind(prints)
        .execute(self.database.operations())
        .await?;
        Ok(())
    }
}

fn account(place: usize) -> Result<(ShardId, AccountId), Failure> {
    let number = i64::try_from(place)? + 1;
    let shard = i32::try_from(number % i64::from(SHARDS))?;
    Ok((ShardId::try_new(shard)?, AccountId::try_new(number)?))
}
