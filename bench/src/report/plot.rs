//! The plots of the docs.

use super::Report;
use anyhow::Result;
use std::path::Path;

/// Draws what the report holds into a folder.
///
/// # Errors
/// A file can't be written.
pub fn draw(_report: &Report, _folder: &Path) -> Result<()> {
    Ok(())
}
