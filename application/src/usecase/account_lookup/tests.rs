//! Claims about what is remembered of accounts.

use super::*;
use crate::port::account_directory::MockAccountDirectory;
use crate::testkit::{INCARNATION, account, account_id};
use crate::usecase::incarnation_lookup::MockIncarnationLookup;

const OTHER: Incarnation = Incarnation::new(2);

fn ids(ids: impl IntoIterator<Item = i64>) -> BTreeSet<AccountId> {
    ids.into_iter().map(account_id).collect()
}

/// Answers these questions, in this order, each in its history.
fn directory(
    open: &'static [i64],
    expected: Vec<(Vec<i64>, Incarnation)>,
) -> Arc<MockAccountDirectory> {
    let mut directory = MockAccountDirectory::new();
    let mut order = mockall::Sequence::new();
    for (question, incarnation) in expected {
        directory
            .expect_find()
            .withf(move |asked| asked.iter().map(|id| id.value()).eq(question.clone()))
            .times(1)
            .in_sequence(&mut order)
            .returning(move |asked| {
                let open = asked.into_iter().filter(|id| open.contains(&id.value()));
                let accounts = open.map(|id| account(id.value())).collect();
                Ok(FoundAccounts {
                    incarnation,
                    accounts,
                })
            });
    }
    Arc::new(directory)
}

fn directory_of(open: &'static [i64], expected: Vec<Vec<i64>>) -> Arc<MockAccountDirectory> {
    let asked = expected.into_iter().map(|ids| (ids, INCARNATION));
    directory(open, asked.collect())
}

/// The incarnation last seen: what was told last, whenever it was asked for.
fn seen(
    first: Option<Incarnation>,
) -> (Arc<MockIncarnationLookup>, Arc<Mutex<Option<Incarnation>>>) {
    let seen = Arc::new(Mutex::new(first));
    let mut incarnations = MockIncarnationLookup::new();
    let told = Arc::clone(&seen);
    incarnations
        .expect_saw()
        .returning(move |incarnation, _| *told.lock().unwrap() = Some(incarnation));
    let last = Arc::clone(&seen);
    incarnations
        .expect_last_seen()
        .returning(move || *last.lock().unwrap());
    (Arc::new(incarnations), seen)
}

fn steady() -> Arc<MockIncarnationLookup> {
    seen(Some(INCARNATION)).0
}

fn settings() -> AccountLookupSettings {
    AccountLookupSettings {
        remembered_max: NonZeroUsize::new(100).unwrap(),
    }
}

async fn found(lookup: &RememberedAccounts, asked: &[i64]) -> (usize, Incarnation) {
    let known = lookup.find(ids(asked.iter().copied())).await.unwrap();
    (known.accounts.len(), known.incarnation)
}

#[tokio::test]
async fn only_accounts_not_remembered_are_asked_for_and_all_in_one_question() {
    let directory = directory_of(&[1, 2, 3], vec![vec![1, 2], vec![3]]);
    let lookup = RememberedAccounts::new(directory, steady(), settings());
    assert_eq!(found(&lookup, &[1, 2]).await, (2, INCARNATION));
    assert_eq!(found(&lookup, &[1, 2]).await, (2, INCARNATION));
    let known = lookup.find(ids([2, 3])).await.unwrap();
    assert_eq!(known.accounts[&account_id(3)], account(3));
    assert_eq!(known.accounts.len(), 2);
}

#[tokio::test]
async fn an_unknown_account_is_asked_for_each_time() {
    let directory = directory_of(&[], vec![vec![7], vec![7]]);
    let lookup = RememberedAccounts::new(directory, steady(), settings());
    assert_eq!(found(&lookup, &[7]).await, (0, INCARNATION));
    assert_eq!(found(&lookup, &[7]).await, (0, INCARNATION));
}

#[tokio::test]
async fn what_was_remembered_of_another_history_is_asked_for_again() {
    let asked = vec![(vec![1], INCARNATION), (vec![1], OTHER)];
    let (incarnations, told) = seen(Some(INCARNATION));
    let lookup = RememberedAccounts::new(directory(&[1], asked), incarnations, settings());
    found(&lookup, &[1]).await;
    assert_eq!(found(&lookup, &[1]).await, (1, INCARNATION));
    *told.lock().unwrap() = Some(OTHER);
    assert_eq!(found(&lookup, &[1]).await, (1, OTHER));
    assert_eq!(found(&lookup, &[1]).await, (1, OTHER));
}

/// The history changes unseen, between two questions.
#[tokio::test]
async fn what_is_answered_is_never_of_two_histories() {
    let asked = vec![
        (vec![1], INCARNATION),
        (vec![2], OTHER),
        (vec![1, 2], OTHER),
    ];
    let lookup = RememberedAccounts::new(directory(&[1, 2], asked), steady(), settings());
    assert_eq!(found(&lookup, &[1]).await, (1, INCARNATION));
    assert_eq!(found(&lookup, &[1, 2]).await, (2, OTHER));
    assert_eq!(found(&lookup, &[1, 2]).await, (2, OTHER));
}

