//! The table of both lines, and what the real programs do with a name.

use crate::Flavour;

/// What a line may do with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// May go to a replica.
    Read,
    /// Reads, and goes to the primary only.
    ReadAtPrimary,
    Write,
    Refused,
    RefusedWrite,
    RefusedReadAtPrimary,
}

impl Grade {
    /// Whether clients may send it.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Read | Self::ReadAtPrimary | Self::Write)
    }

    /// The number that PCONFIG shows: 1 write, 2 primary only, 8 not allowed.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::ReadAtPrimary => 2,
            Self::Write => 1,
            Self::Refused => 8,
            Self::RefusedWrite => 9,
            Self::RefusedReadAtPrimary => 10,
        }
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodisCommand {
    /// Upper case, as both lines tell it.
    pub name: &'static str,
    /// Nothing where the line does not have it.
    pub upstream: Option<Grade>,
    pub fork: Option<Grade>,
}

impl CodisCommand {
    /// Its grade in a line.
    pub fn grade(&self, line: Flavour) -> Option<Grade> {
        match line {
            Flavour::Upstream => self.upstream,
            Flavour::Fork => self.fork,
        }
    }
}

/// What a real codis-proxy does with a request of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Answers it itself.
    Answered,
    /// To the primary or a replica of any slot.
    AnySlot,
    /// One request a key, and the replies joined.
    SplitByKey,
    /// To the slot of this argument, unlooked at otherwise.
    BySlotOf(usize),
    /// To the slot that it names.
    NamedSlot,
    /// Refused, and says so.
    Refused,
    /// Not in the table: forwarded for whatever it may do, to the slot of this argument.
    Unlisted(usize),
    /// Refused by the table, and forwarded all the same: a name with a byte that is no letter is never looked up.
    RefusedOnPaper(usize),
}

/// In the same order as the grades below.
const SAME: [(Grade, &str); 6] = [
    (
        Grade::Read,
        "AUTH BITCOUNT BITPOS COMMAND DUMP ECHO EXISTS GEODIST GEOHASH GEOPOS GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN \
         HMGET HSTRLEN HVALS INFO LINDEX LLEN LRANGE MGET PFCOUNT PFSELFTEST PING PTTL PUBSUB QUIT ROLE SCARD SELECT SISMEMBER \
         SLOTSHASHKEY SLOTSMAPPING SMEMBERS SRANDMEMBER STRLEN SUBSTR TTL TYPE ZCARD ZCOUNT ZLEXCOUNT ZRANGE ZRANGEBYLEX \
         ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCORE",
    ),
    (Grade::ReadAtPrimary, "HSCAN SLOTSINFO SLOTSSCAN SSCAN ZSCAN"),
    (
        Grade::Write,
        "APPEND BITFIELD DECR DECRBY DEL EXPIRE EXPIREAT GEOADD GEORADIUS GEORADIUSBYMEMBER GETSET HDEL HINCRBY HINCRBYFLOAT \
         HMSET HSET HSETNX INCR INCRBY INCRBYFLOAT LINSERT LPOP LPUSH LPUSHX LREM LSET LTRIM MSET PERSIST PEXPIRE PEXPIREAT \
         PFADD PFDEBUG PSETEX RPOP RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SLOTSRESTORE SORT SPOP SREM \
         TOUCH ZADD ZINCRBY ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE",
    ),
    (
        Grade::Refused,
        "ASKING BGREWRITEAOF BGSAVE CLIENT CLUSTER CONFIG DBSIZE DEBUG DISCARD EXEC HOST: KEYS LASTSAVE LATENCY MONITOR MULTI \
         OBJECT POST PSUBSCRIBE PSYNC PUBLISH PUNSUBSCRIBE RANDOMKEY READONLY READWRITE REPLCONF SAVE SCRIPT SHUTDOWN SLAVEOF \
         SLOTSCHECK SLOTSMGRT-ASYNC-CANCEL SLOTSMGRT-ASYNC-FENCE SLOTSMGRT-ASYNC-STATUS SLOWLOG SUBSCRIBE SYNC TIME UNSUBSCRIBE \
         UNWATCH WAIT WATCH",
    ),
    (
        Grade::RefusedWrite,
        "BITOP BLPOP BRPOP BRPOPLPUSH FLUSHALL FLUSHDB MIGRATE MOVE MSETNX RENAME RENAMENX RESTORE RESTORE-ASKING SLOTSDEL \
         SLOTSMGRT-EXEC-WRAPPER SLOTSMGRTONE SLOTSMGRTONE-ASYNC SLOTSMGRTSLOT SLOTSMGRTSLOT-ASYNC SLOTSMGRTTAGONE \
         SLOTSMGRTTAGONE-ASYNC SLOTSMGRTTAGSLOT SLOTSMGRTTAGSLOT-ASYNC SLOTSRESTORE-ASYNC SLOTSRESTORE-ASYNC-ACK \
         SLOTSRESTORE-ASYNC-AUTH",
    ),
    (Grade::RefusedReadAtPrimary, "SCAN"),
];

