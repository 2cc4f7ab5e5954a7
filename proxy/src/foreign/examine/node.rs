//! What a node says of itself: settings, role, and what it is busy with.

use super::{Refusal, in_words};
use crate::dialect::Dialect;
use crate::foreign::link::{Link, LinkError};
use cluster::{Slot, SlotCount};
use protocol::frame::Value;

/// A node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub addr: String,
    pub dialect: Dialect,
    /// A number of the process: another one means that it was started anew.
    pub run_id: String,
    pub is_replica: bool,
    /// `requirepass`; empty: none, or it does not tell.
    pub password: String,
    /// Of a Pika: `slotmigrate` and `default-slot-num` as it has them.
    pub slotmigrate: String,
    pub slots: String,
    /// Of a Pika: whether it lists its keys anew, when that began last, and for how long it goes on, s.
    pub is_reloading: bool,
    pub reload_began: String,
    pub reload_seconds: u64,
    /// Of a Pika: the slot that its own migration moves, and where to.
    pub migrating: Option<(String, String)>,
    /// Keys it lists of the slot; expired ones are among them.
    pub keys: u64,
}

/// Asks a node, about the slot too.
pub async fn look(link: &mut Link, addr: &str, slot: Slot) -> Result<Node, Refusal> {
    let dialect = link.dialect();
    let mut node = Node { addr: addr.to_owned(), dialect, ..Node::default() };
    ask(link, &mut node, slot).await.map_err(in_words(addr))?;
    Ok(node)
}

async fn ask(link: &mut Link, node: &mut Node, slot: Slot) -> Result<(), LinkError> {
    let number = slot.to_string();
    let is_pika = node.dialect == Dialect::Pika;
    let mut asked: Vec<&[&[u8]]> = vec![
        &[b"INFO", b"server"],
        &[b"INFO", b"replication"],
        &[b"CONFIG", b"GET", b"requirepass"],
    ];
    let info: &[&[u8]] = &[b"SLOTSINFO", number.as_bytes(), b"1"];
    asked.push(info);
    if is_pika {
        asked.extend::<[&[&[u8]]; 3]>([
            &[b"CONFIG", b"GET", b"*slot*"],
            &[b"INFO", b"stats"],
            // Last, for it waits for a migration thread that is about to end.
            &[b"SLOTSMGRT-ASYNC-STATUS"],
        ]);
    }
    link.send(asked).await?;
    let server = link.answer().await?;
    node.run_id = line(&server, "run_id:").unwrap_or_default();
    let replication = link.answer().await?;
    node.is_replica = line(&replication, "role:").is_some_and(|role| role == "slave");
    node.password = setting(&link.answer().await?, "requirepass").unwrap_or_default();
    node.keys = listed(&link.answer().await?);
    if !is_pika {
        return Ok(());
    }
    let settings = link.answer().await?;
    node.slotmigrate = setting(&settings, "slotmigrate").unwrap_or_default();
    node.slots = setting(&settings, "default-slot-num").unwrap_or_default();
    node.take_stats(&link.answer().await?);
    node.migrating = migrating(&link.answer().await?);
    Ok(())
}

impl Node {
    /// Takes in INFO stats.
    pub(crate) fn take_stats(&mut self, stats: &Value) {
        // `is_slots_reloading:Yes, 20261122125004, 3`
        let reloading = line(stats, "is_slots_reloading:").unwrap_or_default();
        let mut parts = reloading.split(',').map(str::trim);
        self.is_reloading = parts.next() == Some("Yes");
        self.reload_began = parts.next().unwrap_or_default().to_owned();
        self.reload_seconds = parts.next().and_then(|s| s.parse().ok()).unwrap_or(0);
    }

    /// What holds of any slot.
    pub fn check(&self, ours: SlotCount) -> Result<(), Refusal> {
        let node = self.addr.clone();
        if self.is_replica {
            return Err(Refusal::Replica { node });
        }
        if self.dialect != Dialect::Pika {
            return Ok(());
        }
        if self.slotmigrate != "yes" {
            return Err(Refusal::SlotmigrateOff { node });
        }
        if self.slots != ours.get().to_string() {
            let theirs = self.slots.clone();
            return Err(Refusal::SlotCount { node, theirs, ours: ours.get() });
        }
        Ok(())
    }

    /// That it moves no slot by itself.
    pub fn check_idle(&self) -> Result<(), Refusal> {
        match self.migrating.clone() {
            None => Ok(()),
            Some((slot, target)) => {
                Err(Refusal::Migrating { node: self.addr.clone(), slot, target })
            }
        }
    }
}

/// What stands behind the name in an answer to INFO.
pub(crate) fn line(info: &Value, name: &str) -> Option<String> {
    info.as_str()?.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned())
}

/// One value of CONFIG GET's names and values.
fn setting(answer: &Value, name: &str) -> Option<String> {
    let pair = answer.as_items()?.chunks_exact(2).find(|pair| pair[0].as_str() == Some(name))?;
    pair[1].as_str().map(str::to_owned)
}

/// The size in SLOTSINFO's answer for one slot; the answer is empty if nothing is there.
pub(super) fn listed(answer: &Value) -> u64 {
    let pair = answer.as_items().and_then(|slots| slots.first()).and_then(Value::as_items);
    let size = pair.and_then(|pair| pair.get(1)).and_then(Value::as_int);
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
}

/// Slot and target in SLOTSMGRT-ASYNC-STATUS' lines, if it is at work.
fn migrating(answer: &Value) -> Option<(String, String)> {
    let lines: Vec<(&str, &str)> = answer
        .as_items()?
        .iter()
        .filter_map(|line| line.as_str()?.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let of = |name| lines.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let is_migrating = of("migrating") == Some("yes");
    is_migrating.then(|| {
        let text = |name| of(name).unwrap_or("?").to_owned();
        (text("slot number"), text("dest server"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_refused() {
        let replica = Node { addr: "a:1".to_owned(), is_replica: true, ..Node::default() };
        let refused = Refusal::Replica { node: "a:1".to_owned() };
        assert_eq!(replica.check(SlotCount::DEFAULT), Err(refused));
    }

    #[test]
    fn what_pika_is_busy_with_is_read_from_its_lines() {
        let mut node = Node::default();
        let stats = "# Stats\r\nis_slots_reloading:Yes, 20261122125004, 3\r\nis_slots_migrating:No, , 0\r\n";
        node.take_stats(&Value::Bulk(stats.as_bytes().to_vec().into()));
        assert_eq!((node.is_reloading, node.reload_seconds), (true, 3));
        let lines = |migrating: &str| {
            let lines = ["dest server: 127.0.0.1:19321", "slot number: 102", migrating];
            Value::Array(lines.iter().map(|l| Value::Bulk(l.as_bytes().to_vec().into())).collect())
        };
        let to = ("102".to_owned(), "127.0.0.1:19321".to_owned());
        assert_eq!(migrating(&lines("migrating  : yes")), Some(to));
        assert_eq!(migrating(&lines("migrating  : no")), None);
    }
}
