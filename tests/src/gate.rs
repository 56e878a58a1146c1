//! A door to a server that a test opens when it likes: until then its port is closed.

use crate::port;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinHandle;

/// A closed port that can be opened once. Connections through it end when it is dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    server: String,
    open: Option<JoinHandle<()>>,
}

impl Gate {
    /// A closed gate to `host:port`.
    ///
    /// # Errors
    /// No port is free.
    pub fn closed(server: &str) -> Result<Self> {
        Ok(Self {
            address: port::free()?,
            server: server.to_owned(),
            open: None,
        })
    }

    /// Where processes are pointed to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens it.
    ///
    /// # Errors
    /// Somebody took the port, or the server has no address.
    pub async fn open(&mut self) -> Result<()> {
        let mut found = lookup_host(&self.server).await?;
        let server = found.next().context("the server has no address")?;
        let listener = TcpListener::bind(self.address).await?;
        self.open = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut upstream) = TcpStream::connect(server).await {
                        // Either side may hang up; that is theirs to deal with.
                        let _ = copy_bidirectional(&mut client, &mut upstream).await;
                    }
                });
            }
        }));
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
        }
    }
}
