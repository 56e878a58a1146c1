//! What every command does first: wait for PostgreSQL, and look at its schema.

use crate::exit::UsageError;
use crate::module::layers::Layers;
use crate::settings::SettingsError;
use anyhow::{Context, bail};
use axs_application::port::layout_store::LayoutStore;
use axs_application::port::schema_store::{SchemaStatus, SchemaStore};
use axs_infrastructure::postgres::pool::{Database, VerifyError};
use shaku::HasComponent;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Waits for PostgreSQL, at most `database.start_wait_ms`.
///
/// # Errors
/// The address and the last reason; at once and as a wrong setting where the server refuses the
/// role, its password or the database.
pub async fn wait_for_database(layers: &Layers) -> anyhow::Result<()> {
    let database: &dyn Database = layers.infra.resolve_ref();
    let wait = Duration::from_millis(layers.config().settings().database.start_wait_ms);
    match database.verify(wait).await {
        Err(refused @ VerifyError::Refused { .. }) => {
            Err(SettingsError::at("database.url")(refused).into())
        }
        waited => waited.context(
            "PostgreSQL is needed to start (database.url), and was waited for \
             (database.start_wait_ms)",
        ),
    }
}

/// Waits for PostgreSQL and refuses a schema of another version than this build's.
///
/// # Errors
/// As [`wait_for_database`], or which side is to be upgraded.
pub async fn wait_for_schema(layers: &Layers) -> anyhow::Result<()> {
    wait_for_database(layers).await?;
    let schema: &dyn SchemaStore = layers.repo.resolve_ref();
    let SchemaStatus { applied, required } = schema.status().await?;
    match applied {
        None => bail!("the database has no schema of AXS; run `bootstrap migrate`"),
        Some(applied) if applied < required => bail!(
            "the schema is at version {applied}, this build needs {required}; run `bootstrap migrate`"
        ),
        Some(applied) if applied > required => bail!(
            "the schema is at version {applied}, this build knows {required}; use a newer build"
        ),
        Some(_) => Ok(()),
    }
}

/// What a serving process waits for, unless it is told to stop meanwhile: PostgreSQL, its schema,
/// and the layout's topics, if there is a layout. Gives whether to go on.
///
/// # Errors
/// As [`wait_for_schema`] and [`check_topics`].
pub async fn ready_to_serve(layers: &Layers, stop: &CancellationToken) -> anyhow::Result<bool> {
    let ready = async {
        wait_for_schema(layers).await?;
        check_topics(layers).await
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(false),
        ready = ready => ready.map(|_| true),
    }
}

/// Waits as [`wait_for_schema`] does, and goes on only with a layout and its topics.
///
/// # Errors
/// As [`wait_for_schema`] and [`check_topics`], or that there is no layout.
pub async fn wait_for_layout(layers: &Layers) -> anyhow::Result<()> {
    wait_for_schema(layers).await?;
    if check_topics(layers).await? {
        Ok(())
    } else {
        bail!("there is no layout yet; run `bootstrap layout init`")
    }
}

/// Refuses topics other than the layout's: what is published there, nobody reads. Gives whether
/// there is a layout; without one there is nothing to compare.
///
/// # Errors
/// A [`UsageError`] that names the setting and both topics.
pub async fn check_topics(layers: &Layers) -> anyhow::Result<bool> {
    let layouts: &dyn LayoutStore = layers.repo.resolve_ref();
    let Some(stored) = layouts.load().await? else {
        return Ok(false);
    };
    let kafka = &layers.config().settings().kafka;
    if stored.events_topic != kafka.events_topic {
        return Err(UsageError(format!(
            "kafka.events_topic is {}; the layout was made for {}",
            kafka.events_topic, stored.events_topic
        ))
        .into());
    }
    match stored.other_results_topic(&kafka.results_topic) {
        Some(kept) => Err(UsageError(format!(
            "kafka.results_topic is {}; the layout's is {kept}",
            kafka.results_topic
        ))
        .into()),
        None => Ok(true),
    }
}
