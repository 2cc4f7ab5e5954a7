//! Kinds of servers: what each lacks or does in a way of its own, so that the load leaves it out or foretells it.

use super::op::Op;
use super::reply::Reply;

/// A kind of server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Server {
    /// Redis from 6.2 on, Valkey, and our nodes
    #[default]
    Redis,
    /// codis-server, a Redis 3.2: no GETDEL, one field an HSET
    #[value(name = "codis-server")]
    Codis,
    /// Pika 3.5 and 4.0: the same, and moves that keep six decimals of a score and whole seconds of a time to live, and a read cache that
    /// forgets when hashes and lists end
    Pika,
}

/// Pika's moves cut times to live to whole seconds, at the sending and at the arrival.
const PIKA_MARGIN_US: u64 = 2_100_000;

impl Server {
    /// Whether it knows what came after Redis 3.2.
    pub(crate) fn is_recent(self) -> bool {
        self == Self::Redis
    }

    /// Whether scores keep all their digits.
    pub(crate) fn keeps_scores(self) -> bool {
        self != Self::Pika
    }

    /// Whether a hash, list, set or sorted set ends when it was told to.
    pub(crate) fn ends_collections(self) -> bool {
        self != Self::Pika
    }

    /// Whether TYPE and EXISTS say that a key is gone: Pika remembers what it was, and its read cache counts keys that have ended.
    pub(crate) fn forgets_the_gone(self) -> bool {
        self != Self::Pika
    }

    /// How far off an expiry may be at least, in microseconds.
    pub(crate) fn margin_us(self) -> u64 {
        if self == Self::Pika { PIKA_MARGIN_US } else { 0 }
    }

    /// A time to live as this server keeps it, in milliseconds.
    pub(crate) fn life_ms(self, life_ms: u64) -> u64 {
        if self == Self::Pika { life_ms.div_ceil(1000) * 1000 } else { life_ms }
    }

    /// The command that gives a key its time to live. The read cache of Pika takes the milliseconds of PEXPIRE for seconds.
    pub(crate) fn end(self, life_ms: u64) -> Op {
        if self == Self::Pika { Op::Expire(life_ms / 1000) } else { Op::PExpire(life_ms) }
    }

    /// The reply as Redis would have given it: Pika says 0 where PTTL of Redis says that there is no key.
    pub(crate) fn translated(self, op: &Op, reply: Reply) -> Reply {
        match (self, op, &reply) {
            (Self::Pika, Op::PTtl, Reply::Int(0)) => Reply::Int(-2),
            _ => reply,
        }
    }
}
