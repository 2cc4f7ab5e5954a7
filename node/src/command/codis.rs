//! What a codis-dashboard, and a codis-proxy, say to a node (docs/CODIS-NODE.md): SLOTSMGRT… and what belongs to it.
//!
//! A slot moves whole, by the handoff between our nodes; nothing here moves a key by itself. Orders that take time are answered while only
//! their session waits.

use super::{Outcome, Request, Run, Table};
use crate::error::{CommandError, line};
use crate::session::Session;
use crate::transfer;
use cluster::Slot;
use protocol::number::parse_int;
use std::time::Duration;

pub(super) const TABLE: Table = &[
    ("slotscheck", Run::Session(done)),
    ("slotscleanupoff", Run::Session(done)),
    ("slotsmgrt-async-cancel", Run::Session(cancel)),
    ("slotsmgrt-async-fence", Run::Session(done)),
    ("slotsmgrt-async-status", Run::Session(status)),
    ("slotsmgrt-exec-wrapper", Run::Session(Session::wrapped)),
    ("slotsmgrtone", Run::Session(one)),
    ("slotsmgrtone-async", Run::Session(one_async)),
    ("slotsmgrtslot", Run::Session(slot)),
    ("slotsmgrtslot-async", Run::Session(slot_async)),
    ("slotsmgrttagone", Run::Session(one)),
    ("slotsmgrttagone-async", Run::Session(one_async)),
    ("slotsmgrttagslot", Run::Session(slot)),
    ("slotsmgrttagslot-async", Run::Session(slot_async)),
    ("slotsreload", Run::Session(reload)),
    ("slotsreloadoff", Run::Session(done)),
];

/// How long a dashboard waits for an answer at most: short, so that its own limits never bite; long enough for a slot with few keys to be there.
const PATIENCE: Duration = Duration::from_millis(100);

/// An order that takes time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The slot to a node; the answer waits so long at most.
    Slot { slot: Slot, target: String, wait: Duration },
    /// Requests of these slots are about to be sent to that node.
    Keys { slots: Vec<Slot>, target: String },
}

/// Answers an order.
pub(crate) async fn order(session: &mut Session, order: Order) {
    let shared = session.shared.clone();
    let answer = match order {
        Order::Slot { slot, target, wait } => {
            transfer::move_slot(&shared, slot, &target, wait).await.map(Some)
        }
        Order::Keys { slots, target } => {
            let mut answer = Ok(None);
            for slot in slots {
                if let Err(why) = transfer::announce(&shared, slot, &target).await {
                    answer = Err(why);
                    break;
                }
            }
            answer
        }
    };
    let mut reply = session.reply();
    match answer {
        Ok(Some(transfer::Moved { moved, left })) => {
            reply.array(2);
            reply.int(moved as i64);
            reply.int(left as i64);
        }
        Ok(None) => reply.int(0),
        Err(why) if why.starts_with("ERR ") => reply.error(why),
        Err(why) => reply.error(format!("ERR {why}")),
    }
}

/// `SLOTSMGRTTAGSLOT host port timeout-ms slot`
fn slot(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    let wait = patience(request)?;
    let slot = slot_number(session, request.get(4))?;
    session.later_order(Order::Slot { slot, target, wait });
    Ok(())
}

/// `SLOTSMGRTTAGSLOT-ASYNC host port timeout-ms maxbulks maxbytes slot numkeys`
fn slot_async(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    let wait = patience(request)?;
    check_sizes(request)?;
    let slot = slot_number(session, request.get(6))?;
    let keys = parse_int(request.get(7)).filter(|keys| *keys >= 0);
    keys.ok_or(line::NOT_AN_INTEGER)?;
    session.later_order(Order::Slot { slot, target, wait });
    Ok(())
}

/// `SLOTSMGRTTAGONE host port timeout-ms key`: no key moves by itself, but the target learns who owns the slot until it is moved.
fn one(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    patience(request)?;
    let slots = vec![session.shared.slot_count().of(request.get(4))];
    session.later_order(Order::Keys { slots, target });
    Ok(())
}

