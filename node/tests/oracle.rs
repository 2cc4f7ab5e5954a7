//! Debian's redis-server, in memory, on a port of its own.

use crate::harness::{Client, eventually};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

pub(crate) struct Oracle {
    child: Child,
    addr: SocketAddr,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &addr.port().to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                // So often it looks whose time is up.
                "--hz",
                "500",
            ])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        let oracle = Self { child, addr };
        eventually("redis-server listens", || TcpStream::connect(addr).is_ok());
        oracle
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
