//! Finds out what a wrong reply means: a wrong value, replies in another order, one that is missing, or one too many.
//!
//! A single wrong reply does not tell. So the first one opens an inquest, the next few replies of the connection are witnesses, and then
//! it is decided what the simplest story is that explains them.

use super::expect::{Difference, Expect, Fit};
use super::op::Call;
use super::reply::{Reply, Resp};
use super::tally::Class;

/// How many replies an inquest hears, the first wrong one included.
const WITNESSES: usize = 8;

/// A reply with what it must have been.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) call: Call,
    pub(crate) expect: Expect,
    pub(crate) fit: Fit,
    pub(crate) reply: Reply,
    /// When the reply came, in microseconds of the run's clock.
    pub(crate) received: u64,
}

/// What was found out about one reply.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) class: Class,
    pub(crate) detail: String,
    pub(crate) heard: Heard,
}

/// What an inquest came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) findings: Vec<Finding>,
    /// When replies went to the wrong requests: all requests heard. What was learnt from their replies is worth nothing.
    pub(crate) misled: Vec<Call>,
}

/// The inquests of one connection.
#[derive(Debug)]
pub(crate) struct Inquest {
    resp: Resp,
    /// What the reply before the first wrong one had to be.
    before: Option<Expect>,
    heard: Vec<Heard>,
}

impl Inquest {
    /// No inquest is open.
    pub(crate) fn new(resp: Resp) -> Self {
        Self { resp, before: None, heard: Vec::new() }
    }

    /// Hears the next reply of the connection. Returns what was found when that decides it.
    pub(crate) fn hear(&mut self, heard: Heard) -> Outcome {
        if self.heard.is_empty() && heard.fit == Fit::Exact {
            self.before = Some(heard.expect);
            return Outcome::default();
        }
        self.heard.push(heard);
        if self.heard.len() < WITNESSES { Outcome::default() } else { self.conclude() }
    }

    /// Whether a wrong reply is not explained yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Decides with what was heard.
    pub(crate) fn conclude(&mut self) -> Outcome {
        let heard = std::mem::take(&mut self.heard);
        let before = self.before.take();
        if let Some(class) = self.shifted(before.as_ref(), &heard) {
            let misled = heard.iter().map(|heard| heard.call.clone()).collect();
            let first = heard.into_iter().take(1);
            let findings = first
                .map(|heard| Finding { class, detail: "from here on".into(), heard })
                .collect();
            return Outcome { findings, misled };
        }
        let swapped = self.swapped(&heard);
        let findings = heard
            .into_iter()
            .zip(swapped)
            .filter(|(heard, _)| heard.fit != Fit::Exact)
            .map(|(heard, swapped)| {
                let (class, detail) =
                    if swapped { (Class::Reordered, String::new()) } else { self.classify(&heard) };
                Finding { class, detail, heard }
            })
            .collect();
        Outcome { findings, misled: Vec::new() }
    }

    /// All replies are those of the next requests (one is missing), or those of the requests before (one is too many).
    fn shifted(&self, before: Option<&Expect>, heard: &[Heard]) -> Option<Class> {
        let wrong = heard.iter().filter(|heard| heard.fit != Fit::Exact).count();
        if wrong < 2 {
            return None;
        }
        let fits =
            |expect: &Expect, heard: &Heard| expect.fit(&heard.reply, self.resp) == Fit::Exact;
        let ahead = heard.windows(2).all(|pair| fits(&pair[1].expect, &pair[0]));
        let behind = before.is_some_and(|expect| fits(expect, &heard[0]))
            && heard.windows(2).all(|pair| fits(&pair[0].expect, &pair[1]));
        match (ahead && wrong > 2, behind) {
            (true, _) => Some(Class::MissingReply),
            (_, true) => Some(Class::ExtraReply),
            _ => None,
        }
    }

    /// Marks wrong replies each of which is what another one had to be.
    fn swapped(&self, heard: &[Heard]) -> Vec<bool> {
        let strict = |expect: &Expect, heard: &Heard| {
            *expect != Expect::Anything && expect.fit(&heard.reply, self.resp) == Fit::Exact
        };
        let wrong = |heard: &Heard| heard.fit != Fit::Exact;
        let answers_another = |one: usize| {
            heard
                .iter()
                .enumerate()
                .any(|(other, h)| other != one && wrong(h) && strict(&h.expect, &heard[one]))
        };
        let answered_elsewhere = |one: usize| {
            heard
                .iter()
                .enumerate()
                .any(|(other, h)| other != one && wrong(h) && strict(&heard[one].expect, h))
        };
        (0..heard.len())
            .map(|one| wrong(&heard[one]) && answers_another(one) && answered_elsewhere(one))
            .collect()
    }

    fn classify(&self, heard: &Heard) -> (Class, String) {
        match heard.expect.difference(&heard.reply, self.resp) {
            Difference::Type => (Class::WrongType, String::new()),
            Difference::Value => (Class::WrongValue, String::new()),
            Difference::Lost(detail) => (Class::Lost, detail),
            Difference::Doubled(detail) => (Class::Doubled, detail),
            Difference::Order => (Class::Reordered, "elements stand in another order".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::op::Op;

    fn heard(want: &str, got: &str) -> Heard {
        let expect = Expect::Bulk(want.into());
        let reply = Reply::Bulk(got.into());
        Heard {
            call: Call::One(0, Op::Get),
            fit: expect.fit(&reply, Resp::Two),
            expect,
            reply,
            received: 0,
        }
    }

    fn classes(pairs: &[(&str, &str)]) -> Vec<Class> {
        let mut inquest = Inquest::new(Resp::Two);
        let mut found = Vec::new();
        for (want, got) in pairs {
            found.extend(inquest.hear(heard(want, got)).findings);
        }
        found.extend(inquest.conclude().findings);
        found.into_iter().map(|finding| finding.class).collect()
    }

    #[test]
    fn right_replies_open_no_inquest() {
        assert_eq!(classes(&[("a", "a"), ("b", "b")]), []);
    }

    #[test]
    fn a_wrong_value_among_right_ones_is_a_wrong_value() {
        assert_eq!(classes(&[("a", "a"), ("b", "x"), ("c", "c"), ("d", "d")]), [Class::WrongValue]);
    }

    #[test]
    fn two_replies_that_changed_places_are_reordered() {
        assert_eq!(
            classes(&[("a", "a"), ("b", "c"), ("c", "b"), ("d", "d")]),
            [Class::Reordered; 2]
        );
        assert_eq!(classes(&[("b", "d"), ("c", "c"), ("d", "b")]), [Class::Reordered; 2]);
    }

    #[test]
    fn a_missing_reply_shifts_all_that_follow() {
        let shifted = [
            ("a", "a"),
            ("b", "c"),
            ("c", "d"),
            ("d", "e"),
            ("e", "f"),
            ("f", "g"),
            ("g", "h"),
            ("h", "i"),
            ("i", "j"),
        ];
        assert_eq!(classes(&shifted), [Class::MissingReply]);
    }

    #[test]
    fn a_reply_too_many_shifts_all_that_follow() {
        let shifted = [("a", "a"), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")];
        assert_eq!(classes(&shifted), [Class::ExtraReply]);
    }
}
