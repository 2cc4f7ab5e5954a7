//! One real process: started with a configuration, killed with -9, started again.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The program under test: `SLIPWAY_BIN`, or the one cargo has built beside this test (a folder up) or bench.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("SLIPWAY_BIN") {
        return path.into();
    }
    let here = std::env::current_exe().unwrap();
    let beside = here.ancestors().skip(1).take(2).map(|directory| directory.join("slipway"));
    beside
        .into_iter()
        .find(|built| built.is_file())
        .unwrap_or_else(|| panic!("no slipway beside {}: run `make build` first", here.display()))
}

/// Below the ports that the kernel gives to outgoing connections: those could take one between two starts.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port nobody listens on at the moment, on the loopback address; given once.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = rand::random_range(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port) {
            return port;
        }
    }
}

/// A process with its command line; what it says goes to a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started yet.
    pub fn new(name: &str, program: PathBuf, args: &[&str], directory: &Path) -> Self {
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        Self {
            name: name.to_owned(),
            program,
            args,
            log: directory.join(format!("{name}.log")),
            child: None,
        }
    }

    /// Starts it, with fail points armed if `fail` is not empty.
    pub fn start(&mut self, fail: &str) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = || OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null()).stdout(log()).stderr(log());
        command.env("SLIPWAY_FAILPOINT", fail).env("RUST_BACKTRACE", "1");
        self.child = Some(command.spawn().unwrap());
    }

    /// kill -9, and wait until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; returns how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        crate::eventually(&format!("{} stops", self.name), Duration::from_secs(30), || {
            child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap();
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// Whether it was started and has not ended.
    pub fn runs(&mut self) -> bool {
        self.ended();
        self.child.is_some()
    }

    /// All it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it says it.
    pub fn log_file(&self) -> File {
        File::open(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            eprintln!("--- the last words of {}:\n{}", self.name, tail.join("\n"));
        }
    }
}
