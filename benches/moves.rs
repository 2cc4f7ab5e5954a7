//! Slots that move from one of our nodes to another on this machine: how fast, what it costs, and what clients notice.
//!
//! One cluster of two nodes, a proxy and a controller, as an operator has them, with the settings it has when nothing is said. Slots go to and
//! fro, a way a round; a round counts from the command to the moment when the last old copy is gone.

use crate::case::mixed;
use crate::cost::Cpu;
use crate::load::{Fleet, NUMBER, Outcome, Pace, Template, Traffic};
use crate::measure::{Bench, Values, fill, no_errors, wait_until_it_rests};
use crate::subject::{Subject, cluster_of_ours};
use anyhow::{Context, Result, ensure};
use harness::cluster::{Cluster, Role};
use serde_json::Value as Json;
use std::time::{Duration, Instant};

/// The names of the cases.
pub(crate) const EMPTY: &str = "moves-of-empty-slots";
pub(crate) const SMALL: &str = "moves-of-small-keys";
pub(crate) const LOADED: &str = "moves-under-load";
pub(crate) const LARGE: &str = "moves-of-large-values";
/// All of them.
pub(crate) const NAME: &str = "moves";
pub(crate) const ALL: [&str; 4] = [EMPTY, LOADED, SMALL, LARGE];

/// Whose numbers they are.
pub(crate) const SUBJECT: &str = "node";

/// What is told of a move, in this order.
pub(crate) const VALUES: [&str; 17] = [
    "keys",
    "seconds",
    "keys_per_s",
    "mib_per_s",
    "ms_per_slot",
    "one_slot_ms",
    "source_cpu_us_per_key",
    "target_cpu_us_per_key",
    "control_cpu_us_per_slot",
    "stall_write_p99_ms",
    "stall_write_max_ms",
    "quiet_p99_ms",
    "p99_ms",
    "p99_ratio",
    "quiet_max_ms",
    "max_ms",
    "errors",
];

const SLOTS: u64 = 1024;

/// A slot is almost empty with so many keys.
const KEYS_OF_AN_EMPTY_SLOT: u64 = 4;

/// About so many keys move under load: more would only take longer.
const KEYS_UNDER_LOAD: u64 = 150_000;

/// A large value.
const LARGE_BYTES: u64 = 64 << 10;

/// Requests a second beside moves, and by how many clients.
const RATE: f64 = 4_000.0;
const CLIENTS: usize = 50;
/// How long clients are watched before slots move, as a multiple of a measurement.
const QUIET_TIMES: u32 = 10;

/// No further round begins after so long.
const CASE_MAX: Duration = Duration::from_secs(200);

/// What moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goods {
    /// Keys with 64 bytes each.
    pub(crate) keys: u64,
    /// Bytes of large values.
    pub(crate) large_bytes: u64,
}

/// The cluster, and where its slots are.
struct Ground {
    cluster: Cluster,
    proxy: Subject,
    /// The group that all slots go to next.
    next: u32,
}

/// One way of all slots.
struct Way {
    report: Json,
    source: Cpu,
    target: Cpu,
    control: Cpu,
}

impl Bench {
    /// Measures those of the cases that are wanted, each with what the earlier ones have left behind.
    pub(crate) fn moves(&mut self, goods: Goods, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let mut ground = Ground::start(self)?;
        if wanted(EMPTY) {
            ground.fill_short(SLOTS * KEYS_OF_AN_EMPTY_SLOT)?;
            self.rounds(&mut ground, EMPTY, |_, ground| {
                let one = ground.one_slot()?;
                let mut values = ground.go(SLOTS)?.values();
                values.push(("one_slot_ms", one));
                Ok(values)
            })?;
        }
        if wanted(LOADED) || wanted(SMALL) {
            ground.fill_short(goods.keys)?;
        }
        if wanted(LOADED) {
            // Slots as full as they are; as many of them as take some seconds.
            let slots = (KEYS_UNDER_LOAD * SLOTS / goods.keys).clamp(1, SLOTS);
            self.rounds(&mut ground, LOADED, |bench, ground| bench.go_under_load(ground, slots))?;
            ground.gather()?;
        }
        if wanted(SMALL) {
            self.rounds(&mut ground, SMALL, |_, ground| Ok(ground.go(SLOTS)?.values()))?;
        }
        if wanted(LARGE) {
            ground.forget_all()?;
            ground.fill_large(goods.large_bytes / LARGE_BYTES)?;
            self.rounds(&mut ground, LARGE, |_, ground| Ok(ground.go(SLOTS)?.values()))?;
        }
        Ok(())
    }

