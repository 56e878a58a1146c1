//! The pure domain by itself, in a process that counts its allocations.

use super::Bench;
use crate::report::number;
use anyhow::{Context, Result, ensure};
use std::env;
use std::process::Stdio;
use tokio::process::Command;

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let path = env::current_exe()?.with_file_name("axs-bench-decide");
    for nth in 1..=bench.effort.runs {
        let output = Command::new(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| path.display().to_string())?;
        ensure!(
            output.status.success(),
            "{}: {}",
            path.display(),
            output.status
        );
        for line in String::from_utf8(output.stdout)?.lines() {
            add(line, bench, nth)?;
        }
    }
    Ok(())
}

fn add(line: &str, bench: &mut Bench, nth: usize) -> Result<()> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [case, rate, allocations, bytes] = fields[..] else {
        anyhow::bail!("{line:?} is no case");
    };
    let rate = rate.parse()?;
    let figures = &mut bench.figures;
    figures.add(case, "decided on one core", "events/s", rate);
    figures.add(case, "allocations", "per event", allocations.parse()?);
    figures.add(case, "allocated", "bytes/event", bytes.parse()?);
    if nth == 1 {
        bench
            .screen
            .say(&format!("decide: {case}: {} events/s", number(rate)));
    }
    Ok(())
}
