//! A fixed rate that does not saturate anything: the latency that a user sees.

use crate::case::{KEYS, mixed};
use crate::load::{NUMBER, Pace, Template, Traffic};
use crate::measure::{Bench, fill, timed};
use anyhow::Result;

/// Connections that share the rate.
const CLIENTS: usize = 50;

/// A short run says little of the slowest thousandth.
const TIMES_AS_LONG: u32 = 4;

/// The name of the case with this rate.
pub(crate) fn name(rate: u32) -> String {
    format!("mixed-{rate}-per-s")
}

impl Bench {
    /// Measures a mixture of requests that come at `rate` a second.
    pub(crate) fn steady(&mut self, rate: u32) -> Result<()> {
        let set = ["SET".to_owned(), format!("short:{NUMBER}"), "v".repeat(64)];
        self.ground.clear()?;
        let case = name(rate);
        for subject in &self.subjects {
            subject.clear()?;
            if let Err(why) = fill(subject, &Traffic::each(Template::new(&set)), KEYS) {
                self.record.refuse(&case, &subject.name, format!("{why:#}"));
            }
        }
        self.interleave(&case, |bench, subject| {
            let mut fleet = bench.fleet(subject, CLIENTS)?;
            let pace = |time| Pace::Open { rate: f64::from(rate), time };
            timed(subject, &mut fleet, &mixed(), pace, bench.time * TIMES_AS_LONG)
        })
    }
}
