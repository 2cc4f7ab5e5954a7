//! Words of our own parts: who a node is, slots that are not here, whole transactions, scans of ranges (docs/WIRE.md).

use crate::harness::{Client, Server};

fn link(server: &Server) -> Client {
    let mut client = server.client();
    let reply = client.call("SLIPWAY LINK proxy p1 - 1024");
    assert_eq!(reply.as_items().unwrap().len(), 4, "{reply:?}");
    client
}

#[test]
fn a_party_with_another_number_of_slots_or_cluster_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    assert!(
        client
            .say("SLIPWAY LINK proxy p - 16")
            .contains("slot count differs: this node has 1024, you have 16")
    );
    assert_eq!(client.say("SLIPWAY CLAIM mine g1"), "OK");
    assert_eq!(client.say("SLIPWAY CLAIM mine g1"), "OK");
    assert!(client.say("SLIPWAY CLAIM yours g1").contains("belongs to cluster mine"));
    assert!(client.say("SLIPWAY LINK proxy p yours 1024").contains("belongs to cluster mine"));
    assert!(client.say("SLIPWAY LINK proxy p mine 1024").contains("mine"));
}

#[test]
fn a_slot_of_another_node_is_moved_for_links_and_plain_clients_each_in_their_words() {
    let server = Server::start();
    let (mut link, mut plain) = (link(&server), server.client());
    assert_eq!(link.say("SLIPWAY ASSIGN 1 OWNED 0-99"), ":100");
    assert_eq!(link.say("SLIPWAY ASSIGN 1 other:7000 100-1023"), ":924");
    assert_eq!(link.say("SLIPWAY ASSIGN 9 OWNED 0-1023"), ":0", "who has an owner keeps it");
    // key1 is in slot 80, key2 in 490.
    assert_eq!(link.say("SET key1 v"), "OK");
    assert_eq!(link.say("SET key2 v"), "-XMOVED 490 1 other:7000 -");
    assert_eq!(plain.say("SET key2 v"), "-MOVED 490 other:7000");
    assert_eq!(link.say("SLIPWAY WHERE 490"), "[absent :1 other:7000 -]");
    assert_eq!(link.say("SLIPWAY WHERE 80"), "[owned :1 - -]");
    // One slot turns it away: nothing is done, and both pairs are sticky.
    assert_eq!(link.say("MSET key1 w key2 w"), "-XMOVED 490 1 other:7000 -");
    assert_eq!(link.say("GET key1"), "-XHOLD 80");
    assert_eq!(link.say("SLIPWAY RESUME 80"), "OK");
    assert_eq!(link.say("GET key1"), "v");
    assert_eq!(plain.say("DBSIZE"), ":1");
}

#[test]
fn a_transaction_in_one_word_is_executed_whole_or_bounced_whole() {
    let server = Server::start();
    let mut link = link(&server);
    assert_eq!(link.say("SLIPWAY EXEC 3 0 3 SET a 1 2 INCR a 3 LPUSH l x"), "[OK :2 :1]");
    let version =
        |link: &mut Client| link.say("SLIPWAY WATCH a").trim_matches(['[', ']']).to_owned();
    let before = version(&mut link);
    assert_eq!(link.say(&format!("SLIPWAY EXEC 1 1 a {before} 2 GET a")), "[2]");
    server.client().say("SET a changed");
    assert_eq!(link.say(&format!("SLIPWAY EXEC 1 1 a {before} 3 SET a mine")), "nil");
    assert_eq!(link.say("GET a"), "changed");
    assert_eq!(link.say("SLIPWAY EXEC 1 1 a another-boot:0:2 2 GET a"), "nil");
    // A watched key is one of the database it was watched in.
    let before = version(&mut link);
    link.say("SELECT 1");
    assert_eq!(link.say(&format!("SLIPWAY EXEC 1 1 a {before} 2 EXISTS a")), "[:0]");
    server.client().say("SET a again");
    assert_eq!(link.say(&format!("SLIPWAY EXEC 1 1 a {before} 2 EXISTS a")), "nil");
    link.say("SELECT 0");
    assert!(link.say("SLIPWAY EXEC 1 0 2 NOSUCH a").starts_with("-ERR unknown command"));
    assert!(link.say("SLIPWAY EXEC 5 0 2 GET a").starts_with("-ERR"));
    assert_eq!(link.say("SLIPWAY ASSIGN 1 other:7000 490"), ":1");
    assert_eq!(
        link.say("SLIPWAY EXEC 2 0 3 SET key1 v 3 SET key2 v"),
        "-XMOVED 490 1 other:7000 -"
    );
    assert_eq!(server.client().say("EXISTS key1"), ":0");
}

