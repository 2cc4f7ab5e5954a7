//! One slot on its way, key by key, between nodes that are not ours. Pure: time is an argument.
//!
//! A request leaves for the target when the source has said of each of its keys that it has just moved it, or has none. Nobody creates a key at
//! the source meanwhile, so such a key stays gone.
//!
//! Invariant: two requests of one session, or of one key, leave in the order they came. Others may overtake: a key that cannot be moved holds up
//! nothing but itself and those who asked for it.

use crate::request::{FlavourIndex, Kept, Origin};
use crate::routes::NodeIndex;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause before the source is asked again; each is longer by as much.
const AGAIN_FIRST: Duration = Duration::from_millis(1);
/// The longest.
const AGAIN_MAX: Duration = Duration::from_millis(20);

/// A key of one kind of connection: databases have keys of their own.
pub(crate) type PlacedKey = (FlavourIndex, Rc<[u8]>);

/// What the source has said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not there, now.
    Gone,
    /// It is, or nobody knows. For people.
    Again(String),
}

/// What gets a key over, or tells that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// SLOTSMGRTTAGONE of Pika, which moves it.
    TagOne,
    /// SLOTSMGRTTAGONE-ASYNC of codis-server, which moves it without a stop.
    TagOneAsync,
    /// PKSCANRANGE of Pika, once a type, which reads past the cache: a migration of the node's own moves the key.
    Probe,
}

/// The types that PKSCANRANGE knows. Streams are moved by nothing.
pub(crate) const PROBED: [&str; 5] = ["string", "hash", "set", "list", "zset"];

impl Means {
    /// How many answers belong to one key.
    fn answers(self) -> usize {
        match self {
            Self::TagOne | Self::TagOneAsync => 1,
            Self::Probe => PROBED.len(),
        }
    }
}

/// How far a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// So many answers are to come; why it is not gone, if one has said so.
    Asked {
        tries: u32,
        open: usize,
        why: Option<String>,
    },
    Again {
        at: Instant,
        tries: u32,
    },
    Gone,
}

/// A request and its keys.
#[derive(Debug)]
struct Passenger {
    kept: Kept,
    keys: SmallVec<[Rc<[u8]>; 1]>,
}

/// A slot on its way.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) source: NodeIndex,
    pub(crate) means: Means,
    /// In the order they came.
    line: VecDeque<Passenger>,
    keys: HashMap<PlacedKey, Progress>,
    /// So many keys are known to be gone, at most so many.
    gone: usize,
    gone_max: usize,
    /// So many questions are on their way, at most so many.
    asks: usize,
    asks_max: usize,
    /// Why the last key could not be moved.
    why: Option<String>,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// In the order in which they leave.
    pub(crate) leave: Vec<Kept>,
    pub(crate) ask: Vec<PlacedKey>,
}

/// How much may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) gone_max: usize,
    pub(crate) asks_max: usize,
}

