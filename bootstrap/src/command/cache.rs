//! `bootstrap cache`: what an operator does with cached balances.

use super::start::wait_for_schema;
use crate::cli::CacheCommand;
use crate::exit::Ending;
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::module::repo::RETENTION_PAST_FILL;
use crate::settings::Settings;
use anyhow::bail;
use axs_application::port::installation::{Installation, Renewal};
use axs_application::usecase::incarnation_lookup::{INCARNATION_PERIOD, SEEN_FOR_MAX};
use shaku::HasComponent;
use std::time::Duration;

/// Forgets what is cached.
///
/// # Errors
/// A server that is away, or a database that was never laid out.
#[expect(clippy::print_stdout, reason = "the command's own output")]
pub async fn run(command: &CacheCommand, settings: Settings) -> anyhow::Result<Ending> {
    let CacheCommand::Forget = command;
    let kept = Duration::from_secs(settings.cache.fill_ttl_s) + RETENTION_PAST_FILL;
    let clients = Clients::default().with_database(&settings)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    let installation: &dyn Installation = layers.repo.resolve_ref();
    let Some(renewal) = installation.renew().await? else {
        bail!("there is no layout yet, so nothing is cached; run `bootstrap layout init`");
    };
    println!("{}", told(&renewal, kept));
    Ok(Ending::Fine)
}

/// What was done, and what happens next.
fn told(renewal: &Renewal, kept: Duration) -> String {
    let Renewal {
        before,
        now,
        fenced,
    } = renewal;
    format!(
        "forgotten: what was cached under incarnation {before}; the database is {now} from now on\n\
         leaders: those of {fenced} partitions were fenced, and take over again within seconds\n\
         reads: API processes follow in about {} s, {} s at most, and read from the database what is not \
         cached again\n\
         keys of before: nobody reads them, and Redis drops each {} s after it was last written",
        INCARNATION_PERIOD.as_secs(),
        SEEN_FOR_MAX.as_secs(),
        kept.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_domain::incarnation::Incarnation;

    #[test]
    fn what_was_forgotten_and_what_happens_next_are_told() {
        let renewal = Renewal {
            before: Incarnation::new(0xA),
            now: Incarnation::new(0xB),
            fenced: 12,
        };
        let text = told(&renewal, Duration::from_secs(3_900));
        for word in [
            "000000000000000a",
            "000000000000000b",
            "12 partitions",
            "about 1 s",
            "3900 s",
        ] {
            assert!(text.contains(word), "{text:?} lacks {word:?}");
        }
        assert_eq!(text.lines().count(), 4);
    }
}
