//! Free ports for processes.

use anyhow::{Result, bail};
use rand::RngExt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Below the range from which Linux takes the ports of outgoing connections, so that no
/// connection takes the port between this look and the process's own bind.
const RANGE: std::ops::Range<u16> = 22_000..32_000;

/// Ports tried before giving up.
const TRIES_MAX: usize = 200;

/// An address of this machine that nobody listens on.
///
/// # Errors
/// After many tries: something is wrong with the machine.
pub fn free() -> Result<SocketAddr> {
    for _ in 0..TRIES_MAX {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::rng().random_range(RANGE)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("{TRIES_MAX} ports of {RANGE:?} tried, none is free")
}
