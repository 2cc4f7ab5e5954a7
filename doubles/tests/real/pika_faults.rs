//! The faults of the Pika double that a table of replies cannot show: deaths, passwords, slow targets, and each switch turned.

use crate::client::{self, Client, until};
use doubles::Running;
use doubles::pika::{self, Fault, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const IDLE: &str = "*5\\r\\n$16\\r\\ndest server: :-1{any}";

/// Two doubles and a connection to each.
struct World {
    source: Client,
    target: Client,
    port: u16,
    a: Running,
    b: Running,
}

async fn double(settings: Settings) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    pika::start(listener, settings).unwrap()
}

impl World {
    async fn new(source: Settings, target: Settings) -> Self {
        let (a, b) = (double(source).await, double(target).await);
        Self {
            source: Client::connect(&a.address().to_string()).await,
            target: Client::connect(&b.address().to_string()).await,
            port: b.address().port(),
            a,
            b,
        }
    }

    /// The 4.0.1 of the source without one fault.
    async fn without(fault: Fault) -> Self {
        let mut settings = Settings::default();
        settings.faults.remove(fault);
        Self::new(settings, Settings::default()).await
    }

    /// The 4.0.1 of the source with one fault more.
    async fn with(fault: Fault) -> Self {
        let mut settings = Settings::default();
        settings.faults.add(fault);
        Self::new(settings, Settings::default()).await
    }

    async fn order(&mut self, slot: u16) -> String {
        let command =
            format!("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 {} 1000 200 1000000 {slot} 500", self.port);
        self.source.ask(&command).await
    }

    async fn tag_one(&mut self, key: &str) -> String {
        let command = format!("SLOTSMGRTTAGONE 127.0.0.1 {} 300 {key}", self.port);
        self.source.ask(&command).await
    }
}

/// Sends bytes; whether the double died of them.
async fn dies_of(bytes: &[u8]) -> bool {
    let double = double(Settings::default()).await;
    let mut client = Client::connect(&double.address().to_string()).await;
    client.socket.write_all(bytes).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        client.socket.read_to_end(&mut rest),
    );
    read.await.is_ok() && double.death().is_some()
}

#[tokio::test]
async fn malformed_lines_end_the_process() {
    for line in [
        "\r\n",
        "\n",
        "SLOTSMGRT-EXEC-WRAPPER\r\n",
        "SLOTSMGRTTAGSLOT-ASYNC\r\n",
        "SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 1\r\n",
        "SLOTSSCAN abc 0\r\n",
        "SLOTSSCAN 99999999999999999999 0\r\n",
    ] {
        assert!(dies_of(line.as_bytes()).await, "{line:?}");
    }
    for line in ["*0\r\n", "*1\r\n$0\r\n\r\n", "SLOTSINFO x\r\n"] {
        assert!(!dies_of(line.as_bytes()).await, "{line:?}");
    }
}

#[tokio::test]
async fn an_empty_request_takes_the_replies_of_its_packet_with_it() {
    let double = double(Settings::default()).await;
    let mut client = Client::connect(&double.address().to_string()).await;
    client.socket.write_all(b"PING\r\n*0\r\n").await.unwrap();
    assert_eq!(client.ask("ECHO here").await, "$4\\r\\nhere\\r\\n");
    client.socket.write_all(b"*1\r\n$0\r\n\r\n").await.unwrap();
    assert_eq!(client.reply().await, "-ERR unknown command \"\"\\r\\n");
}

