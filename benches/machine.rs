//! What it was measured on.

use std::fs;
use std::process::Command;

/// A machine, as far as it matters to the numbers.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// Of this tree.
    pub(crate) commit: String,
    /// UTC.
    pub(crate) when: String,
    /// The load average of a minute when it began: what else the machine did.
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here() -> Self {
        let cpu = field("/proc/cpuinfo", "model name");
        let kib = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib.unwrap_or_default() / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            commit: said("git", &["describe", "--always", "--dirty"]),
            when: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
            load_before: load(),
            load_after: 0.0,
        }
    }

    /// Notes what else the machine did until the end; the bench itself is in it.
    pub(crate) fn at_the_end(&mut self) {
        self.load_after = load();
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let Self { cpu, cores, memory_gib, kernel, commit, when, load_before, .. } = self;
        format!(
            "{cores} cores ({cpu}), {memory_gib} GiB, Linux {kernel}, commit {commit}, {when} UTC, load before {load_before}; \
             load and servers share the cores"
        )
    }
}

/// The value behind a name and a colon.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches(['\t', ' ', ':']).trim().to_owned()
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}
