//! Log lines to standard error, so that a command's own output stays clean.

use crate::settings::{LogFormat, LogSection, SettingsError};
use tracing_subscriber::EnvFilter;

/// Starts logging for the process.
///
/// # Errors
/// [`SettingsError::Invalid`] when `log.filter` can't be read.
pub fn start(section: &LogSection) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&section.filter)
        .map_err(|error| SettingsError::Invalid(vec![format!("log.filter: {error}")]))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match section.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // Only a second start in one process can fail, and then the first one serves.
    started.or(Ok(()))
}
