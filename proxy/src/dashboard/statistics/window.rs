//! What the last 1, 10, 60, 600 and 3600 seconds were like, from what happened in each second. Pure.
//!
//! Seconds are kept for a minute, ten seconds together for ten minutes, minutes for an hour. A window is always whole: the longer ones reach up
//! to ten seconds, or a minute, further back than their name says, and rates are over the time they really cover.

use crate::metrics::{BUCKETS, LOWER_MS};
use std::collections::VecDeque;
use std::time::Duration;

/// Windows, in seconds.
pub(crate) const WINDOWS_S: [u64; 5] = [1, 10, 60, 600, 3600];

/// Steps kept of each level.
const KEPT: usize = 60;
/// Of each level: seconds a step; and of its windows how many steps they have.
const LEVELS: [(usize, &[usize]); 3] = [(1, &[1, 10, 60]), (10, &[KEPT]), (60, &[KEPT])];

/// What happened to one command in one second, or in several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) took: Duration,
    pub(crate) calls: u64,
    pub(crate) us: u64,
    pub(crate) max_us: u64,
    /// Buckets that are not empty, in their order.
    pub(crate) delays: Vec<(u16, u32)>,
}

impl Step {
    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.took += other.took;
        self.add_beside(other);
    }

    /// Both together, where they happened in the same time.
    pub(crate) fn add_beside(&mut self, other: &Self) {
        self.calls += other.calls;
        self.us += other.us;
        self.max_us = self.max_us.max(other.max_us);
        self.delays.extend(&other.delays);
        self.delays.sort_unstable();
        self.delays.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
    }
}

/// Steps together, with all buckets.
#[derive(Clone, Debug)]
struct Sum {
    took: Duration,
    calls: u64,
    us: u64,
    delays: Box<[u64; BUCKETS]>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { took: Duration::ZERO, calls: 0, us: 0, delays: Box::new([0; BUCKETS]) }
    }
}

impl Sum {
    fn add(&mut self, step: &Step) {
        self.took += step.took;
        self.calls += step.calls;
        self.us += step.us;
        step.delays.iter().for_each(|&(at, n)| self.delays[usize::from(at)] += u64::from(n));
    }

    fn sub(&mut self, step: &Step) {
        self.took = self.took.saturating_sub(step.took);
        self.calls -= step.calls;
        self.us -= step.us;
        step.delays.iter().for_each(|&(at, n)| self.delays[usize::from(at)] -= u64::from(n));
    }
}

/// Steps of one length.
#[derive(Debug)]
struct Level {
    seconds: usize,
    /// What has happened since the last step was whole, and in how many seconds.
    partial: (Step, usize),
    /// The oldest first.
    steps: VecDeque<Step>,
    /// How many steps, and their sum with the partial one.
    windows: Vec<(usize, Sum)>,
}

impl Level {
    fn push(&mut self, second: &Step) {
        self.windows.iter_mut().for_each(|(_, sum)| sum.add(second));
        self.partial.0.add(second);
        self.partial.1 += 1;
        if self.partial.1 < self.seconds {
            return;
        }
        let mut step = std::mem::take(&mut self.partial).0;
        step.delays.shrink_to_fit();
        self.steps.push_back(step);
        for (len, sum) in &mut self.windows {
            if let Some(over) = self.steps.len().checked_sub(*len + 1) {
                sum.sub(&self.steps[over]);
            }
        }
        if self.steps.len() > KEPT {
            self.steps.pop_front();
        }
    }

    /// The longest of the last `len` steps and of the partial one.
    fn max_us(&self, len: usize) -> u64 {
        let whole = self.steps.iter().rev().take(len).map(|step| step.max_us);
        whole.max().unwrap_or(0).max(self.partial.0.max_us)
    }
}

/// One command over time.
#[derive(Debug)]
pub(crate) struct Series {
    levels: Vec<Level>,
}

impl Default for Series {
    fn default() -> Self {
        let level = |(seconds, lens): (usize, &[usize])| Level {
            seconds,
            partial: Default::default(),
            steps: VecDeque::new(),
            windows: lens.iter().map(|&len| (len, Sum::default())).collect(),
        };
        Self { levels: LEVELS.into_iter().map(level).collect() }
    }
}

/// One window, as Codis tells it: milliseconds are rounded up, so that "90 % took at most `tp[0]`" is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) calls: u64,
    pub(crate) us: u64,
    pub(crate) per_second: u64,
    pub(crate) avg_ms: u64,
    /// 90, 99, 99.9, 99.99 and 100 %.
    pub(crate) tp_ms: [u64; 5],
    /// At least 50, 100, 200, 300, 500, 1000, 2000 and 3000 ms.
    pub(crate) over: [u64; 8],
}

/// Parts of ten thousand.
const TP: [u64; 5] = [9_000, 9_900, 9_990, 9_999, 10_000];
const OVER_MS: [u32; 8] = [50, 100, 200, 300, 500, 1_000, 2_000, 3_000];

impl Series {
    /// Another second is over.
    pub(crate) fn push(&mut self, second: &Step) {
        self.levels.iter_mut().for_each(|level| level.push(second));
    }

    /// All windows, in the order of [`WINDOWS_S`].
    pub(crate) fn windows(&self) -> [Window; 5] {
        let mut all = self.levels.iter().flat_map(|level| {
            level.windows.iter().map(|(len, sum)| window(sum, level.max_us(*len)))
        });
        std::array::from_fn(|_| all.next().unwrap_or_default())
    }

