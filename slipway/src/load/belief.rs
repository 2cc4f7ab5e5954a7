//! What a client knows of one key: the states it may be in.
//!
//! One state as long as every write was acknowledged. A write whose fate is unknown doubles the states: with it and without it. A reply
//! drops the states it contradicts; when none is left, something was wrong. No state at all means that nothing is known: the next read
//! of the whole key is believed.

use super::expect::{Expect, Fit, Whole};
use super::model::{Deadline, Life, State, Window};
use super::op::Op;
use super::reply::{Reply, Resp};

/// The most states kept of a key; with more of them the key counts as unknown and is read.
pub(crate) const STATES_MAX: usize = 256;

/// The states a key may be in; none means that nothing is known.
#[derive(Debug)]
pub(crate) struct Belief {
    states: Vec<State>,
    /// While nothing is known: the deadline that the last PTTL told.
    deadline: Option<Deadline>,
}

/// What a reply must have been, and whether it was.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) expect: Expect,
    pub(crate) fit: Fit,
}

impl Belief {
    /// The key does not exist.
    pub(crate) fn missing() -> Self {
        Self { states: vec![State::default()], deadline: None }
    }

    /// Nothing is known of the key.
    pub(crate) fn nothing() -> Self {
        Self { states: Vec::new(), deadline: None }
    }

    /// Whether nothing is known.
    pub(crate) fn is_nothing(&self) -> bool {
        self.states.is_empty()
    }

    #[cfg(test)]
    fn is_certain(&self) -> bool {
        self.states.len() == 1
    }

    /// Compares the reply to `op` with what it must be, and learns from it.
    pub(crate) fn judge(
        &mut self,
        op: &Op,
        window: Window,
        reply: &Reply,
        resp: Resp,
    ) -> Judgement {
        self.expire(window);
        if let [state] = &mut self.states[..] {
            let expect = state.apply(op, window);
            let fit = expect.fit(reply, resp);
            return Judgement { expect, fit };
        }
        if self.states.is_empty() {
            self.adopt(op, window, reply, resp);
            return Judgement { expect: Expect::Anything, fit: Fit::Exact };
        }
        let mut possible = Vec::new();
        self.states.retain_mut(|state| {
            let expect = state.apply(op, window);
            let fits = expect.fit(reply, resp) == Fit::Exact;
            if !possible.contains(&expect) {
                possible.push(expect);
            }
            fits
        });
        self.merge();
        let expect = Expect::OneOf(possible);
        let fit = expect.fit(reply, resp);
        Judgement { expect, fit }
    }

    /// The fate of `op` is unknown: the key is as before it or as after it.
    pub(crate) fn doubt(&mut self, op: &Op, window: Window) {
        self.expire(window);
        let mut after = self.states.clone();
        for state in &mut after {
            state.apply(op, window);
        }
        self.states.append(&mut after);
        self.merge();
        if self.states.len() > STATES_MAX {
            self.states.clear();
        }
    }

    /// Whether the key exists in some state, and whether in all.
    pub(crate) fn existence(&mut self, window: Window) -> (i64, i64) {
        self.expire(window);
        let there = |state: &State| state.clone().apply(&Op::Exists, window) == Expect::Int(1);
        let all = !self.states.is_empty() && self.states.iter().all(there);
        let some = self.states.is_empty() || self.states.iter().any(there);
        (all.into(), some.into())
    }

    /// A state whose deadline may have passed becomes two; one whose deadline has passed is that of a missing key.
    fn expire(&mut self, window: Window) {
        let mut gone = false;
        self.states.retain(|state| {
            let life = state.life(window);
            gone |= life != Life::There;
            life != Life::Gone
        });
        if gone {
            self.states.push(State::default());
            self.merge();
        }
    }

