//! Tells the program which commit it is built of.

use std::process::Command;

/// Names the commit where there is no repository, or no git, to ask: who builds from an archive.
const COMMIT: &str = "AXS_BUILD_COMMIT";

fn main() {
    println!("cargo:rerun-if-env-changed={COMMIT}");
    let commit = std::env::var(COMMIT).ok().or_else(checked_out);
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env={COMMIT}={commit}");
}

/// The commit that is checked out. Files that differ from it are not told: they may change without
/// this being run again.
fn checked_out() -> Option<String> {
    let folder = git(&["rev-parse", "--absolute-git-dir"])?;
    println!("cargo:rerun-if-changed={folder}/HEAD");
    println!("cargo:rerun-if-changed={folder}/logs/HEAD");
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let said = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    said.status.success().then(|| text.trim().to_owned())
}
