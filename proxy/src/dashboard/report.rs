//! Statistics sent to those who do not ask: as JSON, to InfluxDB 1.x, to StatsD. Names, tags and types are codis-proxy's.
//!
//! Each target has a task of its own with its own pace; nothing waits for any of them.

mod influx;
mod statsd;

use super::coordinator::{Url, basic};
use codis::config::Config;
use codis::json::pretty;
use codis::model::{Model, Overview, Runtime, Stats};
use influx::point;
use service::http::{Client, ClientError, Method, StatusCode, header};
use statsd::packets;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Shorter periods are taken for this one.
const PERIOD_MIN: Duration = Duration::from_secs(1);
/// After failures: 1, 2, 4, 8, 15 seconds.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// For one POST of JSON.
const JSON_TIME: Duration = Duration::from_secs(60);
/// For one write to InfluxDB, and for finding StatsD.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// What to tell: config, model, and statistics with those of the runtime, without slots.
pub type Source = Arc<dyn Fn() -> Overview + Send + Sync>;

/// The reporters that a configuration asks for.
pub struct Reports {
    reporters: Vec<Reporter>,
    source: Source,
}

/// How it stands with one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub sent: u64,
    pub failed: u64,
    /// Of the last failure; nothing after a success.
    pub error: Option<String>,
}

struct Reporter {
    target: Target,
    period: Duration,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
enum Target {
    Json { client: Client, path: String },
    Influx { client: Client, path: String },
    Statsd { server: String, prefix: String },
}

impl Reports {
    /// The error names the setting that cannot be used; the others are not reported either until it is mended.
    pub fn new(config: &Config, source: Source) -> Result<Self, String> {
        let mut reporters = Vec::new();
        let mut add = |target, period: codis::config::Span| {
            let period = period.limit().unwrap_or_default().max(PERIOD_MIN);
            reporters.push(Reporter { target, period, state: watch::Sender::default() });
        };
        if !config.metrics_report_server.is_empty() {
            let url = url("metrics_report_server", &config.metrics_report_server)?;
            let client = Client::new(url.address, JSON_TIME);
            add(Target::Json { client, path: url.path }, config.metrics_report_period);
        }
        if !config.metrics_report_influxdb_server.is_empty() {
            add(influxdb(config)?, config.metrics_report_influxdb_period);
        }
        if !config.metrics_report_statsd_server.is_empty() {
            let server = config.metrics_report_statsd_server.clone();
            let prefix = config.metrics_report_statsd_prefix.clone();
            add(Target::Statsd { server, prefix }, config.metrics_report_statsd_period);
        }
        Ok(Self { reporters, source })
    }

    /// How it stands with each target, by its name: `json`, `influxdb`, `statsd`.
    pub fn states(&self) -> Vec<(&'static str, watch::Receiver<State>)> {
        self.reporters.iter().map(|one| (one.target.name(), one.state.subscribe())).collect()
    }

    /// Reports until `stop`; at once where there is no target.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = tokio_util::task::TaskTracker::new();
        for reporter in self.reporters {
            let (source, stop) = (Arc::clone(&self.source), stop.clone());
            tasks.spawn(async move { stop.run_until_cancelled(reporter.run(source)).await });
        }
        tasks.close();
        tasks.wait().await;
    }
}

fn url(key: &str, text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|why| format!("{key}: {why}"))
}

fn influxdb(config: &Config) -> Result<Target, String> {
    let url = url("metrics_report_influxdb_server", &config.metrics_report_influxdb_server)?;
    let mut client =
        Client::new(url.address, WRITE_TIME).saying(header::CONTENT_TYPE, "text/plain");
    let (user, password) =
        (&config.metrics_report_influxdb_username, &config.metrics_report_influxdb_password);
    if !user.is_empty() {
        client = client.saying(header::AUTHORIZATION, basic(&format!("{user}:{password}")));
    }
    Ok(Target::Influx { client, path: influx::path(&config.metrics_report_influxdb_database) })
}

