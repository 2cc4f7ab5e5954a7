//! A proxy that clients take for a codis-proxy: its texts, its own commands, its settings.

use crate::cluster::{Client, Cluster, bulk, ok, quick, until};
use codis::Flavour;
use codis::config::Config as Codis;
use codis::model::Slot;
use protocol::frame::Value;
use proxy::Config;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// What an upstream file without a line says.
pub(crate) fn upstream() -> Codis {
    Codis::defaults(Flavour::Upstream)
}

pub(crate) fn fork() -> Codis {
    Codis::defaults(Flavour::Fork)
}

pub(crate) async fn start(codis: Codis) -> Cluster {
    let c = Cluster::with(1, Config { codis: Some(Arc::new(codis)), ..quick() }).await;
    let router = c.router.as_ref().unwrap();
    let slot = |id| Slot { id, backend_addr: c.nodes[0].addr.clone(), ..Slot::default() };
    router.fill((0..1024).map(slot).collect()).await.unwrap();
    router.start().unwrap();
    c
}

fn error(value: &Value) -> &str {
    value.as_error().unwrap_or_else(|| panic!("{value:?} is no error"))
}

fn simple(text: &str) -> Value {
    Value::Simple(text.to_owned())
}

async fn refusals(client: &mut Client, table: &[(&str, &str)]) {
    for (line, want) in table {
        assert_eq!(error(&client.ask(line).await), *want, "{line}");
    }
}

#[tokio::test]
async fn refusals_have_the_texts_of_codis_proxy() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    let long = "x".repeat(65);
    refusals(
        &mut client,
        &[
            ("AUTH x", "ERR Client sent AUTH, but no password is set"),
            ("AUTH", "ERR wrong number of arguments for 'AUTH' command"),
            ("AUTH a b c", "ERR wrong number of arguments for 'AUTH' command"),
            ("SELECT 16", "ERR invalid DB index, only accept DB [0,16)"),
            ("SELECT -1", "ERR invalid DB index, only accept DB [0,16)"),
            ("SELECT a", "ERR invalid DB index"),
            ("SELECT", "ERR wrong number of arguments for 'SELECT' command"),
            ("MGET", "ERR wrong number of arguments for 'MGET' command"),
            ("MSET a", "ERR wrong number of arguments for 'MSET' command"),
            ("mset a 1 b", "ERR wrong number of arguments for 'MSET' command"),
            ("del", "ERR wrong number of arguments for 'DEL' command"),
            ("exists", "ERR wrong number of arguments for 'EXISTS' command"),
            ("SLOTSSCAN 1", "ERR wrong number of arguments for 'SLOTSSCAN' command"),
            (
                "SLOTSSCAN x 0",
                "ERR parse slotnum 'x' failed, strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            ("SLOTSSCAN 1024 0", "ERR parse slotnum '1024' failed, out of range"),
            ("SLOTSINFO a b", "ERR wrong number of arguments for 'SLOTSINFO' command"),
            ("SLOTSINFO h:1", "ERR backend server 'h:1' not found"),
            ("INFO h:1 server", "ERR backend server 'h:1' not found"),
            ("SLOTSMAPPING 1 2", "ERR wrong number of arguments for 'SLOTSMAPPING' command"),
            ("SLOTSMAPPING 1024", "ERR parse slotnum '1024' failed, out of range"),
            ("CODIS.INFO x", "ERR wrong number of arguments for 'CODIS.INFO' command"),
            (&long, "ERR handle request, bad command length, too short or too long"),
            ("MoNiToR", "ERR handle request, command 'MONITOR' is not allowed"),
            ("slaveof no one", "ERR handle request, command 'SLAVEOF' is not allowed"),
            ("REPLICAOF no one", "ERR handle request, command 'REPLICAOF' is not allowed"),
            ("ssubscribe x", "ERR handle request, command 'SSUBSCRIBE' is not allowed"),
            ("compact", "ERR handle request, command 'COMPACT' is not allowed"),
            // A command that Codis forwards: the server's text.
            ("get", "ERR wrong number of arguments for 'get' command"),
            ("nosuch a", "ERR unknown command 'nosuch', with args beginning with: 'a' "),
        ],
    )
    .await;
    client.send_bytes(b"*1\r\n$0\r\n\r\n").await;
    let empty = client.reply().await;
    assert_eq!(error(&empty), "ERR handle request, bad command length, too short or too long");
    assert!(c.nodes[0].executed().is_empty(), "nothing of that goes to a node");
}

