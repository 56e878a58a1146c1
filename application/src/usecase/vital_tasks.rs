//! Tasks that a process can't do without.
//!
//! A task that dies leaves a process that looks well and does less than it should, until somebody
//! notices. So each task that runs as long as its process runs as a [`vital`] one: its death is
//! told, and whoever runs the process drains it and ends it with an exit code other than 0, for the
//! supervisor to start it anew. Nothing is restarted inside of the process: what a panic left
//! behind is not known.
//!
//! | metric | what it counts |
//! |---|---|
//! | `axs_task_deaths_total` | deaths, by `task` |

use async_trait::async_trait;
use futures::FutureExt;
use shaku::{Component, Interface};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A task ended that may not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task {task:?} died, without which this process can't go on: {reason}")]
pub struct TaskDeath {
    /// Which.
    pub task: &'static str,
    /// What it said when it panicked, or that it ended by itself.
    pub reason: String,
}

/// Knows whether the vital tasks of this process live.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait VitalTasks: Interface {
    /// Notes a death. The first one counts.
    fn note(&self, death: TaskDeath);

    /// The first death, if there was one.
    fn first_death(&self) -> Option<TaskDeath>;

    /// Resolves with the first death.
    async fn until_death(&self) -> TaskDeath;
}

/// The tasks of one process.
#[derive(Component, Debug, Default)]
#[shaku(interface = VitalTasks)]
pub struct ProcessTasks {
    #[shaku(force_default)]
    first: watch::Sender<Option<TaskDeath>>,
}

#[async_trait]
impl VitalTasks for ProcessTasks {
    fn note(&self, death: TaskDeath) {
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(death);
            is_first
        });
    }

    fn first_death(&self) -> Option<TaskDeath> {
        self.first.borrow().clone()
    }

    async fn until_death(&self) -> TaskDeath {
        let mut first = self.first.subscribe();
        // The sender lives in `self`, so the wait can't end by its loss.
        let found = first.wait_for(Option::is_some).await;
        let death = found.ok().and_then(|death| death.clone());
        match death {
            Some(death) => death,
            None => std::future::pending().await,
        }
    }
}

/// Runs a vital task to its end. When it panics, or ends before `stop` is cancelled, it has died.
///
/// # Errors
/// [`TaskDeath`], which is told and noted already.
pub async fn vital(
    tasks: Arc<dyn VitalTasks>,
    task: &'static str,
    stop: CancellationToken,
    work: impl Future<Output = ()> + Send,
) -> Result<(), TaskDeath> {
    // Nobody looks at what it left: it is dropped before its death is told.
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    let reason = match ended {
        Ok(()) if stop.is_cancelled() => return Ok(()),
        Ok(()) => "it ended without being told to".to_owned(),
        Err(panic) => format!("it panicked: {}", said_by(panic.as_ref())),
    };
    let death = TaskDeath { task, reason };
    tracing::error!(%death, "a task died");
    metrics::counter!("axs_task_deaths_total", "task" => task).increment(1);
    tasks.note(death.clone());
    Err(death)
}

fn said_by(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(
        stopped: bool,
        work: impl Future<Output = ()> + Send,
    ) -> (Arc<ProcessTasks>, Result<(), TaskDeath>) {
        let tasks = Arc::new(ProcessTasks::default());
        let stop = CancellationToken::new();
        if stopped {
            stop.cancel();
        }
        let ended = vital(tasks.clone(), "work", stop, work).await;
        (tasks, ended)
    }

    #[tokio::test]
    async fn a_panic_is_a_death_whenever_it_comes_and_says_what_it_said() {
        for stopped in [false, true] {
            let number = 7;
            let (tasks, ended) = run(stopped, async move { panic!("number {number}") }).await;
            let death = ended.unwrap_err();
            assert!(death.to_string().contains("number 7"), "{death}");
            assert_eq!(tasks.first_death(), Some(death.clone()));
            assert_eq!(tasks.until_death().await, death);
        }
    }

    #[tokio::test]
    async fn an_end_is_a_death_unless_the_task_was_told_to_end() {
        let (tasks, ended) = run(false, async {}).await;
        assert_eq!(tasks.first_death(), ended.err());
        assert!(tasks.first_death().is_some());
        let (tasks, ended) = run(true, async {}).await;
        assert_eq!((ended, tasks.first_death()), (Ok(()), None));
    }

    #[tokio::test]
    async fn the_first_death_is_told_to_who_waited_and_stays_the_first() {
        let tasks = Arc::new(ProcessTasks::default());
        let waiting = tokio::spawn({
            let tasks = tasks.clone();
            async move { tasks.until_death().await }
        });
        for task in ["one", "other"] {
            tasks.note(TaskDeath {
                task,
                reason: String::new(),
            });
        }
        assert_eq!(waiting.await.unwrap().task, "one");
        assert_eq!(tasks.first_death().unwrap().task, "one");
    }
}
