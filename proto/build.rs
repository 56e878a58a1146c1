//! Generates the Rust side of the contract, and the descriptor set that reflection serves.

use prost::Message;
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 5] = [
    "axs/v1/account_balance_service.proto",
    "axs/v1/balance_change.proto",
    "axs/v1/envelope.proto",
    "axs/v1/event_state.proto",
    "axs/v1/result.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=axs");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("axs_descriptor.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads are cut from one buffer, not copied out of it.
        .bytes(".axs.v1.BalanceChangeEnvelope")
        .compile_fds(descriptors)?;
    Ok(())
}
