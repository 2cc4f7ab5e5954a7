//! The clock of a run, and the alarm that wakes the clients when their next batch is due.
//!
//! Tokio's timers round up to the next millisecond, which would stand in every latency; a timer of the kernel does not.

use super::schedule::Schedule;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Clients are not woken more often than this, in microseconds: at high rates several batches are sent at one waking.
const TICK_US: u64 = 250;

/// The clock of a run: microseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    base_unix_ms: u64,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn new() -> Self {
        let base_unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        Self { base: Instant::now(), base_unix_ms }
    }

    /// Microseconds since the clock was made.
    pub(crate) fn now(&self) -> u64 {
        self.base.elapsed().as_micros() as u64
    }

    /// Milliseconds since 1970 at a moment of this clock.
    pub(crate) fn unix_ms(&self, at: u64) -> u64 {
        self.base_unix_ms + at / 1000
    }
}

/// Wakes each client whenever a batch of it is due, until the schedule ends.
pub(crate) async fn pace(schedule: &Schedule, clock: Clock, clients: &[Notify]) -> io::Result<()> {
    let alarm = Alarm::new()?;
    let mut next = 0;
    while next < schedule.batches() {
        let now = clock.now();
        let due = schedule.intended(next);
        if due > now {
            alarm.wait(Duration::from_micros((due - now).max(TICK_US))).await?;
            continue;
        }
        if let Some(client) = clients.get(schedule.client(next) as usize) {
            client.notify_one();
        }
        next += 1;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
struct Alarm(tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Alarm {
    fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        #[expect(
            deprecated,
            reason = "sound with an OwnedFd, which stays open and the same; what replaces it is an unsafe function"
        )]
        let timer = tokio::io::unix::AsyncFd::new(timer)?;
        Ok(Self(timer))
    }

    async fn wait(&self, time: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value =
            Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value },
        )?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut count = [0; 8];
            if ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?)).is_ok() {
                return Ok(());
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(&self, time: Duration) -> io::Result<()> {
        tokio::time::sleep(time).await;
        Ok(())
    }
}

/// The processor time this process has used, in microseconds.
pub(crate) fn cpu_us() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as u64 * 1_000_000 + used.tv_nsec as u64 / 1000
}
