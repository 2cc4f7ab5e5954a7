//! SLOTSMAPPING: which slot is served where.

use crate::model::Slot;
use protocol::reply::Reply;

/// One slot: its number, its primary, where its keys come from, and its replicas by preference.
pub fn slots_mapping(slot: &Slot, reply: &mut Reply<'_>) {
    reply.array(4);
    reply.simple(&slot.id.to_string());
    reply.simple(&slot.backend_addr);
    reply.simple(&slot.migrate_from);
    if slot.replica_groups.is_empty() {
        return reply.null_array();
    }
    reply.array(slot.replica_groups.len());
    for group in &slot.replica_groups {
        reply.array(group.len());
        group.iter().for_each(|addr| reply.simple(addr));
    }
}

/// Every slot, in the order given.
pub fn slots_mapping_all(slots: &[Slot], reply: &mut Reply<'_>) {
    reply.array(slots.len());
    slots.iter().for_each(|slot| slots_mapping(slot, reply));
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::reply::Version;

    #[test]
    fn a_slot_is_four_things() {
        let mut out = Vec::new();
        let mut slot = Slot { id: 579, backend_addr: "m:1".to_owned(), ..Slot::default() };
        slots_mapping(&slot, &mut Reply::new(&mut out, Version::Resp2));
        assert_eq!(out, b"*4\r\n+579\r\n+m:1\r\n+\r\n*-1\r\n");
        out.clear();
        slot.migrate_from = "s:1".to_owned();
        slot.replica_groups =
            vec![vec!["r:1".to_owned()], vec!["r:2".to_owned(), "m:1".to_owned()]];
        slots_mapping_all(&[slot], &mut Reply::new(&mut out, Version::Resp2));
        assert_eq!(
            out,
            b"*1\r\n*4\r\n+579\r\n+m:1\r\n+s:1\r\n*2\r\n*1\r\n+r:1\r\n*2\r\n+r:2\r\n+m:1\r\n"
        );
    }
}
