//! The binary itself. That this file exists makes cargo build it before any test of the workspace
//! runs, so that the black-box tests find it.

use std::process::Command;

#[test]
fn the_binary_tells_its_version_and_refuses_unknown_commands_as_wrong_usage() {
    let bootstrap = env!("CARGO_BIN_EXE_bootstrap");
    let version = Command::new(bootstrap).arg("--version").output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    assert_eq!(
        text.trim(),
        concat!("bootstrap ", env!("CARGO_PKG_VERSION"))
    );
    let unknown = Command::new(bootstrap).arg("frobnicate").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}
