//! Plays the steps of a round on two servers and finds the first reply, or the first key, that differs.

mod batch;
mod drawn;
mod keyspace;
pub(super) mod session;

use super::allowed::{Allowed, Refusal};
use super::compare::{Mismatch, mismatches};
use super::generator::Step;
use super::server::Server;
use super::wire::{Connection, Reply, encode, words};
use batch::{Item, items};
use session::Session;
use std::collections::BTreeMap;
use std::time::Duration;

type Request = Vec<Vec<u8>>;

/// After so many requests all data are compared.
const COMPARE_DATA_EVERY: usize = 250;

/// The two servers, and what may differ between them.
pub(crate) struct Duel<'a> {
    pub(crate) redis: &'a Server,
    pub(crate) slipway: &'a Server,
    pub(crate) allowed: &'a Allowed,
    /// RESP 2 or 3.
    pub(crate) protocol: u8,
    /// When a reply counts as missing.
    pub(crate) reply_max: Duration,
}

/// How a round went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests answered.
    pub(crate) requests: u64,
    pub(crate) found: Option<Found>,
    /// By command: how many requests, and how many of them Redis answered without an error.
    pub(crate) served: BTreeMap<String, (u64, u64)>,
}

/// The first difference of a round.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The step after which it showed.
    pub(crate) at: usize,
    pub(crate) mismatch: Mismatch,
    /// Whether the data differ, rather than a reply to the step.
    pub(crate) in_data: bool,
}

impl Found {
    /// What two findings of the same fault have in common.
    pub(crate) fn topic(&self) -> String {
        let name = String::from_utf8_lossy(&self.mismatch.request[0]).to_uppercase();
        if self.in_data { format!("data: {name}") } else { name }
    }

    /// The topic and how the replies begin: two that differ in it are two faults.
    pub(crate) fn signature(&self) -> String {
        let start = |reply: &Reply| {
            let text = reply.to_string();
            let length = if reply.is_error() { 60 } else { 1 };
            text.chars().filter(|c| !c.is_ascii_digit()).take(length).collect::<String>()
        };
        let Mismatch { redis, slipway, .. } = &self.mismatch;
        format!("{} {} {}", self.topic(), start(redis), start(slipway))
    }
}

/// Why a round stops early.
struct Stop {
    mismatch: Mismatch,
    in_data: bool,
}

/// The connections of one client, one to each server.
struct Pair {
    redis: Connection,
    slipway: Connection,
    session: Session,
}

