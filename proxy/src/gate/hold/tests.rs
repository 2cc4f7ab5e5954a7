use super::*;
use crate::request::{Again, Aim, FlavourIndex, Origin, Request, Slots};
use cluster::{Epoch, Slot, Token};

const SOFT: Duration = Duration::from_millis(50);

fn belief(node: u16, epoch: u64, token: Option<u128>) -> Route<NodeIndex> {
    Route { node: NodeIndex(node), epoch: Epoch(epoch), token: token.map(Token) }
}

fn key(node: u16) -> Key {
    Key { node: NodeIndex(node), lane: 0, flavour: FlavourIndex(0) }
}

fn kept(text: &'static str, hops: u32) -> Kept {
    let request = Request {
        origin: Origin::Nobody,
        slots: Slots::One(Slot(1)),
        again: Again::May,
        aim: Aim::Owner,
        flavour: FlavourIndex(0),
        held_since: Some(Instant::now()),
        hops,
    };
    Kept { request, frame: text.into() }
}

fn leaving(hold: &mut Hold) -> Vec<String> {
    std::iter::from_fn(|| hold.pop())
        .map(|k| String::from_utf8_lossy(&k.frame).into_owned())
        .collect()
}

#[test]
fn what_came_back_leaves_before_what_came_meanwhile() {
    let now = Instant::now();
    let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
    hold.keep(kept("third", 0));
    hold.stuck(key(0));
    hold.take_back(kept("first", 1), now);
    hold.keep(kept("fourth", 0));
    hold.take_back(kept("second", 1), now);
    assert_eq!(hold.decide(1, belief(1, 2, None), now), Stage::Draining, "one is still on its way");
    assert_eq!(hold.decide(0, belief(1, 2, None), now), Stage::Releasing);
    assert_eq!(leaving(&mut hold), ["first", "second", "third", "fourth"]);
}

#[test]
fn a_closed_slot_waits_until_something_new_is_believed() {
    let now = Instant::now();
    let old = belief(0, 1, None);
    for (news, stage) in [
        (old, Stage::Waiting),
        (belief(1, 2, None), Stage::Releasing),
        (belief(0, 1, Some(7)), Stage::Releasing),
        (belief(0, 2, None), Stage::Releasing),
    ] {
        let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
        hold.stuck(key(0));
        hold.found_closed(old);
        assert_eq!(hold.decide(0, old, now), Stage::Waiting);
        assert_eq!(hold.decide(0, news, now), stage, "{news:?}");
    }
    let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
    hold.stuck(key(0));
    hold.found_closed(old);
    hold.opened();
    assert_eq!(hold.decide(0, old, now), Stage::Releasing, "it opened where it was");
}

#[test]
fn a_late_word_does_not_close_what_was_never_tried() {
    let now = Instant::now();
    // Requests went out under the old belief; the new one comes before they are back.
    let (old, new) = (belief(0, 1, None), belief(1, 2, Some(5)));
    let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
    hold.stuck(key(0));
    hold.found_closed(new);
    assert_eq!(hold.decide(0, new, now), Stage::Releasing);
    // Turned away again, now under the new one: this time it counts.
    hold.stuck(key(1));
    hold.found_closed(new);
    assert_eq!(hold.decide(0, new, now), Stage::Waiting);
}

#[test]
fn each_connection_is_told_to_resume_and_shown_the_token_once() {
    let now = Instant::now();
    let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
    assert_eq!(hold.stuck(key(0)), Stuck::Now);
    assert_eq!(hold.stuck(key(0)), Stuck::Already);
    hold.decide(0, belief(1, 2, Some(1)), now);
    assert_eq!(hold.take_sticky().as_slice(), [key(0)]);
    assert!(hold.presents(key(1)) && !hold.presents(key(1)));
    assert!(!hold.presents(key(0)), "RESUME was said there already");
}

#[test]
fn requests_that_are_sent_to_and_fro_slow_down() {
    let now = Instant::now();
    let pause = |hops| {
        let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
        hold.take_back(kept("x", hops), now);
        (0..200).find(|&ms| {
            hold.decide(0, belief(1, 2, None), now + Duration::from_millis(ms)) == Stage::Releasing
        })
    };
    assert_eq!(pause(1), Some(0));
    assert_eq!(pause(HOPS_AT_ONCE), Some(0));
    assert_eq!(pause(HOPS_AT_ONCE + 1), Some(4));
    assert_eq!(pause(1000), Some(128));
}

#[test]
fn the_end_of_a_pause_is_due() {
    let (now, old, new) = (Instant::now(), belief(0, 1, None), belief(1, 2, None));
    let mut hold = Hold::new(HoldKind::Bounce, old, now, SOFT);
    hold.take_back(kept("x", HOPS_AT_ONCE + 1), now);
    assert_eq!(hold.decide(0, new, now), Stage::Waiting);
    assert!(hold.due(now + ASK_FIRST).ask, "the next question is due in 6 ms");
    let end = now + Duration::from_millis(4);
    assert_eq!(hold.due_at(), Some(end));
    assert_eq!(hold.decide(0, new, end), Stage::Releasing);
}

#[test]
fn a_node_is_asked_after_2_4_8_and_then_every_50_ms() {
    let start = Instant::now();
    let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), start, SOFT);
    hold.stuck(key(0));
    hold.found_closed(belief(0, 1, None));
    hold.decide(0, belief(0, 1, None), start);
    let (mut asked, mut soft) = (Vec::new(), Vec::new());
    for ms in 0..1100 {
        let due = hold.due(start + Duration::from_millis(ms));
        asked.extend(due.ask.then_some(ms));
        soft.extend(due.soft.then_some(ms));
    }
    assert_eq!(asked[..8], [2, 6, 14, 30, 62, 112, 162, 212]);
    assert_eq!(soft, [50, 1050]);
}

#[test]
fn only_what_is_too_old_is_taken_out() {
    let now = Instant::now();
    let mut hold = Hold::new(HoldKind::Bounce, belief(0, 1, None), now, SOFT);
    let mut old = kept("old", 0);
    old.request.held_since = now.checked_sub(Duration::from_secs(1));
    hold.keep(old);
    hold.keep(kept("new", 0));
    let limit = now.checked_sub(Duration::from_millis(500)).unwrap();
    assert!(hold.pop_older_than(limit).is_some_and(|k| &k.frame[..] == b"old"));
    assert!(hold.pop_older_than(limit).is_none());
    assert_eq!(hold.len(), 1);
}
