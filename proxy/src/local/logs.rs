//! SLOWLOG, and the parts of LATENCY that have an answer.

use super::{Answer, Asks};
use protocol::number::parse_int;
use protocol::reply::{Reply, errors};

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

pub(super) fn slow_log(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    let log = &asks.worker.shared.slow_log;
    match asks.subcommand()? {
        "len" => reply.int(log.len() as i64),
        "reset" => {
            log.reset();
            reply.ok();
        }
        "get" => {
            let count = match asks.arg(2) {
                None => 10,
                Some(text) => parse_int(text)
                    .filter(|count| *count >= -1)
                    .ok_or(b"ERR count should be greater than or equal to -1")?,
            };
            let entries = log.newest(usize::try_from(count).unwrap_or(usize::MAX));
            reply.array(entries.len());
            for entry in entries {
                reply.array(6);
                reply.int(entry.id);
                reply.int(entry.at_s);
                reply.int(entry.took_us);
                reply.array(entry.args.len());
                entry.args.iter().for_each(|arg| reply.bulk(arg));
                reply.bulk(entry.client.as_bytes());
                reply.bulk(entry.name.as_bytes());
            }
        }
        _ => reply.help("SLOWLOG", HELP),
    }
    Ok(())
}

/// Latencies are told by the metrics page; here is what monitoring scripts ask without need.
pub(super) fn latency(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    match asks.subcommand()? {
        "latest" | "history" => reply.array(0),
        "histogram" => reply.map(0),
        "reset" => reply.int(0),
        "help" => reply
            .help("LATENCY", &["LATEST", "    Nothing: look at the metrics page of the proxy."]),
        other => {
            return Err(errors::refused(
                &format!("latency|{other}"),
                "look at the metrics page of the proxy",
            )
            .into_bytes());
        }
    }
    Ok(())
}