/// Allowed upstream, where the caller must take care of the slots; refused by the fork.
const FORK_REFUSES: [(Grade, &str); 2] = [
    (
        Grade::Write,
        "EVAL EVALSHA PFMERGE RPOPLPUSH SINTERSTORE SMOVE SUNIONSTORE ZINTERSTORE ZUNIONSTORE",
    ),
    (Grade::Read, "SDIFF SINTER SUNION"),
];

/// Every command that either line knows.
pub fn table() -> impl Iterator<Item = CodisCommand> {
    let same = SAME.iter().flat_map(|(grade, names)| {
        names.split(' ').map(|name| CodisCommand {
            name,
            upstream: Some(*grade),
            fork: Some(*grade),
        })
    });
    let apart = FORK_REFUSES.iter().flat_map(|(grade, names)| {
        let refused = if *grade == Grade::Write { Grade::RefusedWrite } else { Grade::Refused };
        names.split(' ').map(move |name| CodisCommand {
            name,
            upstream: Some(*grade),
            fork: Some(refused),
        })
    });
    let pconfig = CodisCommand { name: "PCONFIG", upstream: None, fork: Some(Grade::Read) };
    same.chain(apart).chain([pconfig])
}

/// The line of a name, in any case.
pub fn lookup(name: &str) -> Option<CodisCommand> {
    table().find(|command| command.name.eq_ignore_ascii_case(name))
}

/// Which argument Codis takes for the key, the name being 0. Of four commands it is right.
pub fn key_index(name: &str) -> usize {
    let third = ["ZINTERSTORE", "ZUNIONSTORE", "EVAL", "EVALSHA"];
    if third.iter().any(|other| other.eq_ignore_ascii_case(name)) { 3 } else { 1 }
}

