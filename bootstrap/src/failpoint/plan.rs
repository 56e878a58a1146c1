//! The language of `AXS_FAILPOINTS`: `point=action[@hit];…`
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | SIGKILL to this process |
//! | `stop` | SIGSTOP to this process; somebody else wakes it |
//! | `sleep(ms)` | the thread waits |
//! | `on` | the rule is left out, at every hit; for points named `break.…` |
//!
//! `@3` acts at the third hit alone, `@3+` at the third and every later one; without it at the
//! first alone.

use super::point::{Kind, POINTS};
use crate::exit::UsageError;
use std::env;

/// What is done at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL to this process.
    Kill,
    /// SIGSTOP to this process.
    Stop,
    /// The thread waits so many milliseconds.
    Sleep(u64),
    /// The rule is left out.
    Break,
}

/// At which hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hits {
    /// From this one on; the first is 1.
    pub first: u64,
    /// Whether later ones act too.
    pub later: bool,
}

/// One entry of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The point.
    pub point: &'static str,
    /// What is done there.
    pub action: Action,
    /// When.
    pub hits: Hits,
}

/// The plan's text, if the variable is set.
///
/// # Errors
/// It is no UTF-8.
pub fn read(variable: &str) -> Result<Option<String>, UsageError> {
    match env::var(variable) {
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(wrong) => Err(UsageError(format!("{variable}: {wrong}"))),
    }
}

/// Reads the plan.
///
/// # Errors
/// Names the entry and what is known.
pub fn parse(text: &str) -> Result<Vec<Entry>, UsageError> {
    let entries = text.split(';').map(str::trim);
    entries.filter(|it| !it.is_empty()).map(entry).collect()
}

fn entry(text: &str) -> Result<Entry, UsageError> {
    let wrong = |why: String| UsageError(format!("AXS_FAILPOINTS: {text:?}: {why}"));
    let (name, rest) = text
        .split_once('=')
        .ok_or_else(|| wrong("expected point=action[@hit]".to_owned()))?;
    let known = POINTS.iter().find(|(point, _)| *point == name.trim());
    let Some((point, kind)) = known.copied() else {
        let names: Vec<&str> = POINTS.iter().map(|(point, _)| *point).collect();
        return Err(wrong(format!(
            "no such point; there are {}",
            names.join(", ")
        )));
    };
    let (action, hits) = match rest.split_once('@') {
        None => (rest, "1"),
        Some((action, hits)) => (action, hits),
    };
    let action = action_of(action.trim())
        .ok_or_else(|| wrong("the action is kill, stop, sleep(ms) or on".to_owned()))?;
    if (action == Action::Break) != (kind == Kind::Break) {
        return Err(wrong(
            "on is for points named break.…, the other actions for the rest".to_owned(),
        ));
    }
    let hits = hits_of(hits.trim())
        .ok_or_else(|| wrong("the hit is a number from 1, or one with a + behind".to_owned()))?;
    Ok(Entry {
        point,
        action,
        hits,
    })
}

fn action_of(text: &str) -> Option<Action> {
    match text {
        "kill" => Some(Action::Kill),
        "stop" => Some(Action::Stop),
        "on" => Some(Action::Break),
        _ => {
            let millis = text.strip_prefix("sleep(")?.strip_suffix(')')?;
            Some(Action::Sleep(millis.parse().ok()?))
        }
    }
}

fn hits_of(text: &str) -> Option<Hits> {
    let (number, later) = match text.strip_suffix('+') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let first = number.parse().ok().filter(|first| *first > 0)?;
    Some(Hits { first, later })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_points_actions_and_hits() {
        let plan = parse(
            "batch.after_commit=kill@3; batch.in_copy = stop;api.before_answer=sleep(250)@2+;\
             break.token=on;",
        )
        .unwrap();
        let seen: Vec<_> = plan
            .iter()
            .map(|it| (it.point, it.action, it.hits.first, it.hits.later))
            .collect();
        assert_eq!(
            seen,
            [
                ("batch.after_commit", Action::Kill, 3, false),
                ("batch.in_copy", Action::Stop, 1, false),
                ("api.before_answer", Action::Sleep(250), 2, true),
                ("break.token", Action::Break, 1, false),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is_known() {
        for (text, words) in [
            ("batch.after_comit=kill", "there are api.after_log_commit"),
            ("batch.after_commit", "expected point=action"),
            ("batch.after_commit=explode", "the action is"),
            ("batch.after_commit=sleep(soon)", "the action is"),
            ("batch.after_commit=kill@0", "the hit is"),
            ("batch.after_commit=kill@many", "the hit is"),
            ("batch.after_commit=on", "on is for points named break"),
            ("break.token=kill", "on is for points named break"),
        ] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
