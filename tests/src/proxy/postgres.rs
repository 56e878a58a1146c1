//! Tricks on PostgreSQL's wire: as much of it as commits and copies need.

use super::Verdict;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// COMMIT as a simple query.
const COMMIT: &[u8] = b"COMMIT\0";

/// The type of the server's answer to COPY … FROM STDIN.
const COPY_IN: u8 = b'G';

/// A trick, played on the next occasion that any connection gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// The server commits a batch; the client never hears of it.
    LoseCommitAnswer,
    /// The server never sees the COMMIT of a batch.
    LoseCommit,
    /// The connection ends when half of a COPY is through.
    CutCopy,
    /// Half of a COPY is through, and the rest comes so much later.
    StallCopy(Duration),
    /// The server does what a message of at least so many bytes says; the client never hears of it.
    LoseAnswerTo(usize),
}

/// The tricks of one proxy.
#[derive(Debug, Default)]
pub(super) struct Tricks {
    armed: Mutex<Option<(Trick, u32)>>,
    played: AtomicU64,
}

impl Tricks {
    pub(super) fn arm(&self, trick: Trick, times: u32) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((trick, times));
    }

    pub(super) fn played(&self) -> u64 {
        self.played.load(Ordering::SeqCst)
    }

    /// The armed trick, if this is an occasion for it; then one less is left.
    fn play(&self, occasion: impl Fn(Trick) -> bool) -> Option<Trick> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let (trick, times) = (*armed)?;
        if times == 0 || !occasion(trick) {
            return None;
        }
        *armed = Some((trick, times - 1));
        self.played.fetch_add(1, Ordering::SeqCst);
        Some(trick)
    }
}

/// One connection's talk.
pub(super) struct Conversation<'t> {
    tricks: &'t Tricks,
    /// A COPY is on its way: the server waits for rows.
    copies: AtomicBool,
    /// There was a COPY since the last COMMIT: what is committed next is a batch.
    has_copied: AtomicBool,
    /// The next answer is lost, and the connection with it.
    answer_is_lost: AtomicBool,
}

impl<'t> Conversation<'t> {
    pub(super) fn new(tricks: &'t Tricks) -> Self {
        Self {
            tricks,
            copies: AtomicBool::new(false),
            has_copied: AtomicBool::new(false),
            answer_is_lost: AtomicBool::new(false),
        }
    }

    pub(super) fn client_says(&self, mut piece: Vec<u8>) -> Verdict {
        if self.copies.load(Ordering::SeqCst) {
            let trick = self
                .tricks
                .play(|it| matches!(it, Trick::CutCopy | Trick::StallCopy(_)));
            let rest = piece.split_off(piece.len() / 2);
            match trick {
                Some(Trick::CutCopy) => return Verdict::End(piece),
                Some(Trick::StallCopy(wait)) => return Verdict::Split(piece, wait, rest),
                _ => piece.extend_from_slice(&rest),
            }
        }
        let commits = piece.windows(COMMIT.len()).any(|window| window == COMMIT)
            && self.has_copied.swap(false, Ordering::SeqCst);
        let trick = self.tricks.play(|it| match it {
            Trick::LoseCommit | Trick::LoseCommitAnswer => commits,
            Trick::LoseAnswerTo(bytes) => piece.len() >= bytes,
            _ => false,
        });
        match trick {
            Some(Trick::LoseCommit) => Verdict::End(Vec::new()),
            Some(_) => {
                self.answer_is_lost.store(true, Ordering::SeqCst);
                Verdict::Pass(piece)
            }
            None => Verdict::Pass(piece),
        }
    }

    pub(super) fn server_says(&self, piece: Vec<u8>) -> Verdict {
        if self.answer_is_lost.load(Ordering::SeqCst) {
            // That it answers shows that the server is through with it.
            return Verdict::End(Vec::new());
        }
        let copies = piece.first() == Some(&COPY_IN);
        self.copies.store(copies, Ordering::SeqCst);
        if copies {
            self.has_copied.store(true, Ordering::SeqCst);
        }
        Verdict::Pass(piece)
    }
}
