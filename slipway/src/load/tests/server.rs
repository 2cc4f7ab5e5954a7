//! A redis-server of one's own.

use crate::load::link::{Link, Target};
use crate::load::reply::{Reply, Resp};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to start, and any condition to come true.
const WAIT: Duration = Duration::from_secs(30);

pub(super) struct Server {
    process: Child,
    port: u16,
    folder: TempDir,
    flags: Vec<String>,
}

impl Server {
    pub(super) fn start(flags: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = TempDir::new().unwrap();
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let process = spawn(port, &folder, &flags);
        let server = Self { process, port, folder, flags };
        server.wait_until_ready();
        server
    }

    pub(super) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills the server and starts it again.
    pub(super) fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.port, &self.folder, &self.flags);
        self.wait_until_ready();
    }

    /// Waits until so many commands were executed.
    pub(super) fn wait_for_commands(&self, count: u64) {
        self.eventually("enough commands", || {
            let Ok(Reply::Bulk(info)) = self.ask(&["INFO", "stats"]) else { return false };
            let info = String::from_utf8(info).unwrap();
            let done = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
            done.and_then(|done| done.parse::<u64>().ok()).is_some_and(|done| done >= count)
        });
    }

    /// The commands it has executed.
    pub(super) fn commands(&self) -> Vec<String> {
        let Ok(Reply::Bulk(info)) = self.ask(&["INFO", "commandstats"]) else { panic!("no info") };
        let info = String::from_utf8(info).unwrap();
        let names =
            info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
        names.map(str::to_owned).collect()
    }

    pub(super) fn keys(&self) -> i64 {
        let Ok(Reply::Int(count)) = self.ask(&["DBSIZE"]) else { panic!("no size") };
        count
    }

    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        let Ok(Reply::Array(names)) = self.ask(&["KEYS", "*"]) else { panic!("no keys") };
        names
            .into_iter()
            .map(|name| if let Reply::Bulk(name) = name { name } else { panic!("{name}") })
            .collect()
    }

    fn wait_until_ready(&self) {
        self.eventually("the server is ready", || match self.ask(&["PING"]) {
            Ok(Reply::Error(line)) => line.starts_with(b"NOAUTH"),
            Err(text) => text.contains("NOAUTH"),
            Ok(_) => true,
        });
    }

    fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < WAIT, "{what}: not within {WAIT:?}, port {}", self.port);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ask(&self, words: &[&str]) -> Result<Reply, String> {
        let target = Target { addr: self.addr(), resp: Resp::Two, user: None, password: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut link = Link::open(&target).await.map_err(|error| error.to_string())?;
            link.push(&words.iter().map(|word| word.as_bytes().into()).collect());
            loop {
                link.write().map_err(|error| error.to_string())?;
                if let Some(reply) = link.reply().map_err(|garbled| garbled.0)? {
                    return Ok(reply);
                }
                link.ready().await.map_err(|error| error.to_string())?;
                link.read().map_err(|error| error.to_string())?;
            }
        })
    }
}

fn spawn(port: u16, folder: &TempDir, flags: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(folder.path())
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server does not start: install the package redis-server")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
