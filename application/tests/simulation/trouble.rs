//! The trouble-maker: kills, pauses, outages, floods and forgeries, until the weather is calm.

use crate::broker::Record;
use crate::fleet::Fleet;
use crate::world::World;
use axs_application::port::event_codec::{EnvelopeHeader, EventCodec};
use axs_application::testkit::{EventBuilder, log_id};
use axs_domain::id::PartitionId;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// The trouble-maker's turns are this far apart, in milliseconds.
const TURN_MILLIS: std::ops::Range<u64> = 40..400;

/// Makes trouble for so long.
pub async fn make_trouble(fleet: &Arc<Fleet>, how_long: Duration) {
    let world = &fleet.servers.world;
    let rates = *world.weather.rates();
    let ends_at = world.elapsed() + how_long;
    while world.elapsed() < ends_at {
        tokio::time::sleep(world.millis(TURN_MILLIS)).await;
        if world.happens(rates.kill) {
            kill(fleet);
        }
        if world.happens(rates.pause) {
            pause(fleet);
        }
        if world.happens(rates.drain) {
            drain(fleet);
        }
        if world.happens(rates.store_outage) {
            let store = Arc::clone(&fleet.servers.store);
            store.go_down();
            later(world, 100..2_500, move || store.come_up());
        }
        if world.happens(rates.broker_outage) {
            let broker = Arc::clone(&fleet.servers.broker);
            broker.go_down();
            later(world, 100..5_000, move || broker.come_up());
        }
        if world.happens(rates.cache_outage) {
            let cache = Arc::clone(&fleet.servers.cache);
            cache.go_down();
            later(world, 100..4_000, move || cache.come_up());
        }
        if world.happens(rates.cache_flush) {
            fleet.servers.cache.flush();
        }
        if world.happens(rates.redelivery) {
            let records = usize::try_from(world.pick(1..16)).unwrap();
            let partition = some_partition(fleet);
            fleet.servers.broker.deliver_again(partition, records);
        }
        if world.happens(rates.poison) {
            forge(fleet);
        }
    }
}

/// Ends all trouble: servers answer, processes run.
pub fn heal(fleet: &Fleet) {
    let servers = &fleet.servers;
    servers.world.note("world", "is well again");
    servers.world.weather.calm_down();
    servers.store.come_up();
    servers.broker.come_up();
    servers.cache.come_up();
    fleet.resume_all();
    fleet.start_missing();
}

fn later(world: &World, millis: std::ops::Range<u64>, act: impl FnOnce() + Send + 'static) {
    let pause = world.millis(millis);
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        act();
    });
}

fn some_partition(fleet: &Fleet) -> PartitionId {
    let partitions = fleet.servers.broker.partitions();
    partitions[fleet.servers.world.pick_place(partitions.len())]
}

fn kill(fleet: &Arc<Fleet>) {
    let world = &fleet.servers.world;
    if world.happens(0.35) {
        fleet.kill_api(world.pick_place(fleet.api_count()));
    } else {
        fleet.kill_consumer(world.pick_place(fleet.consumer_count()));
    }
    let again = Arc::clone(fleet);
    later(world, 50..4_000, move || again.start_missing());
}

fn drain(fleet: &Arc<Fleet>) {
    let world = &fleet.servers.world;
    let (again, of_api) = (Arc::clone(fleet), world.happens(0.35));
    let slot = if of_api {
        world.pick_place(fleet.api_count())
    } else {
        world.pick_place(fleet.consumer_count())
    };
    tokio::spawn(async move {
        if of_api {
            again.drain_api(slot).await;
        } else {
            again.drain_consumer(slot).await;
        }
        again.start_missing();
    });
}

fn pause(fleet: &Arc<Fleet>) {
    let world = &fleet.servers.world;
    let process = if world.happens(0.3) {
        let api = fleet.api(world.pick_place(fleet.api_count()));
        api.map(|api| Arc::clone(&api.process))
    } else {
        let consumer = fleet.consumer(world.pick_place(fleet.consumer_count()));
        consumer.map(|consumer| Arc::clone(&consumer.process))
    };
    let Some(process) = process.filter(|process| process.is_running()) else {
        return;
    };
    process.pause_for(world.millis(20..7_000));
}

/// A record that no API has written.
fn forge(fleet: &Fleet) {
    let servers = &fleet.servers;
    let world = &servers.world;
    let partition = some_partition(fleet);
    let key = Bytes::from_static(b"forged");
    if world.happens(0.3) {
        let payload = Bytes::from_static(b"garbage");
        servers.broker.land(partition, Record { key, payload });
        return;
    }
    let row = {
        let state = servers.store.state();
        let mut rows: Vec<_> = state.rows.values().collect();
        rows.sort_by_key(|row| row.log_id);
        let place = (!rows.is_empty()).then(|| world.pick_place(rows.len()));
        place.map(|place| rows[place].clone())
    };
    let Some(row) = row else { return };
    let account = row.key.account_id.value();
    let forged_id = world.happens(0.5);
    let mut header = EnvelopeHeader {
        log_id: row.log_id,
        shard_id: row.key.shard_id,
        layout_epoch: servers.store.state().layout.layout.epoch(),
        logged_at: row.logged_at,
        traceparent: None,
    };
    let payload = if forged_id {
        header.log_id = log_id(u128::from(world.pick(1..1_000_000)));
        row.payload
    } else {
        // The real row's id and key on another content.
        let event = EventBuilder::new(account, row.key.idempotency_key.as_str());
        servers
            .codec
            .encode_payload(&event.change("USD", "7777", "0").build())
    };
    let payload = servers.codec.encode_envelope(header, payload);
    let home = servers
        .store
        .state()
        .layout
        .layout
        .partition_of(row.key.shard_id);
    let partition = home.filter(|_| world.happens(0.8)).unwrap_or(partition);
    servers.broker.land(partition, Record { key, payload });
}
