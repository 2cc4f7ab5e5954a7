//! Logs, panics, build information.
//!
//! Log lines go to stderr through a bounded queue and a thread: a terminal or journal that does not take them can cost lines, which are
//! counted, but never the time of a request. `SLIPWAY_LOG` says what is logged, in the syntax of `tracing_subscriber::EnvFilter`:
//! `info` by default, for example `warn` or `info,proxy::upstream=debug`.

mod queue;

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGaugeVec, Opts, Registry};
use queue::Queue;
use std::backtrace::Backtrace;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The environment variable that says what is logged.
pub const VARIABLE: &str = "SLIPWAY_LOG";

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, if the build was told (`SLIPWAY_COMMIT`).
pub const COMMIT: Option<&str> = option_env!("SLIPWAY_COMMIT");

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: one line an event, with colours on a terminal unless `NO_COLOR` is set.
    #[default]
    Human,
    /// For machines: one JSON object an event.
    Json,
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "{VARIABLE}=\"{text}\" is no log filter ({reason}): write for example {VARIABLE}=info or {VARIABLE}=warn,proxy=debug"
    )]
    Filter { text: String, reason: String },
    #[error("the thread that writes the log cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("logging was started before in this process")]
    Twice,
}

/// Writes what is still queued when dropped; keep it until the end of `main`.
#[derive(Debug)]
#[must_use = "dropped at once, it writes what is queued at once, and nothing at the end"]
pub struct Logging(Queue);

/// Starts logging to stderr, and makes a panic anywhere log itself and abort the process.
///
/// Abort, because a panic is a bug in us: what other threads would do with half-changed state is unknown, and a restart is tested.
pub fn start(format: Format) -> Result<Logging, TelemetryError> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let text = if text.trim().is_empty() { "info".to_owned() } else { text };
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| TelemetryError::Filter { text, reason: error.to_string() })?;
    let queue = Queue::start(std::io::stderr())?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue.clone());
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match format {
        Format::Human => builder.with_ansi(colours).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)?;
    abort_on_panic(queue.clone());
    Ok(Logging(queue))
}

/// Adds what every daemon of ours tells of itself: `process_*`, `slipway_build_info` and `slipway_log_lines_lost_total`.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let build = IntGaugeVec::new(
        Opts::new("slipway_build_info", "Always 1; the labels say what runs."),
        &["version", "commit"],
    )?;
    build.with_label_values(&[VERSION, COMMIT.unwrap_or("unknown")]).set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(ProcessCollector::for_self()))?;
    registry.register(Box::new(queue::LOST.clone()))
}

fn abort_on_panic(queue: Queue) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(
            "panic in thread {thread}: this is a bug, please report it: {panic}\n{}",
            Backtrace::force_capture()
        );
        queue.flush();
        std::process::abort();
    }));
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush();
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests;
