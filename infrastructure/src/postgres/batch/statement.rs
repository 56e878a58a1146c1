//! The statements that guard a batch, and the deliberate breaks of them.
//!
//! A break leaves one guard out, so that a test can show that somebody notices. It is switched on
//! by name in a build with the feature `failpoints`; in any other build each function is its
//! constant.

use sqlx::SqlStr;

const FENCE_TOGETHER: &str = include_str!("../sql/batch/fence_together.sql");
const FENCE: &str = include_str!("../sql/batch/fence.sql");
const APPLY: &str = include_str!("../sql/batch/apply.sql");
const STORE_OFFSET: &str = include_str!("../sql/batch/store_offset.sql");

/// Locks the leader row and reads what is to be compared.
pub(super) fn fence() -> SqlStr {
    fail::fail_point!("break.fence_plain_select", |_| broken(
        FENCE,
        "FOR NO KEY UPDATE",
        ""
    ));
    SqlStr::from_static(FENCE)
}

/// The same for several partitions at once, of which those that somebody holds are left out.
pub(super) fn fence_together() -> SqlStr {
    fail::fail_point!("break.fence_plain_select", |_| broken(
        FENCE_TOGETHER,
        "FOR NO KEY UPDATE\n       SKIP LOCKED",
        ""
    ));
    SqlStr::from_static(FENCE_TOGETHER)
}

/// Whether a claim is compared with the leader row.
pub(super) fn token_counts() -> bool {
    fail::fail_point!("break.token", |_| false);
    true
}

/// Balances, states and entries.
pub(super) fn apply() -> SqlStr {
    fail::fail_point!("break.init_guard", |_| broken(
        APPLY,
        "WHEN l.status = 0\n",
        "WHEN true\n"
    ));
    SqlStr::from_static(APPLY)
}

/// The offset. Both breaks of the fence reach it: it compares the token once more, and what it
/// finds there under its own lock would hide that the fence is gone.
pub(super) fn store_offset() -> SqlStr {
    fail::fail_point!("break.token", |_| unfenced_offset());
    fail::fail_point!("break.fence_plain_select", |_| unfenced_offset());
    SqlStr::from_static(STORE_OFFSET)
}

#[cfg(feature = "failpoints")]
fn unfenced_offset() -> SqlStr {
    broken(
        STORE_OFFSET,
        "l.fencing_token = b.fencing_token AND l.owner = b.owner",
        "true",
    )
}

/// The statement with one part replaced; the test below holds that the part is there.
#[cfg(feature = "failpoints")]
fn broken(statement: &str, guard: &str, instead: &str) -> SqlStr {
    use sqlx::{AssertSqlSafe, SqlSafeStr};
    AssertSqlSafe(statement.replace(guard, instead)).into_sql_str()
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn each_break_changes_its_statement() {
        let sound = [
            fence(),
            apply(),
            store_offset(),
            store_offset(),
            fence_together(),
        ];
        for (name, statement, before) in [
            ("break.fence_plain_select", fence as fn() -> SqlStr, 0),
            ("break.init_guard", apply, 1),
            ("break.token", store_offset, 2),
            ("break.fence_plain_select", store_offset, 3),
            ("break.fence_plain_select", fence_together, 4),
        ] {
            let _on = fail::FailGuard::new(name, "return").unwrap();
            assert_ne!(statement().as_str(), sound[before].as_str(), "{name}");
        }
    }
}