#[tokio::test]
async fn the_twelve_names_with_a_hyphen_are_refused_and_so_is_every_other_word_of_migration() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    for name in [
        "RESTORE-ASKING",
        "SLOTSMGRT-ASYNC-CANCEL",
        "SLOTSMGRT-ASYNC-FENCE",
        "SLOTSMGRT-ASYNC-STATUS",
        "SLOTSMGRT-EXEC-WRAPPER",
        "SLOTSMGRTONE-ASYNC",
        "SLOTSMGRTSLOT-ASYNC",
        "SLOTSMGRTTAGONE-ASYNC",
        "SLOTSMGRTTAGSLOT-ASYNC",
        "SLOTSRESTORE-ASYNC",
        "SLOTSRESTORE-ASYNC-ACK",
        "SLOTSRESTORE-ASYNC-AUTH",
        "SLOTSMGRTTAGSLOT",
        "SLOTSRESTORE",
    ] {
        let said = client.ask(&format!("{} a b c", name.to_lowercase())).await;
        assert_eq!(error(&said), format!("ERR handle request, command '{name}' is not allowed"));
    }
    assert!(c.nodes[0].executed().is_empty());
}

#[tokio::test]
async fn before_the_password_little_is_said_and_a_wrong_one_logs_out() {
    let mut codis = upstream();
    "secret".clone_into(&mut codis.session_auth);
    let c = start(codis).await;
    let mut client = c.client().await;
    refusals(
        &mut client,
        &[
            ("GET k", "NOAUTH Authentication required"),
            ("nosuch", "NOAUTH Authentication required"),
            ("PCONFIG GET jodis", "NOAUTH Authentication required"),
            ("MONITOR", "ERR handle request, command 'MONITOR' is not allowed"),
            ("AUTH wrong", "ERR invalid password"),
        ],
    )
    .await;
    assert!(client.ask("CODIS.INFO").await.as_items().is_some(), "may be asked by anybody");
    assert_eq!(client.ask("AUTH secret").await, ok());
    assert_eq!(client.ask("SET k v").await, ok());
    assert_eq!(client.ask("AUTH default secret").await, ok());
    refusals(
        &mut client,
        &[("AUTH wrong", "ERR invalid password"), ("GET k", "NOAUTH Authentication required")],
    )
    .await;
    assert_eq!(client.ask("AUTH secret").await, ok());
    assert_eq!(client.ask("GET k").await, bulk("v"));
    assert_eq!(client.ask("QUIT").await, ok());
    assert_eq!(client.try_reply().await, None);
}

#[tokio::test]
async fn what_codis_refuses_and_we_can_do_is_served() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    client.send_all(&["multi", "set foo 1", "exec", "select 15", "select 0"]).await;
    assert_eq!(client.replies(5).await[2..], [Value::Array(vec![ok()]), ok(), ok()]);
    assert_eq!(client.ask("keys *").await.as_items().unwrap(), [bulk("foo")]);
    assert_eq!(client.ask("dbsize").await, Value::Int(1));
    assert_eq!(client.ask("ping hello").await, bulk("hello"));
    assert_eq!(client.ask("ping").await, simple("PONG"));
    let info = client.ask("info server").await;
    assert!(info.as_str().unwrap().contains("redis_version:"));
    for (line, _) in [("client id", 0), ("config get maxclients", 0), ("command count", 0)] {
        assert!(client.ask(line).await.as_error().is_none(), "{line}");
    }
}

#[tokio::test]
async fn what_only_other_nodes_have_goes_to_the_node_of_its_keys() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    for line in
        ["geoadd {a}x 1 2 m", "eval script 2 {a}x {a}y arg", "sort {a}x store {a}y", "xadd s * f v"]
    {
        let said = client.ask(line).await;
        assert_eq!(error(&said), "ERR the fake node does not know this command", "{line}");
    }
    assert_eq!(c.nodes[0].executed().len(), 4);
    for line in
        ["eval script 2 foo key1", "sort foo store key1", "georadius foo 1 2 3 m store key1"]
    {
        let said = client.ask(line).await;
        assert!(error(&said).starts_with("CROSSSLOT"), "{line}: {said:?}");
    }
    refusals(&mut client, &[("eval x", "ERR wrong number of arguments for 'eval' command")]).await;
}

/// The commands of `docs/COMMANDS.md`, and whether the page says that we serve them.
fn promised() -> Vec<(String, bool)> {
    let page = include_str!("../../docs/COMMANDS.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let row = |row: &str| {
        let ours = row.rsplit(" | ").next().unwrap();
        (row.split('`').next().unwrap().to_owned(), !ours.starts_with("refused"))
    };
    rows.map(row).collect()
}

