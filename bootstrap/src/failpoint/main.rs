//! The `bootstrap` program with its failpoints, for fault tests. Never shipped.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::main()
}
