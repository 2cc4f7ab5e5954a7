//! Requests whose replies two right servers may give differently: pages of a scan, and what is drawn at random.

use super::{Duel, Pair, Request, Stop};
use crate::differential::compare::{Mismatch, sorted, unsigned_zeros};
use crate::differential::wire::{Connection, Reply};

/// A scan of a few hundred keys takes fewer pages.
const PAGES_MAX: usize = 20_000;

impl Duel<'_> {
    /// Sends a request that stands alone, and checks all that can be known of its reply; returns that of Redis.
    pub(super) fn alone(&self, pair: &mut Pair, request: &Request) -> Result<Reply, Stop> {
        match request[0].to_ascii_uppercase().as_slice() {
            b"SCAN" => self.scan(pair, request, 1),
            b"SSCAN" | b"HSCAN" | b"ZSCAN" => self.scan(pair, request, 2),
            b"SPOP" => self.pop(pair, request),
            _ => self.draw(pair, request),
        }
    }

    /// Runs a scan to its end on both and compares what it found.
    fn scan(&self, pair: &mut Pair, request: &Request, cursor_at: usize) -> Result<Reply, Stop> {
        let redis = all_pages(&mut pair.redis, request, cursor_at);
        let slipway = all_pages(&mut pair.slipway, request, cursor_at);
        let from_start = request.get(cursor_at).is_some_and(|cursor| cursor == b"0");
        if !from_start && redis.items().is_some() && slipway.items().is_some() {
            // A cursor that nobody handed out: what it leads to is not promised.
            return Ok(redis);
        }
        self.judge(request, &pair.session, &redis, &slipway)?;
        Ok(redis)
    }

    /// SPOP takes what it likes; but what it returns is gone, and nothing else. The key goes then, since the two are not the same any more.
    fn pop(&self, pair: &mut Pair, request: &Request) -> Result<Reply, Stop> {
        let (redis, slipway) = self.talk(pair, request)?;
        let Some(key) = request.get(1).filter(|_| popped(&redis) > 0) else { return Ok(redis) };
        let read = vec![b"SMEMBERS".to_vec(), key.clone()];
        let before = |connection: &mut Connection, popped: &Reply| {
            let left = connection.call(&read);
            let mut all = [flat(&left), flat(popped)].concat();
            all.sort_unstable();
            Reply::Items(b'*', all)
        };
        let (left, right) = (before(&mut pair.redis, &redis), before(&mut pair.slipway, &slipway));
        if left != right {
            let request = [request.clone(), vec![b"(and what is left)".to_vec()]].concat();
            return Err(Stop {
                mismatch: Mismatch { request, redis: left, slipway: right },
                in_data: false,
            });
        }
        self.talk(pair, &vec![b"DEL".to_vec(), key.clone()])?;
        Ok(redis)
    }

    /// What is drawn at random must be there, and be drawn once unless the count is negative.
    fn draw(&self, pair: &mut Pair, request: &Request) -> Result<Reply, Stop> {
        let (redis, slipway) = self.talk(pair, request)?;
        let key = request.get(1).cloned().unwrap_or_default();
        let whole = match request[0].to_ascii_uppercase().as_slice() {
            b"RANDOMKEY" => vec![b"KEYS".to_vec(), b"*".to_vec()],
            b"SRANDMEMBER" => vec![b"SMEMBERS".to_vec(), key],
            b"HRANDFIELD" => vec![b"HGETALL".to_vec(), key],
            _ => {
                vec![b"ZRANGE".to_vec(), key, b"0".to_vec(), b"-1".to_vec(), b"WITHSCORES".to_vec()]
            }
        };
        if redis.is_error() || slipway.bulk().is_none() && slipway.items().is_none() {
            return Ok(redis);
        }
        let whole = pair.redis.call(&whole);
        let group = if request[0].to_ascii_uppercase().starts_with(b"S") || request.len() == 1 {
            1
        } else {
            2
        };
        let (there, drawn) = (flat(&unsigned_zeros(&whole)), flat(&unsigned_zeros(&slipway)));
        let with_values = request.len() == 4;
        let mut entries: Vec<&[Reply]> = drawn.chunks(if with_values { 2 } else { 1 }).collect();
        let known = |entry: &[Reply]| there.chunks(group).any(|known| known.starts_with(entry));
        let strangers = entries.iter().any(|entry| !known(entry));
        let count = entries.len();
        entries.sort_unstable();
        entries.dedup();
        let twice =
            entries.len() < count && !request.get(2).is_some_and(|count| count.starts_with(b"-"));
        if strangers || twice {
            let mismatch = Mismatch { request: request.clone(), redis: whole, slipway };
            return Err(Stop { mismatch, in_data: false });
        }
        Ok(redis)
    }
}

/// The cursor 0 and all items of all pages once, or the reply that is none.
fn all_pages(connection: &mut Connection, request: &Request, cursor_at: usize) -> Reply {
    let group = if matches!(request[0].to_ascii_uppercase().as_slice(), b"HSCAN" | b"ZSCAN") {
        2
    } else {
        1
    };
    let mut request = request.clone();
    let mut found: Vec<Reply> = Vec::new();
    for _ in 0..PAGES_MAX {
        let reply = connection.call(&request);
        let Some([Reply::Bulk(cursor), Reply::Items(_, items)]) = reply.items() else {
            return reply;
        };
        found.extend_from_slice(items);
        if cursor == b"0" {
            let Reply::Items(_, all) = sorted(&Reply::Items(b'*', found), group) else { break };
            let mut entries: Vec<_> = all.chunks(group).collect();
            entries.dedup();
            let items = Reply::Items(b'*', entries.concat());
            return Reply::Items(b'*', vec![Reply::Bulk(b"0".to_vec()), items]);
        }
        request[cursor_at].clone_from(cursor);
    }
    Reply::Broken(format!("no end of the scan after {PAGES_MAX} pages"))
}

fn popped(reply: &Reply) -> usize {
    match reply {
        Reply::Bulk(_) => 1,
        _ => reply.items().map_or(0, <[_]>::len),
    }
}

/// All single values in a reply.
fn flat(reply: &Reply) -> Vec<Reply> {
    match reply {
        Reply::Items(_, items) => items.iter().flat_map(flat).collect(),
        Reply::NullBulk | Reply::NullArray => Vec::new(),
        other => vec![other.clone()],
    }
}
