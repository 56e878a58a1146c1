//! Accepting connections: options set on each socket, and a bound on their number.

use futures::{Stream, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

/// How long accepting rests after an error, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After how long a silence the kernel asks the peer's kernel. Longer than HTTP/2 asks by itself:
/// it is for peers that have not begun to speak HTTP/2.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A listening socket.
pub(super) struct Listener {
    incoming: TcpIncoming,
}

impl Listener {
    /// Begins to listen. Accepted sockets send small answers at once and notice dead peers.
    pub(super) fn bind(listen: SocketAddr) -> io::Result<Self> {
        let incoming = TcpIncoming::bind(listen)?
            .with_nodelay(Some(true))
            .with_keepalive(Some(TCP_KEEPALIVE));
        Ok(Self { incoming })
    }

    /// Where it listens: the port that the system chose, where the setting said 0.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.incoming.local_addr()
    }

    /// Connections, at most `connections_max` of them open at once. Dropping the stream closes
    /// the listening socket.
    pub(super) fn accept(
        self,
        connections_max: usize,
    ) -> impl Stream<Item = io::Result<BoundedConnection>> {
        let permits = Arc::new(Semaphore::new(connections_max));
        futures::stream::unfold(self.incoming, move |mut incoming| {
            let permits = Arc::clone(&permits);
            async move {
                let permit = permits.acquire_owned().await.ok()?;
                let accepted = incoming.next().await?;
                if let Err(error) = &accepted {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                let connection = accepted.map(|stream| BoundedConnection {
                    stream,
                    _permit: permit,
                });
                Some((connection, incoming))
            }
        })
    }
}

/// A connection that counts against the bound until it is dropped.
pub(super) struct BoundedConnection {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl Connected for BoundedConnection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for BoundedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    fn listener() -> Listener {
        Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
    }

    #[tokio::test]
    async fn an_accepted_socket_sends_small_answers_at_once() {
        let listener = listener();
        let at = listener.local_addr().unwrap();
        let mut accepted = pin!(listener.accept(1));
        let client = TcpStream::connect(at).await.unwrap();
        let connection = accepted.next().await.unwrap().unwrap();
        assert!(connection.stream.nodelay().unwrap());
        drop(client);
    }

    #[tokio::test]
    async fn a_connection_beyond_the_bound_waits_until_another_one_ends() {
        let listener = listener();
        let at = listener.local_addr().unwrap();
        let mut accepted = pin!(listener.accept(1));
        let clients = (
            TcpStream::connect(at).await.unwrap(),
            TcpStream::connect(at).await.unwrap(),
        );
        let first = accepted.next().await.unwrap().unwrap();
        let mut second = pin!(accepted.next());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        assert!(second.await.unwrap().is_ok());
        drop(clients);
    }
}
