//! The points, in the order in which an event meets them.

/// What a point can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Killed, stopped or held up here.
    Step,
    /// A rule that is left out while it is on.
    Break,
}

const fn step(name: &'static str) -> (&'static str, Kind) {
    (name, Kind::Step)
}

const fn rule(name: &'static str) -> (&'static str, Kind) {
    (name, Kind::Break)
}

/// Every point there is. One that stands in the code and not here can't be armed.
pub const POINTS: &[(&str, Kind)] = &[
    // The API: logged and not published; handed to the producer and not answered; reported by
    // Kafka and its position not noted.
    step("api.after_log_commit"),
    step("api.before_answer"),
    step("api.before_position_note"),
    // Taking over: the token is raised and not committed; committed and the caller not told;
    // nothing is read yet.
    step("takeover.before_commit"),
    step("takeover.after_commit"),
    step("takeover.before_reading"),
    // The leader's batch, step by step. In the COPY the server waits for rows; from the fence to
    // the commit the leader row is locked.
    step("leader.after_poll"),
    step("leader.after_decide"),
    step("batch.in_copy"),
    step("batch.after_copy"),
    step("batch.after_fence"),
    step("batch.after_apply"),
    step("batch.before_commit"),
    step("batch.after_commit"),
    step("cache.before_write"),
    step("cache.after_write"),
    step("results.before_publish"),
    step("results.after_publish"),
    step("relay.before_publish"),
    step("relay.after_publish"),
    // Rules left out, to show that somebody notices.
    rule("break.init_guard"),
    rule("break.token"),
    rule("break.fence_plain_select"),
    rule("break.second_copy"),
    rule("break.refusal_kept"),
    rule("break.cache_before_commit"),
    rule("break.cache_incarnation"),
    rule("break.relay_cursor"),
];
