//! How requests of a slot that moves key by key get to the target: the source is told to move their keys, and they follow. What is decided is in
//! [`super::passage`]; here it is carried out.

use super::passage::{Bounds, Look, Means, Passage};
use super::{Gate, HeldEnd, PlacedKey, Verdict};
use crate::foreign::probe;
use crate::plan::Request;
use crate::request::{FlavourIndex, Kept, Origin};
use crate::routes::NodeIndex;
use crate::session::replies::Frame;
use crate::upstream::{Key, Upstream};
use crate::worker::Worker;
use cluster::Slot;
use protocol::command::lookup;
use protocol::frame::{Value, decode};
use protocol::slicer::{Args, slice_request};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What codis-server may send to a target in one go, as the dashboard has it by default.
const MAX_BULKS: &[u8] = b"200";
const MAX_BYTES: &[u8] = b"33554432";

impl Verdict {
    /// What a reply to the words of [`Means`] about a key says: so many keys have been moved, nothing is there, or why not.
    pub(crate) fn of(reply: &[u8], key: &[u8]) -> Self {
        let told = match decode(reply) {
            Ok(Some((Value::Int(0..), _))) => None,
            Ok(Some((Value::Error(line), _))) => Some(line),
            Ok(Some((value, _))) => match probe::says(&value, key) {
                Some(false) => None,
                Some(true) => Some("it is not moved yet".to_owned()),
                None => Some("its answer is nonsense".to_owned()),
            },
            _ => Some("its answer is nonsense".to_owned()),
        };
        told.map_or(Self::Gone, Self::Again)
    }
}

/// Keys of one question to codis-server: all of them come over together.
const BATCH_KEYS: usize = 64;

/// Whether a command that runs on a connection of its own may go to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossed {
    Yes,
    NotYet,
}

/// What became of questions to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    All,
    /// Some are to be put later.
    Again,
}

impl Worker {
    /// The slot is filled as on its way from this node to the one it is believed to be at: from now on requests wait for their keys. It is
    /// locked and drained.
    pub(crate) fn begin_passage(&self, slot: Slot, source: NodeIndex, means: Means) {
        let foreign = &self.config.foreign;
        let bounds =
            Bounds { gone_max: foreign.gone_keys_max, asks_max: foreign.asks_in_flight_max };
        if let Some(hold) = self.gate.borrow_mut().holds.get_mut(&slot) {
            hold.begin_passage(Passage::new(source, means, bounds));
        }
    }

    /// The slot has arrived, or goes nowhere.
    pub(crate) fn end_passage(&self, slot: Slot) {
        if let Some(hold) = self.gate.borrow_mut().holds.get_mut(&slot) {
            hold.end_passage();
        }
    }

    /// The node that the slot leaves key by key.
    pub(crate) fn passes_from(&self, slot: Slot) -> Option<NodeIndex> {
        self.gate.borrow().holds.get(&slot).and_then(super::Hold::passes_from)
    }

    /// Whether the source is asked for a key of the slot.
    pub(crate) fn is_asking(&self, slot: Slot) -> bool {
        self.gate.borrow().holds.get(&slot).is_some_and(super::Hold::is_asking)
    }

    /// Sends what may leave, and asks the source for what may not yet.
    pub(super) fn cross(self: &Rc<Self>, gate: &mut Gate, slot: Slot, target: NodeIndex) {
        let in_flight_max = self.config.hold.drain_in_flight_max;
        let Some(hold) = gate.holds.get_mut(&slot) else { return };
        while let Some(kept) = hold.pop() {
            let keys = self.keys_of(&kept);
            if let Some(passage) = hold.passage() {
                passage.board(kept, keys);
            }
        }
        let Some(passage) = hold.passage() else { return };
        let room = in_flight_max.saturating_sub(self.routes.in_flight(slot)) as usize;
        let Look { leave, ask } = passage.look(self.now(), room);
        if self.ask_all(slot, passage, ask) == Asked::Again {
            // The timer does not know of it yet.
            gate.begun.notify_one();
        }
        let mut leave = leave.into_iter();
        while let Some(kept) = leave.next() {
            let upstream = self.upstream(self.key(target, slot, kept.request.flavour));
            if !upstream.is_up() {
                let Some(hold) = gate.holds.get_mut(&slot) else { return };
                hold.cut_off(target, self.routes.route(slot));
                for kept in std::iter::once(kept).chain(leave) {
                    hold.take_back(kept, self.now());
                }
                return;
            }
            gate.let_go(self, &kept, HeldEnd::Released);
            self.routes.enter(slot);
            upstream.send(self, kept.request, Frame::Long(kept.frame));
        }
    }

