use super::*;
use crate::replay::Tally;

#[test]
fn the_same_seed_gives_the_same_session_and_another_seed_another() {
    let events = |seed| {
        let script = generate(SessionPlan::new(2_000, seed));
        script
            .items
            .into_iter()
            .map(|item| item.event)
            .collect::<Vec<_>>()
    };
    assert_eq!(events(1), events(1));
    assert_ne!(events(1), events(2));
}

#[test]
fn a_session_holds_every_kind_of_result_and_every_reason() {
    let script = generate(SessionPlan::new(20_000, 42));
    let tally = Tally::expected(&script);
    assert!(script.items.len() >= 20_000);
    for (what, count) in [
        ("duplicates", tally.duplicates),
        ("refused", tally.refused),
        ("applied", tally.applied),
        ("rejected", tally.rejected),
    ] {
        assert!(count > 200, "{what}: {count} of {tally:?}");
    }
    assert_eq!(
        tally.submitted,
        tally.duplicates + tally.refused + tally.applied + tally.rejected
    );
    let (mut fallbacks, mut reasons) = (0, std::collections::BTreeSet::new());
    for (_, outcome) in script.model.outcomes() {
        match outcome {
            crate::model::Outcome::Applied(entries) => {
                fallbacks += entries.iter().filter(|entry| entry.fallback_taken).count();
            }
            crate::model::Outcome::Rejected(reason) => {
                reasons.insert(reason.code);
            }
        }
    }
    assert!(fallbacks > 100, "{fallbacks}");
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn events_of_one_account_stand_in_one_stream_in_their_order() {
    let script = generate(SessionPlan::new(1_000, 3));
    let streams = script.streams(4);
    assert_eq!(
        streams.iter().map(Vec::len).sum::<usize>(),
        script.items.len()
    );
    for account in [1, 2, trader::WHALE_BASE + 1] {
        let of_account = |item: &&&crate::script::Item| item.event.account_id == account;
        let homes: Vec<_> = streams
            .iter()
            .filter(|s| s.iter().any(|i| of_account(&i)))
            .collect();
        assert_eq!(homes.len(), 1);
        let in_stream: Vec<_> = homes[0]
            .iter()
            .filter(of_account)
            .map(|i| &i.event)
            .collect();
        let in_script: Vec<_> = script.items.iter().map(|i| &i.event).collect();
        let in_script: Vec<_> = in_script
            .into_iter()
            .filter(|e| e.account_id == account)
            .collect();
        assert_eq!(in_stream, in_script);
    }
}
