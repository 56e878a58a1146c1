//! Ops HTTP: is the process alive, can it do its work, and what did it count.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the process runs its event loop; asks nothing and nobody |
//! | `/readyz` | 200 or 503, and [`readiness::ReadinessReport`] as JSON |
//! | `/metrics` | the counters, in Prometheus' text format |

pub mod leadership;
pub mod readiness;
pub mod server;
