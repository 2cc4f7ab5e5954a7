//! What the nodes do at each word.

use super::{Inner, Job, Manner, Moment, Node};
use cluster::state::{Migration, Verdict};
use cluster::{Epoch, MigrationId, Slot, SlotRanges, SlotState, Token};
use protocol::reply::Reply;

impl Inner {
    pub(super) fn reached(&mut self, word: &str) -> Option<Moment> {
        let tripwire = self.tripwire.as_mut()?;
        if tripwire.left == 0 {
            return Some(Moment::Before);
        }
        if tripwire.word == word {
            tripwire.left -= 1;
            if tripwire.left == 0 {
                tripwire.tripped.notify_one();
                return Some(tripwire.moment);
            }
        }
        None
    }

    /// At most one node executes writes of a slot.
    pub(super) fn check(&self) {
        for slot in self.count.slots() {
            let writers = self.nodes.values().filter(|n| {
                let state = &n.slots[usize::from(slot.0)];
                state.writes() && *state != SlotState::Unclaimed
            });
            assert!(writers.count() <= 1, "two nodes write slot {slot}");
        }
    }

    pub(super) fn change(
        &mut self,
        addr: &str,
        slot: Slot,
        next: impl FnOnce(SlotState) -> Result<SlotState, cluster::state::Refused>,
    ) -> Result<(), String> {
        let node = self.nodes.get_mut(addr).unwrap();
        let state = node.slots[usize::from(slot.0)].clone();
        node.slots[usize::from(slot.0)] = next(state).map_err(|e| format!("slot {slot}: {e}"))?;
        Ok(())
    }

    pub(super) fn note(&mut self, addr: &str, id: MigrationId, phase: &'static str) {
        if let Some(job) = self.nodes.get_mut(addr).and_then(|n| n.jobs.get_mut(&id)) {
            job.phase = phase;
        }
    }

    pub(super) fn word(
        &mut self,
        addr: &str,
        words: &[&str],
        reply: &mut Reply<'_>,
    ) -> Result<(), String> {
        let count = self.count;
        let node = self.nodes.get_mut(addr).unwrap();
        match words {
            ["LINK", "control", _, cluster, slots] => {
                assert_eq!(slots.parse(), Ok(count.get()));
                if node.cluster != "-" && node.cluster != *cluster {
                    return Err("the cluster ids differ".to_owned());
                }
                reply.array(4);
                let boot = format!("boot-{}", node.boot);
                for text in [node.id.as_str(), &boot, &node.cluster] {
                    reply.bulk(text.as_bytes());
                }
                reply.int(count.get().into());
            }
            ["CLAIM", cluster, _group] => {
                (*cluster).clone_into(&mut node.cluster);
                reply.ok();
            }
            ["ASSIGN", epoch, owner, ranges] => {
                let epoch = Epoch(epoch.parse().unwrap());
                let ranges: SlotRanges = ranges.parse().unwrap();
                let owner = (*owner != "OWNED").then(|| (*owner).to_owned());
                let mut changed = 0;
                for slot in ranges.iter() {
                    let state = &mut node.slots[usize::from(slot.0)];
                    if let Ok((next, _)) = state.clone().assign(epoch, owner.clone()) {
                        *state = next;
                        changed += 1;
                    }
                }
                reply.int(changed);
            }
            ["PACE", bytes] => {
                node.pace = bytes.parse().unwrap();
                reply.ok();
            }
            ["WHERE", slot] => {
                let state = &node.slots[slot.parse::<usize>().unwrap()];
                reply.array(4);
                for text in [state.name(), &state.epoch().to_string(), "-", "-"] {
                    reply.bulk(text.as_bytes());
                }
            }
            ["MOVES"] => {
                reply.array(node.jobs.len());
                for id in node.jobs.keys() {
                    reply.bulk(node.report(&id.to_string()).as_bytes());
                }
            }
            ["MOVES", wanted @ ..] => {
                reply.array(wanted.len());
                for id in wanted {
                    reply.bulk(node.report(id).as_bytes());
                }
            }
            ["IMPORT", id, slot, epoch, peer] => {
                if node.manner == Manner::NoRoom {
                    return Err("no room on the disk".to_owned());
                }
                let (slot, from) = migration(slot, id, epoch, peer);
                if node.over.contains(&from.id) {
                    return Err("the migration was dropped".to_owned());
                }
                self.change(addr, slot, |s| s.import(from.clone()).map(|n| n.0))?;
                self.job(addr, slot, from.id, "importing");
                reply.ok();
            }
            ["EXPORT", id, slot, epoch, peer] => {
                let phase = match node.manner {
                    Manner::SlowCopy => "copying",
                    Manner::BadCopy => "failed",
                    _ => "copied",
                };
                let (slot, out) = migration(slot, id, epoch, peer);
                if node.over.contains(&out.id) {
                    return Err("the migration was called off".to_owned());
                }
                self.change(addr, slot, |s| s.export(out.clone()).map(|n| n.0))?;
                self.job(addr, slot, out.id, phase);
                reply.ok();
            }
            ["ARM", wanted @ ..] => {
                reply.array(wanted.len());
                for id in ids(wanted) {
                    match self.arm(addr, id) {
                        Ok(()) => reply.bulk(b"OK"),
                        Err(why) => reply.bulk(why.as_bytes()),
                    }
                }
            }
            ["ABORT", id] => {
                let id = id.parse().unwrap();
                if let Some(slot) = self.slot_of(addr, id) {
                    self.change(addr, slot, |s| s.abort(id).map(|n| n.0))
                        .map_err(|e| e.replace("slot ", "of "))?;
                    self.note(addr, id, "unknown");
                }
                self.nodes.get_mut(addr).unwrap().over.insert(id);
                reply.ok();
            }
            ["DROP", id] => {
                let id = id.parse().unwrap();
                if let Some(slot) = self.slot_of(addr, id) {
                    self.change(addr, slot, |s| s.dropped(id).map(|n| n.0))?;
                    self.note(addr, id, "refused");
                }
                self.nodes.get_mut(addr).unwrap().over.insert(id);
                reply.ok();
            }
            ["DURABLE", wanted @ ..] => {
                for text in wanted {
                    let (slot, epoch) = text.split_once(':').unwrap();
                    let state = &node.slots[slot.parse::<usize>().unwrap()];
                    if !state.writes() || state.epoch().0 < epoch.parse().unwrap() {
                        return Err(format!("slot {slot} is not owned here since epoch {epoch}"));
                    }
                }
                reply.ok();
            }
            ["CLEAN", wanted @ ..] => {
                for id in ids(wanted) {
                    if let Some(slot) = self.slot_of(addr, id) {
                        self.change(addr, slot, |s| s.clean(id).map(|n| n.0))?;
                    }
                }
                reply.ok();
            }
            other => panic!("no such word: {other:?}"),
        }
        Ok(())
    }

