//! `bootstrap migrate`: the schema, forward only.

use super::start::wait_for_database;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use axs_application::port::schema_store::SchemaStore;
use shaku::HasComponent;

/// Applies what is missing.
///
/// # Errors
/// PostgreSQL is away, or a migration failed; nothing of that migration stands then.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn run(settings: Settings) -> anyhow::Result<Ending> {
    let clients = Clients::default().with_database(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_database(&layers).await?;
    let schema: &dyn SchemaStore = layers.repo.resolve_ref();
    let before = schema.status().await?;
    let after = schema.migrate().await?;
    let version = |applied: Option<i64>| applied.map_or("none".to_owned(), |v| v.to_string());
    println!(
        "schema: version {} (was {})",
        version(after.applied),
        version(before.applied)
    );
    Ok(Ending::Fine)
}
