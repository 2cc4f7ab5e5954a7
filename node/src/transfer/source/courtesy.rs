//! Room for clients: while this node or the target serves them, copying out of this node takes only a share of the time, in small pieces.
//!
//! Without clients nothing is awaited. With them one piece is under way at a time, and the next one begins after a pause in proportion to
//! what the last one took, acknowledgement included: a machine that is busy makes pieces slow, and so the pauses long.

use crate::stats::Stats;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often it is looked whether clients are served.
const LOOK: Duration = Duration::from_millis(100);

/// From so many requests a second on, clients count as served.
const REQUESTS_PER_SECOND_MIN: f64 = 100.0;

/// No pause is longer: however slow the way to the target, the copy gets on.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Records of one piece beside clients, bytes: with small keys it keeps a processor for 0.2 ms, which clients do not notice (docs/TUNING.md).
const PIECE_BYTES_MAX: usize = 8 << 10;

/// Who may copy now.
#[derive(Debug)]
pub(crate) struct Courtesy {
    /// Of the time, for copying beside clients.
    percent: u32,
    /// When the next piece may begin.
    free_at: Mutex<Option<Instant>>,
    look: Mutex<Look>,
    /// What the target has said last.
    target_serves: AtomicBool,
    waited_micros: AtomicU64,
}

/// The last look at this node's own clients.
#[derive(Debug)]
struct Look {
    at: Instant,
    requests: u64,
    serves: bool,
}

/// The right to copy a piece.
#[derive(Debug)]
pub(crate) enum Turn<'a> {
    /// Nobody is in the way.
    Free,
    /// Clients are served: the pause begins when this is dropped.
    Beside { courtesy: &'a Courtesy, begin: Instant },
}

impl Courtesy {
    /// Copying takes at most `percent` of the time while clients are served, 1 to 100.
    pub(crate) fn new(percent: u32) -> Self {
        Self {
            percent: percent.clamp(1, 100),
            free_at: Mutex::default(),
            look: Mutex::new(Look { at: Instant::now(), requests: 0, serves: false }),
            target_serves: AtomicBool::new(false),
            waited_micros: AtomicU64::new(0),
        }
    }

    /// Waits for the right to copy the next piece.
    ///
    /// # Cancel safety
    /// Safe to drop.
    pub(crate) async fn turn(&self, stats: &Stats) -> Turn<'_> {
        if self.percent == 100 || !(self.serves(stats) || self.target_serves.load(Relaxed)) {
            return Turn::Free;
        }
        let asked = Instant::now();
        while let Some(at) = self.try_begin() {
            sleep_until(at).await;
        }
        let begin = Instant::now();
        self.waited_micros.fetch_add((begin - asked).as_micros() as u64, Relaxed);
        Turn::Beside { courtesy: self, begin }
    }

    /// Takes the turn, or says when to ask again.
    fn try_begin(&self) -> Option<Instant> {
        let mut free_at = self.free_at.lock();
        let now = Instant::now();
        if let Some(at) = *free_at
            && at > now
        {
            return Some(at);
        }
        // A piece that hangs holds up the others no longer than this.
        *free_at = Some(now + PAUSE_MAX);
        None
    }

    /// Whether clients of this node are served, as of the last look.
    pub(crate) fn serves(&self, stats: &Stats) -> bool {
        let mut look = self.look.lock();
        let (now, before) = (Instant::now(), look.at);
        if now - before >= LOOK {
            let requests = stats.requests_of_clients();
            let per_second =
                requests.saturating_sub(look.requests) as f64 / (now - before).as_secs_f64();
            *look = Look { at: now, requests, serves: per_second >= REQUESTS_PER_SECOND_MIN };
        }
        look.serves
    }

    /// The target has said whether it serves clients.
    pub(crate) fn target_says(&self, serves: bool) {
        self.target_serves.store(serves, Relaxed);
    }

    /// How long copies have waited, all together, in seconds.
    pub(crate) fn waited_seconds(&self) -> f64 {
        self.waited_micros.load(Relaxed) as f64 / 1e6
    }
}

impl Turn<'_> {
    /// How large the piece may be.
    pub(crate) fn bytes_max(&self, chunk_bytes: usize) -> usize {
        match self {
            Self::Free => chunk_bytes,
            Self::Beside { .. } => chunk_bytes.min(PIECE_BYTES_MAX),
        }
    }

    /// So long something else was awaited.
    pub(crate) fn does_not_count(&mut self, time: Duration) {
        if let Self::Beside { begin, .. } = self {
            *begin += time;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Self::Beside { courtesy, begin } = self {
            let (now, percent) = (Instant::now(), courtesy.percent);
            let pause = now.saturating_duration_since(*begin) * (100 - percent) / percent;
            *courtesy.free_at.lock() = Some(now + pause.min(PAUSE_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::lookup;

    fn serve(stats: &Stats, requests: u64) {
        let get = lookup(b"GET").unwrap().id;
        stats.worker(0).command(get).calls.add(requests);
    }

    #[tokio::test(start_paused = true)]
    async fn without_clients_nothing_is_awaited_and_pieces_are_whole_chunks() {
        let (courtesy, stats) = (Courtesy::new(10), Stats::new(1));
        tokio::time::advance(LOOK).await;
        let begin = Instant::now();
        for _ in 0..100 {
            let turn = courtesy.turn(&stats).await;
            assert_eq!(turn.bytes_max(1 << 20), 1 << 20);
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert_eq!(courtesy.waited_seconds(), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn beside_clients_a_piece_is_small_and_the_next_one_waits_in_proportion() {
        let (courtesy, stats) = (Courtesy::new(20), Stats::new(1));
        tokio::time::advance(LOOK).await;
        serve(&stats, 100);
        let turn = courtesy.turn(&stats).await;
        assert_eq!(turn.bytes_max(1 << 20), PIECE_BYTES_MAX);
        tokio::time::advance(Duration::from_millis(2)).await;
        drop(turn);
        let begin = Instant::now();
        drop(courtesy.turn(&stats).await);
        assert_eq!(begin.elapsed(), Duration::from_millis(8), "2 of 10 ms");
        assert!(courtesy.waited_seconds() > 0.0079);
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_takes_long_does_not_stop_the_copy() {
        let (courtesy, stats) = (Courtesy::new(1), Stats::new(1));
        courtesy.target_says(true);
        let turn = courtesy.turn(&stats).await;
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(turn);
        let begin = Instant::now();
        drop(courtesy.turn(&stats).await);
        assert_eq!(begin.elapsed(), PAUSE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_hangs_holds_up_the_others_for_a_moment_only() {
        let courtesy = Courtesy::new(10);
        let stats = Stats::new(1);
        courtesy.target_says(true);
        let _hangs = courtesy.turn(&stats).await;
        let begin = Instant::now();
        drop(courtesy.turn(&stats).await);
        assert_eq!(begin.elapsed(), PAUSE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_have_gone_are_not_waited_for() {
        let (courtesy, stats) = (Courtesy::new(10), Stats::new(1));
        tokio::time::advance(LOOK).await;
        serve(&stats, 1000);
        assert!(courtesy.serves(&stats));
        tokio::time::advance(LOOK).await;
        assert!(!courtesy.serves(&stats));
        serve(&stats, 1);
        tokio::time::advance(LOOK).await;
        assert!(!courtesy.serves(&stats), "ten a second is nobody");
    }
}
