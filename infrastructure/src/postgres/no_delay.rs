//! `TCP_NODELAY` on the connections to the database.
//!
//! The driver leaves Nagle's algorithm on. A COPY ends with a small packet of its own, which then
//! waits until the server has acknowledged the data before it, and the server, with nothing to
//! say, puts that off by some 40 ms: for a batch of 1,000 events more than the whole batch takes.
//!
//! The driver gives nobody its socket, and a descriptor made from a number is `unsafe`. So the
//! process asks the kernel for duplicates of its own descriptors (`pidfd_getfd(2)`, Linux 5.6) and
//! sets the option there: it belongs to the connection that both name. A container's seccomp
//! profile may refuse that call; then batches over TCP are slower, and it is said once. A Unix
//! socket needs none of this.

use rustix::fd::OwnedFd;
use rustix::net::getpeername;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use sqlx::postgres::PgConnectOptions;
use std::net::{IpAddr, SocketAddr};
use std::sync::Once;
use std::{fs, io};

/// The descriptors of this process.
const OWN_DESCRIPTORS: &str = "/proc/self/fd";

/// What a descriptor's link in [`OWN_DESCRIPTORS`] begins with when it is a socket.
const SOCKET_LINK: &str = "socket:";

static REFUSAL_IS_TOLD: Once = Once::new();

/// Sets the option on every connection of this process to that server; again on one that has it
/// changes nothing. Where it can't be done, that is logged once.
pub(crate) async fn set_on_connections_to(server: &PgConnectOptions) {
    let host = server.get_host();
    if server.get_socket().is_some() || host.starts_with('/') {
        return;
    }
    let done = match tokio::net::lookup_host((host, server.get_port())).await {
        Ok(addresses) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            // Reading /proc is file I/O.
            tokio::task::spawn_blocking(move || set_on_peers(&addresses))
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
            "TCP_NODELAY could not be set on connections to the database: batches over TCP wait \
             about 40 ms each. Allow pidfd_getfd in the seccomp profile, or use a Unix socket"
        );
    });
}

/// Sets the option on this process's connections to any of the addresses; gives their number.
fn set_on_peers(peers: &[SocketAddr]) -> io::Result<usize> {
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
                set_tcp_nodelay(&socket, true)?;
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
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_connections_to_the_server_are_changed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let to_server = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        assert!(!to_server.nodelay().unwrap());
        let found = set_on_peers(&[server.local_addr().unwrap()]).unwrap();
        assert_eq!(found, 1);
        assert!(to_server.nodelay().unwrap());
        assert!(!to_other.nodelay().unwrap());
    }
}
