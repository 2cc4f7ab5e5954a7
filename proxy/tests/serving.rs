//! What a client sees of the proxy when nothing moves: framing, order, limits, stopping.

use crate::cluster::{Client, Cluster, bulk, ok, quick, until};
use crate::fake::{Manner, Slot};
use protocol::frame::Value;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

const FOO: u16 = 289;

#[tokio::test]
async fn requests_may_arrive_byte_by_byte_and_inline() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    for byte in b"*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$2\r\na\r\r\n\r\n*0\r\nGET foo\r\n".chunks(1) {
        client.send_bytes(byte).await;
    }
    assert_eq!(client.replies(2).await, [ok(), bulk("a\r")]);
}

#[tokio::test]
async fn values_of_every_size_go_through_unchanged() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    for size in [0, 1, 1000, 16_000, 16_384, 20_000, 65_536, 70_000, 300_000, 5_000_000] {
        let value: String = (0..size).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
        client
            .send_all(&[format!("set foo {value}"), "get foo".to_owned(), "get key1".to_owned()])
            .await;
        assert_eq!(client.reply().await, ok(), "{size}");
        assert_eq!(client.reply().await, bulk(&value), "{size}");
        assert_eq!(client.reply().await, Value::Null, "{size}");
    }
}

#[tokio::test]
async fn a_huge_pipeline_that_is_not_read_is_answered_in_full() {
    let c = Cluster::start(2).await;
    let mut client = c.client().await;
    assert_eq!(client.ask(&format!("set foo {}", "v".repeat(100))).await, ok());
    let mut bytes = Vec::new();
    for _ in 0..100_000 {
        bytes.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n");
    }
    client.send_bytes(&bytes).await;
    for _ in 0..100_000 {
        assert_eq!(client.reply().await, bulk(&"v".repeat(100)));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_being_served_and_others_do_not_notice() {
    let mut config = quick();
    config.limits.session_reply_bytes_max = 64 * 1024;
    config.limits.session_in_flight_max = 16;
    let c = Cluster::with(1, config).await;
    let mut greedy = c.client().await;
    assert_eq!(greedy.ask(&format!("set foo {}", "v".repeat(100_000))).await, ok());
    greedy.send_all(&vec!["get foo"; 2000]).await;
    sleep(Duration::from_millis(200)).await;
    let served = c.nodes[0].executed().len();
    assert!(served < 500, "{served} requests of 200 MB of replies");
    let mut other = c.client().await;
    assert_eq!(other.ask("get key1").await, Value::Null);
    for _ in 0..2000 {
        assert_eq!(greedy.reply().await, bulk(&"v".repeat(100_000)));
    }
}

#[tokio::test]
async fn past_the_bound_of_unanswered_bytes_a_socket_is_not_read() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("set foo 1").await, ok());
    c.nodes[0].behave(Manner::Deaf);
    let value = "v".repeat(1 << 20);
    let request = format!("*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n${}\r\n{value}\r\n", value.len());
    let mut sent = 0;
    // The system's buffers take some, the proxy 64 MiB, and then no more.
    while timeout(Duration::from_millis(500), client.stream().write_all(request.as_bytes()))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 120, "the proxy takes everything");
    }
    assert!(sent >= 64, "only {sent} MiB");
    assert!(c.metric("back_pressure_total{limit=\"session\"}") > 0);
    c.nodes[0].behave(Manner::Good);
    for _ in 0..sent {
        assert_eq!(client.reply().await, ok());
    }
}

#[tokio::test]
async fn garbage_is_answered_and_the_connection_closed() {
    let c = Cluster::start(1).await;
    for (bytes, want) in [
        (&b"*1\r\n:4\r\n"[..], "ERR Protocol error: expected '$', got ':'"),
        (b"*1\r\n$-5\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$1073741824\r\n", "ERR Protocol error: invalid bulk length"),
        (b"get \"foo\r\n", "ERR Protocol error: unbalanced quotes in request"),
    ] {
        let mut client = c.client().await;
        client.send_bytes(b"*1\r\n$4\r\nPING\r\n").await;
        client.send_bytes(bytes).await;
        assert_eq!(client.reply().await, Value::Simple("PONG".to_owned()));
        assert_eq!(client.reply().await.as_error(), Some(want));
        assert_eq!(client.try_reply().await, None);
    }
}

#[tokio::test]
async fn unknown_commands_never_reach_a_node() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    for line in [
        "nosuch foo",
        "slipway state",
        "subscribe x",
        "replicaof no one",
        "monitor",
        "get",
        "get a b",
    ] {
        assert!(client.ask(line).await.as_error().is_some(), "{line}");
    }
    assert!(c.nodes[0].executed().is_empty());
}