impl Passage {
    pub(crate) fn new(source: NodeIndex, means: Means, bounds: Bounds) -> Self {
        Self {
            source,
            means,
            line: VecDeque::new(),
            keys: HashMap::new(),
            gone: 0,
            gone_max: bounds.gone_max,
            asks: 0,
            asks_max: bounds.asks_max,
            why: None,
        }
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    /// How many questions are on their way.
    pub(crate) fn asks(&self) -> usize {
        self.asks
    }

    /// Why the last key that could not be moved could not.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// A request waits behind the others.
    pub(crate) fn board(&mut self, kept: Kept, keys: SmallVec<[Rc<[u8]>; 1]>) {
        self.line.push_back(Passenger { kept, keys });
    }

    /// The oldest request.
    pub(crate) fn front(&self) -> Option<&Kept> {
        self.line.front().map(|passenger| &passenger.kept)
    }

    /// Takes the oldest request.
    pub(crate) fn pop(&mut self) -> Option<Kept> {
        self.line.pop_front().map(|passenger| passenger.kept)
    }

    /// Takes every request, the youngest first.
    pub(crate) fn take_back_to_front(&mut self) -> impl Iterator<Item = Kept> {
        std::mem::take(&mut self.line).into_iter().rev().map(|passenger| passenger.kept)
    }

    /// What may leave, at most `room` requests, and what is to be asked.
    pub(crate) fn look(&mut self, now: Instant, room: usize) -> Look {
        let mut look = Look::default();
        let (mut sessions, mut keys) = (HashSet::new(), HashSet::new());
        let mut stay = VecDeque::with_capacity(self.line.len());
        for passenger in std::mem::take(&mut self.line) {
            let flavour = passenger.kept.request.flavour;
            let mut is_free = true;
            for key in &passenger.keys {
                is_free &= self.is_gone(&(flavour, Rc::clone(key)), now, &mut look.ask);
            }
            let session = session_of(&passenger.kept);
            let overtakes = session.is_some_and(|id| sessions.contains(&id))
                || passenger.keys.iter().any(|key| keys.contains(&(flavour, Rc::clone(key))));
            if is_free && !overtakes && look.leave.len() < room {
                look.leave.push(passenger.kept);
                continue;
            }
            sessions.extend(session);
            keys.extend(passenger.keys.iter().map(|key| (flavour, Rc::clone(key))));
            stay.push_back(passenger);
        }
        self.line = stay;
        look
    }

    /// Whether the key has left; asks if that is not known.
    pub(crate) fn is_gone(
        &mut self,
        key: &PlacedKey,
        now: Instant,
        ask: &mut Vec<PlacedKey>,
    ) -> bool {
        let tries = match self.keys.get(key) {
            Some(Progress::Gone) => return true,
            Some(Progress::Asked { .. }) => return false,
            Some(Progress::Again { at, .. }) if *at > now => return false,
            Some(Progress::Again { tries, .. }) => *tries,
            None => 0,
        };
        if self.asks < self.asks_max {
            self.asks += 1;
            let open = self.means.answers();
            self.keys.insert(key.clone(), Progress::Asked { tries, open, why: None });
            ask.push(key.clone());
        }
        false
    }

    /// The source has answered, or the question is lost.
    pub(crate) fn answered(&mut self, key: PlacedKey, verdict: Verdict, now: Instant) {
        let Some(Progress::Asked { tries, open, why }) = self.keys.get_mut(&key) else { return };
        if let Verdict::Again(new) = verdict {
            *why = Some(new);
        }
        *open -= 1;
        if *open > 0 {
            return;
        }
        let (tries, why) = (*tries, why.take());
        self.asks = self.asks.saturating_sub(1);
        match why {
            None => self.remember_gone(key),
            Some(_) => {
                self.why = why;
                let pause = (AGAIN_FIRST * (tries + 1)).min(AGAIN_MAX);
                self.keys.insert(key, Progress::Again { at: now + pause, tries: tries + 1 });
            }
        }
    }

    /// The question could not be put: it is put again.
    pub(crate) fn unasked(&mut self, key: PlacedKey, why: &str, now: Instant) {
        for _ in 0..self.means.answers() {
            self.answered(key.clone(), Verdict::Again(why.to_owned()), now);
        }
    }

    fn remember_gone(&mut self, key: PlacedKey) {
        if self.gone >= self.gone_max {
            self.keys.retain(|_, progress| *progress != Progress::Gone);
            self.gone = 0;
        }
        self.gone += 1;
        self.keys.insert(key, Progress::Gone);
    }

    /// When a key is to be asked for again.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        let again = self.keys.values().filter_map(|progress| match progress {
            Progress::Again { at, .. } => Some(*at),
            _ => None,
        });
        again.min()
    }
}

fn session_of(kept: &Kept) -> Option<u64> {
    match &kept.request.origin {
        Origin::Client { session, .. } | Origin::Watch { session, .. } => Some(session.id),
        _ => None,
    }
}
