//! What a dashboard fills, worked out from its records: to compare with what a proxy has.

use crate::Flavour;
use crate::model::{ForwardMethod, Slot};
use crate::records::{GroupRecord, PromotionState, ServerRecord, SlotRecord, SlotState};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Where a proxy is: decides the order of replicas.
#[derive(Clone, Copy, Debug)]
pub struct ProxyPlace<'a> {
    pub datacenter: &'a str,
    /// Of its admin address; nothing where it did not resolve in time.
    pub ip: Option<IpAddr>,
    /// The fork lists only servers that it takes for healthy.
    pub line: Flavour,
}

/// The content that a slot should have at a proxy. `ip_of` looks a server's address up.
pub fn wanted(
    record: &SlotRecord,
    groups: &BTreeMap<i64, GroupRecord>,
    place: ProxyPlace<'_>,
    ip_of: impl Fn(&str) -> Option<IpAddr>,
) -> Slot {
    let (group, target) = (groups.get(&record.group_id), groups.get(&record.action.target_id));
    let is_locked = |group: Option<&GroupRecord>| {
        group.is_some_and(|g| g.promoting.state == PromotionState::Prepared)
    };
    let mut slot = Slot::offline(record.id);
    let serve = |slot: &mut Slot, group: Option<&GroupRecord>, id: i64| {
        slot.backend_addr = group.map(primary).unwrap_or_default();
        slot.backend_addr_group_id = id;
    };
    match record.action.state {
        SlotState::None | SlotState::Pending => {
            serve(&mut slot, group, record.group_id);
            slot.replica_groups =
                group.map(|g| replica_groups(g, place, ip_of)).unwrap_or_default();
            slot.locked = is_locked(group);
        }
        SlotState::Preparing => {
            serve(&mut slot, group, record.group_id);
            slot.locked = is_locked(group);
        }
        SlotState::Prepared | SlotState::Migrating => {
            serve(&mut slot, target, record.action.target_id);
            slot.migrate_from = group.map(primary).unwrap_or_default();
            slot.migrate_from_group_id = record.group_id;
            slot.locked =
                record.action.state == SlotState::Prepared || is_locked(group) || is_locked(target);
        }
        SlotState::Finished => {
            serve(&mut slot, target, record.action.target_id);
            slot.locked = is_locked(target);
        }
    }
    slot
}

impl Slot {
    /// Whether two contents lead requests the same way, whatever the method of a move is: that is the dashboard's setting, and in no record.
    pub fn leads_like(&self, other: &Self) -> bool {
        let plain = |slot: &Self| Self { forward_method: ForwardMethod::Sync, ..slot.clone() };
        plain(self) == plain(other)
    }
}

/// The first server is the primary.
fn primary(group: &GroupRecord) -> String {
    group.servers.first().map(|server| server.server.clone()).unwrap_or_default()
}