#[tokio::test]
async fn the_page_of_commands_says_what_the_proxy_does() {
    let c = start(upstream()).await;
    let promised = promised();
    assert!(promised.len() > 280, "{}", promised.len());
    for (name, promised) in promised.iter().filter(|(name, _)| name != "HOST:" && name != "POST") {
        let arity = protocol::command::lookup(name.as_bytes()).map_or(2, |command| command.arity);
        // One is a key, a number of keys, a slot and a second; a right number of words is all that is needed.
        let line = [name.as_str()].into_iter().chain((1..arity.unsigned_abs()).map(|_| "1"));
        let said = c.client().await.ask(&line.collect::<Vec<_>>().join(" ")).await;
        let refused = said.as_error().is_some_and(|line| {
            line == format!("ERR handle request, command '{name}' is not allowed")
        });
        assert_eq!(!refused, *promised, "{name}: {said:?}");
    }
}

#[tokio::test]
async fn mapping_tells_what_is_filled() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    let (addr, null) = (c.nodes[0].addr.clone(), Value::Null);
    let want = Value::Array(vec![simple("579"), simple(&addr), simple(""), null]);
    assert_eq!(client.ask("SLOTSMAPPING 579").await, want);
    let all = client.ask("SLOTSMAPPING").await;
    assert_eq!((all.as_items().unwrap().len(), &all.as_items().unwrap()[579]), (1024, &want));
}

#[tokio::test]
async fn a_node_is_asked_by_its_address() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    let addr = &c.nodes[0].addr;
    // The fake node knows none of them: its own error comes back, and not from a shared connection.
    client
        .send_all(&[
            "set k v".to_owned(),
            format!("PING {addr} hi"),
            format!("INFO {addr} server"),
            format!("SLOTSINFO {addr}"),
            "get k".to_owned(),
        ])
        .await;
    let replies = client.replies(5).await;
    assert_eq!((&replies[0], &replies[4]), (&ok(), &bulk("v")));
    for reply in &replies[1..4] {
        assert_eq!(error(reply), "ERR the fake node does not know this command");
    }
    assert_eq!(c.nodes[0].executed(), ["set k v", "PING hi", "INFO server", "SLOTSINFO", "get k"]);
    c.nodes[0].stop().await;
    let said = client.ask(&format!("PING {addr}")).await;
    assert_eq!(error(&said), format!("ERR backend server '{addr}' not found"));
}

#[tokio::test]
async fn codis_info_tells_four_things() {
    let c = start(fork()).await;
    let said = c.client().await.ask("CODIS.INFO").await;
    let texts: Vec<_> = said.as_items().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert_eq!(texts.len(), 4);
    assert_eq!(texts[2], "0.0.0.0:11080");
    assert!(texts[3].ends_with(" +0000 UTC"), "{texts:?}");
}

#[tokio::test]
async fn pconfig_changes_what_it_says_it_changes() {
    let c = start(fork()).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("PCONFIG GET slowlog_log_slower_than").await, bulk("100000"));
    assert_eq!(client.ask("PCONFIG SET slowlog_log_slower_than 0").await, ok());
    assert_eq!(client.ask("SET k v").await, ok());
    assert_eq!(client.ask("SLOWLOG LEN").await, Value::Int(1));
    assert_eq!(client.ask("PCONFIG SET proxy_max_clients 1").await, ok());
    assert_eq!(client.ask("CONFIG GET maxclients").await.as_items().unwrap()[1], bulk("1"));
    let mut second = c.client().await;
    assert_eq!(error(&second.reply().await), "ERR max number of clients reached");
    // What CONFIG SET changes, PCONFIG tells.
    assert_eq!(client.ask("CONFIG SET maxclients 7").await, ok());
    assert_eq!(client.ask("PCONFIG GET proxy").await.as_items().unwrap()[3], bulk("7"));
    assert_eq!(client.ask("PCONFIG SET quick_cmd_list get").await, ok());
    assert_eq!(client.ask("PCONFIG GET quick_cmd_list").await, bulk("get"));
    refusals(
        &mut client,
        &[
            ("PCONFIG GET nosuch", "unsupported key: nosuch"),
            ("PCONFIG", "ERR config parameters"),
            ("PCONFIG GET", "ERR config get parameters."),
            ("PCONFIG SET", "ERR config set parameters."),
            ("PCONFIG SET proxy_max_clients 0", "invalid proxy_max_clients"),
            ("PCONFIG SET quick_cmd_list unlink", "err：can not find [UNLINK] command.."),
            ("PCONFIG REWRITE", "ERR Rewriting config file: the proxy is running without one"),
        ],
    )
    .await;
    assert_eq!(client.ask("PCONFIG GET proxy").await.as_items().unwrap()[3], bulk("7"));
}

