//! The `bootstrap` binary under test.
//!
//! `AXS_TEST_BOOTSTRAP` names it when it was built elsewhere. Otherwise it is the one in the
//! target folder and profile of the running program, built here when it is missing or older than a
//! source it is made of. Tests run the build with failpoints, which has a name of its own; a
//! program built for release runs what is shipped.

use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The checkout.
#[must_use]
pub fn checkout() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The path of the binary, which is built when it has to be. One build for each test program.
///
/// # Errors
/// The binary can't be found or built; cargo's own messages are on standard error.
pub fn bootstrap() -> Result<PathBuf> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let path = PATH.get_or_init(|| find_or_build().map_err(|error| format!("{error:#}")));
    path.clone().map_err(anyhow::Error::msg)
}

fn find_or_build() -> Result<PathBuf> {
    if let Some(path) = env::var_os("AXS_TEST_BOOTSTRAP") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "AXS_TEST_BOOTSTRAP: no file at {}",
            path.display()
        );
        return Ok(path);
    }
    let folder = profile_folder()?;
    let features = if folder.ends_with("release") {
        None
    } else {
        Some("failpoints")
    };
    let name = features.map_or("bootstrap", |_| "bootstrap-failpoints");
    let path = folder.join(name);
    if is_stale(&path) {
        build(&folder, name, features)?;
    }
    ensure!(path.is_file(), "cargo built no {}", path.display());
    Ok(path)
}

/// `<target>/debug` or `<target>/release`: tests run from its `deps`, programs from itself.
fn profile_folder() -> Result<PathBuf> {
    let running = env::current_exe().context("the path of the running program")?;
    let folder = running
        .parent()
        .context("the folder of the running program")?;
    let folder = if folder.ends_with("deps") {
        folder.parent().context("the folder above deps")?
    } else {
        folder
    };
    Ok(folder.to_owned())
}

/// What the binary is made of, where cargo's own list is not there: `cargo build` leaves one beside
/// the binary, `cargo test` does not.
const SOURCES: [&str; 9] = [
    "Cargo.lock",
    "application",
    "bootstrap",
    "config",
    "domain",
    "infrastructure/src",
    "interfaces/src",
    "migrations",
    "proto/axs",
];

/// Whether the binary is missing or older than a source that went into it.
fn is_stale(binary: &Path) -> bool {
    let Ok(built) = fs::metadata(binary).and_then(|file| file.modified()) else {
        return true;
    };
    let sources: Vec<PathBuf> = match fs::read_to_string(binary.with_extension("d")) {
        Ok(list) => {
            let (_, sources) = list.split_once(": ").unwrap_or_default();
            // In this list a space inside a path has a backslash before it.
            sources
                .replace("\\ ", "\0")
                .split_whitespace()
                .map(|path| PathBuf::from(path.replace('\0', " ")))
                .collect()
        }
        Err(_) => SOURCES.iter().map(|path| checkout().join(path)).collect(),
    };
    sources.iter().any(|source| changed_since(source, built))
}

/// Whether a file, or any file below a folder, has changed since; what is gone has changed.
fn changed_since(path: &Path, time: SystemTime) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return true;
    };
    if metadata.modified().is_ok_and(|changed| changed > time) {
        return true;
    }
    metadata.is_dir()
        && fs::read_dir(path).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| changed_since(&entry.path(), time)))
        })
}

fn build(folder: &Path, name: &str, features: Option<&str>) -> Result<()> {
    let target = folder.parent().context("the target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("no profile in {}", folder.display()),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(checkout())
        .args(["build", "--locked", "-p", "bootstrap", "--bin", name])
        .args(["--profile", profile])
        .args(features.map(|it| format!("--features={it}")))
        .arg("--target-dir")
        .arg(target)
        .status()
        .context("running cargo")?;
    ensure!(
        status.success(),
        "`cargo build -p bootstrap` failed: {status}"
    );
    Ok(())
}
