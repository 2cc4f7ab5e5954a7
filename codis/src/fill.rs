//! What a fill asks of a router: planned here, carried out by whoever holds the requests.
//!
//! After the answer to a fill no request of its slots goes to the old primary, and none is on its way there: the dashboard's proof rests on it.
//! Hence gate, drain, swap, release. A fill that changes nothing costs nothing: the fork's dashboard sends one every two seconds while a server
//! is down.

mod wanted;

pub use wanted::{ProxyPlace, replica_groups, wanted};

use crate::model::{ForwardMethod, Slot};
use std::collections::BTreeMap;

/// One thing to do, in the order of a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// New requests of the slot wait.
    Gate,
    /// Wait until every request that was sent for the slot is answered or has failed.
    Drain,
    /// The new content holds.
    Swap,
    /// The waiting requests go on, in their order.
    Release,
}

/// What a fill of one slot asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub slot: Slot,
    pub steps: Vec<Step>,
}

impl Plan {
    /// From the content that is installed to the one that is filled.
    ///
    /// A slot that is installed as locked is gated and drained already.
    pub fn new(installed: &Slot, filled: Slot) -> Self {
        use Step::{Drain, Gate, Release, Swap};
        let mut steps = Vec::new();
        let moves = route(installed) != route(&filled);
        if !installed.locked && (moves || filled.locked) {
            steps.extend([Gate, Drain]);
        }
        if *installed != filled {
            steps.push(Swap);
        }
        let is_gated = installed.locked || !steps.is_empty() && steps[0] == Gate;
        if is_gated && !filled.locked {
            steps.push(Release);
        }
        Self { slot: filled, steps }
    }

    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether requests are held meanwhile.
    pub fn holds(&self) -> bool {
        self.steps.contains(&Step::Gate)
    }
}

/// What decides where a request goes: as long as it is the same, no request needs to wait.
fn route(slot: &Slot) -> (&str, &str, ForwardMethod) {
    let method =
        if slot.migrate_from.is_empty() { ForwardMethod::Sync } else { slot.forward_method };
    (&slot.backend_addr, &slot.migrate_from, method)
}

/// Plans a whole fill, slot after slot; a slot that is filled twice ends as the last one says. `installed` has the slots by number; whoever calls
/// has checked the numbers.
pub fn plan(installed: &[Slot], filled: Vec<Slot>) -> Vec<Plan> {
    let mut seen: BTreeMap<i64, Slot> = BTreeMap::new();
    let mut plans = Vec::new();
    for slot in filled {
        let before = seen.get(&slot.id).or_else(|| installed.get(usize::try_from(slot.id).ok()?));
        let plan = Plan::new(&before.cloned().unwrap_or_else(|| Slot::offline(slot.id)), slot);
        seen.insert(plan.slot.id, plan.slot.clone());
        if !plan.is_nothing() {
            plans.push(plan);
        }
    }
    plans
}

/// What a request of a slot meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving<'a> {
    /// `slot is not ready, may be offline`.
    Offline,
    /// The primary, or replicas for reads.
    Settled { primary: &'a str, replicas: &'a [Vec<String>] },
    /// The keys are on their way.
    Moving { source: &'a str, target: &'a str, method: ForwardMethod },
}

impl<'a> Serving<'a> {
    /// Of the content of a slot; whether it is locked is another question.
    pub fn of(slot: &'a Slot) -> Self {
        match (slot.backend_addr.as_str(), slot.migrate_from.as_str()) {
            ("", _) => Self::Offline,
            (primary, "") => Self::Settled { primary, replicas: &slot.replica_groups },
            (target, source) => Self::Moving { source, target, method: slot.forward_method },
        }
    }
}

