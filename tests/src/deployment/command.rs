//! One run of a subcommand that ends by itself.

use super::Deployment;
use crate::process::Process;
use anyhow::{Context, Result};
use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command that takes longer hangs.
const BOUND: Duration = Duration::from_secs(120);

/// How a command ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        write!(f, "ended with {code}\n{}{}", self.stdout, self.stderr)
    }
}

impl Deployment {
    /// Runs `bootstrap` with these arguments and the deployment's settings.
    ///
    /// # Errors
    /// It can't be started, or does not end in time.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_with(arguments, &[]).await
    }

    /// Starts a command that a test will not let end by itself.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn_command(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.binary);
        self.environment.apply(&mut command);
        command.args(arguments).current_dir(self.folder());
        // It answers no probes.
        Process::spawn(
            "command",
            self.folder(),
            ([127, 0, 0, 1], 0).into(),
            command,
        )
    }

    /// The same with more settings.
    ///
    /// # Errors
    /// It can't be started, or does not end in time.
    pub async fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Result<Ran> {
        let mut command = Command::new(&self.binary);
        self.environment.apply(&mut command);
        command
            .args(arguments)
            .envs(more.iter().copied())
            .current_dir(self.folder());
        run(command)
            .await
            .with_context(|| format!("bootstrap {}", arguments.join(" ")))
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It can't be started, or does not end in time, and is killed then.
pub async fn run(mut command: Command) -> Result<Ran> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let began = Instant::now();
    let child = command.kill_on_drop(true).spawn().context("starting it")?;
    let output = tokio::time::timeout(BOUND, child.wait_with_output())
        .await
        .with_context(|| format!("it did not end in {BOUND:?}"))??;
    Ok(Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: began.elapsed(),
    })
}
