//! Makes a sequence of steps that fails as short as it gets: delta debugging, then shorter requests.

use super::generator::Step;
use std::time::{Duration, Instant};

/// Past this, what has been reached is good enough.
const TIME_MAX: Duration = Duration::from_secs(90);

/// Longer arguments are cut: Redis stores longer ones in another way.
const LONG: usize = 66;
/// Of so many steps, each two are tried.
const PAIRS_MAX: usize = 24;

/// Returns a short sequence for which `fails` still holds.
pub(crate) fn shrink(steps: &[Step], mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let end = Instant::now() + TIME_MAX;
    let mut steps = steps.to_vec();
    let alone: Vec<Step> = steps.iter().cloned().map(by_itself).collect();
    if fails(&alone) {
        steps = alone;
    }
    fewer_steps(&mut steps, &mut fails, end);
    while shorter_requests(&mut steps, &mut fails, end) || fewer_pairs(&mut steps, &mut fails, end)
    {
        fewer_steps(&mut steps, &mut fails, end);
    }
    steps
}

fn by_itself(mut step: Step) -> Step {
    if let Step::Send { ends_batch, .. } = &mut step {
        *ends_batch = true;
    }
    step
}

/// Leaves out pieces, half of all at first, single steps at last.
fn fewer_steps(steps: &mut Vec<Step>, fails: &mut impl FnMut(&[Step]) -> bool, end: Instant) {
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 && Instant::now() < end {
        let mut left_out = false;
        // From the end: what came before a step is what it may need.
        let mut at = steps.len();
        while at > 0 && Instant::now() < end {
            let from = at.saturating_sub(piece);
            let without = [&steps[..from], &steps[at..]].concat();
            if !without.is_empty() && fails(&without) {
                *steps = without;
                left_out = true;
            }
            at = from;
        }
        if piece == 1 && !left_out {
            break;
        }
        piece = if left_out && piece <= steps.len() { piece } else { piece / 2 };
        piece = piece.min(steps.len());
    }
}

/// Leaves out two steps that need each other; whether any were.
fn fewer_pairs(
    steps: &mut Vec<Step>,
    fails: &mut impl FnMut(&[Step]) -> bool,
    end: Instant,
) -> bool {
    if steps.len() > PAIRS_MAX {
        return false;
    }
    for second in (1..steps.len()).rev() {
        for first in (0..second).rev() {
            let mut without = steps.clone();
            without.remove(second);
            without.remove(first);
            if Instant::now() < end && !without.is_empty() && fails(&without) {
                *steps = without;
                return true;
            }
        }
    }
    false
}

/// Leaves out arguments, and makes long ones short; whether anything changed.
fn shorter_requests(
    steps: &mut Vec<Step>,
    fails: &mut impl FnMut(&[Step]) -> bool,
    end: Instant,
) -> bool {
    let mut changed = false;
    for step in 0..steps.len() {
        // Pairs, and options with a value, go together: hence 2, and 6 for what comes in threes as well.
        for many in [256, 64, 16, 6, 2, 1] {
            let mut argument = steps[step].request_len();
            while argument > 1 && Instant::now() < end {
                argument = argument.saturating_sub(many).max(1);
                changed |= attempt(steps, fails, step, |request| {
                    let to = (argument + many).min(request.len());
                    drop(request.drain(argument.min(to)..to));
                });
            }
        }
        for argument in 1..steps[step].request_len() {
            changed |= attempt(steps, fails, step, |request| {
                if request[argument].len() > LONG {
                    request[argument].truncate(LONG);
                }
            });
        }
    }
    changed
}

fn attempt(
    steps: &mut Vec<Step>,
    fails: &mut impl FnMut(&[Step]) -> bool,
    at: usize,
    change: impl FnOnce(&mut Vec<Vec<u8>>),
) -> bool {
    let mut other = steps.clone();
    let Step::Send { request, .. } = &mut other[at] else { return false };
    change(request);
    let better = other != *steps && fails(&other);
    if better {
        *steps = other;
    }
    better
}
