//! CPU time of processes, from Linux' /proc (proc(5): `task/*/schedstat` in nanoseconds, `stat` for user and system in ticks).

use anyhow::{Context, Result};
use std::fs;

/// CPU time that processes have used since they started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    nanos: u64,
    user_ticks: u64,
    system_ticks: u64,
}

impl Cpu {
    /// The sum over these processes, all their threads included. Threads that have ended are not in it.
    pub(crate) fn of(processes: &[u32]) -> Result<Self> {
        let mut cpu = Self::default();
        for id in processes {
            let tasks = fs::read_dir(format!("/proc/{id}/task"))
                .with_context(|| format!("process {id} has ended"))?;
            for task in tasks {
                let path = task?.path().join("schedstat");
                // A thread may end while we look.
                let Ok(text) = fs::read_to_string(path) else { continue };
                cpu.nanos +=
                    text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
            }
            let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
            // The name, in parentheses, may hold spaces: `utime` and `stime` are the 12th and 13th field after it.
            let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            let ticks =
                |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
            cpu.user_ticks += ticks(11);
            cpu.system_ticks += ticks(12);
        }
        Ok(cpu)
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            nanos: self.nanos - before.nanos,
            user_ticks: self.user_ticks - before.user_ticks,
            system_ticks: self.system_ticks - before.system_ticks,
        }
    }

    pub(crate) fn per_request(&self, requests: u64, seconds: f64) -> Cost {
        let micros = self.nanos as f64 / 1000.0 / requests as f64;
        let ticks = (self.user_ticks + self.system_ticks).max(1) as f64;
        let system = micros * self.system_ticks as f64 / ticks;
        Cost { micros, system_micros: system, rate: requests as f64 / seconds }
    }
}

/// What one run has cost.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Cost {
    /// CPU time a request, user and system, in microseconds.
    pub(crate) micros: f64,
    /// The part of it in the kernel, split as the ticks (10 ms) are.
    pub(crate) system_micros: f64,
    /// Requests a second.
    pub(crate) rate: f64,
}