#[tokio::test]
async fn a_wedged_process_does_not_end_at_sigterm() {
    let mut world = World::new(Settings::default(), Settings::default()).await;
    for n in 0..200 {
        world.source.ask(&format!("SET {{t}}{n} v")).await;
    }
    let order = format!("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 {} 1000 200 1000000 680 64", world.port);
    world.source.ask(&order).await;
    until(&mut world.source, "SLOTSINFO 680 1", "*1\\r\\n*2\\r\\n:680\\r\\n:136\\r\\n").await;
    assert_eq!(world.source.ask("SLOTSMGRT-ASYNC-CANCEL").await, "+OK\\r\\n");
    assert!(!world.a.is_wedged());
    world.source.ask("SLOTSMGRT-EXEC-WRAPPER {t}0 GET {t}0").await;
    let began = tokio::time::Instant::now();
    while !world.a.is_wedged() {
        assert!(began.elapsed() < client::PATIENCE);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_synchronous_path_cannot_log_in_and_the_thread_can() {
    let settings = Settings { password: "secret".to_owned(), ..Settings::default() };
    let mut world = World::new(settings.clone(), settings).await;
    assert_eq!(world.source.ask("GET k").await, "-ERR NOAUTH Authentication required.\\r\\n");
    assert_eq!(world.source.ask("AUTH anything").await, "+OK\\r\\n");
    world.target.ask("AUTH secret").await;
    world.source.ask("SET key1 v").await;
    let refused =
        "-ERR something wrong with slots migrate, reply: ERR NOAUTH Authentication required.\\r\\n";
    assert_eq!(world.tag_one("key1").await, refused);
    assert_eq!(world.order(80).await, "*2\\r\\n:0\\r\\n:1\\r\\n");
    until(&mut world.target, "GET key1", "$1\\r\\nv\\r\\n").await;
}

#[tokio::test]
async fn a_move_that_timed_out_may_still_arrive() {
    let mut world = World::new(Settings::default(), Settings::default()).await;
    world.source.ask("SET key1 old").await;
    world.target.ask("DOUBLE STALL 600").await;
    assert_eq!(
        world.tag_one("key1").await,
        "-ERR Connect slots target, Recv error: Timeout: \\r\\n"
    );
    assert_eq!(world.source.ask("GET key1").await, "$3\\r\\nold\\r\\n");
    world.target.ask("DOUBLE STALL 0").await;
    until(&mut world.target, "GET key1", "$3\\r\\nold\\r\\n").await;
}

#[tokio::test]
async fn a_kept_connection_that_the_target_has_closed_fails_once() {
    let mut world = World::new(Settings::default(), Settings::default()).await;
    world.source.ask("SET key1 v").await;
    world.source.ask("SET key2 v").await;
    assert_eq!(world.tag_one("key1").await, ":1\\r\\n");
    world.target.ask("DOUBLE RESTART").await;
    let address = world.b.address().to_string();
    let began = tokio::time::Instant::now();
    loop {
        // The era of the old connections is over when a new one answers.
        let mut fresh = Client::connect(&address).await;
        fresh.send("PING").await;
        if fresh.try_reply().await.is_some() {
            break;
        }
        assert!(began.elapsed() < client::PATIENCE);
    }
    assert_eq!(
        world.tag_one("key2").await,
        "-ERR Connect slots target, Recv error: IO error: Read null\\r\\n"
    );
    assert_eq!(world.tag_one("key2").await, ":1\\r\\n");
}

#[tokio::test]
async fn a_crash_between_index_and_key_leaves_a_key_that_no_migration_sees() {
    let mut world = World::with(Fault::CrashBehindIndex).await;
    world.source.ask("SET key1 v").await;
    world.order(80).await;
    until(&mut world.target, "GET key1", "$1\\r\\nv\\r\\n").await;
    let began = tokio::time::Instant::now();
    let orphan = loop {
        let mut again = Client::connect(&world.a.address().to_string()).await;
        again.send("EXISTS key1").await;
        let there = again.try_reply().await;
        again.send("SLOTSINFO 80 1").await;
        let filed = again.try_reply().await;
        if let (Some(there), Some(filed)) = (there, filed)
            && filed == "*0\\r\\n"
        {
            break there;
        }
        assert!(began.elapsed() < client::PATIENCE);
    };
    assert_eq!(orphan, ":1\\r\\n");
}

#[tokio::test]
async fn without_the_fault_an_absent_key_answers_0_and_a_moved_list_stays() {
    let mut world = World::without(Fault::AbsentQueued).await;
    world.source.ask("RPUSH {t}l a b").await;
    for n in 0..600 {
        world.source.ask(&format!("SET {{t}}{n} v")).await;
    }
    let order = format!("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 {} 1000 200 1000000 680 1", world.port);
    world.source.ask(&order).await;
    assert_eq!(
        world.source.ask("SLOTSMGRT-EXEC-WRAPPER {t}l LLEN {t}l").await,
        "*2\\r\\n:1\\r\\n:1\\r\\n"
    );
    until(&mut world.source, "EXISTS {t}l", ":0\\r\\n").await;
    assert_eq!(
        world.source.ask("SLOTSMGRT-EXEC-WRAPPER {t}l LLEN {t}l").await,
        "*2\\r\\n:0\\r\\n:0\\r\\n"
    );
    assert_eq!(world.target.ask("LLEN {t}l").await, ":2\\r\\n");
}

#[tokio::test]
async fn without_the_fault_capitals_are_found() {
    let mut world = World::without(Fault::LowerCase).await;
    world.source.ask("SET Acct924 v").await;
    world.source.ask("SET {Acct924}b v").await;
    world
        .source
        .ask(&format!("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 {} 1000 200 1000000 202 1", world.port))
        .await;
    let wrapped = world.source.ask("SLOTSMGRT-EXEC-WRAPPER Acct924 GET Acct924").await;
    assert_eq!(wrapped, "*2\\r\\n:1\\r\\n:1\\r\\n");
}

#[tokio::test]
async fn without_the_faults_streams_doubles_and_untracked_keys_move() {
    let mut settings = Settings::default();
    for fault in [Fault::Streams, Fault::SixDecimals, Fault::Untracked] {
        settings.faults.remove(fault);
    }
    let mut world = World::new(settings, Settings::default()).await;
    world.source.ask("XADD {t}x 1-1 f v").await;
    world.source.ask("XADD {t}x 2-1 f v").await;
    world.source.ask("ZADD {t}z 0.123456789 m").await;
    world.source.ask("PSETEX {t}p 100000 v").await;
    world.source.ask("RPUSH {t}l a").await;
    world.source.ask("RPOPLPUSH {t}l {t}m").await;
    assert_eq!(world.order(680).await, "*2\\r\\n:0\\r\\n:5\\r\\n");
    until(&mut world.source, "SLOTSMGRT-ASYNC-STATUS", IDLE).await;
    assert_eq!(world.target.ask("XLEN {t}x").await, ":2\\r\\n");
    assert_eq!(world.target.ask("ZSCORE {t}z m").await, "$11\\r\\n0.123456789\\r\\n");
    assert_eq!(world.target.ask("EXISTS {t}p {t}m").await, ":2\\r\\n");
}

#[tokio::test]
async fn what_the_target_has_already_is_merged_in() {
    let mut world = World::new(Settings::default(), Settings::default()).await;
    world.source.ask("HSET key1 f new").await;
    world.target.ask("HSET key1 left over").await;
    assert_eq!(world.tag_one("key1").await, ":1\\r\\n");
    assert_eq!(world.target.ask("HLEN key1").await, ":2\\r\\n");
}

#[tokio::test]
async fn untracked_keys_are_found_by_a_reload() {
    let mut world = World::new(Settings::default(), Settings::default()).await;
    world.source.ask("GEOADD key1 13.3 38.1 p").await;
    assert_eq!(world.order(80).await, "*2\\r\\n:0\\r\\n:0\\r\\n");
    world.source.ask("SLOTSRELOAD").await;
    until(&mut world.source, "SLOTSINFO 80 1", "*1\\r\\n*2\\r\\n:80\\r\\n:1\\r\\n").await;
    assert_eq!(world.order(80).await, "*2\\r\\n:0\\r\\n:1\\r\\n");
    until(&mut world.target, "ZCARD key1", ":1\\r\\n").await;
}

#[tokio::test]
async fn a_full_index_makes_dbsize_answer_twice() {
    let mut world = World::new(Settings::default(), Settings::default()).await;
    let slots = cluster::SlotCount::DEFAULT;
    let mut missing: std::collections::BTreeSet<u16> = (0..1024).collect();
    for n in 0.. {
        let key = format!("k{n}");
        if missing.remove(&slots.of(key.as_bytes()).0) {
            world.source.ask(&format!("SET {key} v")).await;
        }
        if missing.is_empty() {
            break;
        }
    }
    assert_eq!(world.source.ask("DBSIZE").await, ":1024\\r\\n");
    assert_eq!(world.source.ask("PING").await, ":0\\r\\n");
    assert_eq!(world.source.reply().await, "+PONG\\r\\n");
}

#[tokio::test]
async fn the_older_line_queues_a_key_and_runs_its_command_too() {
    let mut world = World::with(Fault::RunsToo).await;
    world.source.ask("SET {t}a 1").await;
    for n in 0..100 {
        world.source.ask(&format!("SET {{t}}{n} v")).await;
    }
    world.source.ask("DOUBLE PACE 20").await;
    world.order(680).await;
    let wrapped = world.source.ask("SLOTSMGRT-EXEC-WRAPPER {t}a INCR {t}a").await;
    assert_eq!(wrapped, "*2\\r\\n:2\\r\\n:2\\r\\n");
}

#[tokio::test]
async fn the_loser_of_two_moves_of_one_key_may_be_refused() {
    let mut world = World::with(Fault::LoserRefused).await;
    world.source.ask("DOUBLE PACE 100").await;
    world.source.ask("SET key1 v").await;
    let mut other = Client::connect(&world.a.address().to_string()).await;
    let command = format!("SLOTSMGRTTAGONE 127.0.0.1 {} 1000 key1", world.port);
    world.source.send(&command).await;
    other.send(&command).await;
    let mut replies = [world.source.reply().await, other.reply().await];
    replies.sort();
    assert_eq!(replies, ["-ERR cont get the key type.\\r\\n", ":1\\r\\n"]);
}

#[tokio::test]
async fn without_the_cache_nothing_comes_back() {
    let mut world = World::without(Fault::CacheGhosts).await;
    world.source.ask("HSET key1 f v").await;
    world.source.ask("HGETALL key1").await;
    assert_eq!(world.tag_one("key1").await, ":1\\r\\n");
    assert_eq!(world.source.ask("HGETALL key1").await, "*0\\r\\n");
}
