//! How a proxy is, in Codis' own form, from what the workers count. Reading changes nothing and waits for nothing.
//!
//! Counts are read where the workers keep them; windows, rates and what the process uses are as of the last full second.

mod sample;
mod usage;
mod window;

pub(crate) use sample::{History, run};

use super::{Phase, Router};
use crate::shared::Shared;
use codis::model::{
    Backend, CmdInfo, CommandStats, General, Heap, Ops, RedisErrors, Runtime, Rusage,
    SentinelStats, Sessions, Stats,
};
use codis::time::GoTime;
use protocol::command::table;
use sample::{Counts, OfCommand, View, fails, sessions};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use window::WINDOWS_S;

/// All names that no command has, together: clients could make up any number of them.
const UNKNOWN: &str = "UNKNOWN";
/// All commands together.
const ALL: &str = "ALL";

/// What to tell beside what is always told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// `ops.cmd`; Pika's fork has it always.
    pub commands: bool,
    /// What Go's runtime would say.
    pub runtime: bool,
}

/// Reads what the workers of one proxy count.
#[derive(Clone, Debug)]
pub struct Statistics {
    shared: Arc<Shared>,
    router: Arc<Router>,
}

impl Statistics {
    pub(crate) fn new(shared: Arc<Shared>, router: Arc<Router>) -> Self {
        Self { shared, router }
    }

    /// `GET /proxy/stats` and its relatives.
    pub fn stats(&self, detail: Detail) -> Stats {
        let phase = self.router.phase();
        let view = self.view();
        let info = self.counted(&view, 0);
        Stats {
            online: phase == Phase::Online,
            closed: phase == Phase::Closed,
            sentinels: SentinelStats {
                switched: self.router.switched(),
                ..SentinelStats::default()
            },
            ops: Ops {
                total: info.total,
                fails: info.fails,
                redis: info.redis,
                qps: info.qps,
                cmd: detail.commands.then_some(info.cmd),
            },
            sessions: self.sessions(),
            rusage: rusage(&view),
            backend: Backend {
                primary_only: self.shared.live.codis().is_some_and(|c| c.backend_primary_only),
            },
            runtime: detail.runtime.then(|| self.runtime(&view)),
            slow_cmd_count: self.sum(|worker| worker.slow.get()),
        }
    }

    /// `GET /proxy/cmdinfo/…`: over the last 1, 10, 60, 600 or 3600 seconds; other numbers are taken for 1.
    pub fn cmd_info(&self, seconds: u64) -> CmdInfo {
        let window = WINDOWS_S.iter().position(|&window| window == seconds).unwrap_or(0);
        self.counted(&self.view(), window)
    }

    /// Counts anew from now on.
    pub fn reset(&self) {
        if let Some(history) = &self.shared.history {
            history.reset(&self.shared.metrics);
        }
    }

    /// What codis-proxy's file says, with all that PCONFIG SET has changed since.
    pub fn config(&self) -> Option<codis::config::Config> {
        self.shared.live.codis()
    }

    fn view(&self) -> Arc<View> {
        self.shared.history.as_ref().map(History::view).unwrap_or_default()
    }

    fn sum(&self, of: impl Fn(&crate::metrics::WorkerMetrics) -> u64) -> i64 {
        integer(self.shared.metrics.iter().map(|worker| of(worker)).sum())
    }

    fn sessions(&self) -> Sessions {
        let since = self.shared.history.as_ref().map(History::since).unwrap_or_default();
        let total = sessions(&self.shared.metrics).saturating_sub(since.sessions);
        Sessions { total: integer(total), alive: self.sum(|worker| worker.clients.get()) }
    }

    /// What was counted since the start or the last reset, and what the window was like.
    fn counted(&self, view: &View, window: usize) -> CmdInfo {
        let workers = &self.shared.metrics;
        let since = self.shared.history.as_ref().map(History::since).unwrap_or_default();
        let names = table().iter().map(|command| command.name).chain([UNKNOWN]);
        let (mut cmd, mut all) = (Vec::new(), Counts::default());
        for (index, name) in names.enumerate() {
            let ever = Counts::of(workers, index);
            if ever.calls + ever.lost == 0 {
                continue;
            }
            let counts = ever.since(since.commands.get(index).copied().unwrap_or_default());
            all.calls += counts.calls;
            all.us += counts.us;
            all.errors += counts.errors;
            all.lost += counts.lost;
            let of = view.commands.get(index).copied().flatten().unwrap_or_default();
            cmd.push(command(name.to_ascii_uppercase(), counts, (&of, window)));
        }
        let fails = all.lost + fails(workers).saturating_sub(since.fails);
        cmd.push(command(ALL.to_owned(), all, (&view.all, window)));
        cmd.sort_unstable_by(|a, b| a.opstr.cmp(&b.opstr));
        CmdInfo {
            total: integer(all.calls),
            fails: integer(fails),
            redis: RedisErrors { errors: integer(all.errors) },
            qps: integer(view.all.windows[0].per_second),
            cmd,
        }
    }

    /// We have no collector and no goroutines; what there is of memory is what the system says.
    fn runtime(&self, view: &View) -> Runtime {
        let bytes = view.usage.vm_rss.max(0).unsigned_abs();
        Runtime {
            general: General { alloc: bytes, sys: bytes, ..General::default() },
            heap: Heap { alloc: bytes, sys: bytes, inuse: bytes, ..Heap::default() },
            num_procs: integer(self.shared.config.workers as u64),
            num_goroutines: self.sum(|worker| worker.clients.get() + worker.connections.get()),
            ..Runtime::default()
        }
    }
}

fn rusage(view: &View) -> Rusage {
    let now = view.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Rusage {
        now: GoTime::utc(now.as_secs() as i64, now.subsec_nanos()).to_string(),
        cpu: view.cpu,
        mem: view.usage.vm_rss,
        raw: Some(view.usage),
    }
}

fn command(opstr: String, counts: Counts, (of, window): (&OfCommand, usize)) -> CommandStats {
    let seen = of.windows[window];
    let [tp90, tp99, tp999, tp9999, tp100] = seen.tp_ms.map(integer);
    let [delay50ms, delay100ms, delay200ms, delay300ms, delay500ms, delay1s, delay2s, delay3s] =
        seen.over.map(integer);
    CommandStats {
        opstr,
        interval: integer(WINDOWS_S[window]),
        total_calls: integer(seen.calls),
        total_usecs: integer(seen.us),
        usecs_percall: integer(counts.us / counts.calls.max(1)),
        calls: integer(counts.calls),
        usecs: integer(counts.us),
        fails: integer(counts.lost),
        redis_errtype: integer(counts.errors),
        max_delay: integer(of.max_us),
        qps: integer(seen.per_second),
        avg: integer(seen.avg_ms),
        tp90,
        tp99,
        tp999,
        tp9999,
        tp100,
        delay50ms,
        delay100ms,
        delay200ms,
        delay300ms,
        delay500ms,
        delay1s,
        delay2s,
        delay3s,
    }
}

/// Readers take integers of 64 bits with a sign.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
