//! What a reply must be, and in what way another reply differs from it.

use super::reply::{Reply, Resp, list, text};
use std::collections::BTreeMap;
use std::fmt;

/// What a reply must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expect {
    /// Nothing is known of the key: any reply but an error.
    Anything,
    Simple(&'static str),
    Int(i64),
    /// A number that each execution of a write makes greater: less means a lost write, more a doubled one.
    Count(i64),
    /// The same as a bulk string.
    CountText(i64),
    /// From the first to the second, both included.
    Between(i64, i64),
    Bulk(Vec<u8>),
    Nil,
    Score(f64),
    /// Elements of a list, in order.
    Elements(Vec<Vec<u8>>),
    /// Members of a set, in any order; here ascending.
    Members(Vec<Vec<u8>>),
    /// Fields of a hash and their values, in any order; here ascending.
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    /// Members of a sorted set and their scores, in order.
    Scores(Vec<(Vec<u8>, f64)>),
    /// One after the other, as a multi-key command gives them.
    Each(Vec<Self>),
    /// The key has several possible states, since the fate of a write is unknown.
    OneOf(Vec<Self>),
}

/// How a reply compares with what it must be; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    Exact,
    OtherValue,
    /// No reply to this command could look like this.
    OtherType,
}

/// In what way a value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    Type,
    Value,
    Lost(String),
    Doubled(String),
    Order,
}

impl Expect {
    /// Compares.
    pub(crate) fn fit(&self, reply: &Reply, resp: Resp) -> Fit {
        let (shape, same) = match (self, reply) {
            (Self::Anything, reply) => (true, !matches!(reply, Reply::Error(_))),
            (Self::OneOf(all), reply) => {
                return all.iter().map(|e| e.fit(reply, resp)).min().unwrap_or(Fit::OtherType);
            }
            (Self::Simple(want), Reply::Simple(got)) => (true, got == want.as_bytes()),
            (Self::Int(want) | Self::Count(want), Reply::Int(got)) => (true, want == got),
            (Self::Between(first, last), Reply::Int(got)) => (true, (first..=last).contains(&got)),
            (Self::Bulk(want), Reply::Bulk(got)) => (true, want == got),
            (Self::CountText(want), Reply::Bulk(got)) => (true, want.to_string().as_bytes() == got),
            (Self::Nil, reply) if nil(reply, resp) => (true, true),
            (Self::Score(want), reply) if score(reply, resp).is_some() => {
                (true, score(reply, resp).map(f64::to_bits) == Some(want.to_bits()))
            }
            (Self::Bulk(_) | Self::CountText(_) | Self::Score(_), reply) if nil(reply, resp) => {
                (true, false)
            }
            (Self::Nil, Reply::Bulk(_) | Reply::Double(_)) => (true, false),
            (Self::Elements(want), reply) => compare(want, elements(reply).as_ref()),
            (Self::Members(want), reply) => compare(want, members(reply, resp).as_ref()),
            (Self::Fields(want), reply) => compare(want, fields(reply, resp).as_ref()),
            (Self::Scores(want), reply) => compare(want, scores(reply, resp).as_ref()),
            (Self::Each(want), Reply::Array(got)) if want.len() == got.len() => {
                return want
                    .iter()
                    .zip(got)
                    .map(|(e, g)| e.fit(g, resp))
                    .max()
                    .unwrap_or(Fit::Exact);
            }
            // A simple string where another is due (SET NX gives nil) is of a possible type.
            (Self::Simple(_), reply) if nil(reply, resp) => (true, false),
            (Self::Nil, Reply::Simple(_)) => (true, false),
            _ => (false, false),
        };
        match (shape, same) {
            (false, _) => Fit::OtherType,
            (true, false) => Fit::OtherValue,
            (true, true) => Fit::Exact,
        }
    }

    /// Says in what way a reply that does not fit differs.
    pub(crate) fn difference(&self, reply: &Reply, resp: Resp) -> Difference {
        if self.fit(reply, resp) == Fit::OtherType {
            return Difference::Type;
        }
        match (self, reply) {
            (Self::OneOf(all), reply) => all
                .iter()
                .map(|e| e.difference(reply, resp))
                .find(|d| *d != Difference::Type)
                .unwrap_or(Difference::Value),
            (Self::Each(want), Reply::Array(got)) => want
                .iter()
                .zip(got)
                .find(|(e, g)| e.fit(g, resp) != Fit::Exact)
                .map_or(Difference::Value, |(e, g)| e.difference(g, resp)),
            (Self::Count(want), Reply::Int(got)) => shift(*want, *got),
            (Self::CountText(want), Reply::Bulk(got)) => std::str::from_utf8(got)
                .ok()
                .and_then(|got| got.parse().ok())
                .map_or(Difference::Value, |got| shift(*want, got)),
            (Self::Bulk(_) | Self::CountText(_) | Self::Score(_), reply) if nil(reply, resp) => {
                Difference::Lost("the value is gone".into())
            }
            (Self::Simple(want), Reply::Simple(got)) if got == b"none" => {
                Difference::Lost(format!("the {want} is gone"))
            }
            (Self::Elements(want), reply) => apart(want, &elements(reply).unwrap_or_default()),
            (Self::Members(want), reply) => apart(want, &members(reply, resp).unwrap_or_default()),
            (Self::Fields(want), reply) => {
                apart(&names(want), &names(&fields(reply, resp).unwrap_or_default()))
            }
            (Self::Scores(want), reply) => {
                apart(&names(want), &names(&scores(reply, resp).unwrap_or_default()))
            }
            _ => Difference::Value,
        }
    }
}

