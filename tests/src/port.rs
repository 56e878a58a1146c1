//! Free ports for processes.

use anyhow::{Result, bail};
use rand::RngExt;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below the range from which Linux takes the ports of outgoing connections, so that no
/// connection takes the port between this look and the process's own bind.
const RANGE: std::ops::Range<u16> = 22_000..32_000;

/// Ports tried before giving up.
const TRIES_MAX: usize = 200;

/// What was given already. A port is given once: whoever has it may not listen on it yet, and the
/// next one of the same deployment must not get it too.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// An address of this machine that nobody listens on, and that nobody in this process was given
/// before.
///
/// # Errors
/// After many tries: something is wrong with the machine.
pub fn free() -> Result<SocketAddr> {
    for _ in 0..TRIES_MAX {
        let port = rand::rng().random_range(RANGE);
        let is_new = GIVEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(port);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if is_new && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("{TRIES_MAX} ports of {RANGE:?} tried, none is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        // By chance alone, some two of so many would be the same in nearly every run.
        let ports: Vec<u16> = (0..500).map(|_| free().unwrap().port()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
    }
}