#[tokio::test]
async fn an_answer_of_a_history_that_is_not_the_one_last_seen_is_not_remembered() {
    let asked = vec![(vec![1], INCARNATION), (vec![1], INCARNATION)];
    let mut newer = MockIncarnationLookup::new();
    // What comes from an older question changes nothing.
    newer.expect_saw().return_const(());
    newer.expect_last_seen().return_const(Some(OTHER));
    let lookup = RememberedAccounts::new(directory(&[1], asked), Arc::new(newer), settings());
    assert_eq!(found(&lookup, &[1]).await, (1, INCARNATION));
    assert_eq!(found(&lookup, &[1]).await, (1, INCARNATION));
}

#[tokio::test]
async fn while_no_history_is_known_nothing_is_remembered() {
    let directory = directory_of(&[1], vec![vec![1], vec![1]]);
    let mut unknown = MockIncarnationLookup::new();
    unknown.expect_saw().return_const(());
    unknown.expect_last_seen().return_const(None);
    let lookup = RememberedAccounts::new(directory, Arc::new(unknown), settings());
    assert_eq!(found(&lookup, &[1]).await, (1, INCARNATION));
    assert_eq!(found(&lookup, &[1]).await, (1, INCARNATION));
}

#[tokio::test]
async fn no_more_accounts_than_the_bound_are_remembered() {
    let directory = directory_of(&[1, 2, 3], vec![vec![1, 2, 3], vec![1]]);
    let settings = AccountLookupSettings {
        remembered_max: NonZeroUsize::new(2).unwrap(),
    };
    let lookup = RememberedAccounts::new(directory, steady(), settings);
    found(&lookup, &[1, 2, 3]).await;
    assert_eq!(
        lookup.with_memory_of(INCARNATION, |memory| memory.accounts.len()),
        2
    );
    found(&lookup, &[2, 3]).await;
    found(&lookup, &[1]).await;
}

/// A directory that gives these accounts in pages of two. `find` panics unless the test expects it.
fn paged(open: Vec<i64>, incarnation: Incarnation) -> MockAccountDirectory {
    let mut directory = MockAccountDirectory::new();
    directory.expect_page_below().returning(move |below, _| {
        let below = below.map_or(i64::MAX, AccountId::value);
        let page = open.iter().filter(|id| **id < below).take(2);
        Ok(FoundAccounts {
            incarnation,
            accounts: page.map(|id| account(*id)).collect(),
        })
    });
    directory
}

/// How many accounts each page added.
async fn preload_all(lookup: &RememberedAccounts) -> Vec<usize> {
    let mut remembered = Vec::new();
    let mut next = NextPage::Below(None);
    while let NextPage::Below(below) = next {
        let page = lookup.preload(below).await.unwrap();
        remembered.push(page.remembered);
        next = page.next;
    }
    remembered
}

#[tokio::test]
async fn what_was_preloaded_is_not_asked_for() {
    let directory = paged(vec![5, 4, 3, 2, 1], INCARNATION);
    let lookup = RememberedAccounts::new(Arc::new(directory), steady(), settings());
    assert_eq!(preload_all(&lookup).await, [2, 2, 1, 0]);
    assert_eq!(found(&lookup, &[1, 2, 3, 4, 5]).await, (5, INCARNATION));
    assert_eq!(preload_all(&lookup).await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn preloading_ends_where_memory_is_full_and_its_accounts_are_forgotten_first() {
    let mut directory = paged(vec![5, 4, 3, 2, 1], INCARNATION);
    directory.expect_find().returning(|asked| {
        Ok(FoundAccounts {
            incarnation: INCARNATION,
            accounts: asked.iter().map(|id| account(id.value())).collect(),
        })
    });
    let settings = AccountLookupSettings {
        remembered_max: NonZeroUsize::new(3).unwrap(),
    };
    let lookup = RememberedAccounts::new(Arc::new(directory), steady(), settings);
    found(&lookup, &[1]).await;
    assert_eq!(preload_all(&lookup).await, [2]);
    found(&lookup, &[2]).await;
    let kept = lookup.with_memory_of(INCARNATION, |memory| {
        let ids = memory.accounts.iter().map(|(id, _)| id.value());
        ids.collect::<Vec<_>>()
    });
    assert_eq!(kept.len(), 3);
    assert!(kept.contains(&1) && kept.contains(&2), "{kept:?}");
}

#[tokio::test]
async fn a_page_of_a_history_that_is_not_the_one_seen_last_is_not_remembered() {
    let directory = paged(vec![1], INCARNATION);
    let mut later = MockIncarnationLookup::new();
    later.expect_saw().return_const(());
    later.expect_last_seen().return_const(Some(OTHER));
    let lookup = RememberedAccounts::new(Arc::new(directory), Arc::new(later), settings());
    for below in [None, Some(account_id(9))] {
        let page = lookup.preload(below).await.unwrap();
        let again = NextPage::Below(below);
        assert_eq!((page.remembered, page.next), (0, again));
    }
    let kept = lookup.with_memory_of(INCARNATION, |memory| memory.accounts.len());
    assert_eq!(kept, 0);
}
