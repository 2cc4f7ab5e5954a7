//! What a codis-dashboard, and a codis-proxy, say to a node (docs/CODIS-NODE.md): SLOTSMGRT… and what belongs to it.
//!
//! A slot moves whole, by the handoff between our nodes. To a node that is not ours its keys move one by one, if a proxy of ours says so. Orders that take time are answered while only
//! their session waits.

use super::{Outcome, Request, Run, Table};
use crate::error::{CommandError, line};
use crate::session::Session;
use crate::transfer::away::{self, Place, Target};
use crate::transfer::{self, Moved};
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

/// Keys of a slot that leave for a node that is not ours by one order at most.
const AWAY_KEYS: usize = 64;

/// An order that takes time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The slot to a node; the answer waits so long at most.
    Slot { slot: Slot, target: String, wait: Duration },
    /// Requests of these slots are about to be sent to that node.
    Keys { slots: Vec<Slot>, target: String },
    /// These keys to a node that is not ours, for a proxy of ours.
    Away { places: Vec<Place>, target: Target },
    /// So many keys of the slot in a database to a node that is not ours, for a proxy of ours.
    SomeAway { slot: Slot, db: u8, count: usize, target: Target },
}

/// What an order has brought.
enum Answer {
    /// Keys moved.
    Keys(u64),
    Slot(Moved),
}

/// Answers an order.
pub(crate) async fn order(session: &mut Session, order: Order) {
    let shared = session.shared.clone();
    let answer = match order {
        Order::Slot { slot, target, wait } => {
            let far = Target { addr: target.clone(), limit: wait };
            if away::has_left(&shared, slot, &far).await {
                Ok(Answer::Slot(Moved { moved: 0, left: 0 }))
            } else {
                transfer::move_slot(&shared, slot, &target, wait).await.map(Answer::Slot)
            }
        }
        Order::Away { places, target } => {
            away::move_keys(&shared, places, &target).await.map(Answer::Keys)
        }
        Order::SomeAway { slot, db, count, target } => {
            away::move_some(&shared, (slot, db), count, &target).await.map(Answer::Slot)
        }
        Order::Keys { slots, target } => {
            let mut answer = Ok(Answer::Keys(0));
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
        Ok(Answer::Slot(Moved { moved, left })) => {
            reply.array(2);
            reply.int(moved as i64);
            reply.int(left as i64);
        }
        Ok(Answer::Keys(moved)) => reply.int(moved as i64),
        Err(why) if why.starts_with("ERR ") => reply.error(why),
        Err(why) => reply.error(format!("ERR {why}")),
    }
}

/// `SLOTSMGRTTAGSLOT host port timeout-ms slot`
fn slot(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    let wait = patience(request)?;
    let slot = slot_number(session, request.get(4))?;
    session.order_slot((slot, AWAY_KEYS), target, (wait, limit(request)?));
    Ok(())
}

/// `SLOTSMGRTTAGSLOT-ASYNC host port timeout-ms maxbulks maxbytes slot numkeys`
fn slot_async(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    let wait = patience(request)?;
    check_sizes(request)?;
    let slot = slot_number(session, request.get(6))?;
    let keys = parse_int(request.get(7)).filter(|keys| *keys >= 0);
    let keys = keys.ok_or(line::NOT_AN_INTEGER)?;
    let count = usize::try_from(keys).map_or(AWAY_KEYS, |keys| keys.clamp(1, AWAY_KEYS));
    session.order_slot((slot, count), target, (wait, limit(request)?));
    Ok(())
}

/// `SLOTSMGRTTAGONE host port timeout-ms key`: no key moves by itself, but the target learns who owns the slot until it is moved.
fn one(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    let limit = limit(request)?;
    session.order_keys(std::iter::once(request.get(4)), target, limit);
    Ok(())
}

/// `SLOTSMGRTTAGONE-ASYNC host port timeout-ms maxbulks maxbytes key…`
fn one_async(session: &mut Session, request: Request<'_>) -> Outcome {
    let target = address(request)?;
    let limit = limit(request)?;
    check_sizes(request)?;
    session.order_keys(request.from(6), target, limit);
    Ok(())
}

impl Session {
    /// Only a proxy of ours has keys move one by one: it holds requests of the slot back.
    fn order_slot(
        &mut self,
        (slot, count): (Slot, usize),
        addr: String,
        (wait, limit): (Duration, Duration),
    ) {
        self.later_order(if self.link.is_some() {
            Order::SomeAway { slot, db: self.db, count, target: Target { addr, limit } }
        } else {
            Order::Slot { slot, target: addr, wait }
        });
    }

    fn order_keys<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a [u8]>,
        addr: String,
        limit: Duration,
    ) {
        if self.link.is_some() {
            let places = keys.map(|key| Place { db: self.db, key: key.to_vec() }).collect();
            return self.later_order(Order::Away { places, target: Target { addr, limit } });
        }
        let count = self.shared.slot_count();
        let mut slots: Vec<Slot> = keys.map(|key| count.of(key)).collect();
        slots.sort_unstable();
        slots.dedup();
        self.later_order(Order::Keys { slots, target: addr });
    }
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
    Ok((limit(request)? / 2).min(PATIENCE))
}

/// What the asker allows.
fn limit(request: Request<'_>) -> Result<Duration, CommandError> {
    let text = request.get(3);
    let ms = parse_int(text).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
        let text = String::from_utf8_lossy(text);
        CommandError::from(format!("ERR invalid timeout number {text}"))
    })?;
    Ok(Duration::from_millis(if ms == 0 { 100 } else { ms }))
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
