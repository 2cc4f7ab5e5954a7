//! The line that Pika's fork of Codis writes for a slow request, and how many of them are written. Pure.

use protocol::slicer::{Args, Limits, slice_request};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// Lines a second, at most: a threshold of zero logs every request.
const LINES_MAX: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Bytes shown of one request.
const SHOWN_BYTES_MAX: usize = 128;

/// What there is to say.
pub(super) struct Line<'a> {
    pub(super) remote: &'a str,
    /// Microseconds since 1970.
    pub(super) start_us: u128,
    pub(super) took: Duration,
    /// Requests of the client that are on their way.
    pub(super) waiting: usize,
    pub(super) frame: &'a [u8],
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (remote, start, took) = (self.remote, self.start_us, self.took.as_micros());
        // The parts of the time are not measured, and told as the fork tells what it does not know.
        write!(
            to,
            "slow command, remote:{remote}, start_time(us):{start}, duration(us): [-1, -1, -1], {took}, tasksLen:{}, command:[",
            self.waiting
        )?;
        let mut args = Args::new();
        let _ = slice_request(self.frame, &Limits::default(), &mut args);
        let (mut room, mut gap) = (SHOWN_BYTES_MAX, "");
        for arg in args.iter(self.frame) {
            let shown = &arg[..arg.len().min(room)];
            write!(to, "{gap}{}", shown.escape_ascii())?;
            (room, gap) = (room - shown.len(), " ");
            if room == 0 {
                break;
            }
        }
        let bytes: usize = args.iter(self.frame).map(<[u8]>::len).sum();
        if bytes > SHOWN_BYTES_MAX {
            write!(to, "... {} elements {bytes} bytes.", args.len())?;
        }
        to.write_str("]")
    }
}

/// Lets so many lines a second through, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Sparing {
    second: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Sparing {
    /// Whether a line may be written now, and how many were left out before it.
    pub(super) fn write(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            (self.second, self.written) = (Some(now), 0);
        }
        if self.written == LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::request::encode_request;

    fn line(words: &[&[u8]]) -> String {
        let mut frame = Vec::new();
        encode_request(&mut frame, words);
        let took = Duration::from_micros(1234);
        Line { remote: "1.2.3.4:5", start_us: 99, took, waiting: 3, frame: &frame }.to_string()
    }

    #[test]
    fn a_line_has_the_forks_facts_and_no_long_values() {
        assert_eq!(
            line(&[b"SET", b"k\n", b"v"]),
            "slow command, remote:1.2.3.4:5, start_time(us):99, duration(us): [-1, -1, -1], 1234, tasksLen:3, command:[SET k\\n v]"
        );
        let long = line(&[b"SET", b"k", &[b'x'; 896], b"EX", b"10"]);
        let shown = format!("command:[SET k {}... 5 elements 904 bytes.]", "x".repeat(124));
        assert!(long.ends_with(&shown), "{long}");
    }

    #[test]
    fn lines_are_spared_and_what_was_left_out_is_told() {
        let mut sparing = Sparing::default();
        let now = Instant::now();
        let written = (0..1000).filter(|_| sparing.write(now).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(sparing.write(now + SECOND), Some(990));
        assert_eq!(sparing.write(now + SECOND), Some(0));
    }
}
