//! What is watched while a load runs, cheaply enough not to be the load itself.

mod commit;
mod cpu;
mod disk;
mod metrics;
mod processes;
mod progress;
mod results;
mod visible;

pub use commit::commits;
pub use cpu::{CpuSpent, CpuWatch};
pub use disk::DiskUse;
pub use metrics::MetricsPage;
pub use processes::Processes;
pub use progress::{Progress, ProgressWatch, stored, until_stored};
pub use results::{DueTimes, ResultWatch};
pub use visible::follow;
