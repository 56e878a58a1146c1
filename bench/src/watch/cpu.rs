//! CPU seconds by role, read from `/proc` each second.

use super::processes::{Processes, Role};
use anyhow::{Context, Result};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What `/proc` counts in: USER_HZ, which Linux has fixed at 100 for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// The pause between two looks: short-lived backends lose no more than this.
const INTERVAL: Duration = Duration::from_secs(1);

/// CPU seconds by role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuSpent(pub BTreeMap<Role, f64>);

/// A watch under way.
#[derive(Debug)]
pub struct CpuWatch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<CpuSpent>>,
}

impl CpuWatch {
    /// Begins to count.
    ///
    /// # Errors
    /// `/proc` or PostgreSQL can't be read.
    pub async fn start(mut processes: Processes, pool: PgPool) -> Result<Self> {
        let mut count = Count::default();
        count.look(&mut processes, &pool).await?;
        count.spent.0.clear();
        let machine_before = machine_busy()?;
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                let ended = tokio::select! {
                    _ = &mut stopped => true,
                    () = tokio::time::sleep(INTERVAL) => false,
                };
                count.look(&mut processes, &pool).await?;
                if ended {
                    break;
                }
            }
            let ours: f64 = count.spent.0.values().sum();
            let others = (machine_busy()? - machine_before - ours).max(0.0);
            count.spent.0.insert(Role::Others, others);
            Ok(count.spent)
        });
        Ok(Self { stop, task })
    }

    /// Ends it and says what was spent.
    ///
    /// # Errors
    /// A look failed.
    pub async fn end(self) -> Result<CpuSpent> {
        let _ = self.stop.send(());
        self.task.await?
    }
}

#[derive(Default)]
struct Count {
    seen: HashMap<u32, f64>,
    spent: CpuSpent,
}

impl Count {
    async fn look(&mut self, processes: &mut Processes, pool: &PgPool) -> Result<()> {
        for (pid, role) in processes.look(pool).await? {
            let Some(now) = cpu_of(pid) else { continue };
            // A process that is new has spent all it has since the last look.
            let before = self.seen.insert(pid, now).unwrap_or_default();
            *self.spent.0.entry(role).or_default() += (now - before).max(0.0);
        }
        Ok(())
    }
}

/// User and system time of a process, its threads included, in seconds.
fn cpu_of(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in the second field may hold spaces, so what follows its bracket is read.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// Seconds for which any core of the machine was busy.
fn machine_busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq; steal is time that we did not get.
    let busy = fields
        .iter()
        .enumerate()
        .filter(|(place, _)| matches!(place, 0 | 1 | 2 | 5 | 6));
    Ok(busy.map(|(_, ticks)| ticks).sum::<f64>() / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::{cpu_of, machine_busy};

    #[test]
    fn work_of_this_process_is_seen_in_its_count_and_in_the_machines() {
        let pid = std::process::id();
        let (ours, machine) = (cpu_of(pid), machine_busy().expect("/proc/stat"));
        let mut number = 1u64;
        while cpu_of(pid) == ours {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(cpu_of(pid) > ours);
        assert!(machine_busy().expect("/proc/stat") >= machine);
    }
}