/// The slot with the primaries that sentinels name, by group; nothing if they are what it has. All else stays: lock, method, replicas.
pub fn switched(slot: &Slot, primaries: &BTreeMap<i64, String>) -> Option<Slot> {
    let mut changed = slot.clone();
    for (addr, group) in [
        (&mut changed.backend_addr, slot.backend_addr_group_id),
        (&mut changed.migrate_from, slot.migrate_from_group_id),
    ] {
        if let Some(primary) = primaries.get(&group).filter(|_| !addr.is_empty()) {
            addr.clone_from(primary);
        }
    }
    (changed != *slot).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::Step::{Drain, Gate, Release, Swap};
    use super::*;

    fn at(primary: &str) -> Slot {
        Slot {
            id: 5,
            backend_addr: primary.to_owned(),
            backend_addr_group_id: 1,
            forward_method: ForwardMethod::SemiAsync,
            ..Slot::default()
        }
    }

    fn moving() -> Slot {
        Slot {
            migrate_from: "a:1".to_owned(),
            migrate_from_group_id: 1,
            backend_addr_group_id: 2,
            ..at("b:1")
        }
    }

    fn locked(slot: Slot) -> Slot {
        Slot { locked: true, ..slot }
    }

    fn with_replicas(slot: Slot) -> Slot {
        Slot { replica_groups: vec![vec!["r:1".to_owned()]], ..slot }
    }

    #[test]
    fn every_change_has_its_steps() {
        for (from, to, want) in [
            (Slot::offline(5), Slot::offline(5), vec![]),
            (at("a:1"), at("a:1"), vec![]),
            (locked(at("a:1")), locked(at("a:1")), vec![]),
            (Slot::offline(5), at("a:1"), vec![Gate, Drain, Swap, Release]),
            (at("a:1"), Slot::offline(5), vec![Gate, Drain, Swap, Release]),
            (at("a:1"), at("b:1"), vec![Gate, Drain, Swap, Release]),
            // Replicas and the number of a group change nobody's way.
            (at("a:1"), with_replicas(at("a:1")), vec![Swap]),
            (at("a:1"), Slot { backend_addr_group_id: 9, ..at("a:1") }, vec![Swap]),
            (at("a:1"), Slot { forward_method: ForwardMethod::Sync, ..at("a:1") }, vec![Swap]),
            (locked(with_replicas(at("a:1"))), locked(at("a:1")), vec![Swap]),
            // A slot action: prepared, migrating, finished.
            (with_replicas(at("a:1")), locked(moving()), vec![Gate, Drain, Swap]),
            (locked(moving()), moving(), vec![Swap, Release]),
            (
                moving(),
                Slot { backend_addr_group_id: 2, ..at("b:1") },
                vec![Gate, Drain, Swap, Release],
            ),
            (
                moving(),
                Slot { forward_method: ForwardMethod::Sync, ..moving() },
                vec![Gate, Drain, Swap, Release],
            ),
            // Rolled back, and promoted.
            (locked(moving()), at("a:1"), vec![Swap, Release]),
            (at("a:1"), locked(at("a:1")), vec![Gate, Drain, Swap]),
            (locked(at("a:1")), at("b:1"), vec![Swap, Release]),
            (locked(at("a:1")), locked(at("b:1")), vec![Swap]),
        ] {
            assert_eq!(Plan::new(&from, to.clone()).steps, want, "{from:?} -> {to:?}");
        }
    }

    /// Whatever is filled over whatever: a route never changes past requests on their way, and a lock is what the fill says.
    #[test]
    fn no_route_changes_under_a_request() {
        let base = [Slot::offline(5), at("a:1"), at("b:1"), moving(), with_replicas(at("a:1"))];
        let all: Vec<Slot> = base.iter().cloned().chain(base.iter().cloned().map(locked)).collect();
        for from in &all {
            for to in &all {
                let steps = Plan::new(from, to.clone()).steps;
                let at = |step| steps.iter().position(|s| *s == step);
                let gated = from.locked || at(Gate).is_some();
                if route(from) != route(to) {
                    assert!(from.locked || at(Drain) < at(Swap), "{from:?} -> {to:?}: {steps:?}");
                    assert!(gated);
                }
                assert_eq!(
                    gated && at(Release).is_none(),
                    to.locked,
                    "{from:?} -> {to:?}: {steps:?}"
                );
                assert_eq!(steps.contains(&Swap), from != to);
            }
        }
    }

    #[test]
    fn a_storm_of_the_same_fill_asks_for_nothing() {
        let installed: Vec<Slot> = (0..1024).map(|id| Slot { id, ..at("a:1") }).collect();
        assert_eq!(plan(&installed, installed.clone()), []);
        let one = Slot { id: 7, ..at("b:1") };
        let mut filled = installed.clone();
        filled[7] = one.clone();
        let plans = plan(&installed, filled);
        assert_eq!(plans.len(), 1);
        assert!(plans[0].holds() && plans[0].slot == one);
    }

    #[test]
    fn a_slot_filled_twice_ends_as_the_last_says() {
        let plans = plan(
            &[Slot::offline(0)],
            vec![locked(Slot { id: 0, ..at("a:1") }), Slot { id: 0, ..at("a:1") }],
        );
        let steps: Vec<_> = plans.into_iter().map(|plan| plan.steps).collect();
        assert_eq!(steps, [vec![Gate, Drain, Swap], vec![Swap, Release]]);
    }

    #[test]
    fn what_a_request_meets_is_in_the_content() {
        assert_eq!(Serving::of(&Slot::offline(1)), Serving::Offline);
        assert_eq!(Serving::of(&at("a:1")), Serving::Settled { primary: "a:1", replicas: &[] });
        let want =
            Serving::Moving { source: "a:1", target: "b:1", method: ForwardMethod::SemiAsync };
        assert_eq!(Serving::of(&moving()), want);
        // Never assigned, and moved: the source is empty, and the slot simply opens on the target.
        assert_eq!(Serving::of(&at("b:1")), Serving::Settled { primary: "b:1", replicas: &[] });
    }

    #[test]
    fn sentinels_change_addresses_and_nothing_else() {
        let primaries = BTreeMap::from([(1, "a:2".to_owned()), (7, "x:1".to_owned())]);
        let changed = switched(&locked(with_replicas(moving())), &primaries).unwrap();
        assert_eq!(
            changed,
            Slot { migrate_from: "a:2".to_owned(), ..locked(with_replicas(moving())) }
        );
        assert_eq!(switched(&changed, &primaries), None);
        // A group without a primary gives its slots none.
        let nobody = Slot { backend_addr_group_id: 1, ..Slot::offline(1) };
        assert_eq!(switched(&nobody, &primaries), None);
    }
}
