//! A table of commands and replies, for what both doubles share.

use super::*;
use protocol::reply::Version;

fn say(store: &mut Store, flavour: Flavour, line: &str) -> String {
    let words: Vec<Bytes> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let row = lookup(&line.split(' ').next().unwrap().to_lowercase()).unwrap();
    assert!(row.fits(words.len()), "{line}");
    let mut out = Vec::new();
    let call = Call { words: &words, flavour };
    let _ = run(row, store, call, &mut Reply::new(&mut out, Version::Resp2));
    String::from_utf8(out).unwrap().replace("\r\n", " ").trim_end().to_owned()
}

#[test]
fn each_command_answers_as_the_real_servers_do() {
    let mut store = Store::default();
    store.now_ms = 1_000_000;
    for (line, reply) in [
        ("SET a 5 EX 10", "+OK"),
        ("INCRBY a 3", ":8"),
        ("TTL a", ":10"),
        ("DECR a", ":7"),
        ("SET a 1 NX", "$-1"),
        ("APPEND a 0", ":2"),
        ("GETRANGE a 0 0", "$1 7"),
        ("INCR nothing", ":1"),
        ("INCRBYFLOAT f 1.5", "$3 1.5"),
        ("SETBIT bits 7 1", ":0"),
        ("BITCOUNT bits", ":1"),
        ("BITOP NOT inverse bits", ":1"),
        ("BITCOUNT inverse", ":7"),
        ("PFADD p x y", ":1"),
        ("PFCOUNT p", ":2"),
        ("HSET h f 1", ":1"),
        ("HINCRBY h f 2", ":3"),
        ("HGETALL h", "*2 $1 f $1 3"),
        ("HDEL h f", ":1"),
        ("EXISTS h a", ":1"),
        ("RPUSH l a b c", ":3"),
        ("LRANGE l -2 -1", "*2 $1 b $1 c"),
        ("LTRIM l 1 1", "+OK"),
        ("RPOPLPUSH l m", "$1 b"),
        ("EXISTS l", ":0"),
        ("LINSERT m BEFORE b a", ":2"),
        ("LREM m 0 a", ":1"),
        ("SADD s a b", ":2"),
        ("SMOVE s t a", ":1"),
        ("SUNIONSTORE u s t", ":2"),
        ("SMEMBERS u", "*2 $1 a $1 b"),
        ("ZADD z 2 b 1 a", ":2"),
        ("ZRANGE z 0 -1 WITHSCORES", "*4 $1 a $1 1 $1 b $1 2"),
        ("ZREVRANGE z 0 0", "*1 $1 b"),
        ("ZRANGEBYSCORE z (1 +inf", "*1 $1 b"),
        ("ZRANK z b", ":1"),
        ("ZINCRBY z 1.5 a", "$3 2.5"),
        ("ZUNIONSTORE zu 2 z s", ":2"),
        ("ZSCORE zu b", "$1 3"),
        ("XADD x 1-1 f v", "$3 1-1"),
        ("XRANGE x - +", "*1 *2 $3 1-1 *2 $1 f $1 v"),
        ("GEOADD g 13.3 38.1 p", ":1"),
        ("GEORADIUS g 13.3 38.1 1 km STORE near", ":1"),
        ("ZCARD near", ":1"),
        ("LPUSH s x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ] {
        assert_eq!(say(&mut store, Flavour::Redis, line), reply, "{line}");
    }
}

#[test]
fn pika_answers_otherwise_where_the_contract_says_so() {
    let mut store = Store::default();
    store.now_ms = 1_000_000;
    for (line, reply) in [
        ("TTL missing", ":0"),
        ("XLEN missing", "-ERR no such key"),
        ("XADD x 1-1 f v", "$3 1-1"),
        ("TYPE x", "+streams"),
        ("EXPIRE x 10", ":0"),
        ("RPUSH l a b", ":2"),
        ("LPOP l 1", "$1 a"),
        ("DEL l", ":1"),
        ("TYPE l", "+list"),
        ("TTL l", ":-2"),
        ("SADD s a", ":1"),
        ("SPOP s", "*1 $1 a"),
        ("SETBIT b 2097152 1", "-ERR bit offset is not an integer or out of range"),
    ] {
        assert_eq!(say(&mut store, Flavour::Pika, line), reply, "{line}");
    }
}
