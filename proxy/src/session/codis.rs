//! What a client that takes us for a codis-proxy is told, where it differs: the texts that applications match on, and nodes asked by address.

use super::requests::{Found, Step};
use super::{Pause, Phase, Session};
use crate::gate::Room;
use crate::metrics::Gone;
use crate::plan::one_slot;
use crate::session::alone::Kind;
use crate::session::replies::Frame;
use crate::whole::ask;
use crate::worker::Worker;
use cluster::SlotCount;
use codis::commands::{Decision, decision, is_forwarded, texts};
use codis::model;
use protocol::command::{Command, RouteRule, table};
use protocol::reply::errors;
use protocol::request::encode_request;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::OnceLock;

/// Commands that codis-proxy looks at itself: it tells their names in upper case.
const HANDLED: [&str; 9] =
    ["auth", "del", "exists", "mget", "mset", "select", "slotsinfo", "slotsmapping", "slotsscan"];

/// The answer to a name that no command has; nothing where Codis has none of its own.
pub(super) fn unknown(name: &[u8]) -> Option<String> {
    if !(1..=texts::COMMAND_BYTES_MAX).contains(&name.len()) {
        return Some(texts::BAD_COMMAND_LENGTH.to_owned());
    }
    let name = std::str::from_utf8(name).ok()?;
    matches!(decision(name), Some(Decision::Refused(_))).then(|| texts::not_allowed(name))
}

/// The line of a request that could not be sent, or whose reply did not come: clients look for `backend conn`.
pub(super) fn failure(line: &str) -> Cow<'_, str> {
    match line.strip_prefix("ERR slipway: ") {
        Some(why) if why.starts_with("node ") || why.starts_with("connection ") => {
            texts::response_conn_failure(why).into()
        }
        _ => line.into(),
    }
}

/// Whether nodes other than ours may have the command. By its number: some of these are sent often.
fn may_be_elsewhere(command: &Command) -> bool {
    static SENT: OnceLock<Box<[bool]>> = OnceLock::new();
    let sent = SENT.get_or_init(|| table().iter().map(|c| is_forwarded(c.name)).collect());
    sent[command.id.index()]
}

/// Whether a request that no node of ours serves is one that other nodes may.
pub(super) fn is_sent_elsewhere(found: &Found<'_>) -> bool {
    may_be_elsewhere(found.command) && found.command.check_arity(found.args.len())
}

/// The line of a refusal in Codis' words; `line` is ours. What is never allowed is not allowed before the password either.
pub(super) fn refusal<'a>(found: &Found<'_>, count: SlotCount, line: &'a [u8]) -> Cow<'a, [u8]> {
    let name = found.command.name;
    if matches!(found.command.route, RouteRule::Refused(_)) && !may_be_elsewhere(found.command) {
        return texts::not_allowed(name).into_bytes().into();
    }
    if line == errors::NO_AUTH.as_bytes() {
        return texts::NO_AUTH.as_bytes().into();
    }
    if HANDLED.contains(&name) && line == errors::arity(name).as_bytes() {
        return texts::arity(&name.to_ascii_uppercase()).into_bytes().into();
    }
    if name == "slotsscan"
        && let Some(text) = found.args.get(found.frame, 1)
        && let Err(line) = texts::slot_number(&String::from_utf8_lossy(text), count.get().into())
    {
        return line.into_bytes().into();
    }
    line.into()
}

fn serves(slot: &model::Slot, addr: &str) -> bool {
    slot.backend_addr == addr
        || slot.migrate_from == addr
        || slot.replica_groups.iter().flatten().any(|replica| replica == addr)
}

/// Whether a request asks one node by its address: `PING addr`, `INFO addr [section]`, `SLOTSINFO addr`.
pub(super) fn names_backend(worker: &Worker, found: &Found<'_>) -> bool {
    let Some(router) = &worker.shared.router else { return false };
    let Some(addr) = found.args.get(found.frame, 1).map(String::from_utf8_lossy) else {
        return false;
    };
    match found.command.name {
        "slotsinfo" => true,
        // What looks like an address cannot be a section.
        "info" if addr.contains(':') => true,
        "ping" => router.slots().iter().any(|slot| serves(slot, &addr)),
        _ => false,
    }
}

