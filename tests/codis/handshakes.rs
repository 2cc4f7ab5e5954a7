//! What client libraries say first, and that each can go on from there.

use harness::product::{Kind, Parts, Product};
use harness::resp::Client;
use protocol::frame::Value;
use protocol::request::encode_request;

/// Captured between the library and a proxy of ours in codis-proxy's place, without a password: name, version, and what its connection says.
const CAPTURED: [(&str, &[&str]); 7] = [
    ("redis-py 8.1.0", &["CLIENT SETINFO LIB-NAME redis-py", "CLIENT SETINFO LIB-VER 8.1.0"]),
    (
        "redis-py 8.1.0, RESP3",
        &[
            "HELLO 3",
            "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-fqdn",
            "CLIENT SETINFO LIB-NAME redis-py",
            "CLIENT SETINFO LIB-VER 8.1.0",
        ],
    ),
    ("ioredis 6.0.0", &["client SETINFO LIB-VER 6.0.0", "client SETINFO LIB-NAME ioredis", "info"]),
    (
        "ioredis 6.0.0, RESP3",
        &["hello 3", "client SETINFO LIB-VER 6.0.0", "client SETINFO LIB-NAME ioredis", "info"],
    ),
    ("node-redis 6.3.0", &["CLIENT SETINFO LIB-VER 6.3.0", "CLIENT SETINFO LIB-NAME node-redis"]),
    (
        "node-redis 6.3.0, RESP3",
        &[
            "HELLO 3",
            "CLIENT SETINFO LIB-VER 6.3.0",
            "CLIENT SETINFO LIB-NAME node-redis",
            "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip",
        ],
    ),
    ("phpredis 5.3.7, hiredis 0.14.1", &[]),
];

/// Not captured: as the libraries' documentation and sources have it.
const READ: [(&str, &[&str]); 6] = [
    ("Jedis 3", &[]),
    ("Jedis 5", &["CLIENT SETINFO LIB-NAME jedis", "CLIENT SETINFO LIB-VER 5.1.0"]),
    ("Lettuce 5", &["PING"]),
    (
        "Lettuce 6",
        &["HELLO 3", "CLIENT SETINFO lib-name Lettuce", "CLIENT SETINFO lib-ver 6.3.0.RELEASE"],
    ),
    (
        "go-redis 9",
        &["hello 3", "client setinfo LIB-NAME go-redis(,go1.21.0)", "client setinfo LIB-VER 9.3.0"],
    ),
    ("redigo", &["PING"]),
];

/// Captured: what the same libraries say first when they have a password, without and with RESP3.
const WITH_PASSWORD: [&str; 4] =
    ["AUTH secret", "auth secret", "HELLO 3 AUTH default secret", "hello 3 AUTH default secret"];

#[test]
fn every_library_can_go_on_after_its_handshake() {
    for kind in [Kind::Redis, Kind::Ours] {
        let product = Product::start(Parts { kind, ..Parts::default() });
        for (name, words) in CAPTURED.into_iter().chain(READ) {
            // As a pipeline, and one after the other.
            let mut piped = product.proxies[0].client();
            let all: Vec<u8> = words.iter().flat_map(|words| frame(words)).collect();
            piped.send(&all).unwrap();
            words.iter().for_each(|words| {
                _ = piped.reply().unwrap_or_else(|e| panic!("{name}, {words}: {e}"))
            });
            works(name, &mut piped);
            let mut single = product.proxies[0].client();
            words.iter().for_each(|words| {
                _ = single.command(words).unwrap_or_else(|e| panic!("{name}, {words}: {e}"))
            });
            works(name, &mut single);
        }
    }
}

#[test]
fn every_way_a_library_says_its_password_opens_the_connection() {
    let product = Product::start(Parts { proxy: "session_auth = \"secret\"", ..Parts::default() });
    for words in WITH_PASSWORD {
        let mut client = product.proxies[0].client();
        let refused = client.command("GET hands").unwrap();
        assert!(matches!(refused, Value::Error(_)), "without a password: {refused:?}");
        let reply = client.command(words).unwrap();
        assert!(!matches!(reply, Value::Error(_)), "{words}: {reply:?}");
        works(words, &mut client);
    }
}

fn frame(words: &str) -> Vec<u8> {
    let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let mut frame = Vec::new();
    encode_request(&mut frame, &args);
    frame
}

fn works(name: &str, client: &mut Client) {
    assert_eq!(client.command("SET hands shaken").unwrap().as_str(), Some("OK"), "{name}");
    assert_eq!(client.command("GET hands").unwrap().as_str(), Some("shaken"), "{name}");
    let got = client.command("MGET hands nothing").unwrap();
    assert_eq!(got, Value::Array(vec![Value::Bulk("shaken".into()), Value::Null]), "{name}");
}
