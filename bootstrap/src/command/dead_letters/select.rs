//! Which entries an action is about, and whether a person agrees.

use crate::cli::SelectionArgs;
use crate::exit::UsageError;
use axs_application::port::dead_letters::{
    DeadLetterFilter, DeadLetterId, DeadLetterKind, DeadLetters,
};
use std::io::{IsTerminal, Write};

/// Entries read at once.
const PAGE: u32 = 500;

/// The entries of one action.
pub(super) enum Selection {
    /// These.
    Ids(Vec<DeadLetterId>),
    /// All open ones that match when their turn comes.
    Matching(DeadLetterFilter),
}

impl Selection {
    /// What the arguments select.
    ///
    /// # Errors
    /// They select nothing.
    pub(super) fn of(args: &SelectionArgs) -> Result<Self, UsageError> {
        let open = DeadLetterFilter {
            open_only: true,
            ..DeadLetterFilter::default()
        };
        if args.all_parked {
            return Ok(Self::Matching(DeadLetterFilter {
                kind: Some(DeadLetterKind::Parked),
                ..open
            }));
        }
        if args.with_reason.is_some() {
            return Ok(Self::Matching(DeadLetterFilter {
                reason: args.with_reason.clone(),
                ..open
            }));
        }
        if args.ids.is_empty() {
            let message = "give ids, --all-parked or --with-reason REASON";
            return Err(UsageError(message.to_owned()));
        }
        Ok(Self::Ids(
            args.ids.iter().copied().map(DeadLetterId).collect(),
        ))
    }

    /// How many entries there are now.
    pub(super) async fn count(&self, dead_letters: &dyn DeadLetters) -> anyhow::Result<u64> {
        match self {
            Self::Ids(ids) => Ok(ids.len() as u64),
            Self::Matching(filter) => {
                let counts = dead_letters.count_by_reason(filter.clone()).await?;
                Ok(counts.iter().map(|count| count.entries).sum())
            }
        }
    }

    /// The next entries behind `after`; none at the end.
    pub(super) async fn page(
        &mut self,
        dead_letters: &dyn DeadLetters,
        after: Option<DeadLetterId>,
    ) -> anyhow::Result<Vec<DeadLetterId>> {
        match self {
            Self::Ids(ids) => Ok(std::mem::take(ids)),
            Self::Matching(filter) => {
                let page = dead_letters.list(filter.clone(), after, PAGE).await?;
                Ok(page.into_iter().map(|entry| entry.id).collect())
            }
        }
    }
}

/// Asks whoever sits at the terminal.
///
/// # Errors
/// Nobody sits there.
#[expect(clippy::print_stderr, reason = "a question to the person who ran it")]
pub(super) fn agreed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        let message = "a selection is asked about before it is acted on; give --yes where \
                       nobody can answer";
        return Err(UsageError(message.to_owned()).into());
    }
    eprint!("{question} Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// The operator's name: as given, or as the operating system has it.
///
/// # Errors
/// Neither.
pub(super) fn operator(given: Option<&str>) -> Result<String, UsageError> {
    let of_variable = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    given
        .map(str::to_owned)
        .or_else(|| of_variable("USER"))
        .or_else(|| of_variable("LOGNAME"))
        .or_else(user_number)
        .ok_or_else(|| UsageError("--by NAME: the operating system names no user".to_owned()))
}

#[cfg(unix)]
fn user_number() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self").ok()?;
    Some(format!("user {}", own.uid()))
}

#[cfg(not(unix))]
fn user_number() -> Option<String> {
    None
}
