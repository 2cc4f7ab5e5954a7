//! What client libraries say first, as their documentation and sources have it, and that each can go on from there.

use harness::product::{Kind, Parts, Product};
use harness::resp::Client;
use protocol::frame::Value;
use protocol::request::encode_request;

/// Name, the commands of its connection, and those an application of it can live with an error for.
const LIBRARIES: [(&str, &[&str]); 9] = [
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
    (
        "redis-py 5",
        &["CLIENT SETINFO LIB-NAME redis-py", "CLIENT SETINFO LIB-VER 5.0.1", "SELECT 0"],
    ),
    (
        "node-redis 4",
        &["CLIENT SETINFO LIB-NAME node-redis", "CLIENT SETINFO LIB-VER 4.6.0", "INFO"],
    ),
    ("ioredis", &["INFO"]),
];

#[test]
fn every_library_can_go_on_after_its_handshake() {
    for kind in [Kind::Redis, Kind::Ours] {
        let product = Product::start(Parts { kind, ..Parts::default() });
        for (name, words) in LIBRARIES {
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
