//! What the driver leaves undone on its TCP connections to the database.
//!
//! `TCP_USER_TIMEOUT` and keepalives: a query to a server that vanished without a word, by a cut
//! cable or a dead host, would keep its caller's connection, and so a place of the pool, for as
//! long as the kernel repeats itself: a quarter of an hour. With them the connection fails after
//! [`PEER_SILENT_MAX`]. A server that hangs, while its kernel answers, is not concerned: callers
//! have limits of their own.
//!
//! `TCP_NODELAY`: the driver leaves Nagle's algorithm on. A COPY ends with a small packet of its
//! own, which then waits until the server has acknowledged the data before it, and the server, with
//! nothing to say, puts that off by some 40 ms: for a batch of 1,000 events more than the whole
//! batch takes.
//!
//! The driver gives nobody its socket, and a descriptor made from a number is `unsafe`. So the
//! process asks the kernel for duplicates of its own descriptors (`pidfd_getfd(2)`, Linux 5.6) and
//! sets the option there: it belongs to the connection that both name. A container's seccomp
//! profile may refuse that call; then batches over TCP are slower and vanished servers are noticed
//! late, and it is said once. A Unix socket needs none of this.

use rustix::fd::OwnedFd;
use rustix::net::getpeername;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
    set_tcp_user_timeout,
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use sqlx::postgres::PgConnectOptions;
use std::net::{IpAddr, SocketAddr};
use std::sync::Once;
use std::time::Duration;
use std::{fs, io};

/// How long a server may acknowledge nothing before its connection fails.
const PEER_SILENT_MAX: Duration = Duration::from_secs(20);

/// How long a connection is quiet before its server is asked for a sign of life, and how often
/// then.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// The descriptors of this process.
const OWN_DESCRIPTORS: &str = "/proc/self/fd";

/// What a descriptor's link in [`OWN_DESCRIPTORS`] begins with when it is a socket.
const SOCKET_LINK: &str = "socket:";

static REFUSAL_IS_TOLD: Once = Once::new();

/// Sends small packets of every connection of this process to that server at once. Done again on
/// one that has the option it changes nothing. Where it can't be done, that is logged once.
pub(crate) async fn set_no_delay(server: &PgConnectOptions) {
    set_on_connections_to(server, |socket| set_tcp_nodelay(socket, true)).await;
}

/// Lets every connection of this process to that server fail when the server is silent for
/// [`PEER_SILENT_MAX`]; otherwise as [`set_no_delay`].
pub(crate) async fn bound_silence(server: &PgConnectOptions) {
    set_on_connections_to(server, |socket| {
        let millis = u32::try_from(PEER_SILENT_MAX.as_millis()).unwrap_or(u32::MAX);
        set_socket_keepalive(socket, true)?;
        set_tcp_keepidle(socket, KEEPALIVE_EVERY)?;
        set_tcp_keepintvl(socket, KEEPALIVE_EVERY)?;
        set_tcp_user_timeout(socket, millis)
    })
    .await;
}

/// Sets one option of a socket.
type SetOption = fn(&OwnedFd) -> rustix::io::Result<()>;

async fn set_on_connections_to(server: &PgConnectOptions, set: SetOption) {
    let host = server.get_host();
    if server.get_socket().is_some() || host.starts_with('/') {
        return;
    }
    let done = match tokio::net::lookup_host((host, server.get_port())).await {
        Ok(addresses) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            // Reading /proc is file I/O.
            tokio::task::spawn_blocking(move || set_on_peers(&addresses, set))
                .await
                .unwrap_or_else(|ended| Err(io::Error::other(ended)))
        }
        Err(error) => Err(error),
    };
    let reason = match done {
        Ok(0) => "no connection to its address was found".to_owned(),
        Ok(_) => return,
        Err(error) => error.to_string(),
    };
    REFUSAL_IS_TOLD.call_once(|| {
        tracing::warn!(
            reason,
            "options could not be set on connections to the database: batches over TCP wait about \
             40 ms each, and a server that vanishes is noticed late. Allow pidfd_getfd in the \
             seccomp profile, or use a Unix socket"
        );
    });
}

/// Sets the option on this process's connections to any of the addresses; gives their number.
fn set_on_peers(peers: &[SocketAddr], set: SetOption) -> io::Result<usize> {
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut found = 0;
    for entry in fs::read_dir(OWN_DESCRIPTORS)? {
        let entry = entry?;
        let is_socket = fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with(SOCKET_LINK));
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let (true, Some(number)) = (is_socket, number) else {
            continue;
        };
        match pidfd_getfd(&this_process, number, PidfdGetfdFlags::empty()) {
            Ok(socket) if is_connected_to(&socket, peers) => {
                set(&socket)?;
                found += 1;
            }
            // Another's socket, or closed since the folder was read.
            Ok(_) | Err(rustix::io::Errno::BADF) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(found)
}

fn is_connected_to(socket: &OwnedFd, peers: &[SocketAddr]) -> bool {
    let peer = getpeername(socket).ok().flatten().map(SocketAddr::try_from);
    let Some(Ok(peer)) = peer else {
        return false;
    };
    let canonical =
        |address: &SocketAddr| -> (IpAddr, u16) { (address.ip().to_canonical(), address.port()) };
    peers
        .iter()
        .any(|other| canonical(other) == canonical(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle, tcp_user_timeout};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_connections_to_the_server_are_changed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let to_server = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        assert!(!to_server.nodelay().unwrap());
        let set: SetOption = |socket| set_tcp_nodelay(socket, true);
        let found = set_on_peers(&[server.local_addr().unwrap()], set).unwrap();
        assert_eq!(found, 1);
        assert!(to_server.nodelay().unwrap());
        assert!(!to_other.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_connection_fails_when_its_server_is_silent_for_the_bound() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let to_server = TcpStream::connect(address).unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(address.port());
        bound_silence(&options).await;
        let millis = tcp_user_timeout(&to_server).unwrap();
        assert_eq!(u128::from(millis), PEER_SILENT_MAX.as_millis());
        assert!(socket_keepalive(&to_server).unwrap());
        assert_eq!(tcp_keepidle(&to_server).unwrap(), KEEPALIVE_EVERY);
    }
}
