//! Whether the process can do its work, from probes that are bounded and shared by all askers.

use super::leadership::{Election, LeadershipReport};
use axs_application::port::readiness_probe::ReadinessProbe;
use futures::future::join_all;
use metrics::gauge;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// What the process is without a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Not ready.
    Required,
    /// Ready, but degraded.
    Optional,
}

/// A dependency, and what the process is without it.
#[derive(Clone)]
pub struct Dependency {
    /// Asks it.
    pub probe: Arc<dyn ReadinessProbe>,
    /// What the process is without it.
    pub need: Need,
}

/// How a dependency answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyState {
    /// As it should.
    Up,
    /// With an error, or not in time.
    Down,
}

/// One dependency at the time of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyReport {
    /// What it is, e.g. `postgresql`.
    pub name: &'static str,
    /// Where it is, without its password.
    pub address: String,
    /// How it answered.
    pub state: DependencyState,
    /// Whether the process is not ready without it; else it is degraded without it.
    pub required: bool,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the process can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    /// Whether it can.
    pub ready: bool,
    /// Whether something is missing that the process can do without for a while.
    pub degraded: bool,
    /// Every dependency.
    pub dependencies: Vec<DependencyReport>,
    /// A consumer's part in the election.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leadership: Option<LeadershipReport>,
}

/// How long looks at dependencies take and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTiming {
    /// How long one dependency may take to answer.
    pub timeout: Duration,
    /// How long a report is given out before the dependencies are asked again.
    pub lasts: Duration,
}

impl Default for ProbeTiming {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            lasts: Duration::from_secs(1),
        }
    }
}

/// Keeps the newest report.
///
/// # Contract
/// - However many ask, the dependencies are asked by one asker at a time, and at most once in
///   [`ProbeTiming::lasts`]; the others wait for that answer.
/// - An answer takes at most about [`ProbeTiming::timeout`], however slow the dependencies are:
///   they are asked at the same time.
pub struct ReadinessBoard {
    dependencies: Vec<Dependency>,
    election: Option<Arc<Election>>,
    timing: ProbeTiming,
    newest: Mutex<Option<(Instant, Arc<ReadinessReport>)>>,
}

impl ReadinessBoard {
    /// A board of these dependencies; for a consumer, with its part in the election.
    #[must_use]
    pub fn new(
        dependencies: Vec<Dependency>,
        election: Option<Arc<Election>>,
        timing: ProbeTiming,
    ) -> Self {
        Self {
            dependencies,
            election,
            timing,
            newest: Mutex::new(None),
        }
    }

    /// The newest report, made now if it is too old.
    pub async fn report(&self) -> Arc<ReadinessReport> {
        let mut newest = self.newest.lock().await;
        if let Some((made_at, report)) = newest.as_ref()
            && made_at.elapsed() < self.timing.lasts
        {
            return Arc::clone(report);
        }
        let report = Arc::new(self.look().await);
        *newest = Some((Instant::now(), Arc::clone(&report)));
        report
    }

    async fn look(&self) -> ReadinessReport {
        let dependencies = join_all(self.dependencies.iter().map(|dependency| {
            let limit = self.timing.timeout;
            ask(dependency, limit)
        }))
        .await;
        for dependency in &dependencies {
            let up = dependency.state == DependencyState::Up;
            gauge!("axs_dependency_up", "dependency" => dependency.name)
                .set(f64::from(u8::from(up)));
        }
        let leadership = self.election.as_ref().map(|election| election.report());
        let down = |report: &DependencyReport| report.state == DependencyState::Down;
        let electing = leadership.as_ref().is_none_or(|part| part.electing);
        let leads_less = leadership
            .as_ref()
            .is_some_and(LeadershipReport::is_degraded);
        ReadinessReport {
            ready: electing && !dependencies.iter().any(|it| it.required && down(it)),
            degraded: leads_less || dependencies.iter().any(down),
            dependencies,
            leadership,
        }
    }
}

async fn ask(dependency: &Dependency, limit: Duration) -> DependencyReport {
    let probe = &dependency.probe;
    let reason = match timeout(limit, probe.check()).await {
        Ok(answer) => answer.err().map(|failure| failure.reason),
        Err(_) => Some(format!("no answer within {} ms", limit.as_millis())),
    };
    DependencyReport {
        name: probe.name(),
        address: probe.address(),
        state: match reason {
            None => DependencyState::Up,
            Some(_) => DependencyState::Down,
        },
        required: dependency.need == Need::Required,
        reason,
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