/// `SLOTSMGRTTAGONE-ASYNC host port timeout-ms maxbulks maxbytes key…`
fn one_async(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    patience(request)?;
    check_sizes(request)?;
    let count = session.shared.slot_count();
    let mut slots: Vec<Slot> = request.from(6).map(|key| count.of(key)).collect();
    slots.sort_unstable();
    slots.dedup();
    session.later_order(Order::Keys { slots, target });
    Ok(())
}

fn address(request: Request<'_>) -> Result<String, CommandError> {
    let host = String::from_utf8_lossy(request.get(1)).to_ascii_lowercase();
    let port = parse_int(request.get(2)).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port > 0).ok_or_else(|| {
        let text = String::from_utf8_lossy(request.get(2));
        CommandError::from(format!("ERR invalid port number {text}"))
    })?;
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("ERR destination address error".into());
    }
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// How long the answer may take: what the asker allows, and not too long. Pika takes 0 for 100 ms.
fn patience(request: Request<'_>) -> Result<Duration, CommandError> {
    let text = request.get(3);
    let ms = parse_int(text).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
        let text = String::from_utf8_lossy(text);
        CommandError::from(format!("ERR invalid timeout number {text}"))
    })?;
    let asked = Duration::from_millis(if ms == 0 { 100 } else { ms });
    Ok((asked / 2).min(PATIENCE))
}

/// How many and how large batches may be: checked, and of no use here.
fn check_sizes(request: Request<'_>) -> Outcome {
    for at in [4, 5] {
        parse_int(request.get(at)).filter(|n| *n > 0).ok_or(line::NOT_AN_INTEGER)?;
    }
    Ok(())
}

fn slot_number(session: &Session, text: &[u8]) -> Result<Slot, CommandError> {
    let number = parse_int(text).and_then(|n| u64::try_from(n).ok());
    let slot = number.and_then(|number| session.shared.slot_count().slot(number));
    slot.ok_or_else(|| format!("ERR invalid slot number {}", String::from_utf8_lossy(text)).into())
}

/// There is nothing to be done: no list of slots' keys that could be wrong, and no batch that could be under way.
fn done(session: &mut Session, _: Request<'_>) -> Outcome {
    session.reply().ok();
    Ok(())
}

/// `SLOTSMGRT-ASYNC-CANCEL`: what is not granted stays here.
fn cancel(session: &mut Session, _: Request<'_>) -> Outcome {
    let stopped = transfer::cancel_all(&session.shared);
    if stopped > 0 {
        tracing::info!(stopped, "SLOTSMGRT-ASYNC-CANCEL has called moves off");
    }
    session.reply().ok();
    Ok(())
}

/// `SLOTSMGRT-ASYNC-STATUS`, in Pika's words; of several slots, the lowest.
fn status(session: &mut Session, _: Request<'_>) -> Outcome {
    let first = transfer::under_way(&session.shared).into_iter().next();
    let number = |n: Option<u64>| n.map_or_else(|| "-1".to_owned(), |n| n.to_string());
    let target = first.as_ref().map_or(":-1", |status| &status.target);
    let lines = [
        format!("dest server: {target}"),
        format!("slot number: {}", number(first.as_ref().map(|s| u64::from(s.slot.0)))),
        format!("migrating  : {}", if first.is_some() { "yes" } else { "no" }),
        format!("moved keys : {}", number(first.as_ref().map(|s| s.moved))),
        format!("remain keys: {}", number(first.as_ref().map(|s| s.left))),
    ];
    let mut reply = session.reply();
    reply.array(lines.len());
    lines.iter().for_each(|line| reply.bulk(line.as_bytes()));
    Ok(())
}

/// `SLOTSRELOAD`: when it began and its cursor, in Pika's form; here it is done at once, since a slot's keys are always known.
fn reload(session: &mut Session, _: Request<'_>) -> Outcome {
    let seconds = session.shared.clock_ms() / 1000;
    session.reply().simple(&format!("{seconds} : 0"));
    Ok(())
}
