//! Slots that leave nodes which are not ours, and the proxies that must follow.

use super::{Event, EventKind, Phase, State};
use crate::Error;
use cluster::table::{Leaving, LeavingStage};
use cluster::{GroupId, Kind, Slot};
use serde::{Deserialize, Serialize};

/// A proxy that routes by our table. Until it is known to be gone, no slot leaves a node that is not ours without its word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    /// Where it runs and listens, for people; a proxy that is started anew has the same.
    pub name: String,
    /// New at each start.
    pub boot: String,
}

impl State {
    /// Whether the group's node is ours.
    pub fn is_ours(&self, group: GroupId) -> bool {
        self.group(group).is_none_or(|g| g.kind.is_ours())
    }

    /// What the proxies are to do about slots that leave nodes which are not ours.
    pub(super) fn leaving(&self) -> Vec<Leaving> {
        if self.groups.iter().all(|g| g.kind.is_ours()) {
            return Vec::new();
        }
        let of_strangers = self.migrations().filter(|(_, m)| !self.is_ours(m.from));
        let leaving = of_strangers.filter_map(|(slot, moving)| {
            let stage = match moving.phase {
                Phase::Open => LeavingStage::Examine,
                Phase::Locked => LeavingStage::Prepare,
                Phase::Armed => LeavingStage::Migrate,
                Phase::Settled | Phase::Undo { .. } => return None,
            };
            Some(Leaving { slot, id: moving.id, to: moving.to, stage })
        });
        leaving.collect()
    }

    /// Something has changed that the proxies must hear of, if the source is not ours.
    pub(super) fn tell_proxies(&mut self, from: GroupId) {
        self.version += u64::from(!self.is_ours(from));
    }

    pub(super) fn group_is(&mut self, id: GroupId, kind: Kind) {
        self.version += 1;
        for group in self.groups.iter_mut().filter(|g| g.id == id) {
            group.kind = kind;
            group.node = None;
        }
    }

    pub(super) fn proxy_joined(&mut self, proxy: ProxyRecord, at_ms: u64) {
        if self.proxies.iter().any(|known| known.boot == proxy.boot) {
            return;
        }
        self.note(Event::new(at_ms, EventKind::ProxyJoined).detail(proxy.name.clone()));
        self.proxies.push(proxy);
    }

    pub(super) fn proxy_gone(&mut self, boot: &str, at_ms: u64) {
        let Some(index) = self.proxies.iter().position(|known| known.boot == boot) else { return };
        let proxy = self.proxies.remove(index);
        self.note(Event::new(at_ms, EventKind::ProxyGone).detail(proxy.name));
    }

    pub(super) fn locked(&mut self, slot: Slot, at_ms: u64) -> Result<(), Error> {
        let (from, to) = self.phase(slot, Phase::Locked, |p| *p == Phase::Open)?;
        self.tell_proxies(from);
        self.note(Event::new(at_ms, EventKind::Locked).slots([slot]).path(from, to));
        Ok(())
    }
}
