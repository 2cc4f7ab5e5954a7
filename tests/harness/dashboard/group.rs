//! Groups: which servers they have, who is the primary, which slots are theirs without a move.

use super::{Dashboard, Records};
use codis::records::{GroupRecord, PromotionState, ServerRecord, SlotAction, SlotRecord};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

impl Dashboard {
    /// create-group and group-add: the first server is the primary. As a dashboard, it asks each for SLOTSINFO first.
    pub fn create_group(&self, id: i64, servers: &[&str]) -> Result<(), String> {
        for server in servers {
            let mut client = self.client(server)?;
            if let protocol::frame::Value::Error(why) = client.command("SLOTSINFO")? {
                return Err(format!("{server}: {why}"));
            }
        }
        self.put_group(id, servers);
        Ok(())
    }

    /// The record alone, for servers that know no SLOTSINFO.
    pub fn put_group(&self, id: i64, servers: &[&str]) {
        let server = |addr: &&str| ServerRecord {
            server: (*addr).to_owned(),
            replica_group: true,
            ..ServerRecord::default()
        };
        let group = GroupRecord {
            id,
            servers: servers.iter().map(server).collect(),
            ..GroupRecord::default()
        };
        self.store.records().groups.insert(id, group);
    }

    /// slots-assign: another group has them from now on, and no key moves. Group 0 is nobody.
    pub fn assign(&self, slots: RangeInclusive<i64>, group_id: i64) -> Result<(), String> {
        let record = |id| SlotRecord { id, group_id, action: SlotAction::default() };
        self.assign_slots(slots.map(record).collect())
    }

    /// The same with records, as the API has it.
    pub fn assign_slots(&self, slots: Vec<SlotRecord>) -> Result<(), String> {
        let ids: Vec<i64> = slots.iter().map(|slot| slot.id).collect();
        let records = self
            .change(|records| records.slots.extend(slots.into_iter().map(|slot| (slot.id, slot))));
        self.fill(&records, &ids)
    }

    /// resync-group: its slots are filled again.
    pub fn resync_group(&self, group: i64) -> Result<(), String> {
        let records = self.store.records().clone();
        self.fill(&records, &slots_of(&records, group))
    }

    /// Promotes a server: its slots are locked everywhere, the primary is swapped, they are unlocked.
    pub fn promote(&self, group: i64, server: &str) -> Result<(), String> {
        self.put_promotion(group, PromotionState::Preparing);
        let mut locked = self.store.records().clone();
        let slots = slots_of(&locked, group);
        promotion(&mut locked, group, PromotionState::Prepared);
        if let Err(why) = self.fill(&locked, &slots) {
            let _ = self.fill(&self.store.records().clone(), &slots);
            return Err(why);
        }
        let records = self.change(|records| {
            promotion(records, group, PromotionState::Finished);
            let servers = &mut records.groups.get_mut(&group).unwrap().servers;
            let at = servers.iter().position(|s| s.server == server).unwrap();
            servers.swap(0, at);
        });
        self.fill(&records, &slots)?;
        self.put_promotion(group, PromotionState::None);
        Ok(())
    }

    fn put_promotion(&self, group: i64, state: PromotionState) {
        promotion(&mut self.store.records(), group, state);
    }

    /// The slots a rebalance would move, with their new groups.
    pub fn rebalance_plan(&self) -> BTreeMap<i64, i64> {
        let records = self.store.records().clone();
        let groups: Vec<i64> = records.groups.keys().copied().collect();
        let most = (self.settings.slots + groups.len() as i64 - 1) / groups.len() as i64;
        let mut counts: BTreeMap<i64, i64> = groups.iter().map(|&id| (id, 0)).collect();
        let mut homeless = Vec::new();
        for id in 0..self.settings.slots {
            match counts.get_mut(&records.slot(id).group_id) {
                Some(count) if *count < most => *count += 1,
                _ => homeless.push(id),
            }
        }
        let smallest = |id: i64| {
            let to = *counts.iter().min_by_key(|(_, count)| **count).unwrap().0;
            *counts.get_mut(&to).unwrap() += 1;
            (id, to)
        };
        homeless.into_iter().map(smallest).collect()
    }

    /// Changes what is kept, and returns all of it.
    pub(super) fn change(&self, change: impl FnOnce(&mut Records)) -> Records {
        let mut records = self.store.records();
        change(&mut records);
        records.clone()
    }
}

fn promotion(records: &mut Records, group: i64, state: PromotionState) {
    records.groups.get_mut(&group).unwrap().promoting.state = state;
}

/// The slots that a group has or is about to get.
fn slots_of(records: &Records, group: i64) -> Vec<i64> {
    let its = |slot: &&SlotRecord| slot.group_id == group || slot.action.target_id == group;
    records.slots.values().filter(its).map(|slot| slot.id).collect()
}