impl Reporter {
    async fn run(self, source: Source) {
        let mut ticks = interval(self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and there is nothing to tell yet.
        ticks.tick().await;
        let mut pause = PAUSE_MIN;
        loop {
            ticks.tick().await;
            match self.target.send(&source()).await {
                Ok(()) => {
                    pause = PAUSE_MIN;
                    self.state.send_modify(|state| {
                        state.sent += 1;
                        state.error = None;
                    });
                }
                Err(error) => {
                    let target = self.target.name();
                    tracing::warn!(target_name = target, error, "report metrics failed");
                    self.state.send_modify(|state| {
                        state.failed += 1;
                        state.error = Some(error);
                    });
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }
}

impl Target {
    fn name(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::Influx { .. } => "influxdb",
            Self::Statsd { .. } => "statsd",
        }
    }

    async fn send(&self, overview: &Overview) -> Result<(), String> {
        match self {
            Self::Json { client, path } => {
                post(client, path, pretty(overview), |status| status == StatusCode::OK).await
            }
            Self::Influx { client, path } => {
                let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
                let line = point(&Told::of(overview), now.as_nanos());
                post(client, path, line, |status| status.is_success()).await
            }
            Self::Statsd { server, prefix } => {
                let packets = packets(prefix, &Told::of(overview));
                let sent = timeout(WRITE_TIME, send_all(server, packets)).await;
                sent.unwrap_or_else(|_| Err(format!("{server} was not found in time")))
            }
        }
    }
}

async fn post(
    client: &Client,
    path: &str,
    body: String,
    is_good: fn(StatusCode) -> bool,
) -> Result<(), String> {
    let (status, answer) =
        client.send(Method::POST, path, body.into()).await.map_err(|error| match error {
            ClientError::Unreachable { address, reason } => {
                format!("{address} cannot be reached: {reason}")
            }
            ClientError::Unanswered { address, reason } => {
                format!("{address} did not answer: {reason}")
            }
            other => other.to_string(),
        })?;
    if is_good(status) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer).chars().take(SAID_CHARS_MAX).collect::<String>();
    Err(format!("{} says {status}: {}", client.address(), said.trim()))
}

/// Of a refusal, in the log.
const SAID_CHARS_MAX: usize = 200;

async fn send_all(server: &str, packets: Vec<String>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{server}: {error}");
    let to = lookup_host(server).await.map_err(failed)?.next();
    let to = to.ok_or_else(|| format!("{server} has no address"))?;
    let any: SocketAddr = if to.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    for packet in packets {
        socket.send_to(packet.as_bytes(), to).await.map_err(failed)?;
    }
    Ok(())
}

/// What is told of a proxy, in the order of the contract.
struct Told {
    model: Model,
    fields: [(&'static str, Number); 14],
}

/// InfluxDB refuses a field that changes its type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Told {
    fn of(overview: &Overview) -> Self {
        let model = overview.model.clone().unwrap_or_default();
        let none = Stats::default();
        let stats = overview.stats.as_ref().unwrap_or(&none);
        let run: Runtime = stats.runtime.unwrap_or_default();
        use Number::{Float, Int};
        let fields = [
            ("ops_total", Int(stats.ops.total)),
            ("ops_fails", Int(stats.ops.fails)),
            ("ops_redis_errors", Int(stats.ops.redis.errors)),
            ("ops_qps", Int(stats.ops.qps)),
            ("sessions_total", Int(stats.sessions.total)),
            ("sessions_alive", Int(stats.sessions.alive)),
            ("rusage_mem", Int(stats.rusage.mem)),
            ("rusage_cpu", Float(stats.rusage.cpu)),
            ("runtime_gc_num", Int(i64::from(run.gc.num))),
            ("runtime_gc_total_pausems", Int(run.gc.total_pausems.cast_signed())),
            ("runtime_num_procs", Int(run.num_procs)),
            ("runtime_num_goroutines", Int(run.num_goroutines)),
            ("runtime_num_cgo_call", Int(run.num_cgo_call)),
            ("runtime_num_mem_offheap", Int(run.mem_offheap)),
        ];
        Self { model, fields }
    }
}

#[cfg(test)]
mod tests;
