//! What nodes say about slots: bounces, pushes, answers to WHERE. `docs/WIRE.md` §2 and §3 are the source. Pure.

use crate::metrics::BounceKind;
use cluster::{Epoch, Slot, Token};
use protocol::frame::{Value, decode};
use protocol::number::parse_int;

/// Who owns a slot, as a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) epoch: Epoch,
    pub(crate) addr: String,
    pub(crate) token: Option<Token>,
}

/// A reply that turns a request away: nothing of it was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounce {
    /// The first slot that turned it away.
    pub(crate) slot: Slot,
    pub(crate) word: Word,
}

/// What a node says about a slot that it does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Not now; it will say more.
    Hold,
    /// Another node owns it.
    Moved(Moved),
    /// Not here, and it does not know where.
    Ask,
}

impl Word {
    pub(crate) fn kind(&self) -> BounceKind {
        match self {
            Self::Hold => BounceKind::Hold,
            Self::Moved(_) => BounceKind::Moved,
            Self::Ask => BounceKind::Ask,
        }
    }
}

/// What a node says about a slot without having been sent a request for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It serves the slot; of which epoch, if it says so.
    Open(Option<Epoch>),
    /// It will serve it, or know more, later.
    NotYet,
    /// Another node owns it.
    Moved(Moved),
    /// Not here, and it does not know where.
    Unknown,
}

/// Reads a bounce; nothing if the reply is any other error.
pub(crate) fn bounce(reply: &[u8]) -> Option<Bounce> {
    let line = std::str::from_utf8(reply.strip_prefix(b"-X")?.strip_suffix(b"\r\n")?).ok()?;
    let mut words = line.split(' ');
    let (word, slot) = (words.next()?, Slot(words.next()?.parse().ok()?));
    let word = match word {
        "HOLD" => Word::Hold,
        "ASK" => Word::Ask,
        "MOVED" => Word::Moved(moved(words.next()?, words.next()?, words.next()?)?),
        _ => return None,
    };
    Some(Bounce { slot, word })
}

fn moved(epoch: &str, addr: &str, token: &str) -> Option<Moved> {
    let token = if token == "-" { None } else { Some(token.parse().ok()?) };
    Some(Moved { epoch: Epoch(epoch.parse().ok()?), addr: addr.to_owned(), token })
}

/// Reads a push; nothing if it is not one of ours.
pub(crate) fn push(frame: &[u8]) -> Option<(Slot, News)> {
    let (Value::Push(items), _) = decode(frame).ok()?? else { return None };
    let text = |index: usize| items.get(index).and_then(text_of);
    if text(0)? != "slipway" {
        return None;
    }
    let slot = Slot(text(2)?.parse().ok()?);
    match text(1)?.as_str() {
        "open" => Some((slot, News::Open(None))),
        "moved" => Some((slot, News::Moved(moved(&text(3)?, &text(4)?, &text(5)?)?))),
        _ => None,
    }
}

/// Reads the answer to WHERE; nothing if it makes no sense.
pub(crate) fn state(reply: &[u8]) -> Option<News> {
    let (value, _) = decode(reply).ok()??;
    let items = value.as_items()?;
    let text = |index: usize| items.get(index).and_then(text_of);
    match text(0)?.as_str() {
        "unclaimed" | "owned" => Some(News::Open(text(1)?.parse().ok().map(Epoch))),
        "sealed" | "doubt" | "importing" | "ready" => Some(News::NotYet),
        "granted" | "absent" | "refused" => Some(match text(2)?.as_str() {
            "-" => News::Unknown,
            addr => News::Moved(moved(&text(1)?, addr, &text(3)?)?),
        }),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Int(number) => Some(number.to_string()),
        other => other.as_str().map(str::to_owned),
    }
}

/// Reads a number of a reply such as `:1`.
pub(crate) fn number(reply: &[u8]) -> Option<i64> {
    parse_int(reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "000000000000000000000000000000ff";

    #[test]
    fn bounces_are_told_from_other_errors() {
        let hold = bounce(b"-XHOLD 17\r\n");
        assert_eq!(hold, Some(Bounce { slot: Slot(17), word: Word::Hold }));
        assert_eq!(bounce(b"-XASK 3\r\n").map(|b| b.word), Some(Word::Ask));
        let line = format!("-XMOVED 3 9 h:1 {TOKEN}\r\n");
        let moved = Moved { epoch: Epoch(9), addr: "h:1".to_owned(), token: Some(Token(255)) };
        assert_eq!(bounce(line.as_bytes()).map(|b| b.word), Some(Word::Moved(moved)));
        for other in [
            "-XMOVED 3 9 h:1\r\n",
            "-XHOLD\r\n",
            "-XHOLD 99999\r\n",
            "-XTRA 1\r\n",
            "-ERR XHOLD 1\r\n",
            "+XHOLD 1\r\n",
        ] {
            assert_eq!(bounce(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn pushes_say_where_a_slot_is() {
        assert_eq!(push(b">3\r\n+slipway\r\n+open\r\n:5\r\n"), Some((Slot(5), News::Open(None))));
        let frame =
            b">6\r\n$7\r\nslipway\r\n$5\r\nmoved\r\n$1\r\n5\r\n$1\r\n8\r\n$3\r\nh:1\r\n$1\r\n-\r\n";
        let moved = Moved { epoch: Epoch(8), addr: "h:1".to_owned(), token: None };
        assert_eq!(push(frame), Some((Slot(5), News::Moved(moved))));
        assert_eq!(push(b">2\r\n+invalidate\r\n*0\r\n"), None);
    }

    #[test]
    fn answers_to_where_are_understood() {
        let answer = |state: &str, addr: &str| {
            format!("*4\r\n+{state}\r\n:7\r\n+{addr}\r\n+-\r\n").into_bytes()
        };
        assert_eq!(state(&answer("owned", "-")), Some(News::Open(Some(Epoch(7)))));
        assert_eq!(state(&answer("sealed", "-")), Some(News::NotYet));
        assert_eq!(state(&answer("absent", "-")), Some(News::Unknown));
        let moved = Moved { epoch: Epoch(7), addr: "h:1".to_owned(), token: None };
        assert_eq!(state(&answer("granted", "h:1")), Some(News::Moved(moved)));
        assert_eq!(state(b"-ERR what\r\n"), None);
    }
}