/// Whether there is something to compare, and whether it is equal.
fn compare<T: PartialEq>(want: &T, got: Option<&T>) -> (bool, bool) {
    (got.is_some(), got == Some(want))
}

fn nil(reply: &Reply, resp: Resp) -> bool {
    *reply == if resp == Resp::Two { Reply::NilBulk } else { Reply::Null }
}

fn score(reply: &Reply, resp: Resp) -> Option<f64> {
    match (reply, resp) {
        (Reply::Double(score), Resp::Three) => Some(*score),
        (Reply::Bulk(text), Resp::Two) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn bulk(reply: &Reply) -> Option<Vec<u8>> {
    if let Reply::Bulk(bytes) = reply { Some(bytes.clone()) } else { None }
}

fn elements(reply: &Reply) -> Option<Vec<Vec<u8>>> {
    if let Reply::Array(parts) = reply { parts.iter().map(bulk).collect() } else { None }
}

fn members(reply: &Reply, resp: Resp) -> Option<Vec<Vec<u8>>> {
    let mut members: Vec<_> = match (reply, resp) {
        (Reply::Array(parts), Resp::Two) | (Reply::Set(parts), Resp::Three) => {
            parts.iter().map(bulk).collect::<Option<_>>()?
        }
        _ => return None,
    };
    members.sort_unstable();
    Some(members)
}

fn fields(reply: &Reply, resp: Resp) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut fields = match (reply, resp) {
        (Reply::Map(pairs), Resp::Three) => pairs
            .iter()
            .map(|(name, value)| Some((bulk(name)?, bulk(value)?)))
            .collect::<Option<Vec<_>>>()?,
        (Reply::Array(parts), Resp::Two) if parts.len() % 2 == 0 => parts
            .chunks_exact(2)
            .map(|pair| Some((bulk(&pair[0])?, bulk(&pair[1])?)))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    fields.sort_unstable();
    Some(fields)
}

fn scores(reply: &Reply, resp: Resp) -> Option<Vec<(Vec<u8>, f64)>> {
    let Reply::Array(parts) = reply else { return None };
    match resp {
        Resp::Two if parts.len() % 2 == 0 => parts
            .chunks_exact(2)
            .map(|pair| Some((bulk(&pair[0])?, score(&pair[1], resp)?)))
            .collect(),
        Resp::Two => None,
        Resp::Three => parts
            .iter()
            .map(|part| match part {
                Reply::Array(pair) if pair.len() == 2 => {
                    Some((bulk(&pair[0])?, score(&pair[1], resp)?))
                }
                _ => None,
            })
            .collect(),
    }
}

/// A whole value as a read of it tells it.
pub(crate) enum Whole {
    Nothing,
    Text(Vec<u8>),
    Elements(Vec<Vec<u8>>),
    Members(Vec<Vec<u8>>),
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    Scores(Vec<(Vec<u8>, f64)>),
}

impl Whole {
    /// Reads the value from the reply to `op`, if the reply has the right type.
    pub(crate) fn of(op: &super::op::Op, reply: &Reply, resp: Resp) -> Option<Self> {
        use super::op::Op;
        match op {
            Op::Get | Op::GetNumber if nil(reply, resp) => Some(Self::Nothing),
            Op::Get | Op::GetNumber => bulk(reply).map(Self::Text),
            Op::LRange { .. } => elements(reply).map(Self::Elements),
            Op::SMembers => members(reply, resp).map(Self::Members),
            Op::HGetAll => fields(reply, resp).map(Self::Fields),
            Op::ZRange => scores(reply, resp).map(Self::Scores),
            _ => None,
        }
    }
}

fn shift(want: i64, got: i64) -> Difference {
    if got < want {
        Difference::Lost(format!("{} too few", want - got))
    } else {
        Difference::Doubled(format!("{} too many", got - want))
    }
}

fn names<V>(pairs: &[(Vec<u8>, V)]) -> Vec<Vec<u8>> {
    pairs.iter().map(|(name, _)| name.clone()).collect()
}

/// Compares two sequences that differ: something twice, something missing, another order, or something else.
fn apart(want: &[Vec<u8>], got: &[Vec<u8>]) -> Difference {
    let mut surplus: BTreeMap<&[u8], i64> = BTreeMap::new();
    for part in got {
        *surplus.entry(part).or_default() += 1;
    }
    let twice = named(surplus.iter().filter(|(_, n)| **n > 1).map(|(part, _)| *part));
    for part in want {
        *surplus.entry(part).or_default() -= 1;
    }
    let missing = named(surplus.iter().filter(|(_, n)| **n < 0).map(|(part, _)| *part));
    if let Some(twice) = twice {
        Difference::Doubled(twice)
    } else if let Some(missing) = missing {
        Difference::Lost(missing)
    } else if want != got && surplus.values().all(|&n| n == 0) {
        Difference::Order
    } else {
        Difference::Value
    }
}

fn named<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let parts: Vec<_> = parts.map(text).collect();
    (!parts.is_empty()).then(|| parts[..parts.len().min(5)].join(", "))
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anything => f.write_str("anything"),
            Self::Simple(line) => write!(f, "+{line}"),
            Self::Int(number) | Self::Count(number) => write!(f, ":{number}"),
            Self::CountText(number) => write!(f, "\"{number}\""),
            Self::Between(first, last) => write!(f, ":{first} to :{last}"),
            Self::Bulk(bytes) => f.write_str(&text(bytes)),
            Self::Nil => f.write_str("nil"),
            Self::Score(score) => write!(f, "score {score}"),
            Self::Elements(parts) | Self::Members(parts) => {
                list(f, parts.iter().map(|part| text(part)))
            }
            Self::Fields(pairs) => {
                list(f, pairs.iter().map(|(name, value)| format!("{} {}", text(name), text(value))))
            }
            Self::Scores(pairs) => {
                list(f, pairs.iter().map(|(name, score)| format!("{} {score}", text(name))))
            }
            Self::Each(parts) => list(f, parts.iter()),
            Self::OneOf(all) => {
                f.write_str("one of ")?;
                list(f, all.iter())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulks(parts: &[&str]) -> Reply {
        Reply::Array(parts.iter().map(|part| Reply::Bulk((*part).into())).collect())
    }

    fn bytes(parts: &[&str]) -> Vec<Vec<u8>> {
        parts.iter().map(|part| (*part).into()).collect()
    }

    #[test]
    fn a_list_tells_lost_doubled_and_reordered_elements_apart() {
        let want = Expect::Elements(bytes(&["a", "b", "c"]));
        for (got, fit) in [
            (&["a", "b", "c"][..], None),
            (&["a", "c"], Some(Difference::Lost("\"b\"".into()))),
            (&["a", "b", "b", "c"], Some(Difference::Doubled("\"b\"".into()))),
            (&["a", "c", "b"], Some(Difference::Order)),
            (&["a", "b", "c", "d"], Some(Difference::Value)),
        ] {
            let reply = bulks(got);
            assert_eq!(want.fit(&reply, Resp::Two) == Fit::Exact, fit.is_none(), "{got:?}");
            if let Some(fit) = fit {
                assert_eq!(want.difference(&reply, Resp::Two), fit, "{got:?}");
            }
        }
    }

    #[test]
    fn a_count_that_is_short_lost_a_write_and_one_that_is_over_doubled_it() {
        let count = Expect::Count(5);
        assert_eq!(count.fit(&Reply::Int(5), Resp::Two), Fit::Exact);
        assert!(matches!(count.difference(&Reply::Int(4), Resp::Two), Difference::Lost(_)));
        assert!(matches!(count.difference(&Reply::Int(6), Resp::Two), Difference::Doubled(_)));
        assert_eq!(count.difference(&Reply::Bulk("5".into()), Resp::Two), Difference::Type);
    }

    #[test]
    fn the_forms_of_the_protocol_versions_are_not_interchangeable() {
        assert_eq!(Expect::Nil.fit(&Reply::NilBulk, Resp::Two), Fit::Exact);
        assert_eq!(Expect::Nil.fit(&Reply::NilBulk, Resp::Three), Fit::OtherType);
        assert_eq!(Expect::Nil.fit(&Reply::NilArray, Resp::Two), Fit::OtherType);
        assert_eq!(Expect::Score(1.5).fit(&Reply::Double(1.5), Resp::Three), Fit::Exact);
        assert_eq!(Expect::Score(1.5).fit(&Reply::Bulk("1.5".into()), Resp::Two), Fit::Exact);
        assert_eq!(Expect::Score(1.5).fit(&Reply::Bulk("1.5".into()), Resp::Three), Fit::OtherType);
        let fields = Expect::Fields(vec![("f".into(), "v".into())]);
        assert_eq!(fields.fit(&bulks(&["f", "v"]), Resp::Two), Fit::Exact);
        assert_eq!(fields.fit(&bulks(&["f", "v"]), Resp::Three), Fit::OtherType);
    }
}