#[tokio::test]
async fn a_half_closed_socket_gets_all_its_answers() {
    let c = Cluster::start(1).await;
    let mut client = c.client().await;
    c.nodes[0].set(FOO, Slot::Sealed);
    client.send_all(&["set foo 1", "get foo", "get key1"]).await;
    client.stream().shutdown().await.unwrap();
    until("the write is held", || c.nodes[0].bounced() > 0).await;
    sleep(Duration::from_millis(20)).await;
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(client.replies(3).await, [ok(), bulk("1"), Value::Null]);
    assert_eq!(client.try_reply().await, None);
}

#[tokio::test]
async fn what_was_read_is_answered_before_a_stop() {
    let c = Cluster::start(1).await;
    let mut idle = c.client().await;
    assert_eq!(idle.ask("get foo").await, Value::Null);
    let mut busy = c.client().await;
    assert_eq!(busy.ask("get foo").await, Value::Null);
    c.nodes[0].set(FOO, Slot::Sealed);
    busy.send_all(&["set foo 1", "get foo"]).await;
    until("the write is held", || c.nodes[0].bounced() > 0).await;
    c.stop.cancel();
    assert_eq!(idle.try_reply().await, None, "an idle client is sent away");
    c.nodes[0].set(FOO, Slot::Owned);
    assert_eq!(busy.replies(2).await, [ok(), bulk("1")]);
    assert_eq!(busy.try_reply().await, None);
    assert!(c.running.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_grace_of_a_stop_has_an_end() {
    let mut config = quick();
    config.stop_grace = Duration::from_millis(100);
    let c = Cluster::with(1, config).await;
    c.nodes[0].set(FOO, Slot::Doubt);
    let mut client = c.client().await;
    client.send("set foo 1").await;
    until("the write is held", || c.nodes[0].bounced() > 0).await;
    let began = Instant::now();
    c.stop.cancel();
    assert!(c.running.await.unwrap().is_ok());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(client.try_reply().await, None);
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let mut config = quick();
    config.limits.clients_max = 2;
    let c = Cluster::with(1, config).await;
    let mut first = c.client().await;
    let mut second = c.client().await;
    assert_eq!(first.ask("ping").await, Value::Simple("PONG".to_owned()));
    assert_eq!(second.ask("ping").await, Value::Simple("PONG".to_owned()));
    let mut third = c.client().await;
    assert_eq!(third.reply().await.as_error(), Some("ERR max number of clients reached"));
    assert_eq!(third.try_reply().await, None);
    drop(second);
    let end = Instant::now() + crate::cluster::PATIENCE;
    loop {
        let mut again = Client::connect(c.addr).await;
        again.send("ping").await;
        if again.try_reply().await == Some(Value::Simple("PONG".to_owned())) {
            break;
        }
        assert!(Instant::now() < end);
    }
}

#[tokio::test]
async fn past_the_bound_of_all_sessions_only_idle_ones_are_read() {
    let mut config = quick();
    config.limits.process_unanswered_bytes_max = 32 << 20;
    let c = Cluster::with(2, config).await;
    c.publish(2, |slot| if slot == FOO { (1, 2) } else { (0, 1) });
    let mut greedy = c.client().await;
    while c.nodes[1].executed().is_empty() {
        assert_eq!(greedy.ask("set foo 1").await, ok());
    }
    c.nodes[1].behave(Manner::Deaf);
    let request = |megabytes: usize| {
        let value = "v".repeat(megabytes << 20);
        format!("*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n${}\r\n{value}\r\n", value.len())
    };
    let mut sent = 0;
    while timeout(Duration::from_millis(300), greedy.stream().write_all(request(4).as_bytes()))
        .await
        .is_ok()
    {
        // Past the bound the rest stays in the kernel's buffers: tcp_rmem allows them up to 32 MiB on some machines, on each socket.
        sent += 1;
        assert!(sent < 48, "everything is taken");
    }
    let kept = c.metric("unanswered_bytes");
    assert!((32 << 20..40 << 20).contains(&kept), "{kept} bytes are kept");
    // Two with half a request each: one of them may finish, and then the other.
    let mut halves = Vec::new();
    for _ in 0..2 {
        let mut client = c.client().await;
        let bytes = request(8).into_bytes();
        let task = tokio::spawn(async move {
            client.stream().write_all(&bytes).await.unwrap();
            client.reply().await
        });
        halves.push(task);
    }
    until("somebody is not read", || c.metric("back_pressure_total{limit=\"process\"}") > 0).await;
    let mut small = c.client().await;
    assert_eq!(small.ask("set key1 1").await, ok());
    assert_eq!(small.ask("get key1").await, bulk("1"));
    c.nodes[1].behave(Manner::Good);
    for _ in 0..sent {
        assert_eq!(greedy.reply().await, ok());
    }
    for half in halves {
        assert_eq!(half.await.unwrap(), ok());
    }
}
