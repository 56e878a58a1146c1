//! A child process with a log of its own, which never outlives its owner.

use crate::deadline::{Look, Patience, until};
use crate::ops;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 40;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ops: SocketAddr,
}

impl Process {
    /// Starts a command. Both of its outputs go to `<folder>/<name>.log`, appended.
    ///
    /// # Errors
    /// The command can't be started.
    pub fn spawn(name: &str, folder: &Path, ops: SocketAddr, mut command: Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            ops,
        })
    }

    /// Its name in messages, e.g. `grpc-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id, which belongs to it until it was waited for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it answers probes.
    #[must_use]
    pub const fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Errors
    /// The process ended, or was not ready within the bound: with the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let name = self.name.clone();
        until(
            &format!("{name} to be ready"),
            Patience::PROCESS,
            async || {
                if let Some(status) = self.ended()? {
                    bail!(
                        "{name} ended with {status} before it was ready\n{}",
                        self.log_tail()
                    );
                }
                Ok(match ops::get(self.ops, "/readyz").await {
                    Ok(answer) if answer.status == 200 => Look::There(()),
                    Ok(answer) => Look::NotYet(format!("{} {}", answer.status, answer.body)),
                    Err(error) => Look::NotYet(format!("{error:#}")),
                })
            },
        )
        .await
        .with_context(|| format!("the end of {}:\n{}", self.log.display(), self.log_tail()))
    }

    /// The exit status, if it has ended.
    ///
    /// # Errors
    /// The system can't tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It did not end within the bound.
    pub async fn end(&mut self, patience: Patience) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        until(&what, patience, async || {
            Ok(match self.ended()? {
                Some(status) => Look::There(status),
                None => Look::NotYet("it runs".to_owned()),
            })
        })
        .await
    }

    /// Sends SIGTERM and waits until it has drained.
    ///
    /// # Errors
    /// It did not end within the bound.
    pub async fn drain(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.end(Patience::PROCESS).await
    }

    /// Sends a signal to this process alone.
    ///
    /// # Errors
    /// The system refuses. A process that has ended is no error.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // Asked first: the id of a process that was waited for may belong to a stranger.
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), signal)
                .with_context(|| format!("signal to {}", self.name))?;
        }
        Ok(())
    }

    /// Ends it with SIGKILL, at whatever instruction it is, and waits until it is gone.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines it has written.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing more can be done about an error here.
        let _ = self.kill();
    }
}
