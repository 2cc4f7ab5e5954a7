//! One slot on its way, key by key, between nodes that are not ours. Pure: time is an argument.
//!
//! A request leaves for the target when the source has said of each of its keys that it has just moved it, or has none. Nobody creates a key at
//! the source meanwhile, so such a key stays gone.
//!
//! Invariant: two requests of one session, or of one key, leave in the order they came. Others may overtake: a key that cannot be moved holds up
//! nothing but itself and those who asked for it.

use crate::foreign::probe;
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
    /// SLOTSMGRTTAGONE-ASYNC of codis-server, which moves it without a stop. Only one may be on its way on a connection: to what comes behind it
    /// codis-server answers first.
    TagOneAsync,
    /// The questions of [`probe`]: a migration of the node's own moves the key. As long as it lists the key it may still send something of it
    /// to the target, if only DEL, for a list which was not there any more.
    Probe,
}

impl Means {
    /// How many answers belong to one key.
    fn answers(self) -> usize {
        match self {
            Self::TagOne | Self::TagOneAsync => 1,
            Self::Probe => probe::ANSWERS,
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

    /// The question is not put now: others are on their way where only one may be.
    pub(crate) fn put_off(&mut self, key: PlacedKey, now: Instant) {
        let Some(Progress::Asked { tries, .. }) = self.keys.get(&key) else { return };
        let again = Progress::Again { at: now + AGAIN_FIRST, tries: *tries };
        self.asks = self.asks.saturating_sub(1);
        self.keys.insert(key, again);
    }

    fn remember_gone(&mut self, key: PlacedKey) {
        if self.gone >= self.gone_max {
            self.keys.retain(|_, progress| *progress != Progress::Gone);
            self.gone = 0;
        }
        self.gone += 1;
        self.keys.insert(key, Progress::Gone);
    }

    /// When a key that somebody waits for is to be asked for again. With as many questions on their way as may be, an answer comes first.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        if self.asks >= self.asks_max {
            return None;
        }
        let of_line = self.line.iter().flat_map(|p| {
            let flavour = p.kept.request.flavour;
            p.keys.iter().map(move |key| (flavour, Rc::clone(key)))
        });
        let again = of_line.filter_map(|key| match self.keys.get(&key) {
            Some(Progress::Again { at, .. }) => Some(*at),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Again, Request, Slots};
    use cluster::Slot;

    const BOUNDS: Bounds = Bounds { gone_max: 2, asks_max: 2 };

    fn request(text: &'static str) -> Kept {
        let request = Request {
            origin: Origin::Nobody,
            slots: Slots::One(Slot(1)),
            again: Again::May,
            flavour: FlavourIndex(0),
            held_since: None,
            hops: 0,
            aim: crate::request::Aim::Owner,
        };
        Kept { request, frame: text.into() }
    }

    fn key(name: &str) -> PlacedKey {
        (FlavourIndex(0), Rc::from(name.as_bytes()))
    }

    /// A passage with requests of one key each, named by a number and the key.
    fn passage(means: Means, requests: &[&'static str]) -> Passage {
        let mut passage = Passage::new(NodeIndex(1), means, BOUNDS);
        for text in requests {
            passage.board(request(text), [key(&text[1..]).1].into_iter().collect());
        }
        passage
    }

    fn left(look: &Look) -> Vec<String> {
        let text = |kept: &Kept| String::from_utf8_lossy(&kept.frame).into_owned();
        look.leave.iter().map(text).collect()
    }

    #[test]
    fn a_request_leaves_when_its_key_has() {
        let now = Instant::now();
        let mut passage = passage(Means::TagOne, &["1a", "2b"]);
        let look = passage.look(now, 9);
        assert_eq!((left(&look), look.ask), (vec![], vec![key("a"), key("b")]));
        passage.answered(key("b"), Verdict::Gone, now);
        assert_eq!(left(&passage.look(now, 9)), ["2b"], "it overtakes another key");
        passage.answered(key("a"), Verdict::Gone, now);
        assert_eq!(left(&passage.look(now, 0)), Vec::<String>::new(), "no room");
        assert_eq!(left(&passage.look(now, 9)), ["1a"]);
        assert_eq!(passage.asks(), 0);
    }

    #[test]
    fn requests_of_one_key_keep_their_order() {
        let now = Instant::now();
        let mut passage = passage(Means::TagOne, &["1a", "2a"]);
        passage.board(request("3ab"), [key("b").1, key("a").1].into_iter().collect());
        passage.board(request("4b"), [key("b").1].into_iter().collect());
        passage.look(now, 9);
        passage.answered(key("b"), Verdict::Gone, now);
        assert_eq!(left(&passage.look(now, 9)), Vec::<String>::new(), "3 is before 4");
        passage.answered(key("a"), Verdict::Gone, now);
        assert_eq!(left(&passage.look(now, 9)), ["1a", "2a", "3ab", "4b"]);
    }

    #[test]
    fn a_key_that_cannot_be_moved_is_asked_for_again_and_holds_up_nobody_else() {
        let now = Instant::now();
        let mut passage = passage(Means::TagOne, &["1a", "2b"]);
        passage.look(now, 9);
        passage.answered(key("a"), Verdict::Again("no".to_owned()), now);
        passage.answered(key("b"), Verdict::Gone, now);
        let look = passage.look(now, 9);
        assert_eq!((left(&look), look.ask), (vec!["2b".to_owned()], vec![]), "not at once");
        assert_eq!((passage.why(), passage.due_at()), (Some("no"), Some(now + AGAIN_FIRST)));
        assert_eq!(passage.look(now + AGAIN_FIRST, 9).ask, [key("a")]);
        assert_eq!(passage.due_at(), None, "the answer comes first");
        passage.answered(key("a"), Verdict::Again("no".to_owned()), now);
        // Whoever waited has been told.
        passage.pop();
        assert_eq!(passage.due_at(), None, "nobody waits");
    }

    #[test]
    fn a_question_that_is_put_off_is_put_soon_and_counts_as_no_try() {
        let now = Instant::now();
        let mut passage = passage(Means::TagOneAsync, &["1a"]);
        for _ in 0..AGAIN_MAX.as_millis() {
            assert_eq!(passage.look(now + AGAIN_FIRST, 9).ask, [key("a")]);
            passage.put_off(key("a"), now);
            assert_eq!((passage.asks(), passage.due_at()), (0, Some(now + AGAIN_FIRST)));
        }
    }

    #[test]
    fn no_more_is_asked_or_remembered_than_may_be() {
        let now = Instant::now();
        let mut passage = passage(Means::TagOne, &["1a", "2b", "3c"]);
        assert_eq!(passage.look(now, 0).ask, [key("a"), key("b")]);
        passage.answered(key("a"), Verdict::Gone, now);
        assert_eq!(passage.look(now, 0).ask, [key("c")]);
        passage.answered(key("b"), Verdict::Gone, now);
        passage.answered(key("c"), Verdict::Gone, now);
        // The third made the passage forget the first two.
        assert_eq!(passage.look(now, 0).ask, [key("a"), key("b")]);
    }

    #[test]
    fn a_probed_key_is_gone_when_no_answer_has_it() {
        let now = Instant::now();
        let mut listed = [true; probe::ANSWERS];
        listed[2] = false;
        for (answers, is_gone) in [([true; probe::ANSWERS], true), (listed, false)] {
            let mut passage = passage(Means::Probe, &["1a"]);
            passage.look(now, 9);
            for (number, absent) in answers.into_iter().enumerate() {
                assert_eq!(passage.asks(), 1, "answer {number} is to come");
                let verdict =
                    if absent { Verdict::Gone } else { Verdict::Again("there".to_owned()) };
                passage.answered(key("a"), verdict, now);
            }
            assert_eq!(passage.asks(), 0);
            assert_eq!(passage.look(now, 9).leave.len(), usize::from(is_gone));
        }
    }
}
