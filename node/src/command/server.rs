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
    ("slowlog", Run::Session(slowlog::slowlog)),
    ("time", Run::Session(time)),
];

fn time(session: &mut Session, _: Request<'_>) -> Outcome {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut reply = session.reply();
    reply.array(2);
    reply.bulk_int(since.as_secs() as i64);
    reply.bulk_int(i64::from(since.subsec_micros()));
    Ok(())
}
