//! The published contract of AXS: `axs.v1.AccountBalanceService`, the envelope on the events topic
//! and the record on the result topic, generated from the `.proto` files beside this crate.

/// Version 1 of the contract. Its documentation stands in the `.proto` files.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
    tonic::include_proto!("axs.v1");
}

/// The encoded descriptor set of the contract, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/axs_descriptor.bin"));

/// The version of [`v1::BalanceChangeEnvelope`] that this build writes, and the newest it reads.
pub const ENVELOPE_SCHEMA_VERSION: u32 = 1;

/// The version of [`v1::BalanceChangeResult`] that this build writes.
pub const RESULT_SCHEMA_VERSION: u32 = 1;
