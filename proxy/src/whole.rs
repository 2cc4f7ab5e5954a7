//! Commands over every slot: asked of each node for the slots it owns, again for those that have moved meanwhile, and joined.

use crate::config::WholeCluster;
use crate::patience::Patience;
use crate::request::FlavourIndex;
use crate::routes::NodeIndex;
use crate::words;
use crate::worker::Worker;
use bytes::Bytes;
use cluster::{Slot, SlotRanges};
use protocol::frame::{Value, decode};
use protocol::reply::{Reply, Version, errors};
use protocol::request::encode_request;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::task::JoinSet;

/// A command over every slot.
pub(crate) struct Whole {
    pub(crate) worker: Rc<Worker>,
    pub(crate) flavour: FlavourIndex,
    pub(crate) version: Version,
    pub(crate) database: u32,
    /// Lower case.
    pub(crate) name: &'static str,
    /// The arguments behind the name.
    pub(crate) args: Vec<Vec<u8>>,
}

/// Slots to be asked of one node, and what came of it.
struct Asked {
    node: NodeIndex,
    slots: Vec<Slot>,
    reply: Result<Bytes, crate::pool::Unreachable>,
}

type Line = String;

impl Whole {
    /// The reply, whatever happens.
    pub(crate) async fn run(self) -> Bytes {
        let mut out = Vec::new();
        if let Err(line) = self.answer(&mut out).await {
            out.clear();
            Reply::new(&mut out, self.version).error(line);
        }
        out.into()
    }

    async fn answer(&self, out: &mut Vec<u8>) -> Result<(), Line> {
        self.check()?;
        let mut reply = Reply::new(out, self.version);
        match self.name {
            "dbsize" => {
                let counts = self.everywhere("DBSIZE", &[]).await?;
                reply.int(counts.iter().filter_map(|count| words::number(count)).sum());
            }
            "keys" => {
                let lists = self.everywhere("KEYS", &[&self.args[0]]).await?;
                concat(&lists, &mut reply)?;
            }
            "flushdb" => {
                let database = self.database.to_string();
                self.everywhere("FLUSHDB", &[database.as_bytes()]).await?;
                reply.ok();
            }
            "flushall" => {
                self.everywhere("FLUSHDB", &[b"*"]).await?;
                reply.ok();
            }
            "randomkey" => {
                let mut keys = self.everywhere("RANDOMKEY", &[]).await?;
                keys.shuffle(&mut rand::rng());
                match keys.iter().find(|key| key.starts_with(b"$") && !key.starts_with(b"$-")) {
                    Some(key) => reply.raw(key),
                    None => reply.null(),
                }
            }
            "slotsinfo" => self.slots_info(&mut reply).await?,
            other => return Err(errors::refused(other, "it cannot be asked of every node yet")),
        }
        Ok(())
    }

    /// What a node would say against the arguments, and what the operator does not want.
    fn check(&self) -> Result<(), Line> {
        let refused = self.worker.config.whole_cluster == WholeCluster::Refused;
        if refused && matches!(self.name, "keys" | "flushdb" | "flushall") {
            return Err(errors::refused(
                self.name,
                "the operator has switched commands over the whole cluster off",
            ));
        }
        if matches!(self.name, "flushdb" | "flushall") {
            let mode = self.args.first().map(|word| word.to_ascii_lowercase());
            if self.args.len() > 1 || mode.is_some_and(|word| word != b"sync" && word != b"async") {
                return Err(errors::SYNTAX.to_owned());
            }
        }
        Ok(())
    }

    /// Asks every owner for its slots, until each slot is answered for once.
    async fn everywhere(&self, word: &str, args: &[&[u8]]) -> Result<Vec<Bytes>, Line> {
        let worker = &self.worker;
        let mut groups = worker.routes.owners();
        let mut replies = Vec::new();
        let mut patience = Patience::new();
        while !groups.is_empty() {
            worker.metrics.fanout_parts.add(groups.len() as u64);
            let mut again = Vec::new();
            for asked in self.ask_all(std::mem::take(&mut groups), word, args).await {
                match asked.reply {
                    Err(why) => {
                        patience.unreachable(worker, asked.node, why).await?;
                        again.push(asked.slots);
                    }
                    Ok(reply) => match words::bounce(&reply).filter(|_| worker.is_ours(asked.node))
                    {
                        Some(bounce) => {
                            patience.turned_away(worker, asked.node, &bounce).await?;
                            // The one that moves must not keep the others from an answer.
                            let (one, rest): (Vec<_>, Vec<_>) =
                                asked.slots.into_iter().partition(|&slot| slot == bounce.slot);
                            again.extend([one, rest]);
                        }
                        None if reply.first() == Some(&b'-') => return Err(text_of_error(&reply)),
                        None => replies.push(reply),
                    },
                }
            }
            for slots in again {
                groups.extend(self.by_owner(slots));
            }
        }
        Ok(replies)
    }

