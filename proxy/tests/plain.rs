//! A proxy that clients take for a codis-proxy, with a real `redis-server` behind it: what our nodes do not have, and what Codis gets wrong.

use crate::cluster::{Client, Cluster, bulk, ok, quick, until};
use crate::codis::{fork, upstream};
use crate::fake::FakeNode;
use codis::model::Slot;
use protocol::frame::Value;
use proxy::Config;
use proxy::config::Nodes;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A `redis-server`, as long as this lives.
pub(crate) struct Redis {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        // Free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &addr.port().to_string(), "--save", ""])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        until("redis listens", || TcpStream::connect(addr).is_ok()).await;
        Self { child, addr }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn start(codis: codis::config::Config) -> (Redis, Cluster) {
    let redis = Redis::start().await;
    // Only its address is of interest.
    let mut node = FakeNode::start().await;
    node.addr = redis.addr.to_string();
    let slot = |id| Slot { id, backend_addr: node.addr.clone(), ..Slot::default() };
    let slots = (0..1024).map(slot).collect();
    let config = Config { codis: Some(Arc::new(codis)), nodes: Nodes::Foreign, ..quick() };
    let c = Cluster::before(vec![node], config);
    let router = c.router.as_ref().unwrap();
    router.fill(slots).await.unwrap();
    router.start().unwrap();
    (redis, c)
}

async fn ask_all(client: &mut Client, table: &[(&str, Value)]) {
    for (line, want) in table {
        assert_eq!(&client.ask(line).await, want, "{line}");
    }
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| bulk(item)).collect())
}

#[tokio::test]
async fn commands_over_several_keys_are_served_when_they_share_a_slot() {
    for codis in [upstream(), fork()] {
        let (_redis, c) = start(codis).await;
        let mut client = c.client().await;
        ask_all(
            &mut client,
            &[
                ("sadd {a}1 x y", Value::Int(2)),
                ("sadd {a}2 y z", Value::Int(2)),
                ("sinter {a}1 {a}2", list(&["y"])),
                ("sdiff {a}1 {a}2", list(&["x"])),
                ("sinterstore {a}3 {a}1 {a}2", Value::Int(1)),
                ("sunionstore {a}3 {a}1 {a}2", Value::Int(3)),
                ("sdiffstore {a}3 {a}1 {a}2", Value::Int(1)),
                ("smove {a}1 {a}2 x", Value::Int(1)),
                ("zunionstore {a}4 2 {a}1 {a}2", Value::Int(3)),
                ("zinterstore {a}4 2 {a}1 {a}2", Value::Int(1)),
                ("pfadd {a}5 v", Value::Int(1)),
                ("pfmerge {a}6 {a}5", ok()),
                ("rpush {a}7 2 1", Value::Int(2)),
                ("rpoplpush {a}7 {a}8", bulk("1")),
                ("sort {a}7 store {a}9", Value::Int(1)),
                ("geoadd {a}g 13 38 p", Value::Int(1)),
                ("georadius {a}g 13 38 1 m store {a}h", Value::Int(1)),
                ("rename {a}9 {a}10", ok()),
                ("bitop and {a}11 {a}12 {a}13", Value::Int(0)),
                ("eval return{KEYS[1],KEYS[2]} 2 {a}1 {a}2", list(&["{a}1", "{a}2"])),
                ("eval return{1} 0", Value::Array(vec![Value::Int(1)])),
                (
                    "evalsha 0000000000000000000000000000000000000000 1 {a}",
                    Value::Error("NOSCRIPT No matching script. Please use EVAL.".to_owned()),
                ),
            ],
        )
        .await;
        for line in [
            "sinter foo key1",
            "sdiffstore foo key1 key2",
            "smove foo key1 x",
            "zunionstore foo 2 key1 key2",
            "pfmerge foo key1",
            "pfcount foo key1",
            "rpoplpush foo key1",
            "sort foo store key1",
            "georadius foo 13 38 1 m store key1",
            "rename foo key1",
            "bitop and foo key1 key2",
            "eval return{1} 2 foo key1",
        ] {
            let said = client.ask(line).await;
            assert!(
                said.as_error().is_some_and(|e| e.starts_with("CROSSSLOT")),
                "{line}: {said:?}"
            );
        }
    }
}

#[tokio::test]
async fn commands_over_many_slots_are_cut_and_joined() {
    let (_redis, c) = start(upstream()).await;
    let mut client = c.client().await;
    ask_all(
        &mut client,
        &[
            ("mset foo 1 key1 2 key2 3", ok()),
            (
                "mget foo nosuch key2 key1",
                Value::Array(vec![bulk("1"), Value::Null, bulk("3"), bulk("2")]),
            ),
            ("exists foo foo key1 nosuch", Value::Int(3)),
            ("touch foo key1", Value::Int(2)),
            ("unlink foo key1", Value::Int(2)),
            ("del foo key2", Value::Int(1)),
            ("dbsize", Value::Int(0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_redis_is_asked_by_its_address() {
    let (redis, c) = start(upstream()).await;
    let mut client = c.client().await;
    let addr = redis.addr;
    assert_eq!(client.ask(&format!("PING {addr}")).await, Value::Simple("PONG".to_owned()));
    assert_eq!(client.ask(&format!("PING {addr} hi")).await, bulk("hi"));
    let info = client.ask(&format!("INFO {addr} server")).await;
    let port = format!("tcp_port:{}\r\n", addr.port());
    assert!(info.as_str().unwrap().contains(&port), "{info:?}");
}

#[tokio::test]
async fn clients_that_change_their_connection_change_nobody_elses() {
    let (_redis, c) = start(upstream()).await;
    let (mut rude, mut client) = (c.client().await, c.client().await);
    assert_eq!(client.ask("set k v").await, ok());
    for line in [
        "hello 3",
        "reset",
        "hello 2",
        "client reply skip",
        "select 3",
        "blpop k2 0.01",
        "subscribe x",
    ] {
        rude.send(line).await;
        assert_eq!(client.ask("get k").await, bulk("v"), "{line}");
    }
}
