//! The `bootstrap` program with batches written by the usual bulk form, for measurements. Never
//! shipped.

use mimalloc::MiMalloc;
use std::process::ExitCode;

// As the program that ships has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    bootstrap::main()
}
