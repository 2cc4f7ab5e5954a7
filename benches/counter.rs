//! System calls and instructions of processes, counted by Linux' perf.
//!
//! Counting costs time itself, so it has runs of its own, apart from those that are timed. What a machine cannot count (most virtual ones
//! have no instruction counter) is left out by name.

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What perf calls them, and what we do.
const EVENTS: [(&str, &str); 3] = [
    ("raw_syscalls:sys_enter", "syscalls"),
    ("instructions:u", "instructions_user"),
    ("instructions:k", "instructions_kernel"),
];

/// How long perf may take to do what it is told.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A perf that is attached to processes and does not count yet.
pub(crate) struct Counter {
    perf: Child,
    control: File,
    answers: File,
    directory: TempDir,
}

/// What this machine can count; tried once on this process.
pub(crate) fn countable() -> Vec<&'static str> {
    let try_one = |event: &str| {
        let counter = Counter::attach(&[std::process::id()], &[event])?;
        counter.count(|| Ok(()))
    };
    let works = |(event, _): &&(&'static str, &str)| {
        try_one(event).is_ok_and(|((), counts)| !counts.is_empty())
    };
    EVENTS.iter().filter(works).map(|(event, _)| *event).collect()
}

/// What cannot be counted here, by our names.
pub(crate) fn missing(countable: &[&str]) -> Vec<&'static str> {
    let lacks = |(event, _): &&(&str, &'static str)| !countable.contains(event);
    EVENTS.iter().filter(lacks).map(|(_, name)| *name).collect()
}

impl Counter {
    /// Attaches to all threads of these processes.
    pub(crate) fn attach(processes: &[u32], events: &[&str]) -> Result<Self> {
        let directory = TempDir::new()?;
        let path = |name: &str| directory.path().join(name);
        let pipe = |name: &str| -> Result<File> {
            mknodat(CWD, path(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            open_both_ways(&path(name))
        };
        let (control, answers) = (pipe("control")?, pipe("answers")?);
        let ids: Vec<_> = processes.iter().map(u32::to_string).collect();
        let mut command = Command::new("perf");
        command.args([
            "stat",
            "-x",
            ";",
            "--delay=-1",
            "-e",
            &events.join(","),
            "-p",
            &ids.join(","),
        ]);
        command.arg("-o").arg(path("counts")).arg(format!(
            "--control=fifo:{},{}",
            path("control").display(),
            path("answers").display()
        ));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let perf = command.spawn().context("perf is not installed")?;
        let mut counter = Self { perf, control, answers, directory };
        // It has attached when it answers.
        counter.tell("ping")?;
        Ok(counter)
    }

    /// Counts while `work` runs; returns what it returns, and the counts by our names.
    pub(crate) fn count<T>(
        mut self,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Vec<(&'static str, f64)>)> {
        self.tell("enable")?;
        let result = work()?;
        self.tell("disable")?;
        kill_process(Pid::from_child(&self.perf), Signal::INT)?;
        self.perf.wait()?;
        let text = std::fs::read_to_string(self.directory.path().join("counts"))?;
        Ok((result, read_counts(&text)))
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        writeln!(self.control, "{word}")?;
        let (begin, mut heard) = (Instant::now(), Vec::new());
        while !heard.ends_with(b"\n") && !heard.ends_with(b"\0") {
            let mut buffer = [0; 64];
            match self.answers.read(&mut buffer) {
                Ok(read) => heard.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if begin.elapsed() > ANSWER_MAX || self.perf.try_wait()?.is_some() {
                        bail!("perf does not count here");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}

/// A pipe with a name is opened for reading and writing, so that neither side waits for the other.
fn open_both_ways(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    Ok(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?)
}

/// Reads `perf stat -x ;`: count, unit, event. What was not counted says so instead of a number.
fn read_counts(text: &str) -> Vec<(&'static str, f64)> {
    let read = |line: &str| {
        let mut fields = line.split(';');
        let count = fields.next()?.parse().ok()?;
        let event = fields.nth(1)?;
        let (_, name) = EVENTS.iter().find(|(known, _)| *known == event)?;
        Some((*name, count))
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_what_was_not_counted_is_left_out() {
        let text = "# started\n\n12;;raw_syscalls:sys_enter;1000;100.00;;\n<not supported>;;instructions:u;0;100.00;;\n";
        assert_eq!(read_counts(text), [("syscalls", 12.0)]);
    }
}