#[test]
fn a_range_of_slots_is_scanned_in_order_and_stops_before_a_slot_of_another_node() {
    let server = Server::start();
    let mut link = link(&server);
    let mut plain = server.client();
    for number in 0..2_000 {
        plain.say(&format!("SET k{number} v"));
    }
    let (mut next, mut cursor, mut found) = ("0".to_owned(), "0".to_owned(), 0);
    while next != "-1" {
        let reply = link.call(&format!("SLIPWAY SCAN {next} 1023 {cursor} 100"));
        let items = reply.as_items().unwrap();
        (next, cursor) =
            (items[0].as_str().unwrap().to_owned(), items[1].as_str().unwrap().to_owned());
        found += items[2].as_items().unwrap().len();
    }
    assert_eq!(found, 2_000);
    assert_eq!(link.call("SLIPWAY KEYS 0-1023 k1*").as_items().unwrap().len(), 1111);
    let [low, high] = ["0-511", "512-1023"]
        .map(|ranges| link.call(&format!("SLIPWAY DBSIZE {ranges}")).as_int().unwrap());
    assert!(low > 800 && high > 800 && low + high == 2_000, "{low} {high}");
    assert!(link.say("SLIPWAY RANDOMKEY 0-511").starts_with('k'));
    assert_eq!(link.say("SLIPWAY ASSIGN 1 other:7000 500"), ":1");
    let reply = link.call("SLIPWAY SCAN 490 510 0 1000");
    assert_eq!(reply.as_items().unwrap()[0].as_str(), Some("500"));
    assert_eq!(link.say("SLIPWAY SCAN 500 510 0 1000"), "-XMOVED 500 1 other:7000 -");
    // What is about a slot of another node is turned away, so that it is neither forgotten nor counted twice.
    for word in ["DBSIZE 0-511", "KEYS 0-511 *", "RANDOMKEY 500", "FLUSHDB 0-511 0"] {
        assert_eq!(link.say(&format!("SLIPWAY {word}")), "-XMOVED 500 1 other:7000 -", "{word}");
    }
    assert_eq!(link.say("SLIPWAY FLUSHDB 0-499,501-511 0"), "OK");
    let left = plain.call("DBSIZE").as_int().unwrap();
    assert!((800..1_200).contains(&left), "{left}");
    assert_eq!(link.say("SLIPWAY FLUSHDB 0-499,501-1023 *"), "OK");
    assert_eq!(plain.say("DBSIZE"), ":0");
}

#[test]
fn assignments_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(directory.path(), |_| {});
    let mut client = link(&server);
    client.say("SLIPWAY CLAIM mine g1");
    client.say("SLIPWAY ASSIGN 3 OWNED 0-511");
    client.say("SLIPWAY ASSIGN 3 other:7000 512-1023");
    client.say("SET key1 v");
    server.stop();
    drop(server);
    let server = Server::start_on(directory.path(), |_| {});
    let mut client = link(&server);
    assert_eq!(client.say("SLIPWAY WHERE 80"), "[owned :3 - -]");
    assert_eq!(client.say("SLIPWAY WHERE 600"), "[absent :3 other:7000 -]");
    assert_eq!(client.say("GET key1"), "v");
    assert_eq!(client.say("DBSIZE"), ":1");
}