    /// Asks the source to move keys, or whether it has them; those that it cannot be asked for are tried again.
    fn ask_all(self: &Rc<Self>, slot: Slot, passage: &mut Passage, keys: Vec<PlacedKey>) -> Asked {
        let mut asked = Asked::All;
        let mut by_flavour: BTreeMap<FlavourIndex, Vec<Rc<[u8]>>> = BTreeMap::new();
        for (flavour, key) in keys {
            by_flavour.entry(flavour).or_default().push(key);
        }
        for (flavour, mut keys) in by_flavour {
            // A big key takes its time: nothing else shall wait behind it.
            let lane = self.config.upstream.connections;
            let upstream = self.upstream(Key { node: passage.source, lane, flavour });
            let may_ask = match passage.means {
                _ if !upstream.is_up() => 0,
                Means::TagOneAsync if !upstream.is_idle() => 0,
                Means::TagOneAsync => BATCH_KEYS,
                Means::TagOne | Means::Probe => usize::MAX,
            };
            for key in keys.split_off(may_ask.min(keys.len())) {
                asked = Asked::Again;
                if upstream.is_up() {
                    passage.put_off((flavour, key), self.now());
                } else {
                    let why = format!("{} cannot be reached", self.routes.addr(passage.source));
                    passage.unasked((flavour, key), &why, self.now());
                }
            }
            self.metrics.passage_asks.add(keys.len() as u64);
            self.question(slot, passage.means, &upstream, keys);
        }
        asked
    }

    /// Puts the questions.
    fn question(&self, slot: Slot, means: Means, upstream: &Rc<Upstream>, keys: Vec<Rc<[u8]>>) {
        let target = self.routes.addr(self.routes.route(slot).node);
        // An address that is none cannot have been filled.
        let (host, port) = target.rsplit_once(':').unwrap_or((&target, ""));
        let limit = self.config.foreign.move_timeout.as_millis().to_string();
        let (host, port, limit) = (host.as_bytes(), port.as_bytes(), limit.as_bytes());
        let say = |keys: Rc<[Rc<[u8]>]>, words: &[&[u8]]| {
            upstream.say_bytes(self, Origin::Passage(slot, keys), words);
        };
        if means == Means::TagOneAsync {
            if !keys.is_empty() {
                let mut words = vec![b"SLOTSMGRTTAGONE-ASYNC".as_slice(), host, port, limit];
                words.extend([MAX_BULKS, MAX_BYTES]);
                words.extend(keys.iter().map(|key| &**key));
                say(keys.as_slice().into(), &words);
            }
            return;
        }
        for key in keys {
            let alone: Rc<[Rc<[u8]>]> = Rc::new([Rc::clone(&key)]);
            if means == Means::TagOne {
                say(alone, &[b"SLOTSMGRTTAGONE", host, port, limit, &key]);
                continue;
            }
            for words in probe::all(slot, &key) {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                say(Rc::clone(&alone), &words);
            }
        }
    }

    /// The source of a passage has said something of a key. The slot is to be settled then.
    pub(crate) fn passage_answered(&self, slot: Slot, key: PlacedKey, verdict: Verdict) {
        if let Verdict::Again(why) = &verdict {
            self.metrics.passage_repeats.add(1);
            tracing::debug!(%slot, why, "a key could not be moved; it is tried again");
        }
        let gate = &mut *self.gate.borrow_mut();
        if let Some(passage) = gate.holds.get_mut(&slot).and_then(|hold| hold.passage()) {
            if matches!(verdict, Verdict::Again(_)) {
                gate.begun.notify_one();
            }
            passage.answered(key, verdict, self.now());
        }
    }

    /// Whether a command of these keys that runs on a connection of its own may go where the slot is believed to be; asks for what is missing.
    pub(crate) fn crossed(
        self: &Rc<Self>,
        slot: Slot,
        flavour: FlavourIndex,
        keys: &[Rc<[u8]>],
    ) -> Crossed {
        let mut gate = self.gate.borrow_mut();
        let Some(passage) = gate.holds.get_mut(&slot).and_then(|hold| hold.passage()) else {
            return Crossed::Yes;
        };
        let (mut ask, mut is_free) = (Vec::new(), true);
        for key in keys {
            is_free &= passage.is_gone(&(flavour, Rc::clone(key)), self.now(), &mut ask);
        }
        if self.ask_all(slot, passage, ask) == Asked::Again {
            gate.begun.notify_one();
        }
        if is_free { Crossed::Yes } else { Crossed::NotYet }
    }

    /// The keys of a request that was planned before.
    fn keys_of(&self, kept: &Kept) -> SmallVec<[Rc<[u8]>; 1]> {
        let mut args = Args::new();
        let frame = &kept.frame;
        let sliced = slice_request(frame, &self.config.limits.request, &mut args);
        let command = args.get(frame, 0).and_then(lookup);
        let (Ok(_), Some(command)) = (sliced, command) else { return SmallVec::new() };
        keys_of(command, Request { frame, args: &args })
    }
}

/// The keys of a request.
pub(crate) fn keys_of(
    command: &'static protocol::command::Command,
    request: Request<'_>,
) -> SmallVec<[Rc<[u8]>; 1]> {
    let Request { frame, args } = request;
    let positions = command.key_positions(frame, args).unwrap_or_default();
    positions.iter().filter_map(|&at| args.get(frame, at as usize).map(Rc::from)).collect()
}
