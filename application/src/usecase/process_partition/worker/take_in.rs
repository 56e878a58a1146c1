//! Taking records in and deciding them on everything before them.

use super::Worker;
use crate::port::record_source::SourceEvent;
use crate::usecase::process_partition::admit::{admit, cut_at_poison};
use crate::usecase::process_partition::draft::{Draft, DraftError, ShardedKey};
use crate::usecase::process_partition::item::Item;
use crate::usecase::process_partition::load::load;
use crate::usecase::process_partition::meter::{self, Stage};
use crate::usecase::process_partition::redo::parked;
use crate::usecase::process_partition::stop::StopReason;
use axs_domain::book::BalanceBook;
use tokio::time::Instant;

impl Worker {
    /// Notes that nothing after what was taken in so far may be looked at.
    fn end_after_this(&mut self, reason: StopReason) {
        self.redo.clear();
        self.inbox.clear();
        self.ending = Some(reason);
    }

    pub(super) fn take_event(&mut self, event: Option<SourceEvent>) {
        self.term.progress.note_waiting(None);
        let records = match event {
            Some(SourceEvent::Records(records)) => records,
            broken => {
                let why = match broken {
                    Some(SourceEvent::Broken(why)) => why,
                    _ => "its source ended".to_owned(),
                };
                // What was read before is still written.
                self.ending = Some(StopReason::SourceBroken(why));
                return;
            }
        };
        fail::fail_point!("leader.after_poll");
        if self.draft.is_empty() && self.inbox.is_empty() {
            self.gathers_since = Instant::now();
        }
        for record in records {
            if record.offset < self.next_read {
                let why = format!(
                    "the source went back to offset {}, expected {} or more",
                    record.offset, self.next_read
                );
                self.ending = Some(StopReason::Fault(why));
                return;
            }
            self.next_read = record.offset.next();
            self.inbox.push_back(record);
        }
    }

    /// Decides what waits, as far as it fits: groups to be decided again first, then new records.
    pub(super) async fn fill_draft(&mut self) -> Result<(), StopReason> {
        if self.draft.is_empty() && !self.redo.is_empty() {
            self.sealed = false;
            // A group that came to nothing, cut at poison, makes room for the next one.
            while let Some(group) = self.redo.pop_front() {
                self.take_in(group).await?;
                if !self.draft.is_empty() {
                    self.sealed = true;
                    break;
                }
            }
        }
        if self.inbox.is_empty() || !self.redo.is_empty() || !self.has_room() {
            return Ok(());
        }
        let room = self.ports.settings.batch_events_max.get() - self.draft.len();
        let began = Instant::now();
        let mut items = Vec::with_capacity(room.min(self.inbox.len()));
        while items.len() < room
            && let Some(record) = self.inbox.pop_front()
        {
            let codec = self.ports.codec.as_ref();
            match admit(record, self.term.partition, &self.term.layout, codec) {
                Ok(item) => items.push(item),
                Err(reason) => self.end_after_this(reason),
            }
        }
        meter::stage(Stage::Decide, began.elapsed());
        self.take_in(items).await
    }

    /// Decides items on top of everything decided before them.
    async fn take_in(&mut self, mut items: Vec<Item>) -> Result<(), StopReason> {
        let in_a_row_max = self.ports.settings.poison_in_a_row_max.get();
        loop {
            let cut = cut_at_poison(&items, self.poison_run, in_a_row_max);
            if cut.too_many {
                let offset = items[cut.keep].offset();
                items.truncate(cut.keep);
                self.end_after_this(StopReason::Poison {
                    in_a_row: cut.run + 1,
                    offset,
                });
            }
            let fits = self.draft.compatible(&items);
            if fits < items.len() {
                self.redo.push_front(items.split_off(fits));
                self.sealed = true;
            }
            if items.is_empty() {
                return Ok(());
            }
            let in_flight = self.in_flight.as_ref().map(|flight| &flight.draft);
            let copies = self.draft.copies_among(&items, in_flight);
            let book = self.book_of(Draft::keys_of(&items, &copies)).await?;
            let run = cut_at_poison(&items, self.poison_run, in_a_row_max).run;
            let began = Instant::now();
            let taken = self.draft.take_in(items, &copies, &book, &self.ports.rules);
            meter::stage(Stage::Decide, began.elapsed());
            items = match taken {
                Ok(()) => {
                    self.poison_run = run;
                    return Ok(());
                }
                Err((items, DraftError::Panics(places))) if !places.is_empty() => {
                    parked(items, &places)
                }
                Err((_, error)) => return Err(StopReason::Fault(format!("{error:?}"))),
            };
        }
    }

    /// The balances as everything decided so far leaves them: of the draft, else of the batch in
    /// flight, else of the memory, else read now, all in one query.
    async fn book_of(&mut self, keys: Vec<ShardedKey>) -> Result<BalanceBook, StopReason> {
        let mut book = BalanceBook::default();
        let mut missing = Vec::new();
        for key in keys {
            let known = self
                .draft
                .after_image(&key)
                .or_else(|| self.in_flight.as_ref()?.draft.after_image(&key))
                .or_else(|| self.memory.recall(&key));
            match known {
                Some(balance) => book.put(key.1, balance),
                None => missing.push(key),
            }
        }
        if !missing.is_empty() {
            // The batch in flight moves none of these, so what is read is committed and newest.
            let balances = load(
                self.ports.balances.as_ref(),
                &missing,
                self.term.claim.incarnation,
                self.ports.settings.write_retries_max,
                || self.lease_is_sure(),
            )
            .await?;
            for (key, balance) in missing.into_iter().zip(balances) {
                self.memory.note(key, balance);
                book.put(key.1, balance);
            }
        }
        Ok(book)
    }
}