impl Session {
    /// Sends a command that no node of ours has where it may be known.
    pub(super) fn send_elsewhere(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        match one_slot(found.command, found.request(), worker.routes.count) {
            Ok(slot) if worker.room(slot, self) == Room::None => {
                return Step::Wait(Pause::Stalled);
            }
            Ok(slot) => {
                let number = self.open(found.asked(self, worker));
                let request = self.to_slot(slot, number, 0, found.command);
                worker.send(request, Frame::Short(found.frame));
            }
            Err(line) => self.refuse_unlooked(worker, found, &line),
        }
        Step::Done
    }

    /// An error of our own is on its way: some operators want the client gone behind it.
    pub(super) fn failed(&self, worker: &Worker) {
        if worker.shared.live.breaks_on_failure() && self.phase.get() == Phase::Open {
            worker.metrics.broken_off.add(1);
            self.phase.set(Phase::Closing(Gone::Failure));
            self.wake();
        }
    }

    /// Asks the node, on a connection of its own.
    pub(super) fn ask_backend(self: &Rc<Self>, worker: &Rc<Worker>, found: &Found<'_>) -> Step {
        if self.in_flight() > 0 {
            return Step::Wait(Pause::Barrier);
        }
        let args: Vec<&[u8]> = found.args.iter(found.frame).collect();
        let addr = String::from_utf8_lossy(args[1]).into_owned();
        let is_known = worker
            .shared
            .router
            .as_ref()
            .is_some_and(|router| router.slots().iter().any(|slot| serves(slot, &addr)));
        let line = match found.command.name {
            "slotsinfo" if args.len() > 2 => Some(texts::arity("SLOTSINFO")),
            _ if !is_known => Some(texts::backend_not_found(&addr)),
            _ => None,
        };
        if let Some(line) = line {
            self.refuse(worker, found, line.as_bytes());
            return Step::Done;
        }
        let mut frame = Vec::new();
        encode_request(&mut frame, &[&args[..1], &args[2..]].concat());
        let (flavour, asks) = (self.flavour.get(), Rc::clone(worker));
        let asking = async move {
            let node = asks.routes.node(&addr);
            ask(&asks, node, flavour, &frame).await.unwrap_or_else(|why| {
                tracing::debug!(node = %addr, ?why, "a node that a client named cannot be asked");
                format!("-{}\r\n", texts::backend_not_found(&addr)).into()
            })
        };
        self.run_alone(worker, found, Kind::Finishes, asking);
        Step::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_node_is_a_backend_conn_failure() {
        for (line, want) in [
            (
                "ERR slipway: node a:1 is down: refused",
                "ERR handle response, backend conn failure, node a:1 is down: refused",
            ),
            (
                "ERR slipway: connection to node a:1 lost, the write may or may not have been executed",
                "ERR handle response, backend conn failure, connection to node a:1 lost, the write may or may not have been executed",
            ),
            (
                "TRYAGAIN slot 1 is moving, held for 10 s",
                "TRYAGAIN slot 1 is moving, held for 10 s",
            ),
        ] {
            assert_eq!(failure(line), want);
        }
    }

    #[test]
    fn names_that_nobody_has_are_told_from_those_that_nobody_may_say() {
        assert_eq!(unknown(b"").unwrap(), texts::BAD_COMMAND_LENGTH);
        assert_eq!(unknown(&[b'x'; 65]).unwrap(), texts::BAD_COMMAND_LENGTH);
        assert_eq!(unknown(&[b'x'; 64]), None);
        for name in ["slotsmgrt-exec-wrapper", "SLOTSRESTORE-ASYNC", "compact", "pkscanrange"] {
            assert_eq!(unknown(name.as_bytes()).unwrap(), texts::not_allowed(name));
        }
    }
}