    fn job(&mut self, addr: &str, slot: Slot, id: MigrationId, phase: &'static str) {
        let error = (phase == "failed").then(|| "the disk has a bad sector".to_owned());
        let job = Job { slot, phase, stall: None, error };
        self.nodes.get_mut(addr).unwrap().jobs.entry(id).or_insert(job);
    }

    fn slot_of(&self, addr: &str, id: MigrationId) -> Option<Slot> {
        self.nodes[addr].jobs.get(&id).map(|j| j.slot)
    }

    fn arm(&mut self, addr: &str, id: MigrationId) -> Result<(), String> {
        let slot = self.slot_of(addr, id).ok_or("no such migration")?;
        if matches!(self.nodes[addr].jobs[&id].phase, "importing" | "ready") {
            return Ok(());
        }
        self.change(addr, slot, |s| s.arm(id).map(|n| n.0))?;
        self.note(addr, id, "armed");
        Ok(())
    }

    /// Seal, FINAL, READY, grant and GRANT between two nodes that are both there, if the source is armed.
    pub(super) fn hand_off(&mut self, addr: &str, id: MigrationId) {
        let node = &self.nodes[addr];
        let (Some(slot), Some(_)) = (self.slot_of(addr, id), &node.running) else { return };
        let SlotState::Armed { out, attempt, .. } = &node.slots[usize::from(slot.0)] else {
            return;
        };
        let (target, attempt, manner) = (out.peer.clone(), attempt + 1, node.manner);
        if manner == Manner::NoHandoff || self.nodes[&target].running.is_none() {
            return;
        }
        self.change(addr, slot, |s| s.seal(id).map(|n| n.0)).unwrap();
        if self.change(&target, slot, |s| s.ready(id, attempt, Token(9)).map(|n| n.0)).is_err() {
            self.change(addr, slot, |s| s.unseal(id, attempt).map(|n| n.0)).unwrap();
            return;
        }
        self.note(&target, id, "ready");
        self.change(addr, slot, |s| s.grant(id, attempt, Token(9)).map(|n| n.0)).unwrap();
        self.note(addr, id, "granted");
        if manner != Manner::GrantLost {
            self.deliver(addr, &target, slot, id, attempt);
        }
        self.check();
    }

    pub(super) fn deliver(
        &mut self,
        addr: &str,
        target: &str,
        slot: Slot,
        id: MigrationId,
        attempt: u32,
    ) {
        self.change(target, slot, |s| s.granted(id, attempt).map(|n| n.0)).unwrap();
        self.note(target, id, "owned");
        self.note(addr, id, "owned");
        if let Some(job) = self.nodes.get_mut(addr).and_then(|n| n.jobs.get_mut(&id)) {
            job.stall = Some(1500);
        }
    }

    pub(super) fn resolve(&mut self, slot: Slot, out: &Migration) -> Option<Verdict> {
        let target = self.nodes.get_mut(&out.peer).filter(|n| n.running.is_some())?;
        let state = target.slots[usize::from(slot.0)].clone();
        let (next, _, verdict) = state.resolve(out.id, out.epoch);
        target.slots[usize::from(slot.0)] = next;
        self.note(&out.peer, out.id, if verdict == Verdict::Owned { "owned" } else { "refused" });
        Some(verdict)
    }
}

impl Node {
    pub(super) fn report(&self, id: &str) -> String {
        let Some(job) = self.jobs.get(&id.parse().unwrap()) else {
            return format!(r#"{{"id":"{id}","phase":"unknown"}}"#);
        };
        let epoch = self.slots[usize::from(job.slot.0)].migration().map_or(Epoch(0), |m| m.epoch);
        serde_json::json!({
            "id": id, "slot": job.slot, "epoch": epoch, "phase": job.phase, "keys": 3, "bytes": 300, "bytes_estimated": 400,
            "attempt": 1, "stall_write_us": job.stall, "error": job.error,
        })
        .to_string()
    }
}

fn migration(slot: &str, id: &str, epoch: &str, peer: &str) -> (Slot, Migration) {
    let migration = Migration {
        id: id.parse().unwrap(),
        epoch: Epoch(epoch.parse().unwrap()),
        peer: peer.to_owned(),
    };
    (Slot(slot.parse().unwrap()), migration)
}

pub(super) fn ids(words: &[&str]) -> Vec<MigrationId> {
    words.iter().map(|w| w.parse().unwrap()).collect()
}
