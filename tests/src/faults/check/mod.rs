//! The promises, looked at once everything is quiet.
//!
//! What was sent, what the topic holds and what PostgreSQL holds are read apart from AXS; the model
//! decides every event again, one after another in the order of offsets, and shares no code with
//! the product.

mod answers;
mod effects;
mod facts;
mod order;
mod reads;
mod results;

pub use facts::{Facts, Logged};

use super::invariant::{Invariant, Violations};
use super::journal::Journal;
use super::load::Roster;
use super::watch::Seen;
use super::witness;
use crate::deployment::Deployment;
use crate::script::Script;
use anyhow::Result;

/// What a check is about.
#[derive(Debug)]
pub struct Evidence<'e> {
    /// The deployment, quiet.
    pub deployment: &'e Deployment,
    /// Accounts and currencies.
    pub script: &'e Script,
    /// What was sent and answered.
    pub journal: &'e Journal,
    /// API processes that answer.
    pub roster: &'e Roster,
    /// What the watch saw.
    pub seen: Seen,
}

/// Looks at every promise.
///
/// # Errors
/// A server is away: nothing can be said.
pub async fn check(evidence: Evidence<'_>, violations: &mut Violations) -> Result<Facts> {
    let Evidence {
        deployment,
        script,
        journal,
        roster,
        seen,
    } = evidence;
    let facts = Facts::read(deployment).await?;
    let sent = journal.all();
    let mut given = seen.given;
    violations.merge(seen.violations);

    answers::check(&facts, &sent, &mut given, violations);
    order::check(&facts, &sent, violations);
    effects::check(&facts, script, violations);
    witness::testify(&deployment.database.pool, violations).await?;
    reads::check(&facts, roster, given, violations).await?;

    results::check(deployment, &facts, violations).await?;
    let verified = deployment.run(&["verify"]).await?;
    violations.unless(verified.code == Some(0), Invariant::I10, || {
        format!("bootstrap verify {verified}")
    });
    Ok(facts)
}
