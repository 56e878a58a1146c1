//! The `bootstrap` binary under test.
//!
//! `AXS_TEST_BOOTSTRAP` names it when it was built elsewhere. Otherwise it is the one in the
//! target folder and profile of the running program, and it is built first when it is missing or
//! older than any source it is made of: `cargo test` alone does not build the binary of another
//! package.

use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// What the binary is made of, relative to the checkout.
const SOURCES: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "application",
    "bootstrap",
    "config",
    "domain",
    "infrastructure",
    "interfaces",
    "migrations",
    "proto",
];

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
    let path = folder.join("bootstrap");
    if is_stale(&path)? {
        build(&folder)?;
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

fn is_stale(binary: &Path) -> Result<bool> {
    let Ok(built) = fs::metadata(binary).and_then(|file| file.modified()) else {
        return Ok(true);
    };
    for source in SOURCES {
        if newest(&checkout().join(source))? > built {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The time of the last change in a file or below a folder. Unit tests inside the sources count
/// too: a build too many is better than an old binary.
fn newest(path: &Path) -> Result<SystemTime> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(SystemTime::UNIX_EPOCH);
    };
    let mut newest_found = metadata.modified()?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            newest_found = newest_found.max(newest(&entry?.path())?);
        }
    }
    Ok(newest_found)
}

fn build(folder: &Path) -> Result<()> {
    let target = folder.parent().context("the target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("no profile in {}", folder.display()),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(checkout())
        .args(["build", "--locked", "-p", "bootstrap", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .status()
        .context("running cargo")?;
    ensure!(
        status.success(),
        "`cargo build -p bootstrap` failed: {status}"
    );
    // When nothing had to be compiled cargo leaves the file's time alone, and the next program
    // would ask cargo again. That costs half a second and is right, so the time is not touched.
    Ok(())
}
