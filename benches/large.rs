//! A data set larger than what a node may keep in memory: whether it stays usable, and how much it writes for what it is given.
//!
//! The node is a fresh one with a small memory setting; its files may still be in the machine's page cache, which the node does not rule.
//! Values are digits, half of them random, so that compression finds something, but not everything.

use crate::case::KEYS;
use crate::cost::{resident_mib, written_bytes};
use crate::load::{NUMBER, Pace, Template, Traffic};
use crate::measure::{Bench, Values, fill, timed, wait_until_it_rests};
use crate::subject::{self, Subject};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The name of the case.
pub(crate) const NAME: &str = "larger-than-memory";

/// What is told of it, in this order.
pub(crate) const VALUES: [&str; 12] = [
    "data_mib",
    "memory_mib",
    "fill_mib_per_s",
    "fill_write_amplification",
    "requests_per_s",
    "nulls_share",
    "cpu_us",
    "p50_ms",
    "p99_ms",
    "p999_ms",
    "write_amplification",
    "rss_mib",
];

/// So many times the memory is the data.
const TIMES_MEMORY: u64 = 16;

/// A value: so many numbers of [`NUMBER`]'s width, about 1 KiB.
const NUMBERS: usize = 85;
const REQUEST_BYTES: u64 = (NUMBERS * NUMBER.len() + "large:".len() + NUMBER.len()) as u64;

/// Requests a second over the data, half of them reads, and how long.
const RATE: f64 = 4_000.0;
const CLIENTS: usize = 50;
const TIMES_AS_LONG: u32 = 20;

impl Bench {
    /// Fills a fresh node with so many bytes, and then reads and writes all over them at a fixed rate.
    pub(crate) fn larger_than_memory(&mut self, data_bytes: u64) -> Result<()> {
        let memory_bytes = data_bytes / TIMES_MEMORY;
        let node = subject::node_with_memory(&self.ground, memory_bytes)?;
        match self.measure_large(&node, data_bytes, memory_bytes) {
            Ok(values) => self.record.add(NAME, &node.name, 0, &values),
            Err(why) => self.record.refuse(NAME, &node.name, format!("{why:#}")),
        }
        Ok(())
    }

    fn measure_large(&self, node: &Subject, data_bytes: u64, memory_bytes: u64) -> Result<Values> {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let keys = (data_bytes / REQUEST_BYTES).max(KEYS);
        let (get, set) = ([word("GET"), key()], [word("SET"), key(), NUMBER.repeat(NUMBERS)]);
        let (get, set) = (Template::new(&get), Template::new(&set));
        let (begin, before) = (Instant::now(), written_bytes(node.processes())?);
        // Twice as many writes as keys: most of them are there afterwards, and many were written again.
        fill(node, &Traffic::random(vec![(1, set.clone())], keys), 2 * keys)?;
        let took = begin.elapsed();
        let settled = settle(node, before)?;
        let given = 2 * keys * REQUEST_BYTES;
        let mut values = vec![
            ("data_mib", mib(keys * REQUEST_BYTES)),
            ("memory_mib", mib(memory_bytes)),
            ("fill_mib_per_s", mib(given) / took.as_secs_f64()),
            ("fill_write_amplification", settled as f64 / given as f64),
        ];
        let mut fleet = self.fleet(node, CLIENTS)?;
        let (before, time) = (written_bytes(node.processes())?, self.time * TIMES_AS_LONG);
        let traffic = Traffic::random(vec![(1, get), (1, set)], keys);
        let begin = Instant::now();
        values.extend(timed(
            node,
            &mut fleet,
            &traffic,
            |time| Pace::Open { rate: RATE, time },
            time,
        )?);
        let sent = RATE * begin.elapsed().as_secs_f64() / 2.0 * REQUEST_BYTES as f64;
        values.push(("write_amplification", settle(node, before)? as f64 / sent));
        values.push(("rss_mib", resident_mib(node.processes())?[0]));
        Ok(values)
    }
}

fn word(word: &str) -> String {
    word.to_owned()
}

fn key() -> String {
    format!("large:{NUMBER}")
}

/// Waits until what was written is compacted; returns how many bytes that and the writing took.
fn settle(node: &Subject, before: u64) -> Result<u64> {
    const SETTLE_MAX: Duration = Duration::from_secs(30);
    wait_until_it_rests(node, SETTLE_MAX)?;
    Ok(written_bytes(node.processes())?.saturating_sub(before))
}
