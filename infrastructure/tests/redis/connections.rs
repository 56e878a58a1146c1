//! Claims about connections: dead ones, slow ones, none.

use crate::support::{
    INCARNATION, cache, committed, filled, pools, settings, shard, snapshot, unused_prefix, url,
};
use axs_application::port::balance_cache::BalanceCache;
use axs_application::port::readiness_probe::ReadinessProbe;
use axs_infrastructure::redis::{
    BalanceCacheSettings, RedisBalanceCache, RedisConnections, RedisProbe, RedisSettings,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const MINUTE: Duration = Duration::from_mins(1);

/// A way to Redis that can be cut and that can be slow.
struct Way {
    url: String,
    cut: watch::Sender<u32>,
}

impl Way {
    async fn open(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                client.set_nodelay(true).unwrap();
                tokio::spawn(carry(client, delay, cuts.clone()));
            }
        });
        Self {
            url: format!("redis://{address}/"),
            cut,
        }
    }

    /// Ends the connections that there are; new ones are let through.
    fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

async fn carry(client: TcpStream, delay: Duration, mut cuts: watch::Receiver<u32>) {
    cuts.mark_unchanged();
    let redis = url::Url::parse(&url()).unwrap();
    let address = (redis.host_str().unwrap(), redis.port().unwrap_or(6379));
    let server = TcpStream::connect(address).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let back = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            tokio::time::sleep(delay).await;
            if to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = cuts.changed() => {}
    }
}

#[tokio::test]
async fn dead_connections_are_replaced_and_what_was_asked_is_done() {
    let way = Way::open(Duration::ZERO).await;
    let cache = cache(&way.url, &unused_prefix(), MINUTE);
    for version in 1..20 {
        let outcome = cache.write(vec![committed(1, 7, "BTC", version)]).await;
        assert_eq!(outcome, Ok(()), "after {version} cuts");
        way.cut();
    }
}

#[tokio::test]
async fn a_batch_over_many_shards_is_one_round_trip() {
    const SHARDS: i32 = 24;
    let delay = Duration::from_millis(100);
    let way = Way::open(delay).await;
    let cache = cache(&way.url, &unused_prefix(), MINUTE);
    let accounts: Vec<_> = (0..SHARDS).map(|n| filled(n, 7, &[("BTC", 1)])).collect();
    let asked: Vec<_> = accounts
        .iter()
        .map(|it| (it.shard_id, it.account_id))
        .collect();
    // Connects, and brings the script.
    cache.fill(snapshot(accounts.clone())).await.unwrap();

    let before = Instant::now();
    let batch: Vec<_> = (0..SHARDS).map(|n| committed(n, 7, "BTC", 2)).collect();
    cache.write(batch).await.unwrap();
    cache.fill(snapshot(accounts)).await.unwrap();
    let answers = cache.read(INCARNATION, asked).await.unwrap();
    // One round trip each would be three delays; one for each shard would be 72.
    assert!(before.elapsed() < 12 * delay, "{:?}", before.elapsed());
    assert!(answers.iter().all(Option::is_some));
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_given_up_within_the_response_timeout() {
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let brief = RedisSettings {
        connect_timeout: Duration::from_millis(200),
        checkout_timeout: Duration::from_millis(400),
        response_timeout: Duration::from_millis(200),
        ..settings(&format!("redis://{address}/"))
    };
    let pools = Arc::new(RedisConnections::try_new(&brief).unwrap());
    let settings = BalanceCacheSettings {
        key_prefix: unused_prefix(),
        fill_ttl: MINUTE,
        retention: MINUTE,
    };
    let cache = RedisBalanceCache::new(pools, settings);
    let before = Instant::now();
    let asked = vec![(shard(1), crate::support::account(1))];
    let error = cache.read(INCARNATION, asked).await.unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(3));
    assert_eq!(error.address, address.to_string());
}

#[tokio::test]
async fn a_redis_that_is_not_there_fails_at_once_without_its_password() {
    let cache = cache(
        "redis://user:hunter2@127.0.0.1:1/",
        &unused_prefix(),
        MINUTE,
    );
    let before = Instant::now();
    let error = cache
        .fill(snapshot(vec![filled(1, 7, &[])]))
        .await
        .unwrap_err();
    // Well before the checkout timeout: a read falls back to the database without a wait.
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(error.address, "127.0.0.1:1");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn the_probe_tells_whether_redis_answers_and_where_it_is() {
    let here = RedisProbe::new(pools(&url()));
    assert_eq!(here.check().await, Ok(()));
    assert_eq!(here.name(), "redis");
    let away = RedisProbe::new(pools("redis://user:hunter2@127.0.0.1:1/"));
    assert_eq!(away.address(), "127.0.0.1:1");
    let failure = away.check().await.unwrap_err();
    assert!(failure.reason.contains("127.0.0.1:1"), "{failure}");
    assert!(!failure.reason.contains("hunter2"), "{failure}");
}
