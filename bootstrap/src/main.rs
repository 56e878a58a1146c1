//! The `bootstrap` program.

#[cfg(feature = "reference-form")]
compile_error!("the usual bulk form is for measurements: build bootstrap-reference");

use mimalloc::MiMalloc;
use std::process::ExitCode;

// An event passes through many small texts, made on one thread and dropped on another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    bootstrap::main()
}
