//! SCAN over the whole cluster: slot after slot, each asked of its owner.

use crate::patience::Patience;
use crate::request::FlavourIndex;
use crate::routes::{NOBODY, NodeIndex};
use crate::whole::{ask, text_of_error};
use crate::words;
use crate::worker::Worker;
use bytes::Bytes;
use cluster::Slot;
use protocol::frame::{Value, decode};
use protocol::number::{parse_cursor, parse_int};
use protocol::reply::{Reply, Version, errors};
use protocol::request::encode_request;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// One call goes on over slots without a match for at most so long.
const TIME_MAX: Duration = Duration::from_millis(20);
/// How many keys a call returns, about, if the client does not say.
const COUNT: usize = 10;

/// One call of SCAN.
pub(crate) struct Scan {
    worker: Rc<Worker>,
    flavour: FlavourIndex,
    version: Version,
    slot: Slot,
    position: Bytes,
    count: usize,
    /// MATCH and TYPE with their values.
    filters: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

/// Where a call has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Middle,
    End,
}

impl Scan {
    /// Reads the arguments behind the name; the error is the client's line.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        of: (FlavourIndex, Version),
        args: &[Vec<u8>],
    ) -> Result<Self, String> {
        let cursor = parse_cursor(&args[0]).ok_or(errors::CURSOR)?;
        let (slot, position) = worker.shared.cursors.position(cursor);
        let (mut count, mut filters) = (COUNT, Vec::new());
        for pair in args[1..].chunks(2) {
            let [word, value] = pair else { return Err(errors::SYNTAX.to_owned()) };
            match word.to_ascii_lowercase().as_slice() {
                b"count" => {
                    let number = parse_int(value).ok_or(errors::NOT_INTEGER)?;
                    count =
                        usize::try_from(number).ok().filter(|&n| n > 0).ok_or(errors::SYNTAX)?;
                }
                b"match" | b"type" => filters.extend([word.clone(), value.clone()]),
                _ => return Err(errors::SYNTAX.to_owned()),
            }
        }
        let keys = Vec::new();
        Ok(Self {
            worker: Rc::clone(worker),
            flavour: of.0,
            version: of.1,
            slot,
            position,
            count,
            filters,
            keys,
        })
    }

    /// The reply, whatever happens.
    pub(crate) async fn run(mut self) -> Bytes {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.version);
        match self.collect().await {
            Ok(reached) => {
                let cursor = match reached {
                    Reached::End => 0,
                    Reached::Middle => self.worker.shared.cursors.number(self.slot, &self.position),
                };
                reply.array(2);
                reply.bulk(cursor.to_string().as_bytes());
                reply.array(self.keys.len());
                self.keys.iter().for_each(|key| reply.bulk(key));
            }
            Err(line) => reply.error(line),
        }
        out.into()
    }

    async fn collect(&mut self) -> Result<Reached, String> {
        let slots = self.worker.routes.count.get();
        let end = Instant::now() + TIME_MAX;
        let mut patience = Patience::new();
        while self.slot.0 < slots {
            let node = self.worker.routes.route(self.slot).node;
            let last = self.last_of(node);
            if node == NOBODY {
                (self.slot, self.position) =
                    (Slot(last.0 + 1), Bytes::from_static(crate::cursors::START));
                continue;
            }
            let reply = match ask(&self.worker, node, self.flavour, &self.frame(node, last)).await {
                Ok(reply) => reply,
                Err(why) => {
                    patience.unreachable(&self.worker, node, why).await?;
                    continue;
                }
            };
            if let Some(bounce) = words::bounce(&reply).filter(|_| self.worker.is_ours(node)) {
                patience.turned_away(&self.worker, node, &bounce).await?;
                continue;
            }
            patience = Patience::new();
            self.take(&reply, last)?;
            let at_start_of_all = self.slot.0 == 0 && self.position == crate::cursors::START;
            if !at_start_of_all
                && (self.keys.len() >= self.count || Instant::now() >= end)
                && self.slot.0 < slots
            {
                return Ok(Reached::Middle);
            }
        }
        Ok(Reached::End)
    }

    /// The last slot in a row that the node owns.
    fn last_of(&self, node: NodeIndex) -> Slot {
        let routes = &self.worker.routes;
        let behind =
            (self.slot.0..routes.count.get()).find(|&slot| routes.route(Slot(slot)).node != node);
        Slot(behind.unwrap_or(routes.count.get()) - 1)
    }

    fn frame(&self, node: NodeIndex, last: Slot) -> Vec<u8> {
        let mut frame = Vec::new();
        let count = (self.count - self.keys.len().min(self.count - 1)).to_string();
        if self.worker.is_ours(node) {
            let (first, last) = (self.slot.to_string(), last.to_string());
            let mut line = vec![
                &b"SLIPWAY"[..],
                b"SCAN",
                first.as_bytes(),
                last.as_bytes(),
                &self.position,
                count.as_bytes(),
            ];
            line.extend(self.filters.iter().map(Vec::as_slice));
            encode_request(&mut frame, &line);
        } else {
            let mut line = vec![&b"SCAN"[..], &self.position, b"COUNT", count.as_bytes()];
            line.extend(self.filters.iter().map(Vec::as_slice));
            encode_request(&mut frame, &line);
        }
        frame
    }

    /// Takes the keys of a reply and goes on to where it says.
    fn take(&mut self, reply: &[u8], last: Slot) -> Result<(), String> {
        if reply.first() == Some(&b'-') {
            return Err(text_of_error(reply));
        }
        let nonsense = || "ERR slipway: a node's answer to SCAN makes no sense".to_owned();
        let (value, _) = decode(reply).ok().flatten().ok_or_else(nonsense)?;
        let (next, position, keys) = match value.as_items() {
            Some([next, position, keys]) => (next.as_int(), position.as_bytes(), keys.as_items()),
            // A foreign node: its cursor is 0 at the end of all its slots.
            Some([cursor, keys]) => {
                let next = if cursor.as_int() == Some(0) { -1 } else { i64::from(self.slot.0) };
                (Some(next), cursor.as_bytes(), keys.as_items())
            }
            _ => return Err(nonsense()),
        };
        let (Some(next), Some(position), Some(keys)) = (next, position, keys) else {
            return Err(nonsense());
        };
        self.keys.extend(keys.iter().filter_map(Value::as_bytes).map(<[u8]>::to_vec));
        (self.slot, self.position) = match u16::try_from(next) {
            Ok(next) => (Slot(next), Bytes::copy_from_slice(position)),
            Err(_) => (Slot(last.0 + 1), Bytes::from_static(crate::cursors::START)),
        };
        Ok(())
    }
}
