//! A deployment of one test's own: database, topic, key prefix, ports, and processes whose logs
//! stay when the test fails.

mod builder;
mod command;
mod environment;
mod leadership;
mod replaying;

pub use builder::{DeploymentBuilder, PoolShape};
pub use command::{Ran, run};
pub use environment::Environment;
pub use replaying::Replayed;

use crate::client::ApiClient;
use crate::database::Database;
use crate::deadline::{Look, Patience, until};
use crate::process::Process;
use crate::server::Servers;
use crate::topic::Topic;
use crate::{binary, cache, port};
use anyhow::{Result, ensure};
use axs_proto::v1::{EventStatus, GetEventResponse};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long accepted events may take to become final once nothing more is submitted.
const FINAL_WITHIN: Duration = Duration::from_secs(120);

/// An API process and where it listens.
#[derive(Debug)]
pub struct Api {
    /// The process.
    pub process: Process,
    /// Its gRPC address.
    pub address: SocketAddr,
    /// A client of it.
    pub client: ApiClient,
}

/// A deployment. End it with [`Deployment::finish`]; one that is dropped without counts as
/// failed, and shows the ends of its logs and keeps them.
#[derive(Debug)]
pub struct Deployment {
    /// The servers it uses.
    pub servers: Servers,
    /// Its database.
    pub database: Database,
    /// Its events topic.
    pub topic: Topic,
    /// Its result topic.
    pub results: Topic,
    /// Settings of every process that is started from now on.
    pub environment: Environment,
    /// Its API processes.
    pub apis: Vec<Api>,
    /// Its consumers.
    pub consumers: Vec<Process>,
    /// What its keys in Redis begin with.
    pub key_prefix: String,
    binary: PathBuf,
    folder: Option<TempDir>,
    started: usize,
    finished: bool,
}

impl Deployment {
    /// Describes a deployment whose name appears in its database, topic and key prefix.
    #[must_use]
    pub fn builder(name: &str) -> DeploymentBuilder {
        DeploymentBuilder::named(name)
    }

    /// Where the logs of its processes are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// The client of the first API process, or of another one by its number.
    ///
    /// # Errors
    /// There is no such process.
    pub fn client(&self, index: usize) -> Result<ApiClient> {
        ensure!(index < self.apis.len(), "API {index} was not started");
        Ok(self.apis[index].client.clone())
    }