    fn rounds(
        &mut self,
        ground: &mut Ground,
        case: &str,
        mut measure: impl FnMut(&Self, &mut Ground) -> Result<Values>,
    ) -> Result<()> {
        let begin = Instant::now();
        for round in 0..self.rounds {
            wait_until_it_rests(&ground.proxy, REST_MAX)?;
            match measure(self, ground) {
                Ok(values) => self.record.add(case, SUBJECT, round, &values),
                Err(why) => {
                    self.record.refuse(case, SUBJECT, format!("{why:#}"));
                    break;
                }
            }
            if begin.elapsed() > CASE_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Watches clients for a while, and again while slots move.
    fn go_under_load(&self, ground: &mut Ground, slots: u64) -> Result<Values> {
        let mut fleet = self.fleet(&ground.proxy, CLIENTS)?;
        let watch = |fleet: &mut Fleet, time| -> Result<Outcome> {
            let outcome = fleet.run(&mixed(), Pace::Open { rate: RATE, time })?;
            no_errors(&outcome)?;
            Ok(outcome)
        };
        watch(&mut fleet, self.time)?;
        let quiet = watch(&mut fleet, self.time * QUIET_TIMES)?;
        let (way, moving) = std::thread::scope(|scope| -> Result<(Way, Outcome)> {
            let mover = scope.spawn(|| ground.go(slots));
            let mut moving = watch(&mut fleet, self.time)?;
            while !mover.is_finished() {
                moving.add(&watch(&mut fleet, self.time)?)?;
            }
            let way = mover.join().map_err(|_| anyhow::anyhow!("the mover panicked"))??;
            Ok((way, moving))
        })?;
        let mut values = way.values();
        values.extend([
            ("quiet_p99_ms", quiet.millis(0.99)),
            ("quiet_max_ms", quiet.millis(1.0)),
            ("p99_ms", moving.millis(0.99)),
            ("p99_ratio", moving.millis(0.99) / quiet.millis(0.99)),
            ("max_ms", moving.millis(1.0)),
            ("errors", moving.errors as f64),
        ]);
        Ok(values)
    }
}

/// Between two rounds the nodes may finish what they do in the background.
const REST_MAX: Duration = Duration::from_secs(10);

impl Ground {
    fn start(bench: &Bench) -> Result<Self> {
        let (cluster, proxy) = cluster_of_ours(&bench.ground);
        let mut ground = Self { cluster, proxy, next: 1 };
        // All slots begin in one group.
        ground.go(SLOTS).context("slots do not move")?;
        Ok(ground)
    }

    fn fill_short(&self, keys: u64) -> Result<()> {
        let words = ["SET".to_owned(), format!("short:{NUMBER}"), "v".repeat(64)];
        fill(&self.proxy, &Traffic::each(Template::new(&words)), keys)
    }

    /// Values that do not compress, since nobody's disk is to be flattered.
    fn fill_large(&self, keys: u64) -> Result<()> {
        let value: String = (0..LARGE_BYTES).map(|_| rand::random_range('!'..='~')).collect();
        let words = ["SET".to_owned(), format!("large:{NUMBER}"), value];
        fill(&self.proxy, &Traffic::each(Template::new(&words)), keys)
    }

    fn forget_all(&self) -> Result<()> {
        for node in &self.cluster.nodes {
            let mut client = harness::resp::Client::connect(node).map_err(anyhow::Error::msg)?;
            client.command("FLUSHALL").map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }

    /// Brings slots together that some way has parted.
    fn gather(&mut self) -> Result<()> {
        self.go(SLOTS).map(drop)
    }

    /// Moves the first `slots` slots to the other group.
    fn go(&mut self, slots: u64) -> Result<Way> {
        let (source, target) = match self.next {
            2 => (Role::Source, Role::Target),
            _ => (Role::Target, Role::Source),
        };
        let before = [source, target, Role::Control].map(|role| self.cpu(role));
        let report = self.migrate(&format!("0-{}", slots - 1), self.next)?;
        let [source, target, control] = [source, target, Role::Control].map(|role| self.cpu(role));
        self.next = 3 - self.next;
        let [source_before, target_before, control_before] = before;
        Ok(Way {
            report,
            source: source?.since(&source_before?),
            target: target?.since(&target_before?),
            control: control?.since(&control_before?),
        })
    }

    fn cpu(&mut self, role: Role) -> Result<Cpu> {
        Cpu::of(&[self.cluster.process(role).id()])
    }

    /// Moves one slot to the other group and leaves it there; returns how long it took.
    fn one_slot(&self) -> Result<f64> {
        let report = self.migrate("7", self.next)?;
        Ok(number(&report["seconds"]) * 1e3)
    }

    fn migrate(&self, slots: &str, to: u32) -> Result<Json> {
        let words = format!("migrate --slots {slots} --to {to}");
        let report = self.cluster.tool_json(&words).map_err(anyhow::Error::msg)?;
        ensure!(report["ok"] == true, "not every slot arrived: {report}");
        Ok(report)
    }
}

impl Way {
    fn values(&self) -> Values {
        let report = &self.report;
        let seconds = number(&report["seconds"]);
        let (keys, bytes) = (number(&report["keys"]), number(&report["bytes"]));
        let slots = number(&report["arrived"]);
        let stall = |which: &str| number(&report["stall_write_us"][which]) / 1e3;
        let mut values = vec![
            ("keys", keys),
            ("seconds", seconds),
            ("keys_per_s", keys / seconds),
            ("mib_per_s", bytes / seconds / f64::from(1 << 20)),
            ("ms_per_slot", seconds * 1e3 / slots.max(1.0)),
            ("control_cpu_us_per_slot", self.control.micros() / slots.max(1.0)),
            ("stall_write_p99_ms", stall("p99")),
            ("stall_write_max_ms", stall("max")),
        ];
        if keys > 0.0 {
            values.push(("source_cpu_us_per_key", self.source.micros() / keys));
            values.push(("target_cpu_us_per_key", self.target.micros() / keys));
        }
        values
    }
}

fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_default()
}
