//! The table of statuses.

use super::*;
use tonic_types::ErrorDetails;

fn with_info(code: Code, reason: &str, domain: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, domain, []);
    details.set_retry_info(Some(Duration::from_millis(70)));
    Status::with_error_details(code, "text", details)
}

fn of(status: Status, count: usize) -> Verdict {
    judge(Err(Failure::Status(status)), count)
}

#[test]
fn a_status_says_whether_the_events_may_be_logged_and_whether_to_try_again() {
    let asked = Duration::from_millis(70);
    let rows = [
        (
            with_info(Code::ResourceExhausted, "BACKLOG_FULL", ERROR_DOMAIN),
            Some((false, Rest::AsAsked(asked), None)),
        ),
        (
            with_info(Code::ResourceExhausted, "WRITES_PAUSED", ERROR_DOMAIN),
            Some((false, Rest::WithSender, Some(asked))),
        ),
        // A proxy's word is not the contract's.
        (
            with_info(Code::ResourceExhausted, "BACKLOG_FULL", "proxy"),
            Some((true, Rest::WithSender, Some(asked))),
        ),
        (
            Status::unavailable("x"),
            Some((true, Rest::WithSender, Some(Duration::ZERO))),
        ),
        (
            Status::deadline_exceeded("x"),
            Some((true, Rest::WithSender, Some(Duration::ZERO))),
        ),
        (
            Status::out_of_range("x"),
            Some((true, Rest::WithSender, Some(Duration::ZERO))),
        ),
        (Status::failed_precondition("x"), None),
        (Status::unauthenticated("x"), None),
        (Status::invalid_argument("x"), None),
    ];
    for (status, expected) in rows {
        let code = status.code();
        let Verdict::All(fate, sender) = of(status, 1) else {
            panic!("{code:?}");
        };
        match (fate, expected) {
            (Fate::Failed(Cause::Status(cause)), None) => assert_eq!(cause.code, code),
            (
                Fate::Again {
                    maybe_logged, rest, ..
                },
                Some(expected),
            ) => assert_eq!((maybe_logged, rest, sender), expected, "{code:?}"),
            (fate, expected) => panic!("{code:?}: {fate:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_request_that_is_too_large_is_made_smaller_while_it_can_be() {
    let details = ErrorDetails::with_bad_request_violation("events", "too many");
    let many = Status::with_error_details(Code::InvalidArgument, "x", details);
    let rows = [
        (many.clone(), 2, Some(false)),
        (many, 1, None),
        (Status::out_of_range("x"), 2, Some(true)),
        (Status::invalid_argument("ack_level"), 2, None),
    ];
    for (status, count, expected) in rows {
        let found = match of(status, count) {
            Verdict::Smaller { maybe_logged, .. } => Some(maybe_logged),
            _ => None,
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn another_number_of_results_gives_nobody_a_strangers_answer() {
    let Verdict::All(Fate::Again { maybe_logged, .. }, _) = judge(Ok(Vec::new()), 1) else {
        panic!("not again");
    };
    assert!(maybe_logged);
    let Verdict::Each(fates) = judge(Ok(vec![v1::SubmitResult::default()]), 1) else {
        panic!("not each");
    };
    assert!(matches!(
        fates[0],
        Fate::Again {
            maybe_logged: true,
            ..
        }
    ));
}
