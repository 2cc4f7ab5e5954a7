//! The flags of `slipway load`, and what they mean once checked.

use super::link::Target;
use super::mix::Mix;
use super::reply::Resp;
use super::schedule::Volume;
use super::server::Server;
use clap::value_parser;
use cluster::{SlotCount, SlotRanges};
use std::fmt;

/// Put load on a server, and check every reply and the final state of every key.
///
/// The load is an open loop: requests are sent at a fixed rate whether replies come or not, and a latency counts from the moment a request
/// was meant to be sent, so a stall is never hidden. Each client owns its keys, so every reply is known beforehand.
///
/// Exit status: 0 nothing was wrong, 1 something was, 2 wrong usage, 4 the server cannot be reached.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// Address of the proxy, or of any other Redis server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:19000")]
    pub(crate) addr: String,
    /// Requests a second, of all clients together
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = value_parser!(u64).range(1..=2_000_000))]
    pub(crate) rate: u64,
    /// How long to send, in seconds
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u64).range(1..=10_000))]
    pub(crate) clients: u64,
    /// Requests that a connection sends together
    #[arg(long, value_name = "P", default_value_t = 16, value_parser = value_parser!(u64).range(1..=10_000))]
    pub(crate) pipeline: u64,
    /// Keys, of all clients together
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub(crate) keys: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Shares of the activities, for example strings=4,lists=2; those not named get none [default: strings=4,counters=2,hashes=3,lists=3,
    /// sets=2,zsets=2,ttl=2,multi=2,missing=1]
    #[arg(long, value_name = "NAME=N,…", default_value_t = Mix::default(), hide_default_value = true)]
    pub(crate) mix: Mix,
    /// Size of a string value, in bytes
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u64).range(1..=1 << 20))]
    pub(crate) value_bytes: u64,
    /// Use keys of these slots only, for example 0-99,512
    #[arg(long, value_name = "A-B[,C-D…]")]
    pub(crate) slots: Option<SlotRanges>,
    /// What the data is kept by: nothing is sent that it lacks or does in a way of its own
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Server::Redis)]
    pub(crate) server: Server,
    /// Elements that the first hash, list, set and sorted set of each of the first four clients begin with
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u64).range(0..=1_000_000))]
    pub(crate) big: u64,
    /// How many slots the cluster has
    #[arg(long, value_name = "N", default_value_t = u32::from(SlotCount::DEFAULT))]
    pub(crate) slot_count: u32,
    /// Speak RESP3 instead of RESP2
    #[arg(long)]
    pub(crate) resp3: bool,
    /// User to log in as
    #[arg(long, value_name = "NAME", requires = "password")]
    pub(crate) user: Option<String>,
    /// Password to log in with
    #[arg(long, value_name = "TEXT", env = "SLIPWAY_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// Repeat the requests of another run [default: by chance]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Name of the run in its keys, "load:RUN:client:kind:n"; keys that exist are deleted first [default: by chance]
    #[arg(long, value_name = "RUN")]
    pub(crate) run_id: Option<String>,

    /// Pause between the first values and the load, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = value_parser!(u64).range(50..=600_000))]
    pub(crate) rest_ms: u64,
    /// Do not read and check all keys at the end
    #[arg(long)]
    pub(crate) no_verify_end: bool,
    /// Read and check all keys every so many seconds too
    #[arg(long, value_name = "S")]
    pub(crate) verify_every: Option<f64>,
    /// Delete the keys at the end
    #[arg(long)]
    pub(crate) cleanup: bool,
    /// Exit with 0 when connections broke and the fate of writes in flight is unknown, as long as nothing was wrong
    #[arg(long)]
    pub(crate) allow_unknown: bool,
    /// Leave a key alone so long after a write to it whose fate is unknown, in milliseconds: the write may still arrive
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = value_parser!(u64).range(0..=60_000))]
    pub(crate) unknown_rest_ms: u64,
    /// How far off an expiry may be, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 25, value_parser = value_parser!(u64).range(1..=10_000))]
    pub(crate) ttl_margin_ms: u64,
    /// Requests without a reply, of all clients together, at which sending waits (and says so)
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub(crate) outstanding_max: u64,
    /// A reply that takes longer than this is missing, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 15_000, value_parser = value_parser!(u64).range(100..=600_000))]
    pub(crate) reply_ms_max: u64,

    /// Print a line for every second
    #[arg(long)]
    pub(crate) timeline: bool,
    /// Print every request that took longer than this, in milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) slow_ms: Option<f64>,
    /// Print nothing but the result
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The flags, checked.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) volume: Volume,
    pub(crate) keys: u64,
    pub(crate) mix: Mix,
    pub(crate) value_bytes: usize,
    pub(crate) server: Server,
    /// Elements of the first key of each kind that has any; 0: as all others.
    pub(crate) big: u32,
    pub(crate) slots: SlotRanges,
    pub(crate) slot_count: SlotCount,
    pub(crate) seed: u64,
    pub(crate) run: String,
    /// Whether keys of this run may be there from an earlier one.
    pub(crate) run_repeated: bool,
    /// Between the first values and the load.
    pub(crate) pause_us: u64,
    pub(crate) verify_end: bool,
    pub(crate) verify_every_us: Option<u64>,
    pub(crate) cleanup: bool,
    pub(crate) allow_unknown: bool,
    pub(crate) rest_us: u64,
    pub(crate) margin_us: u64,
    /// Of one client.
    pub(crate) outstanding_max: usize,
    pub(crate) reply_us_max: u64,
    pub(crate) timeline: bool,
    pub(crate) slow_us: Option<u64>,
    pub(crate) quiet: bool,
}