/// Who may be read, by preference: the same machine, the same datacenter, elsewhere. Nobody while the group is promoted, or has one server.
pub fn replica_groups(
    group: &GroupRecord,
    place: ProxyPlace<'_>,
    ip_of: impl Fn(&str) -> Option<IpAddr>,
) -> Vec<Vec<String>> {
    if group.promoting.state != PromotionState::None || group.servers.len() < 2 {
        return Vec::new();
    }
    let level = |server: &ServerRecord| match place.ip {
        Some(ip) if server.datacenter == place.datacenter => {
            usize::from(ip_of(&server.server) != Some(ip))
        }
        _ => 2,
    };
    let mut levels = [const { Vec::new() }; 3];
    let is_read = |server: &&ServerRecord| {
        server.replica_group && (place.line == Flavour::Upstream || server.state == 0)
    };
    for server in group.servers.iter().filter(is_read) {
        levels[level(server)].push(server.server.clone());
    }
    levels.into_iter().filter(|level| !level.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::SlotAction;

    fn group(id: i64, servers: &[(&str, &str)], promoting: PromotionState) -> GroupRecord {
        let server = |(addr, datacenter): &(&str, &str)| ServerRecord {
            server: (*addr).to_owned(),
            datacenter: (*datacenter).to_owned(),
            replica_group: true,
            ..ServerRecord::default()
        };
        let mut group = GroupRecord {
            id,
            servers: servers.iter().map(server).collect(),
            ..GroupRecord::default()
        };
        group.promoting.state = promoting;
        group
    }

    fn ip_of(addr: &str) -> Option<IpAddr> {
        addr.rsplit_once(':')?.0.parse().ok()
    }

    const HERE: ProxyPlace<'_> = ProxyPlace {
        datacenter: "dc1",
        ip: Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5))),
        line: Flavour::Upstream,
    };

    fn of(state: SlotState, first: PromotionState, second: PromotionState) -> Slot {
        let groups = BTreeMap::from([
            (1, group(1, &[("10.0.0.11:1", "dc1"), ("10.0.0.12:1", "dc1")], first)),
            (2, group(2, &[("10.0.0.21:1", "dc1"), ("10.0.0.22:1", "dc1")], second)),
        ]);
        let action = SlotAction { index: 1, state, target_id: 2 };
        wanted(&SlotRecord { id: 9, group_id: 1, action }, &groups, HERE, ip_of)
    }

    #[test]
    fn every_state_of_an_action_has_its_fill() {
        use PromotionState as P;
        use SlotState as S;
        let (one, two) = ("10.0.0.11:1", "10.0.0.21:1");
        for (state, first, second, primary, source, replicas, locked) in [
            (S::None, P::None, P::None, one, "", true, false),
            (S::Pending, P::None, P::None, one, "", true, false),
            (S::None, P::Preparing, P::None, one, "", false, false),
            (S::None, P::Prepared, P::None, one, "", false, true),
            (S::None, P::Finished, P::None, one, "", false, false),
            (S::Preparing, P::None, P::None, one, "", false, false),
            (S::Preparing, P::Prepared, P::None, one, "", false, true),
            (S::Prepared, P::None, P::None, two, one, false, true),
            (S::Migrating, P::None, P::None, two, one, false, false),
            (S::Migrating, P::Prepared, P::None, two, one, false, true),
            (S::Migrating, P::None, P::Prepared, two, one, false, true),
            (S::Finished, P::None, P::None, two, "", false, false),
            (S::Finished, P::Prepared, P::None, two, "", false, false),
            (S::Finished, P::None, P::Prepared, two, "", false, true),
        ] {
            let slot = of(state, first, second);
            let said = (
                slot.backend_addr.as_str(),
                slot.migrate_from.as_str(),
                !slot.replica_groups.is_empty(),
                slot.locked,
            );
            assert_eq!(said, (primary, source, replicas, locked), "{state:?} {first:?} {second:?}");
            assert_eq!(slot.backend_addr_group_id, if primary == one { 1 } else { 2 });
            assert_eq!(slot.migrate_from_group_id, i64::from(!source.is_empty()));
        }
    }

    #[test]
    fn a_slot_that_was_never_assigned_opens_on_its_target() {
        let groups = BTreeMap::from([(2, group(2, &[("10.0.0.21:1", "")], PromotionState::None))]);
        let action = SlotAction { index: 1, state: SlotState::Migrating, target_id: 2 };
        let slot = wanted(&SlotRecord { id: 9, group_id: 0, action }, &groups, HERE, ip_of);
        assert_eq!((slot.backend_addr.as_str(), slot.migrate_from.as_str()), ("10.0.0.21:1", ""));
        let offline = wanted(&SlotRecord { id: 9, ..SlotRecord::default() }, &groups, HERE, ip_of);
        assert_eq!(offline, Slot::offline(9));
    }

    #[test]
    fn replicas_are_ordered_by_nearness() {
        let servers = [
            ("10.0.0.11:1", "dc2"),
            ("10.0.0.5:1", "dc1"),
            ("10.0.0.12:1", "dc1"),
            ("10.0.0.5:2", "dc2"),
            ("10.0.0.13:1", ""),
        ];
        let mut all = group(1, &servers, PromotionState::None);
        let near = vec![
            vec!["10.0.0.5:1".to_owned()],
            vec!["10.0.0.12:1".to_owned()],
            vec!["10.0.0.11:1".to_owned(), "10.0.0.5:2".to_owned(), "10.0.0.13:1".to_owned()],
        ];
        assert_eq!(replica_groups(&all, HERE, ip_of), near);
        let lost = replica_groups(&all, ProxyPlace { ip: None, ..HERE }, ip_of);
        assert_eq!((lost.len(), lost[0].len()), (1, 5));
        // No datacenter is a datacenter too.
        assert_eq!(
            replica_groups(&all, ProxyPlace { datacenter: "", ..HERE }, ip_of)[0],
            ["10.0.0.13:1"]
        );
        // A level nobody is at is left out.
        all.servers[1].replica_group = false;
        assert_eq!(replica_groups(&all, HERE, ip_of), near[1..]);
        all.servers[2].state = 2;
        assert_eq!(
            replica_groups(&all, ProxyPlace { line: Flavour::Fork, ..HERE }, ip_of),
            near[2..]
        );
        assert_eq!(
            replica_groups(&group(1, &servers[..1], PromotionState::None), HERE, ip_of),
            Vec::<Vec<String>>::new()
        );
    }
}
