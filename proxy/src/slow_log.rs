//! Requests that took long, newest first. Where we stand in for a codis-proxy, some are told in the log too.

mod line;

use crate::session::{Session, Slow};
use line::{Line, Sparing};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

/// Arguments shown of one request, and bytes shown of one argument: Redis' figures.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// The slow log of the process.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last_id: i64,
    entries: VecDeque<Entry>,
    sparing: Sparing,
}

/// One slow request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) at_s: i64,
    pub(crate) took_us: i64,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) client: String,
    pub(crate) name: String,
}

impl SlowLog {
    /// Keeps a request; called by workers for slow requests only.
    pub(crate) fn add(&self, session: &Session, slow: Slow, frame: &[u8]) {
        let len_max = session.worker().shared.live.slow_len_max();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_s = now.as_secs() as i64;
        let mut kept = self.kept.lock();
        let worker = session.worker();
        let told = worker.is_codis().then(|| kept.sparing.write(worker.now())).flatten();
        let id = kept.last_id;
        kept.last_id += 1;
        kept.entries.push_front(Entry {
            id,
            at_s,
            took_us: slow.took.as_micros() as i64,
            args: shown(frame),
            client: session.card.peer.map_or_else(String::new, |peer| peer.to_string()),
            name: session.card.says.lock().name.clone(),
        });
        kept.entries.truncate(len_max);
        drop(kept);
        if let Some(left_out) = told {
            let remote = session.card.peer.map_or_else(String::new, |peer| peer.to_string());
            let start_us = now.saturating_sub(slow.took).as_micros();
            let (took, waiting) = (slow.took, session.in_flight());
            let line = Line { remote: &remote, start_us, took, waiting, frame };
            tracing::warn!(left_out, "{line}");
        }
    }

    /// The newest `count` entries.
    pub(crate) fn newest(&self, count: usize) -> Vec<Entry> {
        self.kept.lock().entries.iter().take(count).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.lock().entries.len()
    }

    pub(crate) fn reset(&self) {
        self.kept.lock().entries.clear();
    }
}

/// The arguments as the log shows them.
fn shown(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut args = protocol::slicer::Args::new();
    let _ = protocol::slicer::slice_request(frame, &protocol::slicer::Limits::default(), &mut args);
    let count = args.len();
    let mut list: Vec<Vec<u8>> = args.iter(frame).take(ARGS_MAX).map(shortened).collect();
    if count > ARGS_MAX {
        list[ARGS_MAX - 1] = format!("... ({} more arguments)", count - ARGS_MAX + 1).into_bytes();
    }
    list
}

fn shortened(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.to_vec();
    }
    let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
    [&arg[..ARG_BYTES_MAX], more.as_bytes()].concat()
}