    /// The longest request of about so long, in microseconds. What is more than an hour ago is forgotten.
    pub(crate) fn max_us(&self, period: Duration) -> u64 {
        let seconds = period.as_secs_f64().ceil().max(1.0) as usize;
        let fits = |level: &&Level| level.seconds * KEPT >= seconds;
        let level = self.levels.iter().find(fits).or(self.levels.last());
        level.map_or(0, |level| level.max_us(seconds.div_ceil(level.seconds)))
    }
}

fn window(sum: &Sum, max_us: u64) -> Window {
    let max_ms = max_us.div_ceil(1000);
    let seconds = sum.took.as_secs_f64();
    let from = |ms: u32| {
        let at = LOWER_MS.partition_point(|&lower| lower < ms);
        sum.delays[at..].iter().sum()
    };
    Window {
        calls: sum.calls,
        us: sum.us,
        per_second: if seconds > 0.0 { (sum.calls as f64 / seconds).round() as u64 } else { 0 },
        avg_ms: (sum.us as f64 / sum.calls.max(1) as f64 / 1000.0).round() as u64,
        tp_ms: TP
            .map(|part| if part == 10_000 { max_ms } else { percentile(sum, part).min(max_ms) }),
        over: OVER_MS.map(from),
    }
}

/// The upper bound of the bucket in which the request is that so many are not longer than.
fn percentile(sum: &Sum, part: u64) -> u64 {
    let rank = (sum.calls * part).div_ceil(10_000);
    let mut so_far = 0;
    for (at, &n) in sum.delays.iter().enumerate() {
        so_far += n;
        if so_far >= rank && rank > 0 {
            return LOWER_MS.get(at + 1).map_or(u64::MAX, |&upper| u64::from(upper));
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::bucket;

    const SECOND: Duration = Duration::from_secs(1);

    /// Requests of one second, by their milliseconds.
    fn second(of: &[u64]) -> Step {
        let mut step = Step { took: SECOND, ..Step::default() };
        for &ms in of {
            let delays = vec![(bucket(ms * 1000) as u16, 1)];
            let one = Step { calls: 1, us: ms * 1000, max_us: ms * 1000, delays, took: SECOND };
            step.add_beside(&one);
        }
        step
    }

    #[test]
    fn percentiles_and_counts_are_those_of_the_requests() {
        let mut series = Series::default();
        let all: Vec<u64> = (0..10_000).map(|i| if i < 9_000 { 3 } else { i - 9_000 }).collect();
        series.push(&second(&all));
        let window = series.windows()[0];
        assert_eq!((window.calls, window.per_second), (10_000, 10_000));
        assert_eq!(window.tp_ms[0], 4, "3 ms and a part of one");
        // 99 % is the 900th of the last thousand, within a thirtieth.
        assert!((900..=930).contains(&window.tp_ms[1]), "{window:?}");
        assert_eq!((window.tp_ms[3], window.tp_ms[4]), (999, 999), "never more than the longest");
        assert_eq!(window.over, [950, 900, 800, 700, 500, 0, 0, 0]);
        assert_eq!(window.avg_ms, 53, "526,500 ms by 10,000, rounded");
        assert_eq!(window.us, (9_000 * 3 + 499_500) * 1000);
    }

    #[test]
    fn every_window_forgets_what_is_over() {
        let mut series = Series::default();
        series.push(&second(&[70]));
        let calls = |series: &Series| series.windows().map(|window| window.calls);
        assert_eq!(calls(&series), [1; 5]);
        let mut when = [0; 5];
        for passed in 1..=3700 {
            series.push(&second(&[]));
            for (at, calls) in calls(&series).into_iter().enumerate() {
                if calls == 0 && when[at] == 0 {
                    when[at] = passed;
                }
            }
        }
        assert_eq!(when, [1, 10, 60, 609, 3659], "a step longer at most");
        assert_eq!(series.windows(), [Window::default(); 5]);
        assert!(series.levels.iter().all(|level| level.steps.len() <= KEPT));
    }

    #[test]
    fn rates_are_over_the_time_there_was() {
        let mut series = Series::default();
        for _ in 0..5 {
            series.push(&second(&[1, 1, 1, 1]));
        }
        assert_eq!(series.windows().map(|window| window.per_second), [4; 5]);
        assert_eq!(series.windows().map(|window| window.calls), [4, 20, 20, 20, 20]);
    }

    #[test]
    fn the_longest_is_told_for_its_period() {
        let mut series = Series::default();
        series.push(&second(&[500]));
        (0..14).for_each(|_| series.push(&second(&[2])));
        assert_eq!(series.max_us(15 * SECOND), 500_000);
        series.push(&second(&[2]));
        assert_eq!(series.max_us(15 * SECOND), 2000);
        assert_eq!(series.max_us(Duration::from_secs(100)), 500_000);
        assert_eq!(series.max_us(Duration::from_secs(1 << 40)), 500_000);
        assert_eq!(series.max_us(Duration::from_nanos(1)), 2000);
    }

    #[test]
    fn nothing_happened_is_all_zeros() {
        assert_eq!(Series::default().windows(), [Window::default(); 5]);
        assert_eq!(Series::default().max_us(SECOND), 0);
    }
}
