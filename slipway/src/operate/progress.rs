//! A plan under way: a bar on a terminal, a line every few seconds elsewhere.

use super::human;
use crate::say;
use control::docs::PlanView;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// How often a line is printed where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(3);

/// The time over which rates are taken.
const RATE_TIME: Duration = Duration::from_secs(10);

/// Shows how far a plan is.
pub(super) struct Progress {
    output: Output,
    samples: VecDeque<Sample>,
    /// What was last said of the controller, so that it is said once.
    away: bool,
}

enum Output {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
    Nothing,
}

/// How far it was at some moment.
struct Sample {
    at: Instant,
    keys: u64,
    bytes: u64,
    permille: u32,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let output = if quiet {
            Output::Nothing
        } else if std::io::stderr().is_terminal() {
            Output::Bar(bar())
        } else {
            Output::Lines { last: None }
        };
        Self { output, samples: VecDeque::new(), away: false }
    }

    pub(super) fn show(&mut self, view: &PlanView) {
        let now = Instant::now();
        self.away = false;
        self.samples.push_back(Sample {
            at: now,
            keys: view.keys,
            bytes: view.bytes,
            permille: view.done_permille,
        });
        while self.samples.front().is_some_and(|s| now - s.at > RATE_TIME) {
            self.samples.pop_front();
        }
        let text = self.text(view);
        match &mut self.output {
            Output::Bar(bar) => {
                bar.set_position(view.done_permille.into());
                bar.set_message(text);
            }
            Output::Lines { last } => {
                if last.is_none_or(|at| now - at >= LINE_PERIOD) {
                    *last = Some(now);
                    say::note(text);
                }
            }
            Output::Nothing => {}
        }
    }

    /// The controller does not answer; the plan may be going on.
    pub(super) fn away(&mut self, error: &impl std::fmt::Display) {
        let text = format!("{error}; asking again");
        match &self.output {
            Output::Bar(bar) => bar.set_message(text),
            Output::Lines { .. } if !self.away => say::note(text),
            Output::Lines { .. } | Output::Nothing => {}
        }
        self.away = true;
    }

    pub(super) fn close(&mut self) {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }

    fn text(&self, view: &PlanView) -> String {
        let (keys_rate, bytes_rate) = self.rates();
        let mut parts = vec![format!(
            "{}/{} slots, {} keys ({}/s), {} ({}/s)",
            view.arrived,
            view.slots,
            human::count(view.keys),
            human::count(keys_rate),
            human::bytes(view.bytes),
            human::bytes(bytes_rate),
        )];
        parts.extend(self.eta(view).map(|eta| format!("{} left", human::seconds(eta))));
        let stall = view.stall_write_us;
        if stall.count > 0 {
            let (p50, p99, max) =
                (human::micros(stall.p50), human::micros(stall.p99), human::micros(stall.max));
            parts.push(format!("stall p50 {p50} p99 {p99} max {max}"));
        }
        parts.extend(view.notes.first().cloned());
        parts.join(", ")
    }

    /// Keys and bytes a second.
    fn rates(&self) -> (u64, u64) {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return (0, 0);
        };
        let seconds = (last.at - first.at).as_secs_f64();
        if seconds < 0.1 {
            return (0, 0);
        }
        let rate = |from: u64, to: u64| (to.saturating_sub(from) as f64 / seconds) as u64;
        (rate(first.keys, last.keys), rate(first.bytes, last.bytes))
    }

    /// Seconds left, by the pace of the last seconds.
    fn eta(&self, view: &PlanView) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let done = last.permille.checked_sub(first.permille).filter(|&done| done > 0)?;
        let pace = (last.at - first.at).as_secs_f64() / f64::from(done);
        Some((pace * f64::from(1000 - view.done_permille.min(1000))).ceil() as u64)
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(10));
    // A template that did not parse would only look plainer.
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
