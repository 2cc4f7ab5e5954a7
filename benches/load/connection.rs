//! One connection of the load: what is to be sent, what is awaited, and what has come.

use super::{Outcome, Traffic};
use anyhow::{Result, bail};
use mio::net::TcpStream;
use protocol::slicer::ReplyScan;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// Bytes read at a time, at least.
const READ_BYTES: usize = 16 << 10;

/// A reply that is longer than the room for it makes room this many times as large.
const GROWTH: usize = 2;

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    out: Vec<u8>,
    /// How much of `out` has left.
    sent: usize,
    input: Vec<u8>,
    /// `input` holds bytes that are not understood yet from `start` to `end`.
    start: usize,
    end: usize,
    scan: ReplyScan,
    /// When each request began that is not answered, in nanoseconds of the run.
    awaited: VecDeque<u64>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            sent: 0,
            input: Vec::new(),
            start: 0,
            end: 0,
            scan: ReplyScan::default(),
            awaited: VecDeque::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Adds a request that began at `now` to what is sent next.
    pub(super) fn add(&mut self, traffic: &mut Traffic, now: u64) {
        traffic.write(&mut self.out);
        self.awaited.push_back(now);
    }

    /// Sends what the system takes.
    pub(super) fn flush(&mut self) -> Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => bail!("the server takes nothing more"),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads what has come; `now` is asked once for each read.
    pub(super) fn receive(&mut self, outcome: &mut Outcome, now: impl Fn() -> u64) -> Result<()> {
        loop {
            self.make_room();
            match self.stream.read(&mut self.input[self.end..]) {
                Ok(0) => bail!("the server has closed the connection"),
                Ok(read) => {
                    self.end += read;
                    // Less than there was room for: nothing is left (epoll(7), Q9).
                    let drained = self.end < self.input.len();
                    self.take_replies(outcome, now())?;
                    if drained {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 && self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.input.len() {
            self.input.resize((self.input.len() * GROWTH).max(READ_BYTES), 0);
        }
    }

    fn take_replies(&mut self, outcome: &mut Outcome, now: u64) -> Result<()> {
        while let Some(len) = self.scan.scan(&self.input[self.start..self.end])? {
            let Some(began) = self.awaited.pop_front() else {
                bail!("a reply to no request");
            };
            outcome.requests += 1;
            outcome.latency.saturating_record(now.saturating_sub(began).max(1));
            let reply = &self.input[self.start..self.start + len];
            match reply {
                [b'-', ..] => {
                    outcome.errors += 1;
                    let text = || String::from_utf8_lossy(reply).trim_end().to_owned();
                    outcome.first_error.get_or_insert_with(text);
                }
                [b'$' | b'*', b'-', ..] | [b'_', ..] => outcome.nulls += 1,
                _ => {}
            }
            self.start += len;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(())
    }
}
