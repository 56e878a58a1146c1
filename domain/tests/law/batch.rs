//! A batch is nothing but its events in order: cut it, repeat it, thin it out, interleave it.

use crate::support::builder::book_after;
use crate::support::strategy::any_scenario;
use axs_domain::balance::BalanceKey;
use axs_domain::book::BalanceBook;
use axs_domain::decision::{BatchDecision, LedgerEntry, Outcome};
use axs_domain::event::BalanceChangeEvent;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn entries_by_balance(
    events: &[BalanceChangeEvent],
    decision: &BatchDecision,
) -> BTreeMap<BalanceKey, Vec<LedgerEntry>> {
    let mut entries: BTreeMap<BalanceKey, Vec<LedgerEntry>> = BTreeMap::new();
    for (event, outcome) in events.iter().zip(&decision.outcomes) {
        if let Outcome::Applied(applied) = outcome {
            for entry in applied {
                let key = BalanceKey {
                    account_id: event.account_id(),
                    currency: entry.applied.currency,
                };
                entries.entry(key).or_default().push(*entry);
            }
        }
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_batch_decides_as_its_events_do_one_by_one(scenario in any_scenario()) {
        let events = scenario.events();
        let whole = scenario.decide();
        let mut book = scenario.book();
        for (event, expected) in events.iter().zip(&whole.outcomes) {
            let one = scenario.decide_part(std::slice::from_ref(event), &book).unwrap();
            prop_assert_eq!(&one.outcomes[0], expected);
            book = book_after(book, &one);
        }
        prop_assert_eq!(book, book_after(scenario.book(), &whole));
    }

    #[test]
    fn a_batch_cut_anywhere_decides_the_same_and_its_halves_fit_together(
        scenario in any_scenario(),
        cut in any::<prop::sample::Index>(),
    ) {
        let events = scenario.events();
        let (head, tail) = events.split_at(cut.index(events.len() + 1));
        let whole = scenario.decide();
        let first = scenario.decide_part(head, &scenario.book()).unwrap();
        let book = book_after(scenario.book(), &first);
        let second = scenario.decide_part(tail, &book).unwrap();

        let outcomes = [first.outcomes.clone(), second.outcomes.clone()].concat();
        prop_assert_eq!(&outcomes, &whole.outcomes);
        for (key, write) in &whole.writes {
            let halves = (first.writes.get(key), second.writes.get(key));
            let (earliest, last) = match halves {
                (Some(a), Some(b)) => {
                    prop_assert_eq!(a.after.version, b.version_read);
                    (a, b)
                }
                (Some(only), None) | (None, Some(only)) => (only, only),
                (None, None) => return Err(TestCaseError::fail("a write of neither half")),
            };
            prop_assert_eq!(earliest.version_read, write.version_read);
            prop_assert_eq!(last.after, write.after);
        }
        let keys = |decision: &BatchDecision| -> Vec<BalanceKey> {
            decision.reads.keys().chain(decision.writes.keys()).copied().collect()
        };
        let mut of_halves = [keys(&first), keys(&second)].concat();
        of_halves.sort_unstable();
        of_halves.dedup();
        let mut of_whole = keys(&whole);
        of_whole.sort_unstable();
        prop_assert_eq!(of_halves, of_whole);
    }

    #[test]
    fn deciding_again_gives_the_same_however_the_book_was_filled(scenario in any_scenario()) {
        let decision = scenario.decide();
        prop_assert_eq!(&scenario.decide(), &decision);
        let mut balances: Vec<_> = scenario.book().iter().map(|(k, b)| (*k, *b)).collect();
        balances.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
        let refilled = BalanceBook::new(balances);
        prop_assert_eq!(scenario.decide_part(&scenario.events(), &refilled), Ok(decision));
    }

    #[test]
    fn rejected_events_leave_no_trace_except_what_they_read(scenario in any_scenario()) {
        let whole = scenario.decide();
        let events = scenario.events();
        let applied: Vec<(BalanceChangeEvent, Outcome)> = events
            .iter()
            .cloned()
            .zip(whole.outcomes.iter().cloned())
            .filter(|(_, outcome)| matches!(outcome, Outcome::Applied(_)))
            .collect();
        let (kept, outcomes): (Vec<_>, Vec<_>) = applied.into_iter().unzip();
        let thinned = scenario.decide_part(&kept, &scenario.book()).unwrap();
        prop_assert_eq!(thinned.outcomes, outcomes);
        prop_assert_eq!(thinned.writes, whole.writes);
        for (key, version) in &thinned.reads {
            prop_assert_eq!(whole.reads.get(key), Some(version));
        }
    }

    #[test]
    fn accounts_do_not_see_each_other_however_their_events_are_interleaved(
        scenario in any_scenario(),
    ) {
        let mut by_account = scenario.clone();
        by_account.events.sort_by_key(|event| event.account); // stable: order within each stays
        let mut expected: Vec<(i64, Outcome)> = scenario
            .events
            .iter()
            .map(|event| event.account)
            .zip(scenario.decide().outcomes)
            .collect();
        expected.sort_by_key(|(account, _)| *account);
        let decision = by_account.decide();
        let outcomes: Vec<Outcome> = expected.into_iter().map(|(_, outcome)| outcome).collect();
        prop_assert_eq!(&decision.outcomes, &outcomes);
        prop_assert_eq!(decision.writes, scenario.decide().writes);
        prop_assert_eq!(decision.reads, scenario.decide().reads);
    }

    #[test]
    fn versions_count_applied_changes_and_entries_of_a_balance_are_gapless(
        scenario in any_scenario(),
    ) {
        let decision = scenario.decide();
        let entries = entries_by_balance(&scenario.events(), &decision);
        prop_assert!(entries.keys().eq(decision.writes.keys()));
        for (key, entries) in &entries {
            let write = decision.writes[key];
            let first = write.version_read.value() + 1;
            for (expected, entry) in (first..).zip(entries) {
                prop_assert_eq!(entry.after.version.value(), expected);
            }
            prop_assert_eq!(write.after, entries[entries.len() - 1].after);
        }
    }

    #[test]
    fn each_entry_continues_the_one_before_it(scenario in any_scenario()) {
        let decision = scenario.decide();
        for (key, entries) in entries_by_balance(&scenario.events(), &decision) {
            let mut before = scenario.book().find(&key).unwrap().balance;
            for entry in entries {
                let delta = entry.applied.delta;
                let after = entry.after.balance;
                prop_assert_eq!(
                    before.available.units() + delta.available.units(),
                    after.available.units()
                );
                prop_assert_eq!(before.frozen.units() + delta.frozen.units(), after.frozen.units());
                before = after;
            }
        }
    }
}