    fn merge(&mut self) {
        let mut at = 0;
        while at < self.states.len() {
            if self.states[..at].contains(&self.states[at]) {
                self.states.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Learns from a command that needs nothing known: one that reads or replaces the whole key.
    fn adopt(&mut self, op: &Op, window: Window, reply: &Reply, resp: Resp) {
        match op {
            Op::Set { .. } | Op::Del | Op::GetSet { .. } | Op::GetDel => {
                let mut state = State::default();
                state.apply(op, window);
                self.states.push(state);
            }
            Op::PTtl => {
                self.deadline = match reply {
                    Reply::Int(ms) if *ms >= 0 => Some(Deadline {
                        earliest: window.sent + *ms as u64 * 1000,
                        latest: window.received + (*ms as u64 + 1) * 1000,
                    }),
                    _ => None,
                };
            }
            op if op.reads_all() => {
                self.states.extend(
                    Whole::of(op, reply, resp).map(|whole| State::of(whole, self.deadline)),
                );
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    fn at(ms: u64) -> Window {
        Window { sent: ms * MS, received: (ms + 1) * MS, margin: 5 * MS }
    }

    fn judge(belief: &mut Belief, op: &Op, ms: u64, reply: &Reply) -> Fit {
        belief.judge(op, at(ms), reply, Resp::Two).fit
    }

    fn set(value: &str) -> Op {
        Op::Set { value: value.into(), life_ms: None }
    }

    #[test]
    fn a_write_of_unknown_fate_leaves_two_states_and_a_read_decides() {
        for (answer, next) in [(":1", 2), (":2", 3)] {
            let mut key = Belief::missing();
            assert_eq!(judge(&mut key, &Op::Incr, 1, &Reply::Int(1)), Fit::Exact);
            key.doubt(&Op::Incr, at(2));
            assert!(!key.is_certain());
            let read = Reply::Bulk(answer[1..].into());
            assert_eq!(judge(&mut key, &Op::GetNumber, 3, &read), Fit::Exact, "{answer}");
            assert!(key.is_certain());
            assert_eq!(judge(&mut key, &Op::Incr, 4, &Reply::Int(next)), Fit::Exact);
        }
    }

    #[test]
    fn a_write_of_unknown_fate_that_was_executed_twice_is_wrong() {
        let mut key = Belief::missing();
        key.doubt(&Op::Incr, at(1));
        assert_eq!(judge(&mut key, &Op::GetNumber, 2, &Reply::Bulk("2".into())), Fit::OtherValue);
        assert!(key.is_nothing());
    }

    #[test]
    fn of_several_writes_of_unknown_fate_any_may_have_been_executed() {
        let mut key = Belief::missing();
        for element in ["a", "b"] {
            key.doubt(&Op::RPush(vec![element.into()]), at(1));
        }
        let list =
            |parts: &[&str]| Reply::Array(parts.iter().map(|p| Reply::Bulk((*p).into())).collect());
        let read = Op::LRange { last: -1 };
        assert_eq!(judge(&mut key, &read, 2, &list(&["b"])), Fit::Exact);
        assert_eq!(judge(&mut key, &read, 3, &list(&["a", "b"])), Fit::OtherValue);
    }

    #[test]
    fn too_many_states_make_a_key_unknown_and_a_read_makes_it_known() {
        let mut key = Belief::missing();
        for n in 0..9 {
            assert!(!key.is_nothing());
            key.doubt(&Op::SAdd(vec![vec![n]]), at(1));
        }
        assert!(key.is_nothing());
        assert_eq!(
            judge(&mut key, &Op::SMembers, 2, &Reply::Array(vec![Reply::Bulk("x".into())])),
            Fit::Exact
        );
        assert_eq!(judge(&mut key, &Op::SCard, 3, &Reply::Int(1)), Fit::Exact);
        assert_eq!(judge(&mut key, &Op::SCard, 3, &Reply::Int(2)), Fit::OtherValue);
    }

    #[test]
    fn a_key_is_there_before_its_deadline_and_gone_after_it() {
        for (read_at, there, gone) in [(50, true, false), (98, true, true), (110, false, true)] {
            for (reply, want) in [(Reply::Bulk("v".into()), there), (Reply::NilBulk, gone)] {
                let mut key = Belief::missing();
                let ok = Reply::Simple("OK".into());
                assert_eq!(
                    judge(&mut key, &Op::Set { value: "v".into(), life_ms: Some(100) }, 0, &ok),
                    Fit::Exact
                );
                assert_eq!(
                    judge(&mut key, &Op::Get, read_at, &reply) == Fit::Exact,
                    want,
                    "{read_at} ms: {reply}"
                );
                if want && read_at == 98 {
                    let later = if reply == Reply::NilBulk { Fit::OtherValue } else { Fit::Exact };
                    assert_eq!(
                        judge(&mut key, &Op::Get, 99, &Reply::Bulk("v".into())),
                        later,
                        "it cannot come back"
                    );
                }
            }
        }
    }

    #[test]
    fn a_time_to_live_has_exact_bounds() {
        for (ms, want) in
            [(93, Fit::OtherValue), (95, Fit::Exact), (100, Fit::Exact), (108, Fit::OtherValue)]
        {
            let mut key = Belief::missing();
            judge(&mut key, &set("v"), 0, &Reply::Simple("OK".into()));
            assert_eq!(judge(&mut key, &Op::PTtl, 0, &Reply::Int(-1)), Fit::Exact);
            assert_eq!(judge(&mut key, &Op::PExpire(150), 0, &Reply::Int(1)), Fit::Exact);
            assert_eq!(judge(&mut key, &Op::PTtl, 50, &Reply::Int(ms)), want, "{ms}");
        }
    }

    #[test]
    fn a_key_of_which_nothing_is_known_is_believed_with_its_deadline() {
        let mut key = Belief::nothing();
        assert_eq!(
            judge(&mut key, &Op::Append { value: "x".into() }, 1, &Reply::Int(99)),
            Fit::Exact
        );
        judge(&mut key, &Op::PTtl, 2, &Reply::Int(1000));
        judge(&mut key, &Op::Get, 2, &Reply::Bulk("abc".into()));
        assert!(key.is_certain());
        assert_eq!(judge(&mut key, &Op::PTtl, 500, &Reply::Int(502)), Fit::Exact);
        assert_eq!(judge(&mut key, &Op::Get, 1100, &Reply::NilBulk), Fit::Exact);
    }
}