/// What a real codis-proxy of a line does with a name.
pub fn treatment(name: &str, line: Flavour) -> Treatment {
    let name = name.to_ascii_uppercase();
    let at = key_index(&name);
    let is_looked_up = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b':');
    match lookup(&name).and_then(|command| command.grade(line)) {
        None if name == "CODIS.INFO" && line == Flavour::Fork => Treatment::Answered,
        None => Treatment::Unlisted(at),
        Some(grade) if grade.is_allowed() => match name.as_str() {
            "AUTH" | "PCONFIG" | "QUIT" | "SELECT" | "SLOTSMAPPING" => Treatment::Answered,
            "INFO" | "PING" => Treatment::AnySlot,
            "DEL" | "EXISTS" | "MGET" | "MSET" => Treatment::SplitByKey,
            "SLOTSSCAN" => Treatment::NamedSlot,
            _ => Treatment::BySlotOf(at),
        },
        Some(_) if is_looked_up => Treatment::Refused,
        Some(_) => Treatment::RefusedOnPaper(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn count(line: Flavour, grade: Grade) -> usize {
        table().filter(|command| command.grade(line) == Some(grade)).count()
    }

    #[test]
    fn the_table_has_as_many_lines_as_codis_has() {
        use Flavour::{Fork, Upstream};
        use Grade::{Read, ReadAtPrimary, Refused, RefusedReadAtPrimary, RefusedWrite, Write};
        let names: BTreeSet<_> = table().map(|command| command.name).collect();
        assert_eq!(names.len(), table().count(), "a name stands twice");
        assert_eq!(table().filter(|command| command.upstream.is_some()).count(), 197);
        assert_eq!(table().filter(|command| command.fork.is_some()).count(), 198);
        for (grade, upstream, fork) in [
            (Read, 56 + 3, 56 + 1),
            (ReadAtPrimary, 5, 5),
            (Write, 55 + 9, 55),
            (Refused, 42, 42 + 3),
            (RefusedWrite, 26, 26 + 9),
            (RefusedReadAtPrimary, 1, 1),
        ] {
            assert_eq!((count(Upstream, grade), count(Fork, grade)), (upstream, fork), "{grade:?}");
        }
    }

    #[test]
    fn twelve_refusals_stand_on_paper_only() {
        let on_paper = |line| {
            table()
                .filter(|c| matches!(treatment(c.name, line), Treatment::RefusedOnPaper(_)))
                .count()
        };
        assert_eq!((on_paper(Flavour::Upstream), on_paper(Flavour::Fork)), (12, 12));
        let wrapper = treatment("slotsmgrt-exec-wrapper", Flavour::Upstream);
        assert_eq!(wrapper, Treatment::RefusedOnPaper(1));
    }

    #[test]
    fn every_kind_of_command_has_its_treatment() {
        use Treatment::{Answered, AnySlot, BySlotOf, NamedSlot, Refused, SplitByKey, Unlisted};
        for (name, upstream, fork) in [
            ("get", BySlotOf(1), BySlotOf(1)),
            ("Mget", SplitByKey, SplitByKey),
            ("KeYs", Refused, Refused),
            ("PING", AnySlot, AnySlot),
            ("SLOTSMAPPING", Answered, Answered),
            ("SLOTSSCAN", NamedSlot, NamedSlot),
            ("ZUNIONSTORE", BySlotOf(3), Refused),
            ("EVAL", BySlotOf(3), Refused),
            ("PCONFIG", Unlisted(1), Answered),
            ("CODIS.INFO", Unlisted(1), Answered),
            ("UNLINK", Unlisted(1), Unlisted(1)),
            ("HELLO", Unlisted(1), Unlisted(1)),
            ("POST", Refused, Refused),
            ("host:", Refused, Refused),
        ] {
            assert_eq!(
                (treatment(name, Flavour::Upstream), treatment(name, Flavour::Fork)),
                (upstream, fork),
                "{name}"
            );
        }
    }

    #[test]
    fn the_key_is_the_first_argument_but_for_four_commands() {
        for (name, at) in [
            ("ZINTERSTORE", 3),
            ("zunionstore", 3),
            ("EVAL", 3),
            ("EVALSHA", 3),
            ("XREAD", 1),
            ("ZUNION", 1),
            ("FCALL", 1),
            ("get", 1),
        ] {
            assert_eq!(key_index(name), at, "{name}");
        }
    }

    #[test]
    fn slots_are_counted_as_codis_counts_them() {
        use cluster::SlotCount;
        for (key, small, large) in [
            ("", 0, 0),
            ("a", 579, 15_939),
            ("b", 1017, 12_281),
            ("c", 879, 8047),
            ("foo", 289, 9505),
            ("hello", 646, 9862),
            ("key:0", 890, 2938),
            ("user:{1000}:name", 791, 8983),
            ("{abc}=abc", 450, 450),
            ("{}abc", 0, 0),
            ("123{456}", 881, 881),
            ("{{{abc1}abc2}", 521, 14_857),
            ("{abc", 81, 8273),
            ("shakestealCountLimit18720679129", 193, 4289),
        ] {
            let of = |count| SlotCount::new(count).unwrap().of(key.as_bytes()).0;
            assert_eq!((of(1024), of(16_384)), (small, large), "{key}");
        }
    }
}
