//! Programs of others that tests talk to: ZooKeeper, etcd, Redis, as Debian has them. Each in a folder of its own, on a free port; ended with the
//! test.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Longer than any of them takes to start, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running program.
pub(crate) struct Program {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Program {
    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// As if it hung, and as if nothing had been.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(done.unwrap().success());
    }

    async fn start(mut command: Command, port: u16, folder: TempDir, package: &str) -> Self {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.current_dir(folder.path()).spawn().unwrap_or_else(|error| {
            panic!("{command:?}: {error}; please install: apt-get install {package}")
        });
        let mut program = Self { child, port, folder };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let over = program.child.try_wait().unwrap().is_some() || Instant::now() > end;
            let log = || fs::read_to_string(program.folder.path().join("log")).unwrap();
            assert!(!over, "{command:?} does not serve: {}", log());
            sleep(Duration::from_millis(50)).await;
        }
        program
    }
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sessions of half a second and more.
pub(crate) async fn zookeeper() -> Program {
    const JAR: &str = "/usr/share/java/zookeeper.jar";
    const PACKAGES: &str = "libzookeeper-java default-jre-headless";
    assert!(Path::new(JAR).exists(), "no {JAR}; please install: apt-get install {PACKAGES}");
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let config = format!(
        "tickTime=250\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n",
        data.display()
    );
    fs::write(folder.path().join("zoo.cfg"), config).unwrap();
    let mut command = Command::new("java");
    command.args(["-Xmx64m", "-cp", JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain"]);
    command.arg("zoo.cfg");
    let program = Program::start(command, port, folder, PACKAGES).await;
    // It listens before it serves, and its first answers take long.
    becomes("zookeeper serves", async || {
        say(&program.addr(), "srvr").await.contains("Mode: standalone")
    })
    .await;
    program
}

/// With version 2 of its API.
pub(crate) async fn etcd() -> Program {
    let (port, peer, folder) = (free_port(), free_port(), tempfile::tempdir().unwrap());
    let (clients, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let mut command = Command::new("etcd");
    command.args(["--enable-v2=true", "--data-dir=data", "--unsafe-no-fsync"]);
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    Program::start(command, port, folder, "etcd-server").await
}

/// A server without persistence; further settings as words of the command line.
pub(crate) async fn redis(settings: &[&str]) -> Program {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
    command.args(settings);
    Program::start(command, port, folder, "redis-server").await
}

/// Watches `primary` under `name`, with a quorum of one.
pub(crate) async fn sentinel(name: &str, primary: u16) -> Program {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let config = format!(
        "bind 127.0.0.1\nport {port}\nsentinel monitor {name} 127.0.0.1 {primary} 1\nsentinel down-after-milliseconds {name} 2000\n"
    );
    fs::write(folder.path().join("sentinel.conf"), config).unwrap();
    let mut command = Command::new("redis-server");
    command.args(["sentinel.conf", "--sentinel"]);
    Program::start(command, port, folder, "redis-server").await
}

/// One inline command; what came of the answer within a moment after its first bytes.
pub(crate) async fn say(addr: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut answer = Vec::new();
    // One that is just starting may hang up: it has said nothing.
    _ = stream.write_all(format!("{command}\r\n").as_bytes()).await;
    _ = timeout(PATIENCE, stream.read_buf(&mut answer)).await;
    let more = Duration::from_millis(50);
    while matches!(timeout(more, stream.read_buf(&mut answer)).await, Ok(Ok(1..))) {}
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until it is so.
pub(crate) async fn becomes(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is().await {
        assert!(Instant::now() < end, "it has not come to be: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