    /// Starts an API process with more settings, without waiting until it is ready.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn_api(&mut self, more: &[(&str, &str)]) -> Result<Api> {
        let address = port::free()?;
        let listen = address.to_string();
        let mut settings = vec![("AXS__GRPC__LISTEN", listen.as_str())];
        settings.extend_from_slice(more);
        Ok(Api {
            process: self.spawn("grpc", &settings)?,
            address,
            client: ApiClient::connect_lazy(address)?,
        })
    }

    /// Starts a consumer with more settings, without waiting until it is ready.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn_consumer(&mut self, more: &[(&str, &str)]) -> Result<Process> {
        self.spawn("consumer", more)
    }

    /// The same, of another build of `bootstrap`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn_consumer_of(&mut self, binary: &Path, more: &[(&str, &str)]) -> Result<Process> {
        self.spawn_of(binary, "consumer", more)
    }

    fn spawn(&mut self, subcommand: &str, more: &[(&str, &str)]) -> Result<Process> {
        let binary = self.binary.clone();
        self.spawn_of(&binary, subcommand, more)
    }

    fn spawn_of(
        &mut self,
        binary: &Path,
        subcommand: &str,
        more: &[(&str, &str)],
    ) -> Result<Process> {
        self.started += 1;
        let ops = port::free()?;
        let mut command = Command::new(binary);
        self.environment.apply(&mut command);
        command
            .arg(subcommand)
            .env("AXS__OPS__LISTEN", ops.to_string())
            .envs(more.iter().copied());
        let name = format!("{subcommand}-{}", self.started);
        Process::spawn(&name, self.folder(), ops, command)
    }

    /// Starts API processes and consumers beside those that run, and waits until all are ready.
    ///
    /// # Errors
    /// One is not ready in time: with the end of its log.
    pub async fn start(&mut self, apis: usize, consumers: usize) -> Result<()> {
        // All are started before the first is waited for.
        let mut new_apis = Vec::new();
        for _ in 0..apis {
            new_apis.push(self.spawn_api(&[])?);
        }
        let mut new_consumers = Vec::new();
        for _ in 0..consumers {
            new_consumers.push(self.spawn_consumer(&[])?);
        }
        for mut api in new_apis {
            api.process.ready().await?;
            self.apis.push(api);
        }
        for mut consumer in new_consumers {
            consumer.ready().await?;
            self.consumers.push(consumer);
        }
        Ok(())
    }

    /// Waits until no accepted event is without a result.
    ///
    /// # Errors
    /// Some are still pending after the bound.
    pub async fn all_final(&self) -> Result<()> {
        let what = "all accepted events to be final";
        until(what, Patience::of(FINAL_WITHIN), async || {
            Ok(match self.database.pending_events().await? {
                0 => Look::There(()),
                pending => Look::NotYet(format!("{pending} pending")),
            })
        })
        .await
    }

    /// Waits until an event has a result, and gives it.
    ///
    /// # Errors
    /// It is still pending after the bound.
    pub async fn result(&self, log_id: &str) -> Result<GetEventResponse> {
        let client = self.client(0)?;
        let what = format!("a result of event {log_id}");
        until(&what, Patience::of(FINAL_WITHIN), async || {
            let found = client.event(log_id).await?;
            let status = found.state.as_ref().map(axs_proto::v1::EventState::status);
            Ok(match status {
                None | Some(EventStatus::Pending | EventStatus::Unspecified) => {
                    Look::NotYet(format!("{status:?}"))
                }
                Some(_) => Look::There(found),
            })
        })
        .await
    }

    /// Runs `bootstrap verify`, which must find nothing.
    ///
    /// # Errors
    /// It found something, or could not run.
    pub async fn verify(&self) -> Result<Ran> {
        let ran = self.run(&["verify"]).await?;
        ensure!(ran.code == Some(0), "bootstrap verify: {ran}");
        Ok(ran)
    }

    /// Ends a test that has passed: verifies, drains every process, and removes what it made.
    ///
    /// # Errors
    /// `verify` finds something, or a process does not drain with exit code 0.
    pub async fn finish(mut self) -> Result<()> {
        self.all_final().await?;
        self.verify().await?;
        self.stop().await?;
        self.finished = true;
        Ok(())
    }

    /// Ends a test that has passed without looking at what it left behind.
    pub fn abandon(mut self) {
        self.finished = true;
    }

    /// Drains every process: all get SIGTERM, then each is waited for.
    ///
    /// # Errors
    /// One does not end in time, or not with exit code 0.
    pub async fn stop(&mut self) -> Result<()> {
        let apis = self.apis.drain(..).map(|api| api.process);
        let mut processes: Vec<Process> = apis.chain(self.consumers.drain(..)).collect();
        for process in &mut processes {
            process.signal(rustix::process::Signal::TERM)?;
        }
        for process in &mut processes {
            let status = process.end(Patience::PROCESS).await?;
            ensure!(
                status.success(),
                "{} drained with {status}\n{}",
                process.name(),
                process.log_tail()
            );
        }
        Ok(())
    }

    fn show_failure(&mut self) -> std::io::Result<()> {
        let mut out = std::io::stderr().lock();
        for process in self
            .apis
            .iter()
            .map(|api| &api.process)
            .chain(&self.consumers)
        {
            writeln!(out, "--- the end of {}", process.name())?;
            writeln!(out, "{}", process.log_tail())?;
        }
        if let Some(folder) = self.folder.take() {
            writeln!(out, "--- logs are in {}", folder.keep().display())?;
        }
        Ok(())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.show_failure();
        }
        self.apis.clear();
        self.consumers.clear();
        let (servers, topics) = (
            self.servers.clone(),
            [self.topic.clone(), self.results.clone()],
        );
        let (database, prefix) = (self.database.name.clone(), self.key_prefix.clone());
        // A runtime can't be entered from inside another one, so the cleaning has its own thread.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                Database::drop_by_name(&servers, &database).await?;
                cache::clear(&servers.redis, &prefix).await?;
                for topic in topics {
                    topic.remove().await?;
                }
                anyhow::Ok(())
            })
        });
        match cleaning.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "cleaning up {}: {error:#}",
                    self.database.name
                );
            }
            Err(_) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "cleaning up {} panicked",
                    self.database.name
                );
            }
        }
    }
}

/// The binary under test, for commands that need no deployment.
///
/// # Errors
/// It can't be found or built.
pub fn binary_under_test() -> Result<PathBuf> {
    binary::bootstrap()
}
