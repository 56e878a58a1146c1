//! The ops endpoints over a real socket.

#[cfg(test)]
mod ops_http;