#[tokio::test]
async fn pconfig_writes_the_file_it_was_started_with() {
    let directory = std::env::temp_dir().join(format!("slipway-pconfig-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("proxy.toml");
    let before = "# mine\nproduct_name = \"p\" # name\nslowlog_log_slower_than = 5\n";
    std::fs::write(&file, before).unwrap();
    let mut codis = Codis::load(before).unwrap().config;
    codis.config_file_name = file.to_str().unwrap().to_owned();
    let c = start(codis).await;
    let mut client = c.client().await;
    assert_eq!(client.ask("PCONFIG SET slowlog_log_slower_than 77").await, ok());
    assert_eq!(client.ask("PCONFIG REWRITE").await, ok());
    let after = std::fs::read_to_string(&file).unwrap();
    assert_eq!(after, before.replace("= 5", "= 77"));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn http_is_answered_as_http_and_counted() {
    let c = start(upstream()).await;
    let bodies = [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n",
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "Host: x\r\n\r\nSET k v\r\n",
    ];
    for body in bodies {
        let mut client = c.client().await;
        client.send_bytes(body.as_bytes()).await;
        let mut said = String::new();
        client.stream().read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{body}: {said}");
        assert!(said.ends_with("\r\n\r\nthis port speaks Redis' protocol"), "{said}");
    }
    let mut client = c.client().await;
    client.send_bytes(b"SET k HTTP/1.1\r\n").await;
    assert_eq!(client.reply().await, ok(), "that is no HTTP");
    until("all are counted", || c.metric("errors_total{reason=\"http\"}") == 3).await;
    assert_eq!(c.nodes[0].executed(), ["SET k HTTP/1.1"]);
}

#[tokio::test]
async fn a_full_pipeline_waits_and_nothing_of_it_is_lost() {
    let c = start(Codis { session_max_pipeline: 3, ..upstream() }).await;
    let mut client = c.client().await;
    let lines: Vec<String> = (0..1000).map(|i| format!("append k {}", i % 10)).collect();
    client.send_all(&lines).await;
    let replies = client.replies(1000).await;
    assert!(replies.iter().zip(1..).all(|(reply, n)| *reply == Value::Int(n)));
    // Nothing and less than nothing are as good as nothing to Redis.
    client.send_bytes(b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n").await;
    assert_eq!(client.reply().await, simple("PONG"));
}

#[tokio::test]
async fn a_failure_breaks_the_connection_where_the_operator_wants_that() {
    let c = start(Codis { session_break_on_failure: true, ..upstream() }).await;
    let mut client = c.client().await;
    // Errors that are no failures.
    for line in ["AUTH x", "MGET", "SELECT a", "get"] {
        error(&client.ask(line).await);
    }
    client.send_all(&["set k 1", "monitor", "set k 2"]).await;
    assert_eq!(client.reply().await, ok());
    let said = client.reply().await;
    assert_eq!(error(&said), "ERR handle request, command 'MONITOR' is not allowed");
    assert_eq!(client.try_reply().await, None);
    assert_eq!(c.nodes[0].get("k").unwrap(), "1");
}

#[tokio::test]
async fn who_talks_nonsense_disturbs_nobody() {
    let c = start(upstream()).await;
    let mut rude = Vec::new();
    for _ in 0..20 {
        let mut client = c.client().await;
        rude.push(tokio::spawn(async move {
            for line in [
                "HELLO 3",
                "SSUBSCRIBE a",
                "MONITOR",
                "REPLICAOF a 1",
                "RESET",
                "SLOTSMGRTTAGSLOT-ASYNC",
                "SLOTSSCAN",
                "SLOTSMAPPING -1 x",
                "SLOTSINFO",
                "HELLO 2",
                "SYNC",
                "CLIENT REPLY ON",
            ]
            .iter()
            .cycle()
            .take(240)
            {
                client.ask(line).await;
            }
            // Waits till the end, on a connection of its own.
            client.send("BLPOP nobody 0").await;
            client
        }));
    }
    let mut client = c.client().await;
    for i in 0..500 {
        let (set, get) = (format!("set k{i} {i}"), format!("get k{i}"));
        client.send_all(&[&set, &get]).await;
        assert_eq!(client.replies(2).await, [ok(), bulk(&i.to_string())]);
    }
    for task in rude {
        task.await.unwrap();
    }
}
