//! Who plays: processes and clients, from their start to their end.

use super::{Doors, Scene, moment};
use crate::deadline::{Look, Patience, until};
use crate::faults::failpoint;
use crate::faults::load::Load;
use crate::faults::watch::Watch;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use uuid::Uuid;

/// Streams of the load.
const STREAMS: usize = 8;

/// A consumer, and who it is in the leases.
#[derive(Debug)]
pub struct Leader {
    /// The process.
    pub process: Process,
    /// Its owner id.
    pub owner: Uuid,
}

impl Scene {
    /// Starts an API process, ready and open to clients. Gives its number.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn api(&mut self, plan: &str, through: Option<&Doors>) -> Result<usize> {
        let settings = self.settings(plan, through);
        let mut api = self.deployment.spawn_api(&borrowed(&settings))?;
        api.process.ready().await?;
        let number = self.apis_started;
        self.apis_started += 1;
        self.roster.add(number, api.client.clone());
        self.apis.insert(number, api);
        Ok(number)
    }

    /// Starts a consumer, and waits until it is ready. Gives its place in the list.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn leader(&mut self, plan: &str, through: Option<&Doors>) -> Result<usize> {
        let settings = self.settings(plan, through);
        self.leader_with(&settings).await
    }

    /// The same with settings of its own.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn leader_with(&mut self, settings: &[(String, String)]) -> Result<usize> {
        let mut process = self.deployment.spawn_consumer(&borrowed(settings))?;
        let owner = until(
            "a consumer to say who it is",
            Patience::PROCESS,
            async || {
                ensure!(
                    process.ended()?.is_none(),
                    "it ended: {}",
                    process.log_tail()
                );
                Ok(match owner_in(&process.log()) {
                    Some(owner) => Look::There(owner),
                    None => Look::NotYet(process.log_tail()),
                })
            },
        )
        .await?;
        self.leaders.push(Leader { process, owner });
        Ok(self.leaders.len() - 1)
    }

    /// Settings of a process with a plan of failpoints behind these doors.
    #[must_use]
    pub fn settings(&self, plan: &str, through: Option<&Doors>) -> Vec<(String, String)> {
        let mut settings = through.map_or_else(Vec::new, |doors| doors.settings.clone());
        if !plan.is_empty() {
            settings.extend(failpoint::environment(plan, self.hits.path()));
        }
        settings
    }

    /// Two API processes and two consumers, the first of each with a plan, and the load.
    ///
    /// # Errors
    /// A process is not ready in time.
    pub async fn cast(&mut self, api_plan: &str, leader_plan: &str) -> Result<()> {
        self.api(api_plan, None).await?;
        self.api("", None).await?;
        self.leader(leader_plan, None).await?;
        self.leader("", None).await?;
        self.led_by(2).await?;
        self.begin_load().await
    }

    /// The same with the first consumer behind doors.
    ///
    /// # Errors
    /// A process is not ready in time.
    pub async fn cast_behind(&mut self, doors: &Doors) -> Result<()> {
        self.api("", None).await?;
        self.api("", None).await?;
        self.leader("", Some(doors)).await?;
        self.leader("", None).await?;
        self.led_by(2).await?;
        self.begin_load().await
    }

    /// Registers currencies, opens accounts, begins the load and the watch, and waits until the
    /// load is well under way.
    ///
    /// # Errors
    /// The API refuses, or nobody decides.
    pub async fn begin_load(&mut self) -> Result<()> {
        self.start_load().await?;
        self.results(100).await
    }

    /// The same without waiting, for a fault that may come with the first batches.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn start_load(&mut self) -> Result<()> {
        let (_, client) = self.roster.pick(0).context("no API")?;
        client.register(&self.script.currencies).await?;
        client.open(&self.script.accounts).await?;
        let accounts = self.script.accounts.iter().map(|it| it.account_id);
        self.watch = Some(Watch::begin(
            self.deployment.database.pool.clone(),
            &self.roster,
            &self.journal,
            accounts.collect(),
            self.seed,
        ));
        self.load = Some(Load::begin(
            &self.script,
            STREAMS,
            self.seed,
            &self.roster,
            &self.journal,
        ));
        Ok(())
    }

    /// Lets the clients end.
    pub async fn end_load(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop().await;
        }
    }

    /// Wakes a stopped process, or tells any other signal.
    ///
    /// # Errors
    /// The system refuses.
    pub fn signal(&mut self, leader: usize, signal: Signal) -> Result<()> {
        self.leaders[leader].process.signal(signal)
    }

    /// Kills a consumer by hand.
    ///
    /// # Errors
    /// The system refuses, or nobody takes its place.
    pub async fn kill_leader(&mut self, leader: usize) -> Result<()> {
        let (owner, at) = (self.leaders[leader].owner, moment());
        self.leaders[leader].process.kill()?;
        self.replaced_after_kill(owner, at).await
    }

    /// Everything runs again: at least two API processes and two consumers that answer.
    ///
    /// # Errors
    /// A new process is not ready in time.
    pub async fn heal(&mut self) -> Result<()> {
        let mut gone = Vec::new();
        for (number, api) in &mut self.apis {
            if api.process.ended()?.is_some() {
                gone.push(*number);
            }
        }
        for number in gone {
            self.apis.remove(&number);
            self.roster.remove(number);
        }
        while self.apis.len() < 2 {
            self.api("", None).await?;
        }
        let mut live = 0;
        for leader in &mut self.leaders {
            // One that was stopped and nobody woke.
            leader.process.signal(Signal::CONT)?;
            live += usize::from(leader.process.ended()?.is_none());
        }
        while live < 2 {
            self.leader("", None).await?;
            live += 1;
        }
        Ok(())
    }
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The consumer says at its start who it is.
fn owner_in(log: &str) -> Option<Uuid> {
    let (_, rest) = log
        .lines()
        .find(|line| line.contains("leading partitions"))?
        .split_once("owner=")?;
    let word: String = rest
        .chars()
        .take_while(|letter| letter.is_ascii_hexdigit() || *letter == '-')
        .collect();
    word.parse().ok()
}
