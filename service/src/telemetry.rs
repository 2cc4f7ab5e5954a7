//! Logs, panics, build information.
//!
//! Log lines go to stderr, or to a file a day, through a bounded queue and a thread: a terminal or journal that does not take them can cost lines, which are
//! counted, but never the time of a request. `SLIPWAY_LOG` says what is logged, in the syntax of `tracing_subscriber::EnvFilter`:
//! `info` by default, for example `warn` or `info,proxy::upstream=debug`.

mod daily;
mod dated;
mod queue;

use daily::Daily;
use dated::Dated;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGaugeVec, Opts, Registry};
use queue::Queue;
use std::backtrace::Backtrace;
use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, reload};

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
    /// As Codis' programs write it, `2026/11/22 21:55:00 file.rs:88: [WARN] text`.
    Dated,
}

/// How logging starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub format: Format,
    /// Files `PATH.YYYY-MM-DD`, one a day; stderr where there is no path.
    pub file: Option<PathBuf>,
    /// What is logged, over what [`VARIABLE`] says.
    pub filter: Option<String>,
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("cannot write the log to {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "{VARIABLE}=\"{text}\" is no log filter ({reason}): write for example {VARIABLE}=info or {VARIABLE}=warn,proxy=debug"
    )]
    Filter { text: String, reason: String },
    #[error("the thread that writes the log cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("logging was started before in this process")]
    Twice,
    #[error("logging has ended in this process")]
    Ended,
}

/// Writes what is still queued when dropped; keep it until the end of `main`.
#[derive(Debug)]
#[must_use = "dropped at once, it writes what is queued at once, and nothing at the end"]
pub struct Logging {
    queue: Queue,
    filter: Filter,
}

/// Says what is logged from now on.
#[derive(Clone)]
pub struct Filter(reload::Handle<EnvFilter, tracing_subscriber::Registry>);

/// Starts logging, and makes a panic anywhere log itself and abort the process.
///
/// Abort, because a panic is a bug in us: what other threads would do with half-changed state is unknown, and a restart is tested.
pub fn start(options: Options) -> Result<Logging, TelemetryError> {
    let text = options.filter.or_else(|| std::env::var(VARIABLE).ok()).unwrap_or_default();
    let text = if text.trim().is_empty() { "info".to_owned() } else { text };
    let (filter, handle) = reload::Layer::new(read(&text)?);
    let mut colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let queue = match options.file {
        None => Queue::start(std::io::stderr())?,
        Some(path) => {
            colours = false;
            let file = Daily::open(&path);
            Queue::start(file.map_err(|source| TelemetryError::File { path, source })?)?
        }
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(queue.clone());
    let lines = match options.format {
        Format::Human => lines.with_ansi(colours).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
        Format::Dated => lines.with_ansi(false).event_format(Dated).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    abort_on_panic(queue.clone());
    Ok(Logging { queue, filter: Filter(handle) })
}

fn read(text: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(text).map_err(|error| TelemetryError::Filter {
        text: text.to_owned(),
        reason: error.to_string(),
    })
}

impl Logging {
    /// The way to change what is logged.
    pub fn filter(&self) -> Filter {
        self.filter.clone()
    }
}

impl Filter {
    /// Logs what `text` says, in the syntax of [`VARIABLE`]; `off` for nothing.
    pub fn set(&self, text: &str) -> Result<(), TelemetryError> {
        let filter = read(text)?;
        self.0.reload(filter).map_err(|_| TelemetryError::Ended)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
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
        self.queue.flush();
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
