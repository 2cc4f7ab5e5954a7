//! Commands about the server.

mod commands;
mod config;
mod info;
mod slowlog;

use super::{Outcome, Request, Run, Table};
use crate::session::Session;

pub(super) const TABLE: Table = &[
    ("command", Run::Session(commands::command)),
    ("config", Run::Session(config::config)),
    ("info", Run::Session(info::info)),
    ("slaveof", Run::Session(slaveof)),
    ("slowlog", Run::Session(slowlog::slowlog)),
    ("time", Run::Session(time)),
];

/// `SLAVEOF NO ONE`: every node is a master of its own, until there is replication.
fn slaveof(session: &mut Session, request: Request<'_>) -> Outcome {
    if request.is(1, "no") && request.is(2, "one") {
        session.reply().ok();
        return Ok(());
    }
    Err("ERR this node cannot be a replica yet: keep groups of one Slipway node each".into())
}

fn time(session: &mut Session, _: Request<'_>) -> Outcome {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut reply = session.reply();
    reply.array(2);
    reply.bulk_int(since.as_secs() as i64);
    reply.bulk_int(i64::from(since.subsec_micros()));
    Ok(())
}
