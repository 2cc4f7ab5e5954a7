//! A key as the plain commands that make it at a Pika or a codis-server: DEL, the value in pieces, and when it is gone.
//!
//! Pika cuts the milliseconds of PEXPIREAT to 32 bits, so it is told whole seconds, rounded up: a key that is gone a moment too late is better
//! than one that is gone too early.

use super::far::Kind as FarKind;
use super::{Place, enter};
use crate::encoding::{Kind, Meta};
use crate::engine::Family;
use crate::error::CommandError;
use crate::session::with_scratch;
use crate::shared::Shared;
use crate::txn::{Direction, Flow, Reads, Span, Txn};
use cluster::Slot;
use cluster::state::Access;
use protocol::frame::Value;
use protocol::number::format_double;
use protocol::request::encode_request;

/// A piece has so many elements, and so many bytes, at most; one element may be larger.
const ELEMENTS_MAX: usize = 512;
const BYTES_MAX: usize = 512 << 10;

/// Requests and what is to be answered to each.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) frames: Vec<u8>,
    pub(super) answers: Vec<Wanted>,
}

/// The answer that tells that a request did what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Ok,
    /// Of DEL: it may have been there.
    Any,
    Number(u64),
}

impl Wanted {
    pub(super) fn fits(self, answer: &Value) -> bool {
        match self {
            Self::Ok => answer.as_str() == Some("OK"),
            Self::Any => answer.as_int().is_some(),
            Self::Number(wanted) => {
                answer.as_int().and_then(|n| u64::try_from(n).ok()) == Some(wanted)
            }
        }
    }
}

/// A key on its way.
#[derive(Debug)]
pub(super) struct Parcel<'a> {
    place: &'a Place,
    /// As it was when the key was looked at first.
    meta: Meta,
    to: FarKind,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// Elements are sent from here on, and so many have been.
    Elements(Vec<u8>, u64),
    End,
}

impl Piece {
    fn say(&mut self, wanted: Wanted, words: &[&[u8]]) {
        encode_request(&mut self.frames, words);
        self.answers.push(wanted);
    }
}

impl<'a> Parcel<'a> {
    pub(super) fn new(place: &'a Place, meta: Meta, to: FarKind) -> Self {
        Self { place, meta, to, stage: Stage::Begin }
    }

    /// What is to be said next; nothing when all has been said. What the key has become meanwhile does not matter: it is not deleted then.
    pub(super) fn next(
        &mut self,
        shared: &Shared,
        slot: Slot,
    ) -> Result<Option<Piece>, CommandError> {
        let mut piece = Piece::default();
        let (from, sent) = match std::mem::replace(&mut self.stage, Stage::End) {
            Stage::End => return Ok(None),
            Stage::Elements(from, sent) => (from, sent),
            Stage::Begin => {
                piece.say(Wanted::Any, &[b"DEL", &self.place.key]);
                (Vec::new(), 0)
            }
        };
        let is_first = sent == 0;
        let rest = if self.meta.kind == Kind::String {
            self.string(shared, slot, &mut piece)?;
            None
        } else {
            self.elements(shared, slot, (&from, sent), &mut piece)?
        };
        // With the first piece, so that what a failed attempt leaves there is gone in time; with the last one again, for those behind the first
        // make a key that is gone by then anew.
        if is_first || rest.is_none() {
            self.expiry(&mut piece);
        }
        if let Some((from, sent)) = rest {
            self.stage = Stage::Elements(from, sent);
        }
        Ok(Some(piece))
    }

    fn string(&self, shared: &Shared, slot: Slot, piece: &mut Piece) -> Result<(), CommandError> {
        with_scratch(|scratch| {
            let entered = enter(shared, slot, Access::Read)?;
            let mut txn = Txn::new(shared, scratch, entered, self.place.db, Reads::Committed);
            if let Some((_, value)) = txn.string(&self.place.key)? {
                piece.say(Wanted::Ok, &[b"SET", &self.place.key, value]);
            }
            Ok(())
        })
    }

    /// The next elements. Returns where the rest begins, if there is one, and how many have been sent then.
    fn elements(
        &self,
        shared: &Shared,
        slot: Slot,
        (from, sent): (&[u8], u64),
        piece: &mut Piece,
    ) -> Result<Option<(Vec<u8>, u64)>, CommandError> {
        let (mut words, mut bytes, mut rest) = (Vec::new(), 0, None);
        let kind = self.meta.kind;
        let mut count = 0;
        with_scratch(|scratch| {
            let entered = enter(shared, slot, Access::Read)?;
            let mut txn = Txn::new(shared, scratch, entered, self.place.db, Reads::Committed);
            let Some(all) = txn.open(&self.place.key, kind)? else { return Ok(()) };
            let span = Span { from, ..Span::all(Family::Data, Direction::Forward) };
            txn.scan(&all, &span, |element, value| {
                if count == ELEMENTS_MAX || bytes > BYTES_MAX {
                    rest = Some(element.to_vec());
                    return Flow::Stop;
                }
                count += 1;
                bytes += element.len() + value.len();
                push(&mut words, kind, element, value);
                Flow::Continue
            })
        })?;
        let sent = sent + count as u64;
        if count > 0 {
            let (command, wanted): (&[u8], _) = match kind {
                Kind::List => (b"RPUSH", Wanted::Number(sent)),
                Kind::Set => (b"SADD", Wanted::Number(count as u64)),
                Kind::SortedSet => (b"ZADD", Wanted::Number(count as u64)),
                _ => (b"HMSET", Wanted::Ok),
            };
            let head = [command, &self.place.key];
            let said: Vec<&[u8]> =
                head.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
            piece.say(wanted, &said);
        }
        Ok(rest.map(|rest| (rest, sent)))
    }

    fn expiry(&self, piece: &mut Piece) {
        let ends = self.meta.expire_ms;
        if ends == 0 {
            return;
        }
        let (command, at): (&[u8], _) = match self.to {
            FarKind::Pika => (b"EXPIREAT", ends.div_ceil(1000)),
            FarKind::CodisServer => (b"PEXPIREAT", ends),
        };
        piece.say(Wanted::Number(1), &[command, &self.place.key, at.to_string().as_bytes()]);
    }
}

/// An element as its command takes it.
fn push(words: &mut Vec<Vec<u8>>, kind: Kind, element: &[u8], value: &[u8]) {
    match kind {
        Kind::List => words.push(value.to_vec()),
        Kind::Set => words.push(element.to_vec()),
        Kind::SortedSet => {
            words.push(format_double(crate::command::score_in(value)).as_ref().to_vec());
            words.push(element.to_vec());
        }
        _ => words.extend([element.to_vec(), value.to_vec()]),
    }
}