impl Duel<'_> {
    /// Plays the steps from empty databases.
    pub(crate) fn play(&self, steps: &[Step]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut at = 0;
        if let Err(Stop { mismatch, in_data }) = self.play_into(steps, &mut at, &mut outcome) {
            outcome.found = Some(Found { at, mismatch, in_data });
        }
        outcome
    }

    fn play_into(&self, steps: &[Step], at: &mut usize, outcome: &mut Outcome) -> Result<(), Stop> {
        let mut control = self.pair(2)?;
        self.talk(&mut control, &words("FLUSHALL"))?;
        let mut pairs = [self.pair(self.protocol)?, self.pair(self.protocol)?];
        let mut since_data = 0;
        let mut items = items(steps).into_iter().peekable();
        while let Some(item) = items.next() {
            *at = item.last();
            let requests = match item {
                Item::Wait(time, _) => {
                    std::thread::sleep(time);
                    continue;
                }
                Item::Alone { connection, request, .. } => {
                    let pair = &mut pairs[connection];
                    let reply = self.alone(pair, request)?;
                    pair.session.answered(request, &reply);
                    note(outcome, request, &reply);
                    1
                }
                Item::Batch { connection, requests, .. } => {
                    self.batch(&mut pairs[connection], &mut control, &requests, outcome)?;
                    requests.len()
                }
            };
            since_data += requests;
            // Before a wait a key is about to expire: nobody looks.
            let is_due = since_data >= COMPARE_DATA_EVERY;
            if is_due && !matches!(items.peek(), Some(Item::Wait(..))) {
                since_data = 0;
                self.compare_data(&mut control)?;
            }
        }
        self.compare_data(&mut control)
    }

    fn pair(&self, protocol: u8) -> Result<Pair, Stop> {
        let hello = words(&format!("HELLO {protocol}"));
        let slipway = Connection::open(&self.slipway.addr, self.reply_max);
        let slipway = slipway.map_err(|why| lost(&hello, Reply::Broken(why)))?;
        let redis = Connection::open(&self.redis.addr, self.reply_max).unwrap();
        let mut pair = Pair { redis, slipway, session: Session::default() };
        self.talk(&mut pair, &hello)?;
        Ok(pair)
    }

    /// Sends one request to both and compares.
    fn talk(&self, pair: &mut Pair, request: &Request) -> Result<(Reply, Reply), Stop> {
        let mut bytes = Vec::new();
        encode(&mut bytes, request);
        pair.slipway.send(&bytes);
        pair.redis.send(&bytes);
        let (redis, slipway) = (pair.redis.reply(), pair.slipway.reply());
        self.judge(request, &pair.session, &redis, &slipway)?;
        Ok((redis, slipway))
    }

    fn judge(
        &self,
        request: &Request,
        session: &Session,
        redis: &Reply,
        slipway: &Reply,
    ) -> Result<(), Stop> {
        assert!(!redis.is_lost(), "redis-server: {redis} to {}", super::generator::shown(request));
        for mismatch in mismatches(request, session.queued(), redis, slipway) {
            if !self.allowed.has(&mismatch) {
                return Err(Stop { mismatch, in_data: false });
            }
        }
        Ok(())
    }

    /// Sends requests in one go; what the proxy refuses by the list, Redis gets as a request that fails.
    fn batch(
        &self,
        pair: &mut Pair,
        control: &mut Pair,
        requests: &[&Request],
        outcome: &mut Outcome,
    ) -> Result<(), Stop> {
        let refusals = self.refusals(pair, control, requests);
        // What changes nothing there but the state of a transaction, and that in the same way.
        let instead = |request: &Request| {
            let is_exec = request[0].eq_ignore_ascii_case(b"EXEC");
            words(if is_exec { "DISCARD" } else { "GET" })
        };
        let (mut to_redis, mut to_slipway) = (Vec::new(), Vec::new());
        for (request, refusal) in requests.iter().zip(&refusals) {
            match refusal {
                Some(_) => encode(&mut to_redis, &instead(request)),
                None => encode(&mut to_redis, request),
            }
            encode(&mut to_slipway, request);
        }
        pair.slipway.send(&to_slipway);
        pair.redis.send(&to_redis);
        for (request, refusal) in requests.iter().zip(refusals) {
            let (redis, slipway) = (pair.redis.reply(), pair.slipway.reply());
            match refusal {
                Some(refusal) if refusal.is(&slipway) => {}
                Some(_) => {
                    let mismatch = Mismatch {
                        request: (*request).clone(),
                        redis: Reply::Broken("not asked: see allowed.toml".to_owned()),
                        slipway,
                    };
                    return Err(Stop { mismatch, in_data: false });
                }
                None => self.judge(request, &pair.session, &redis, &slipway)?,
            }
            pair.session.answered(request, &redis);
            note(outcome, request, &redis);
        }
        Ok(())
    }

    fn refusals(
        &self,
        pair: &mut Pair,
        control: &mut Pair,
        requests: &[&Request],
    ) -> Vec<Option<&Refusal>> {
        if !self.allowed.has_refusals() {
            return requests.iter().map(|_| None).collect();
        }
        let asked: Vec<Request> = requests
            .iter()
            .map(|request| [words("COMMAND GETKEYS"), (*request).clone()].concat())
            .collect();
        let keys = control.redis.pipeline(&asked);
        let each = requests.iter().zip(keys);
        each.map(|(request, keys)| {
            let slots = session::slots(&keys);
            let refusal =
                self.allowed.refusal(request, |when| pair.session.holds(when, request, &slots));
            pair.session.sends(request, &slots, refusal.is_some());
            refusal
        })
        .collect()
    }
}

fn note(outcome: &mut Outcome, request: &Request, redis: &Reply) {
    outcome.requests += 1;
    let name = String::from_utf8_lossy(&request[0]).to_uppercase();
    let (all, served) = outcome.served.entry(name).or_default();
    *all += 1;
    *served += u64::from(!redis.is_error());
}

fn lost(request: &Request, slipway: Reply) -> Stop {
    let redis = Reply::line("+(a connection)");
    Stop { mismatch: Mismatch { request: request.clone(), redis, slipway }, in_data: false }
}
