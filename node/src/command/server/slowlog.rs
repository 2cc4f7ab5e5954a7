//! SLOWLOG.

use super::super::{Outcome, Request, subcommand};
use crate::session::Session;
use protocol::number::parse_int;

/// Entries when GET does not say.
const SHOWN: usize = 10;

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

pub(super) fn slowlog(session: &mut Session, request: Request<'_>) -> Outcome {
    let shared = session.shared.clone();
    match subcommand("slowlog", request)? {
        "len" => session.reply().int(shared.slowlog.len() as i64),
        "reset" => {
            shared.slowlog.clear();
            session.reply().ok();
        }
        "get" => {
            let count = match request.len() {
                2 => SHOWN,
                3 => match parse_int(request.get(2)) {
                    Some(-1) => usize::MAX,
                    Some(count) if count >= 0 => count as usize,
                    _ => return Err("ERR count should be greater than or equal to -1".into()),
                },
                _ => return Err(protocol::reply::errors::arity("slowlog|get").into()),
            };
            let entries = shared.slowlog.latest(count);
            let mut reply = session.reply();
            reply.array(entries.len());
            for entry in entries {
                reply.array(6);
                reply.int(entry.id as i64);
                reply.int((entry.at_ms / 1000) as i64);
                reply.int(entry.micros as i64);
                reply.array(entry.args.len());
                entry.args.iter().for_each(|arg| reply.bulk(arg));
                reply.bulk(entry.addr.as_bytes());
                reply.bulk(&entry.name);
            }
        }
        _ => session.reply().help("SLOWLOG", HELP),
    }
    Ok(())
}
