//! A thread of the load: its connections, and when they send.

use super::connection::Connection;
use super::template::Chance;
use super::{Outcome, Pace, Traffic};
use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::time::{Duration, Instant};

/// Longer latencies count as this long.
pub(super) const LATENCY_NANOS_MAX: u64 = 60_000_000_000;

/// How long answers may take when nothing more is sent, and how long nothing may happen at all.
const SILENCE_MAX: Duration = Duration::from_secs(60);

const EVENTS_MAX: usize = 1024;

pub(super) struct Driver {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// Wakes the open loop: `epoll_wait` counts milliseconds, requests come after microseconds.
    timer: OwnedFd,
    seed: u64,
}

/// What the driver does with its connections in one run.
struct Run {
    begin: Instant,
    traffic: Traffic,
    outcome: Outcome,
    phase: Phase,
}

enum Phase {
    Closed { pipeline: usize, end: u64 },
    Until { pipeline: usize, left: u64 },
    Open { rate: f64, chance: Chance, due: u64, turn: usize, end: u64 },
}

impl Driver {
    pub(super) fn connect(addr: &str, clients: usize, thread: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(clients);
        for number in 0..clients {
            let stream = std::net::TcpStream::connect(addr)
                .with_context(|| format!("connection {}", number + 1))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(number), interest)?;
            connections.push(Connection::new(stream));
        }
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let fd = timer.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), Token(clients), Interest::READABLE)?;
        let seed = thread as u64 + 1;
        Ok(Self { poll, events: Events::with_capacity(EVENTS_MAX), connections, timer, seed })
    }

    pub(super) fn run(&mut self, mut traffic: Traffic, pace: Pace) -> Result<Outcome> {
        // Every run has numbers of its own.
        self.seed += 1000;
        traffic.reseed(self.seed);
        let cpu = thread_cpu();
        let begin = Instant::now();
        let mut run =
            Run { begin, traffic, outcome: Outcome::new()?, phase: Phase::of(pace, self.seed) };
        self.start(&mut run)?;
        loop {
            self.poll.poll(&mut self.events, Some(SILENCE_MAX))?;
            if self.events.is_empty() {
                bail!("the server has been silent for {SILENCE_MAX:?}");
            }
            for event in &self.events {
                let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
                if event.is_readable() {
                    connection
                        .receive(&mut run.outcome, || run.begin.elapsed().as_nanos() as u64)?;
                    run.phase.answer(connection, &mut run.traffic, run.begin);
                }
                connection.flush()?;
            }
            if matches!(run.phase, Phase::Open { .. }) {
                self.send_due(&mut run)?;
            }
            let now = run.now();
            if run.phase.has_ended(now) && self.connections.iter().all(Connection::is_idle) {
                break;
            }
        }
        run.outcome.time = begin.elapsed();
        run.outcome.cpu = thread_cpu().saturating_sub(cpu);
        Ok(run.outcome)
    }

    fn start(&mut self, run: &mut Run) -> Result<()> {
        if matches!(run.phase, Phase::Open { .. }) {
            return self.send_due(run);
        }
        for connection in &mut self.connections {
            run.phase.answer(connection, &mut run.traffic, run.begin);
            connection.flush()?;
        }
        Ok(())
    }

    /// Open loop: sends what is due, each request by the next connection, and sets the timer for the next one.
    fn send_due(&mut self, run: &mut Run) -> Result<()> {
        let now = run.now();
        let Phase::Open { rate, chance, due, turn, end } = &mut run.phase else { return Ok(()) };
        while *due <= now && *due < *end {
            *turn = (*turn + 1) % self.connections.len();
            let connection = &mut self.connections[*turn];
            connection.add(&mut run.traffic, *due);
            connection.flush()?;
            *due += chance.gap_nanos(*rate);
        }
        // At the end too: the loop must wake to see it.
        self.set_timer(due.saturating_sub(now).max(1))
    }

    fn set_timer(&self, nanos: u64) -> Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let nanos = nanos.min(SILENCE_MAX.as_nanos() as u64);
        let it_value = Timespec {
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as i64,
        };
        let spec = Itimerspec { it_interval: zero, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }
}

impl Run {
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }
}

impl Phase {
    fn of(pace: Pace, seed: u64) -> Self {
        match pace {
            Pace::Closed { pipeline, time } => {
                Self::Closed { pipeline, end: time.as_nanos() as u64 }
            }
            Pace::Until { pipeline, requests } => Self::Until { pipeline, left: requests },
            Pace::Open { rate, time } => Self::Open {
                rate,
                chance: Chance::new(seed),
                due: 0,
                turn: 0,
                end: time.as_nanos() as u64,
            },
        }
    }

    /// Closed loop: adds the next pipeline when the last one is answered.
    fn answer(&mut self, connection: &mut Connection, traffic: &mut Traffic, begin: Instant) {
        if !connection.is_idle() {
            return;
        }
        let now = begin.elapsed().as_nanos() as u64;
        let requests = match self {
            Self::Closed { pipeline, end } if now < *end => *pipeline,
            Self::Until { pipeline, left } => {
                let requests = (*left).min(*pipeline as u64);
                *left -= requests;
                requests as usize
            }
            Self::Closed { .. } | Self::Open { .. } => 0,
        };
        (0..requests).for_each(|_| connection.add(traffic, now));
    }

    fn has_ended(&self, now: u64) -> bool {
        match self {
            Self::Closed { end, .. } => now >= *end,
            Self::Until { left, .. } => *left == 0,
            Self::Open { due, end, .. } => *due >= *end,
        }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
