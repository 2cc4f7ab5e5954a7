//! From codis-proxy's file and flags to the settings of our proxy. `docs/CODIS.md` has the same as a table.

use super::Start;
use anyhow::{Context, Result, bail, ensure};
use cluster::SlotCount;
use codis::config::{Config, Network, Span};
use codis::flags::{Flags, LogLevel};
use service::listener::Family;
use service::telemetry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What was read, checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) codis: Arc<Config>,
    pub(super) proxy: proxy::Config,
    pub(super) flags: Flags,
    /// The family of the clients' listener.
    pub(super) family: Family,
    /// Instead of the one made of the network interfaces.
    pub(super) token: Option<String>,
    /// What the operator should hear.
    pub(super) warnings: Vec<String>,
}

/// Where a token may come from, beside the flag.
const TOKEN_VARIABLE: &str = "SLIPWAY_TOKEN";

/// How long clients may take to finish: whoever stops codis-proxy knows it gone within a second.
const STOP_GRACE: Duration = Duration::from_millis(800);

/// As good as none.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

impl Settings {
    pub(super) fn read(start: Start) -> Result<Self> {
        let Start { text, flags, token, .. } = start;
        let source = flags.config.clone().unwrap_or_else(|| "the command line".to_owned());
        let loaded = Config::load(&text).with_context(|| source.clone())?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let mut codis = loaded.config.with(&flags.overrides).context(source)?;
        codis.config_file_name = flags.config.clone().unwrap_or_default();
        let family = match codis.network() {
            Network::Tcp => Family::Both,
            Network::Tcp4 => Family::V4,
            Network::Tcp6 => Family::V6,
            Network::Unix | Network::UnixPacket => bail!(
                "proto_type = \"{}\": this proxy listens on tcp, tcp4 or tcp6 only; \
                 write proto_type = \"tcp4\" and proxy_addr = \"127.0.0.1:PORT\" for clients on the same machine",
                codis.proto_type
            ),
        };
        let token = token.or_else(|| std::env::var(TOKEN_VARIABLE).ok()).filter(|t| !t.is_empty());
        token.as_deref().map_or(Ok(()), check_token)?;
        let codis = Arc::new(codis);
        let proxy = settings(&codis, &flags, &mut warnings)?;
        Ok(Self { codis, proxy, flags, family, token, warnings })
    }

    /// Where the settings come from.
    pub(super) fn source(&self) -> &str {
        self.flags.config.as_deref().unwrap_or("the command line")
    }

    /// `--log`, `--log-level`
    pub(super) fn log(&self) -> telemetry::Options {
        telemetry::Options {
            format: telemetry::Format::Dated,
            file: self.flags.log.as_ref().map(PathBuf::from),
            filter: self.flags.log_level.map(|level| filter(level).to_owned()),
        }
    }

    /// `--ulimit`
    pub(super) fn check_open_files(&self) -> Result<()> {
        let Some(least) = self.flags.ulimit else { return Ok(()) };
        let have = service::limits::raise_open_files();
        ensure!(
            have >= least,
            "ulimit too small: {have}, should be at least {least} (--ulimit); raise LimitNOFILE or ulimit -n"
        );
        Ok(())
    }
}

/// What is logged at a level of codis-proxy.
pub(super) fn filter(level: LogLevel) -> &'static str {
    match level {
        LogLevel::None => "off",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

/// It stands in paths of the dashboard, of ZooKeeper and of etcd.
fn check_token(token: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    ensure!(
        (1..=64).contains(&token.len()) && token.bytes().all(fits),
        "--token (or {TOKEN_VARIABLE}) is 1 to 64 letters, digits, - and _"
    );
    Ok(())
}

fn settings(
    codis: &Arc<Config>,
    flags: &Flags,
    warnings: &mut Vec<String>,
) -> Result<proxy::Config> {
    let mut to = proxy::Config { codis: Some(Arc::clone(codis)), ..proxy::Config::default() };
    to.workers = workers(flags);
    to.slot_count = u32::try_from(codis.max_slot_num)
        .ok()
        .and_then(SlotCount::new)
        .context("invalid max_slot_num")?;
    to.client_password = secret(&codis.session_auth);
    to.node_password = secret(&codis.product_auth);
    to.databases =
        bounded(warnings, ("backend_number_databases", codis.backend_number_databases), (1, 16))
            as u32;
    to.client_idle_max = codis.session_recv_timeout.limit().unwrap_or_default();
    to.stop_grace = STOP_GRACE;
    to.slow_log.slower_than =
        u64::try_from(codis.slowlog_log_slower_than).ok().map(Duration::from_micros);
    to.limits.clients_max = usize::try_from(codis.proxy_max_clients)?;
    to.limits.session_in_flight_max =
        bounded(warnings, ("session_max_pipeline", codis.session_max_pipeline), (1, 1 << 20))
            as usize;
    if codis.proxy_max_offheap_size.0 > 0 {
        let bytes = usize::try_from(codis.proxy_max_offheap_size.0)?;
        to.limits.process_unanswered_bytes_max = bytes.max(UNANSWERED_LEAST);
    }
    to.upstream.connections = codis.primary_parallel().min(64) as u16;
    to.upstream.reply_timeout = timeout(codis.backend_recv_timeout);
    to.check()?;
    Ok(to)
}

/// What `limits.process_unanswered_bytes_max` must be at least.
const UNANSWERED_LEAST: usize = 32 << 20;

/// codis-proxy starts with 4 threads and takes more when they are busy.
fn workers(flags: &Flags) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = flags.max_ncpu.map_or(256, |n| n as usize);
    let wanted = flags.ncpu.map_or_else(|| cores.min(most), |n| n as usize);
    wanted.clamp(1, 256)
}

fn secret(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn timeout(span: Span) -> Duration {
    span.limit().unwrap_or(NO_LIMIT)
}

/// A number within what is possible here; says so where it was not.
fn bounded(
    warnings: &mut Vec<String>,
    (key, wanted): (&str, i64),
    (least, most): (i64, i64),
) -> i64 {
    let used = wanted.clamp(least, most);
    if used != wanted {
        warnings
            .push(format!("{key} = {wanted}: {least} to {most} are possible here; {used} is used"));
    }
    used
}

#[cfg(test)]
mod tests;
