//! What a request left: callers to answer, events to send again.

use super::lane::{Held, Reply};
use super::verdict::{Fate, Rest};
use crate::answer::Answer;
use crate::backoff;
use crate::error::{Cause, SubmitError};
use axs_proto::v1::RefusalCode;
use std::time::Duration;
use tokio::sync::oneshot;

/// What one request left for one account.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) account: i64,
    /// The events that are sent again, in their order.
    pub(super) again: Vec<Held>,
    /// How long the account rests before; the longest that one of them wants.
    pub(super) rest: Option<Duration>,
}

/// What one request left.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) flights: Vec<Flight>,
    pub(super) replies: Vec<(oneshot::Sender<Reply>, Reply)>,
    /// Events to be sent again for which nobody waits any more: they are forgotten.
    pub(super) abandoned: usize,
    /// Events that the server did not take for now.
    pub(super) turned_away: usize,
    /// Events whose try has an unknown outcome.
    pub(super) unknown: usize,
    /// The jitter of all rests.
    chance: f64,
    /// The pause of the sender, if it makes one.
    pause: Option<Duration>,
}

impl Settled {
    pub(super) fn new(chance: f64, pause: Option<Duration>) -> Self {
        Self {
            flights: Vec::new(),
            replies: Vec::new(),
            abandoned: 0,
            turned_away: 0,
            unknown: 0,
            chance,
            pause,
        }
    }

    /// Takes in the fate of the next event. Those of an account come side by side.
    pub(super) fn take(&mut self, mut held: Held, fate: Fate) {
        let account = held.account;
        if self.flights.last().is_none_or(|it| it.account != account) {
            self.flights.push(Flight {
                account,
                again: Vec::new(),
                rest: None,
            });
        }
        let (maybe_logged, cause, rest) = match fate {
            Fate::Answered(answer) => {
                let reply = settled_by(answer, held.maybe_logged);
                return self.replies.push((held.reply, reply));
            }
            Fate::Failed(cause) => {
                let error = SubmitError::new(held.maybe_logged, cause);
                return self.replies.push((held.reply, Err(error)));
            }
            Fate::Again {
                maybe_logged,
                cause,
                rest,
            } => (maybe_logged, cause, rest),
        };
        if maybe_logged {
            self.unknown += 1;
        } else {
            self.turned_away += 1;
        }
        if held.reply.is_closed() {
            self.abandoned += 1;
            return;
        }
        held.tries = held.tries.saturating_add(1);
        held.maybe_logged |= maybe_logged;
        held.cause = Some(Box::new(cause));
        let rest = match rest {
            Rest::None => None,
            Rest::WithSender => self.pause,
            Rest::ByTries => Some(backoff::pause_after(held.tries, self.chance)),
            Rest::AsAsked(delay) => Some(backoff::at_least(delay, self.chance)),
        };
        if let Some(flight) = self.flights.last_mut() {
            flight.rest = flight.rest.max(rest);
            flight.again.push(held);
        }
    }
}

/// A refusal speaks of its own try: an earlier one that may still be committed is not settled by it
/// (a currency may have been made inactive between the two). Only a key that stands under other
/// content says that no try can be.
fn settled_by(answer: Answer, maybe_logged: bool) -> Reply {
    match answer {
        Answer::Refused(refusal) if maybe_logged && refusal.code != RefusalCode::KeyReused => {
            Err(SubmitError::Unknown(Cause::Refused(refusal)))
        }
        answer => Ok(answer),
    }
}
