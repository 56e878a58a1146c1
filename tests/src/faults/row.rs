//! One fault: a row of the table.

use super::invariant::Invariant;
use super::scene::Scene;
use crate::deployment::DeploymentBuilder;
use anyhow::Result;
use std::fmt;
use std::pin::Pin;

/// What a play gives.
pub type Played<'s> = Pin<Box<dyn Future<Output = Result<()>> + 's>>;

/// Something that is counted, and that a row may demand to be more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Faults that were really put in.
    Injections,
    /// Events accepted and not final when the fault came.
    InFlight,
    /// Partitions that got another leader after the load began.
    TakeOvers,
    /// Records that had come before: skipped by a leader, or copies in the topic.
    Redeliveries,
    /// Events that the API refused for good.
    Refusals,
    /// Ambiguous answers, each settled by sending the same key again.
    Unknown,
}

impl Count {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Injections,
        Self::InFlight,
        Self::TakeOvers,
        Self::Redeliveries,
        Self::Refusals,
        Self::Unknown,
    ];
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Injections => "injections",
            Self::InFlight => "in flight",
            Self::TakeOvers => "take-overs",
            Self::Redeliveries => "redeliveries",
            Self::Refusals => "refusals",
            Self::Unknown => "unknown settled",
        })
    }
}

/// What a row needs to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Processes and proxies of its own: it may run beside anything.
    Nothing,
    /// Servers that nobody else uses: it stops or empties them.
    OwnServers,
}

/// What the row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proves {
    /// That every promise is kept.
    Kept,
    /// That the checker notices when a guard is left out: one of these must be broken.
    Caught(&'static [Invariant]),
}

/// A row.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// The fault, for a person.
    pub fault: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// What must be counted besides injections and events in flight.
    pub counts: &'static [Count],
    /// What it shows.
    pub proves: Proves,
    /// Settings beyond those of every row.
    pub shape: fn(DeploymentBuilder) -> DeploymentBuilder,
    /// Starts the processes and the load, puts the fault in, and heals.
    pub play: for<'s> fn(&'s mut Scene) -> Played<'s>,
}

impl Row {
    /// A row that needs nothing, keeps every promise and demands nothing special.
    #[must_use]
    pub const fn new(
        name: &'static str,
        fault: &'static str,
        play: for<'s> fn(&'s mut Scene) -> Played<'s>,
    ) -> Self {
        Self {
            name,
            fault,
            needs: Needs::Nothing,
            counts: &[],
            proves: Proves::Kept,
            shape: |builder| builder,
            play,
        }
    }

    /// It stops or empties servers.
    #[must_use]
    pub const fn on_own_servers(mut self) -> Self {
        self.needs = Needs::OwnServers;
        self
    }

    /// None of these may be zero.
    #[must_use]
    pub const fn counting(mut self, counts: &'static [Count]) -> Self {
        self.counts = counts;
        self
    }

    /// One of these must be found broken.
    #[must_use]
    pub const fn caught_by(mut self, invariants: &'static [Invariant]) -> Self {
        self.proves = Proves::Caught(invariants);
        self
    }

    /// Other settings.
    #[must_use]
    pub const fn shaped(mut self, shape: fn(DeploymentBuilder) -> DeploymentBuilder) -> Self {
        self.shape = shape;
        self
    }
}
