//! Kafka's answers with the proxy in the broker's place: clients connect to the addresses that the
//! brokers advertise, and would walk around the proxy otherwise.

use std::net::SocketAddr;

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;

/// Cuts a stream of answers into frames and rewrites addresses. A host and its port stand side by
/// side in every answer that names a broker, and the proxy listens on the same host, so that no
/// length changes.
pub(super) struct Frames {
    seen: Vec<u8>,
    theirs: Vec<u8>,
    ours: Vec<u8>,
}

impl Frames {
    pub(super) fn new(server: SocketAddr, own: SocketAddr) -> Self {
        let named = |port: u16| {
            let mut bytes = server.ip().to_string().into_bytes();
            bytes.extend_from_slice(&i32::from(port).to_be_bytes());
            bytes
        };
        Self {
            seen: Vec::new(),
            theirs: named(server.port()),
            ours: named(own.port()),
        }
    }

    /// Takes a piece in and gives what is whole, rewritten.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        self.seen.extend_from_slice(piece);
        let mut whole = 0;
        while let Some(length) = frame_length(&self.seen[whole..]) {
            if self.seen.len() < whole + length {
                break;
            }
            whole += length;
        }
        let rest = self.seen.split_off(whole);
        let mut out = std::mem::replace(&mut self.seen, rest);
        let mut at = 0;
        while let Some(found) = out[at..]
            .windows(self.theirs.len())
            .position(|window| window == self.theirs)
        {
            at += found;
            out[at..at + self.ours.len()].copy_from_slice(&self.ours);
            at += self.ours.len();
        }
        out
    }
}

fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length: [u8; LENGTH_BYTES] = bytes.get(..LENGTH_BYTES)?.try_into().ok()?;
    usize::try_from(i32::from_be_bytes(length))
        .ok()
        .map(|length| length + LENGTH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_address_becomes_the_proxys_however_the_bytes_are_cut() {
        let (server, own) = (
            SocketAddr::from(([127, 0, 0, 1], 9092)),
            SocketAddr::from(([127, 0, 0, 1], 23_456)),
        );
        let frame = |port: i32| {
            let mut body = vec![7, 7, 0, 9];
            body.extend_from_slice(b"127.0.0.1");
            body.extend_from_slice(&port.to_be_bytes());
            body.push(1);
            let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            frame.append(&mut body);
            frame
        };
        let stream: Vec<u8> = [frame(9092), frame(9092), frame(9093)].concat();
        let wanted: Vec<u8> = [frame(23_456), frame(23_456), frame(9093)].concat();
        for size in [1, 3, 7, 1_000] {
            let mut frames = Frames::new(server, own);
            let out: Vec<u8> = stream.chunks(size).flat_map(|it| frames.take(it)).collect();
            assert_eq!(out, wanted, "pieces of {size}");
        }
    }
}
