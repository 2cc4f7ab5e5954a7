//! The bounded queue between whoever logs and the stream that may be slow.

use prometheus::IntCounter;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Lines that wait for the stream; more are lost and counted.
const LINES_MAX: usize = 4096;

/// How long the end of the process waits for the stream.
const FLUSH: Duration = Duration::from_secs(1);

/// Lines lost because the stream did not take them.
#[expect(clippy::expect_used, reason = "the name is a literal that follows the rules for names")]
pub(super) static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new(
        "slipway_log_lines_lost_total",
        "Log lines lost because stderr did not take them.",
    )
    .expect("a valid name")
});

/// Takes lines without ever waiting; each `write` is one line.
#[derive(Clone, Debug)]
pub(super) struct Queue(SyncSender<Item>);

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

impl Queue {
    /// Starts the thread that writes to `stream`; it ends when the last clone of the queue is gone.
    pub(super) fn start(stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(LINES_MAX);
        let told = LOST.get();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(stream, &receiver, told))?;
        Ok(Self(sender))
    }

    /// Waits until everything queued so far is written, a second at most.
    pub(super) fn flush(&self) {
        let end = std::time::Instant::now() + FLUSH;
        let (done, written) = sync_channel(1);
        let mut item = Item::Flush(done);
        // A full queue has no place for the request to flush: try until the time is up.
        while let Err(TrySendError::Full(back)) = self.0.try_send(item) {
            if std::time::Instant::now() >= end {
                return;
            }
            item = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = written.recv_timeout(end.saturating_duration_since(std::time::Instant::now()));
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Item::Line(line.to_vec())).is_err() {
            LOST.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread: an error of the stream (a closed pipe) loses the line and nothing else. The stream knows of `told` lost lines.
fn write(mut stream: impl Write, items: &Receiver<Item>, mut told: u64) {
    while let Ok(item) = items.recv() {
        let lost = LOST.get();
        if lost > told {
            let _ = writeln!(
                stream,
                "slipway: {} log lines were lost, stderr did not take them",
                lost - told
            );
            told = lost;
        }
        match item {
            Item::Line(line) => {
                if stream.write_all(&line).is_err() {
                    LOST.inc();
                    told += 1;
                }
            }
            Item::Flush(done) => {
                let _ = stream.flush();
                let _ = done.send(());
            }
        }
    }
}
