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

    /// What was used since then.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(before.nanos),
            user_ticks: self.user_ticks.saturating_sub(before.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(before.system_ticks),
        }
    }

    /// Microseconds, user and system.
    pub(crate) fn micros(&self) -> f64 {
        self.nanos as f64 / 1000.0
    }

    /// The share of it in the kernel, as the ticks (10 ms) say.
    pub(crate) fn system_share(&self) -> f64 {
        self.system_ticks as f64 / (self.user_ticks + self.system_ticks).max(1) as f64
    }
}

/// Memory of processes in MiB: resident now, and the most it has been since they started.
pub(crate) fn resident_mib(processes: &[u32]) -> Result<[f64; 2]> {
    let mut sums = [0.0; 2];
    for id in processes {
        let text = fs::read_to_string(format!("/proc/{id}/status"))
            .with_context(|| format!("process {id} has ended"))?;
        for (sum, name) in sums.iter_mut().zip(["VmRSS:", "VmHWM:"]) {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let kib = line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default();
            *sum += kib / 1024.0;
        }
    }
    Ok(sums)
}

/// Bytes that processes have given to files since they started; a file that is deleted before the disk has it counts as well.
pub(crate) fn written_bytes(processes: &[u32]) -> Result<u64> {
    let mut sum = 0_u64;
    for id in processes {
        let text = fs::read_to_string(format!("/proc/{id}/io"))
            .with_context(|| format!("process {id} has ended, or is another user's"))?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
        sum += bytes.unwrap_or_default().trim().parse::<u64>().unwrap_or_default();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_costs_time_and_has_memory() {
        let own = [std::process::id()];
        let before = Cpu::of(&own).unwrap();
        let begin = std::time::Instant::now();
        while begin.elapsed().as_millis() < 30 {
            std::hint::black_box(0);
        }
        let used = Cpu::of(&own).unwrap().since(&before);
        assert!(used.micros() > 1000.0, "{used:?}");
        let [now, most] = resident_mib(&own).unwrap();
        assert!(0.1 < now && now <= most);
    }
}
