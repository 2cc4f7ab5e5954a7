//! Name, number of words and code of each data command.

use super::{Call, Done, geo, hashes, keys, lists, sets, sketches, streams, strings, zsets};
use crate::store::Store;
use protocol::reply::Reply;

/// Whether a command may change data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

pub(crate) type Run = fn(&mut Store, &Call<'_>, &mut Reply<'_>) -> Done;

/// A line of the table. `words`: how many, the name included; negative: at least so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub name: &'static str,
    pub words: i16,
    effect: Effect,
    pub run: Run,
}

impl Row {
    pub(crate) fn writes(&self) -> bool {
        self.effect == Effect::Write
    }

    pub(crate) fn fits(&self, count: usize) -> bool {
        let least = usize::from(self.words.unsigned_abs());
        if self.words < 0 { count >= least } else { count == least }
    }
}

/// The row of a name in lower case.
pub(crate) fn lookup(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

const fn read(name: &'static str, words: i16, run: Run) -> Row {
    Row { name, words, effect: Effect::Read, run }
}

const fn write(name: &'static str, words: i16, run: Run) -> Row {
    Row { name, words, effect: Effect::Write, run }
}

static ROWS: &[Row] = &[
    read("get", 2, strings::get),
    write("set", -3, strings::set),
    write("incr", 2, strings::incr),
    write("hset", -4, hashes::hset),
    read("hget", 3, hashes::hget),
    read("hgetall", 2, hashes::hgetall),
    read("lrange", 4, lists::lrange),
    write("rpush", -3, lists::push),
    write("lpush", -3, lists::push),
    write("sadd", -3, sets::sadd),
    read("smembers", 2, sets::smembers),
    write("zadd", -4, zsets::zadd),
    read("zscore", 3, zsets::zscore),
    read("zrange", -4, zsets::zrange),
    write("del", -2, keys::del),
    write("unlink", -2, keys::del),
    read("exists", -2, keys::exists),
    read("ttl", 2, keys::ttl),
    write("expire", 3, keys::expire),
    read("pttl", 2, keys::ttl),
    write("pexpire", 3, keys::expire),
    write("expireat", 3, keys::expire),
    write("pexpireat", 3, keys::expire),
    write("persist", 2, keys::persist),
    read("type", 2, keys::kind),
    read("keys", 2, keys::keys),
    read("scan", -2, keys::scan),
    write("rename", 3, keys::rename),
    write("setnx", 3, strings::setnx),
    write("setex", 4, strings::setex),
    write("psetex", 4, strings::setex),
    write("getset", 3, strings::getset),
    write("append", 3, strings::append),
    read("strlen", 2, strings::strlen),
    read("getrange", 4, strings::getrange),
    write("setrange", 4, strings::setrange),
    read("mget", -2, strings::mget),
    write("mset", -3, strings::mset),
    write("msetnx", -3, strings::msetnx),
    write("decr", 2, strings::incr),
    write("incrby", 3, strings::incr),
    write("decrby", 3, strings::incr),
    write("incrbyfloat", 3, strings::incr_by_float),
    write("setbit", 4, strings::setbit),
    read("getbit", 3, strings::getbit),
    read("bitcount", -2, strings::bitcount),
    write("bitop", -4, strings::bitop),
    write("pfadd", -2, sketches::pfadd),
    read("pfcount", -2, sketches::pfcount),
    write("pfmerge", -2, sketches::pfmerge),
    write("pksetexat", 4, strings::pksetexat),
    write("hsetnx", 4, hashes::hsetnx),
    write("hmset", -4, hashes::hmset),
    read("hmget", -3, hashes::hmget),
    write("hdel", -3, hashes::hdel),
    read("hlen", 2, hashes::hlen),
    read("hexists", 3, hashes::hexists),
    read("hkeys", 2, hashes::hkeys),
    read("hvals", 2, hashes::hkeys),
    write("hincrby", 4, hashes::hincrby),
    write("hincrbyfloat", 4, hashes::hincrbyfloat),
    read("hscan", -3, hashes::hscan),
    write("lpushx", -3, lists::push),
    write("rpushx", -3, lists::push),
    write("lpop", -2, lists::pop),
    write("rpop", -2, lists::pop),
    read("llen", 2, lists::llen),
    read("lindex", 3, lists::lindex),
    write("lset", 4, lists::lset),
    write("lrem", 4, lists::lrem),
    write("ltrim", 4, lists::ltrim),
    write("linsert", 5, lists::linsert),
    write("rpoplpush", 3, lists::rpoplpush),
    write("srem", -3, sets::srem),
    read("sismember", 3, sets::sismember),
    read("scard", 2, sets::scard),
    write("spop", -2, sets::spop),
    write("smove", 4, sets::smove),
    read("sunion", -2, sets::combine),
    read("sinter", -2, sets::combine),
    read("sdiff", -2, sets::combine),
    write("sunionstore", -3, sets::combine_store),
    write("sinterstore", -3, sets::combine_store),
    write("sdiffstore", -3, sets::combine_store),
    read("sscan", -3, sets::sscan),
    write("zincrby", 4, zsets::zincrby),
    write("zrem", -3, zsets::zrem),
    read("zcard", 2, zsets::zcard),
    read("zcount", 4, zsets::zcount),
    read("zrank", 3, zsets::zrank),
    read("zrevrange", -4, zsets::zrange),
    read("zrangebyscore", -4, zsets::zrangebyscore),
    read("zlexcount", 4, zsets::zlexcount),
    write("zremrangebyscore", 4, zsets::zremrangebyscore),
    read("zscan", -3, zsets::zscan),
    write("zunionstore", -4, zsets::combine_store),
    write("zinterstore", -4, zsets::combine_store),
    write("xadd", -5, streams::xadd),
    read("xlen", 2, streams::xlen),
    read("xrange", -4, streams::xrange),
    read("xinfo", -3, streams::xinfo),
    write("xdel", -3, streams::xdel),
    write("geoadd", -5, geo::geoadd),
    write("georadius", -6, geo::georadius),
];
