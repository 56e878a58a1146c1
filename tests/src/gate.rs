//! A door to a server that a test opens, shuts and holds as it likes.

use crate::port;
use anyhow::{Context, Result};
use std::net::{SocketAddr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Bytes that are carried at a time.
const CARRIED_AT_ONCE: usize = 64 * 1024;

/// What comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing: connections are cut, new ones at once.
    Shut,
    /// Everything.
    Open,
    /// Nothing, and nobody is told: connections stand, bytes wait.
    Held,
}

/// A port of a test's own before a server's. Connections through it end when it is dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    server: String,
    /// The broker's own address, which its answers name instead of the gate's.
    named: Option<SocketAddrV4>,
    state: watch::Sender<State>,
    serving: Option<JoinHandle<()>>,
}

impl Gate {
    /// A gate to `host:port` whose port is closed.
    ///
    /// # Errors
    /// No port is free.
    pub fn closed(server: &str) -> Result<Self> {
        Ok(Self {
            address: port::free()?,
            server: server.to_owned(),
            named: None,
            state: watch::Sender::new(State::Shut),
            serving: None,
        })
    }

    /// A closed gate to the one Kafka broker at `a.b.c.d:port`, for clients that shall have no
    /// other way to it: a broker tells its clients where it is, and here they are told the gate.
    ///
    /// # Errors
    /// No port is free, or the broker is not named by an IPv4 address.
    pub fn closed_to_broker(broker: &str) -> Result<Self> {
        let named = broker.parse().context(broker.to_owned())?;
        let mut gate = Self::closed(broker)?;
        gate.named = Some(named);
        Ok(gate)
    }

    /// Where processes are pointed to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets everything through, also what was held.
    ///
    /// # Errors
    /// Somebody took the port, or the server has no address.
    pub async fn open(&mut self) -> Result<()> {
        if self.serving.is_none() {
            let mut found = lookup_host(&self.server).await?;
            let server = found.next().context("the server has no address")?;
            let listener = TcpListener::bind(self.address).await?;
            let rename = self
                .named
                .map(|named| Rename::new(named, self.address.port()));
            let serving = serve(listener, server, rename, self.state.subscribe());
            self.serving = Some(tokio::spawn(serving));
        }
        self.state.send_replace(State::Open);
        Ok(())
    }

    /// Cuts every connection, and new ones as soon as they stand.
    pub fn shut(&self) {
        self.state.send_replace(State::Shut);
    }

    /// Lets connections stand and nothing through: a server that hangs.
    pub fn hold(&self) {
        self.state.send_replace(State::Held);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

async fn serve(
    listener: TcpListener,
    server: SocketAddr,
    rename: Option<Rename>,
    state: watch::Receiver<State>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connect(client, server, rename.clone(), state.clone()));
    }
}

/// Carries both ways until either side hangs up or the gate is shut.
async fn connect(
    client: TcpStream,
    server: SocketAddr,
    rename: Option<Rename>,
    mut state: watch::Receiver<State>,
) {
    let opened = async {
        if *state.borrow() == State::Shut {
            return;
        }
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        // Either side may hang up; that is theirs to deal with.
        tokio::select! {
            () = carry(from_client, to_server, None, state.clone()) => {}
            () = carry(from_server, to_client, rename, state.clone()) => {}
            _ = state.wait_for(|state| *state == State::Shut) => {}
        }
    };
    opened.await;
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rename: Option<Rename>,
    mut state: watch::Receiver<State>,
) {
    let mut bytes = vec![0; CARRIED_AT_ONCE];
    loop {
        let Ok(count) = from.read(&mut bytes).await else {
            return;
        };
        if state.wait_for(|state| *state != State::Held).await.is_err() {
            return;
        }
        let carried = match &mut rename {
            Some(rename) => rename.pass(&bytes[..count]),
            None => bytes[..count].to_vec(),
        };
        if to.write_all(&carried).await.is_err() || count == 0 {
            return;
        }
    }
}

/// Writes the gate's port where a broker names its own: after its host, as four bytes.
#[derive(Debug, Clone)]
struct Rename {
    named: Vec<u8>,
    gate: Vec<u8>,
    /// The end of what came, when it may be the beginning of a name.
    kept: Vec<u8>,
}

impl Rename {
    fn new(broker: SocketAddrV4, gate: u16) -> Self {
        let host = broker.ip().to_string().into_bytes();
        let with = |port: u16| [host.as_slice(), &u32::from(port).to_be_bytes()].concat();
        Self {
            named: with(broker.port()),
            gate: with(gate),
            kept: Vec::new(),
        }
    }

    /// What can be passed on now; everything that is left when nothing came.
    fn pass(&mut self, came: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.extend_from_slice(came);
        let length = self.named.len();
        let mut at = 0;
        while at + length <= bytes.len() {
            if bytes[at..at + length] == self.named[..] {
                bytes[at..at + length].copy_from_slice(&self.gate);
            }
            at += 1;
        }
        if !came.is_empty() {
            let longest = bytes.len().min(length - 1);
            let kept = (1..=longest)
                .rev()
                .find(|kept| self.named.starts_with(&bytes[bytes.len() - kept..]))
                .unwrap_or(0);
            self.kept = bytes.split_off(bytes.len() - kept);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_renamed_wherever_its_answer_is_cut_in_two() {
        let broker: SocketAddrV4 = "127.0.0.1:9092".parse().unwrap();
        let answer = |port: u32| {
            let mut answer = b"\x01127.0.0.\x0a127.0.0.1".to_vec();
            answer.extend(port.to_be_bytes());
            answer.extend(b"rack127");
            answer
        };
        let (named, expected) = (answer(9092), answer(40_000));
        for cut in 0..=named.len() {
            let mut rename = Rename::new(broker, 40_000);
            let mut passed = rename.pass(&named[..cut]);
            passed.extend(rename.pass(&named[cut..]));
            passed.extend(rename.pass(&[]));
            assert_eq!(passed, expected, "cut at {cut}");
        }
    }
}