impl Plan {
    /// Checks the flags.
    pub(crate) fn new(args: LoadArgs) -> Result<Self, String> {
        const SECONDS_MAX: f64 = 7.0 * 86_400.0;
        const PLANNED_MAX: f64 = 1e12;
        if !(args.seconds > 0.0 && args.seconds <= SECONDS_MAX) {
            return Err(format!(
                "--seconds must be more than 0 and at most {SECONDS_MAX}, not {}",
                args.seconds
            ));
        }
        if args.rate as f64 * args.seconds > PLANNED_MAX {
            return Err("--rate times --seconds is more than 10^12 requests: choose less".into());
        }
        let slot_count = SlotCount::try_from(args.slot_count)
            .map_err(|error| format!("--slot-count: {error}"))?;
        let slots = args.slots.unwrap_or_default();
        slots.check(slot_count).map_err(|error| format!("--slots: {error}"))?;
        if args.keys < args.clients {
            return Err(format!("--keys must be at least one a client: {} or more", args.clients));
        }
        let run = args.run_id.clone().unwrap_or_else(random_name);
        if run.is_empty()
            || !run.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err("--run-id may have letters, digits, - and _ only".into());
        }
        let positive = |flag: &str, value: Option<f64>, unit_us: f64| match value {
            Some(value) if !(value > 0.0 && value < 1e9) => {
                Err(format!("{flag} must be more than 0, not {value}"))
            }
            value => Ok(value.map(|value| (value * unit_us) as u64)),
        };
        Ok(Self {
            target: Target {
                addr: args.addr,
                resp: if args.resp3 { Resp::Three } else { Resp::Two },
                user: args.user,
                password: args.password,
            },
            volume: Volume {
                rate: args.rate,
                seconds: args.seconds,
                clients: args.clients,
                pipeline: args.pipeline,
            },
            keys: args.keys,
            mix: args.mix,
            value_bytes: args.value_bytes as usize,
            server: args.server,
            big: args.big as u32,
            slots,
            slot_count,
            seed: args.seed.unwrap_or_else(|| rand::random_range(0..1_000_000)),
            run,
            run_repeated: args.run_id.is_some(),
            pause_us: args.rest_ms * 1000,
            verify_end: !args.no_verify_end,
            verify_every_us: positive("--verify-every", args.verify_every, 1e6)?,
            cleanup: args.cleanup,
            allow_unknown: args.allow_unknown,
            rest_us: args.unknown_rest_ms * 1000,
            margin_us: (args.ttl_margin_ms * 1000).max(args.server.margin_us()),
            outstanding_max: (args.outstanding_max / args.clients).max(args.pipeline) as usize,
            reply_us_max: args.reply_ms_max * 1000,
            timeline: args.timeline,
            slow_us: positive("--slow-ms", args.slow_ms, 1e3)?,
            quiet: args.quiet,
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Volume { rate, seconds, clients, pipeline } = self.volume;
        write!(
            f,
            "{rate} requests/s for {seconds} s to {} from {clients} clients in pipelines of {pipeline}, {} keys, run {}, seed {}",
            self.target.addr, self.keys, self.run, self.seed
        )
    }
}

fn random_name() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..6).map(|_| LETTERS[rand::random_range(0..LETTERS.len())] as char).collect()
}
