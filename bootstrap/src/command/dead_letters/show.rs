//! `bootstrap dead-letters show`.

use super::event::event_json;
use super::list::summary_json;
use crate::cli::ShowArgs;
use crate::exit::Ending;
use crate::module::layers::Layers;
use axs_application::port::change_log::ChangeLogRecord;
use axs_application::port::dead_letters::{DeadLetterBody, DeadLetterId};
use axs_application::usecase::settle_dead_letters::{Inspection, SettleDeadLetters};
use axs_domain::log_status::LogStatus;
use serde_json::{Value, json};
use shaku::HasComponent;
use std::fmt::Write;

#[expect(clippy::print_stdout, reason = "the command's own output")]
pub(super) async fn run(args: &ShowArgs, layers: &Layers) -> anyhow::Result<Ending> {
    let settle: &dyn SettleDeadLetters = layers.service.resolve_ref();
    let Some(found) = settle.inspect(DeadLetterId(args.id)).await? else {
        println!("there is no entry {}", args.id);
        return Ok(Ending::Off);
    };
    let json = inspection_json(&found);
    if args.json {
        println!("{json}");
    } else {
        print_human(&json);
    }
    Ok(Ending::Fine)
}

fn inspection_json(found: &Inspection) -> Value {
    let mut json = summary_json(&found.entry.summary);
    if let DeadLetterBody::Record { key, .. } = &found.entry.body {
        json["record_key"] = hex(key).into();
    }
    json["bytes"] = hex(&found.bytes).into();
    json["event"] = found.event.as_ref().map_or(Value::Null, event_json);
    json["log_row"] = found.row.as_ref().map_or(Value::Null, row_json);
    json["redrive"] = found.plan.to_string().into();
    json["actions"] = found
        .entry
        .actions
        .iter()
        .map(|action| {
            json!({
                "action": action.action,
                "operator": action.operator,
                "database_user": action.database_user,
                "reason": action.reason,
                "at": action.at.to_string(),
            })
        })
        .collect();
    json
}

fn row_json(row: &ChangeLogRecord) -> Value {
    json!({
        "log_id": row.log_id.to_string(),
        "shard_id": row.key.shard_id.value(),
        "account_id": row.key.account_id.value(),
        "idempotency_key": row.key.idempotency_key.as_str(),
        "status": match row.status {
            LogStatus::Init => "INIT",
            LogStatus::Applied => "APPLIED",
            LogStatus::Rejected => "REJECTED",
            LogStatus::Parked => "PARKED",
        },
        "reason_code": row.reason.as_ref().map(|reason| reason.code),
        "reason": row.reason.as_ref().map(|reason| reason.message.as_str()),
        "logged_at": row.logged_at.to_string(),
        "decided_at": row.decided_at.map(|at| at.to_string()),
        "partition": row.position.map(|(partition, _)| partition.value()),
        "offset": row.position.map(|(_, offset)| offset.value()),
    })
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn print_human(json: &Value) {
    let Some(fields) = json.as_object() else {
        return;
    };
    // The order in which a person asks; whatever is not named here comes last.
    const FIRST: [&str; 11] = [
        "id",
        "kind",
        "state",
        "reason",
        "message",
        "at",
        "times",
        "partition",
        "offset",
        "log_id",
        "account_id",
    ];
    let rest = fields.keys().map(String::as_str);
    let rest = rest.filter(|name| !FIRST.contains(name) && *name != "redrive");
    for name in FIRST.into_iter().chain(rest).chain(["redrive"]) {
        match &fields[name] {
            Value::Null => println!("{name:<16} -"),
            Value::String(text) => println!("{name:<16} {text}"),
            nested @ (Value::Object(_) | Value::Array(_)) => {
                println!("{name:<16} {nested:#}");
            }
            plain => println!("{name:<16} {plain}"),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
