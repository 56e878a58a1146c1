//! The binary itself, as it is shipped.

use std::process::Command;

#[test]
fn the_binary_tells_its_version_and_refuses_unknown_commands_as_wrong_usage() {
    let bootstrap = env!("CARGO_BIN_EXE_bootstrap");
    let version = Command::new(bootstrap).arg("--version").output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    let release = concat!("bootstrap ", env!("CARGO_PKG_VERSION"), " (commit ");
    let commit = text
        .trim()
        .strip_prefix(release)
        .and_then(|rest| rest.strip_suffix(')'));
    assert!(commit.is_some_and(|commit| !commit.is_empty()), "{text}");
    let unknown = Command::new(bootstrap).arg("frobnicate").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn a_build_without_failpoints_refuses_a_plan_for_them() {
    let bootstrap = env!("CARGO_BIN_EXE_bootstrap");
    let refused = Command::new(bootstrap)
        .arg("migrate")
        .env("AXS_FAILPOINTS", "batch.after_commit=kill")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("built without failpoints"), "{words}");
}