    fn by_owner(&self, slots: Vec<Slot>) -> Vec<(NodeIndex, Vec<Slot>)> {
        let mut groups: BTreeMap<NodeIndex, Vec<Slot>> = BTreeMap::new();
        for slot in slots {
            groups.entry(self.worker.routes.route(slot).node).or_default().push(slot);
        }
        groups.into_iter().collect()
    }

    async fn ask_all(
        &self,
        groups: Vec<(NodeIndex, Vec<Slot>)>,
        word: &str,
        args: &[&[u8]],
    ) -> Vec<Asked> {
        let mut tasks = JoinSet::new();
        for (node, slots) in groups {
            let frame = self.frame(node, (word, args), &slots);
            let (worker, flavour) = (Rc::clone(&self.worker), self.flavour);
            tasks.spawn_local(async move {
                let reply = ask(&worker, node, flavour, &frame).await;
                Asked { node, slots, reply }
            });
        }
        tasks.join_all().await
    }

    /// `SLIPWAY WORD ranges arg…`, or to a foreign node the command itself.
    fn frame(&self, node: NodeIndex, (word, args): (&str, &[&[u8]]), slots: &[Slot]) -> Vec<u8> {
        let ranges = slots.iter().copied().collect::<SlotRanges>().to_string();
        let mut line: Vec<&[u8]> = Vec::new();
        if self.worker.is_ours(node) {
            line.extend([&b"SLIPWAY"[..], word.as_bytes(), ranges.as_bytes()]);
            line.extend(args);
        } else {
            line.push(self.name.as_bytes());
            line.extend(self.args.iter().map(Vec::as_slice));
        }
        let mut frame = Vec::new();
        encode_request(&mut frame, &line);
        frame
    }

    /// Every node tells of its own slots.
    async fn slots_info(&self, reply: &mut Reply<'_>) -> Result<(), Line> {
        let mut line: Vec<&[u8]> = vec![b"SLOTSINFO"];
        line.extend(self.args.iter().map(Vec::as_slice));
        let mut frame = Vec::new();
        encode_request(&mut frame, &line);
        let mut sizes = BTreeMap::new();
        for (node, slots) in self.worker.routes.owners() {
            let said = ask(&self.worker, node, self.flavour, &frame).await;
            let said = said.map_err(|_| {
                format!("ERR slipway: node {} cannot be reached", self.worker.routes.addr(node))
            })?;
            if said.first() == Some(&b'-') {
                return Err(text_of_error(&said));
            }
            let value = decode(&said).ok().flatten().map(|(value, _)| value);
            for pair in value.as_ref().and_then(Value::as_items).unwrap_or_default() {
                if let Some([slot, size]) = pair.as_items()
                    && let (Some(slot), Some(size)) = (slot.as_int(), size.as_int())
                    && slots.iter().any(|own| i64::from(own.0) == slot)
                {
                    sizes.insert(slot, size);
                }
            }
        }
        reply.array(sizes.len());
        for (slot, size) in sizes {
            reply.array(2);
            reply.int(slot);
            reply.int(size);
        }
        Ok(())
    }
}

/// Asks one node one thing on a connection of its own.
pub(crate) async fn ask(
    worker: &Rc<Worker>,
    node: NodeIndex,
    flavour: FlavourIndex,
    frame: &[u8],
) -> Result<Bytes, crate::pool::Unreachable> {
    let mut connection = worker.private(node, flavour).await?;
    let patience = worker.config.upstream.reply_timeout;
    let asked = tokio::time::timeout(patience, connection.ask(frame)).await;
    let reply = asked.unwrap_or_else(|_| Err(format!("no reply for {} s", patience.as_secs())));
    let reply = reply.map_err(crate::pool::Unreachable::Down)?;
    if !reply.starts_with(b"-X") {
        connection.give_back();
    }
    Ok(reply)
}

/// The line of an error reply.
pub(crate) fn text_of_error(reply: &[u8]) -> Line {
    String::from_utf8_lossy(&reply[1..]).trim_end().to_owned()
}

/// One array of all elements.
fn concat(lists: &[Bytes], reply: &mut Reply<'_>) -> Result<(), Line> {
    let mut total = 0;
    let mut bodies = Vec::new();
    for list in lists {
        let end = list.iter().position(|&b| b == b'\n').unwrap_or(0);
        let header = list.get(1..end.saturating_sub(1)).and_then(protocol::number::parse_int);
        let count = header
            .filter(|_| list[0] == b'*')
            .ok_or("ERR slipway: a node's list has an unexpected shape")?;
        total += count as usize;
        bodies.push(&list[end + 1..]);
    }
    reply.array(total);
    for body in bodies {
        reply.raw(body);
    }
    Ok(())
}
