//! A way to a server that a test cuts, holds, slows, or plays a trick on.

mod kafka;
mod postgres;

pub use postgres::Trick;

use crate::port;
use anyhow::{Context, Result};
use postgres::Conversation;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes passed on at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is done with what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Passed on at once.
    Open,
    /// Connections are ended, new ones too.
    Cut,
    /// Nothing passes, and no connection ends: a network that swallows.
    Held,
    /// Each piece waits so long.
    Slow(Duration),
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing that need be understood.
    Plain,
    /// Kafka's: the brokers' addresses in its answers become this proxy's.
    Kafka,
    /// PostgreSQL's: tricks are played on commits and copies.
    Postgres,
}

/// A proxy before one server. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    tricks: Arc<postgres::Tricks>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// An open way to `host:port`.
    ///
    /// # Errors
    /// No port is free, or the server has no address.
    pub async fn before(server: &str, protocol: Protocol) -> Result<Self> {
        let mut found = lookup_host(server).await?;
        let server = found.next().context("the server has no address")?;
        let address = port::free()?;
        let listener = TcpListener::bind(address).await?;
        let (way, seen) = watch::channel(Way::Open);
        let tricks = Arc::new(postgres::Tricks::default());
        let played = Arc::clone(&tricks);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let line = Line {
                    way: seen.clone(),
                    protocol,
                    server,
                    own: address,
                    tricks: Arc::clone(&played),
                };
                connections.spawn(line.serve(client));
            }
        });
        Ok(Self {
            address,
            way,
            tricks,
            serving,
        })
    }

    /// Where processes are pointed to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Plays a trick so many times, each on the next occasion.
    pub fn play(&self, trick: Trick, times: u32) {
        self.tricks.arm(trick, times);
    }

    /// How many tricks were really played.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.tricks.played()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One connection.
struct Line {
    way: watch::Receiver<Way>,
    protocol: Protocol,
    server: SocketAddr,
    own: SocketAddr,
    tricks: Arc<postgres::Tricks>,
}

/// What is to happen to a piece.
enum Verdict {
    Pass(Vec<u8>),
    /// The first part passes at once, the second after a while.
    Split(Vec<u8>, Duration, Vec<u8>),
    /// The first part passes, and the connection ends.
    End(Vec<u8>),
}

impl Line {
    async fn serve(self, client: TcpStream) {
        let mut way = self.way.clone();
        if way.wait_for(|way| *way != Way::Held).await.is_err() || *way.borrow() == Way::Cut {
            return;
        }
        let Ok(server) = TcpStream::connect(self.server).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let talk = Conversation::new(&self.tricks);
        let up = self.pass(from_client, to_server, |piece| match self.protocol {
            Protocol::Postgres => talk.client_says(piece),
            _ => Verdict::Pass(piece),
        });
        let mut frames = kafka::Frames::new(self.server, self.own);
        let down = self.pass(from_server, to_client, |piece| match self.protocol {
            Protocol::Postgres => talk.server_says(piece),
            Protocol::Kafka => Verdict::Pass(frames.take(&piece)),
            Protocol::Plain => Verdict::Pass(piece),
        });
        let cut = way.wait_for(|way| *way == Way::Cut);
        // Whatever ends first ends the connection.
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = cut => {}
        }
    }

    async fn pass(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        mut judge: impl FnMut(Vec<u8>) -> Verdict,
    ) {
        let mut way = self.way.clone();
        let mut piece = vec![0; CHUNK_BYTES];
        loop {
            let Ok(length @ 1..) = from.read(&mut piece).await else {
                return;
            };
            let Ok(now) = way.wait_for(|way| *way != Way::Held).await.map(|way| *way) else {
                return;
            };
            if let Way::Slow(wait) = now {
                tokio::time::sleep(wait).await;
            }
            let (now, later) = match judge(piece[..length].to_vec()) {
                Verdict::Pass(bytes) => (bytes, None),
                Verdict::End(bytes) => {
                    // The end is what matters; whether this arrives is not.
                    let _ = to.write_all(&bytes).await;
                    return;
                }
                Verdict::Split(first, wait, second) => (first, Some((wait, second))),
            };
            if to.write_all(&now).await.is_err() {
                return;
            }
            if let Some((wait, second)) = later {
                tokio::time::sleep(wait).await;
                if to.write_all(&second).await.is_err() {
                    return;
                }
            }
        }
    }
}
