//! The real `SlotState`s that a run meets, each known by a small number, and what the real transitions make of them.
//!
//! A transition is a pure function, so its result is computed once and remembered: the model runs at the speed of a table, and every entry
//! of the table was made by the code that the nodes run.

use super::rules::{Rule, after};
use cluster::route::Route;
use cluster::state::{Access, Admission, Migration, Persist, Verdict};
use cluster::{Epoch, MigrationId, SlotState, Token};
use std::collections::HashMap;

/// The node that has the slot at the start.
pub(crate) const SOURCE: u8 = 0;
/// The other.
pub(crate) const TARGET: u8 = 1;

/// A migration, by its number in the order the controller starts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Move(pub(crate) u8);

impl Move {
    pub(crate) fn id(self) -> MigrationId {
        MigrationId(u128::from(self.0))
    }
    pub(crate) fn epoch(self) -> Epoch {
        Epoch(2 + u64::from(self.0))
    }
    pub(crate) fn to(self, peer: u8) -> Migration {
        Migration { id: self.id(), epoch: self.epoch(), peer: address(peer) }
    }
}

pub(crate) fn address(node: u8) -> String {
    if node == SOURCE { "source:1".into() } else { "target:1".into() }
}

fn named(address: &str) -> u8 {
    if address == "source:1" { SOURCE } else { TARGET }
}

/// A state of a slot, by its number in the alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u8);

/// What can happen to a slot: a function of `SlotState` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// The other node follows the migration.
    Import(Move, u8),
    /// The same, said by the source itself.
    Open(Move, u8),
    Export(Move, u8),
    Arm(Move),
    Seal(Move),
    Unseal(Move, u8),
    Abort(Move),
    Clean(Move),
    Dropped(Move),
    /// Attempt and token.
    Grant(Move, u8, u8),
    Ready(Move, u8, u8),
    Granted(Move, u8),
    Presented(u8),
    Resolve(Move),
    /// Whether the target owns the slot.
    Resolved(Move, bool),
    Restarted,
    /// Not an event of the protocol: what a source must never do.
    TimedOut,
}

/// What came of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct After {
    /// `None`: refused, nothing changed.
    pub(crate) next: Option<(Id, Persist)>,
    pub(crate) verdict: Option<Verdict>,
}

/// Where a slot is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct News {
    pub(crate) node: u8,
    pub(crate) epoch: u8,
    /// 0: none.
    pub(crate) token: u8,
}

impl News {
    /// As a proxy's route.
    pub(crate) fn route(self) -> Route<u8> {
        let token = (self.token != 0).then(|| Token(self.token.into()));
        Route { node: self.node, epoch: Epoch(self.epoch.into()), token }
    }
    pub(crate) fn of(route: Route<u8>) -> Self {
        Self { node: route.node, epoch: route.epoch.0 as u8, token: numbered(route.token) }
    }
}

/// `Admission`, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Admit {
    Execute,
    Hold,
    Moved(News),
    Ask,
}

/// Which variant a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Owned,
    Copying,
    Armed,
    Sealed,
    Doubt,
    Granted,
    Absent,
    Importing,
    Ready,
}

/// What the parts look at in a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) phase: Phase,
    pub(crate) migration: Option<Move>,
    pub(crate) attempt: u8,
    pub(crate) token: u8,
    pub(crate) epoch: Epoch,
    pub(crate) read: Admit,
    pub(crate) write: Admit,
    /// May execute writes now, or again by its own decision.
    pub(crate) owns: bool,
}

impl View {
    pub(crate) fn writes(&self) -> bool {
        self.write == Admit::Execute
    }
    pub(crate) fn is(&self, phase: Phase, m: Move) -> bool {
        self.phase == phase && self.migration == Some(m)
    }
}

/// The table.
pub(crate) struct Alphabet {
    pub(crate) removed: Option<Rule>,
    states: Vec<SlotState>,
    views: Vec<View>,
    ids: HashMap<SlotState, Id>,
    known: HashMap<(Id, Event), After>,
}

impl Alphabet {
    pub(crate) fn new(removed: Option<Rule>) -> Self {
        Self {
            removed,
            states: Vec::new(),
            views: Vec::new(),
            ids: HashMap::new(),
            known: HashMap::new(),
        }
    }

    pub(crate) fn id(&mut self, state: &SlotState) -> Id {
        if let Some(id) = self.ids.get(state) {
            return *id;
        }
        assert!(self.states.len() < 256, "more states of a slot than a byte can name");
        let id = Id(self.states.len() as u8);
        self.states.push(state.clone());
        self.views.push(view(state));
        self.ids.insert(state.clone(), id);
        id
    }

    pub(crate) fn view(&self, id: Id) -> View {
        self.views[usize::from(id.0)]
    }

    pub(crate) fn state(&self, id: Id) -> &SlotState {
        &self.states[usize::from(id.0)]
    }

    pub(crate) fn after(&mut self, id: Id, event: Event) -> After {
        if let Some(after) = self.known.get(&(id, event)) {
            return *after;
        }
        let (next, verdict) = after(self.removed, &self.states[usize::from(id.0)], event);
        let next = next.ok().map(|(next, persist)| (self.id(&next), persist));
        self.known.insert((id, event), After { next, verdict });
        After { next, verdict }
    }
}

fn view(state: &SlotState) -> View {
    let (phase, attempt, token) = match state {
        SlotState::Unclaimed | SlotState::Owned { .. } => (Phase::Owned, 0, None),
        SlotState::Copying { .. } => (Phase::Copying, 0, None),
        SlotState::Armed { attempt, .. } => (Phase::Armed, *attempt, None),
        SlotState::Sealed { attempt, .. } => (Phase::Sealed, *attempt, None),
        SlotState::Doubt { .. } => (Phase::Doubt, 0, None),
        SlotState::Granted { attempt, token, .. } => (Phase::Granted, *attempt, *token),
        SlotState::Absent { .. } => (Phase::Absent, 0, None),
        SlotState::Importing { .. } => (Phase::Importing, 0, None),
        SlotState::Ready { attempt, token, .. } => (Phase::Ready, *attempt, Some(*token)),
    };
    View {
        phase,
        migration: state.migration().map(|m| Move(m.id.0 as u8)),
        attempt: attempt as u8,
        token: numbered(token),
        epoch: state.epoch(),
        read: admit(state, Access::Read),
        write: admit(state, Access::Write),
        owns: state.writes() || phase == Phase::Sealed,
    }
}

fn admit(state: &SlotState, access: Access) -> Admit {
    match state.admit(access) {
        Admission::Execute => Admit::Execute,
        Admission::Hold => Admit::Hold,
        Admission::Moved { epoch, addr, token } => {
            Admit::Moved(News { node: named(addr), epoch: epoch.0 as u8, token: numbered(token) })
        }
        Admission::Ask => Admit::Ask,
    }
}

fn numbered(token: Option<Token>) -> u8 {
    token.map_or(0, |token| token.0 as u8)
}
