//! How busy the machine is with others: what a measurement says of us, it says only while they leave us room.

use std::fs;
use std::time::Instant;

/// Ticks of /proc/stat a second (`USER_HZ`, 100 on every Linux of today).
const TICKS_A_SECOND: f64 = 100.0;

/// A moment from which processor time is counted.
#[derive(Debug)]
pub struct Since {
    at: Instant,
    all: u64,
    ours: u64,
    processes: Vec<u32>,
}

impl Since {
    /// Now; these processes are ours, beside those this one has started and waited for.
    pub fn now(processes: &[u32]) -> Self {
        let ours = ours(processes);
        Self { at: Instant::now(), all: all(), ours, processes: processes.to_vec() }
    }

    /// How many cores others have used since then, on average.
    pub fn cores_of_others(&self) -> f64 {
        let all = all().saturating_sub(self.all);
        let ours = ours(&self.processes).saturating_sub(self.ours);
        all.saturating_sub(ours) as f64 / TICKS_A_SECOND / self.at.elapsed().as_secs_f64()
    }
}

/// Ticks in which a core was not idle, stolen ones included.
fn all() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .skip(1)
        .map(|n| n.parse().unwrap())
        .collect();
    // user nice system idle iowait irq softirq steal; what follows is part of the first two.
    [0, 1, 2, 5, 6, 7].iter().map(|&i| fields.get(i).copied().unwrap_or(0)).sum()
}

fn ours(processes: &[u32]) -> u64 {
    let others = processes.iter().map(|id| ticks(&format!("/proc/{id}/stat"), 2));
    ticks("/proc/self/stat", 4) + others.sum::<u64>()
}

/// The first `count` of utime, stime, cutime, cstime, behind the name in parentheses.
fn ticks(path: &str, count: usize) -> u64 {
    let Ok(text) = fs::read_to_string(path) else { return 0 };
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(count).map(|n| n.parse::<u64>().unwrap_or(0)).sum()
}
