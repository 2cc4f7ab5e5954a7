//! From codis-proxy's file and flags to the settings of our proxy. `docs/CODIS.md` has the same as a table.

use super::{Start, beyond};
use anyhow::{Context, Result, bail, ensure};
use cluster::SlotCount;
use codis::config::{Config, Network};
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
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
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
        let mut proxy = settings(&codis, &flags)?;
        beyond::apply(&text, &mut proxy).with_context(|| codis.config_file_name.clone())?;
        proxy.check()?;
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

/// What codis-proxy's file says of clients the proxy takes from `codis` itself; here is what it says of the process and of nodes.
fn settings(codis: &Arc<Config>, flags: &Flags) -> Result<proxy::Config> {
    let mut to = proxy::Config { codis: Some(Arc::clone(codis)), ..proxy::Config::default() };
    to.workers = workers(flags);
    to.slot_count = u32::try_from(codis.max_slot_num)
        .ok()
        .and_then(SlotCount::new)
        .context("invalid max_slot_num")?;
    to.node_password = Some(codis.product_auth.clone()).filter(|secret| !secret.is_empty());
    to.stop_grace = STOP_GRACE;
    if codis.proxy_max_offheap_size.0 > 0 {
        let bytes = usize::try_from(codis.proxy_max_offheap_size.0)?;
        to.limits.process_unanswered_bytes_max = bytes.max(UNANSWERED_LEAST);
    }
    to.upstream.connections = codis.primary_parallel().min(CONNECTIONS_MAX) as u16;
    to.upstream.reply_timeout = codis.backend_recv_timeout.limit().unwrap_or(NO_LIMIT);
    Ok(to)
}

/// What `upstream.connections` may be.
const CONNECTIONS_MAX: u64 = 64;

/// What `limits.process_unanswered_bytes_max` must be at least.
const UNANSWERED_LEAST: usize = 32 << 20;

/// codis-proxy starts with 4 threads and takes more when they are busy.
fn workers(flags: &Flags) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = flags.max_ncpu.map_or(256, |n| n as usize);
    let wanted = flags.ncpu.map_or_else(|| cores.min(most), |n| n as usize);
    wanted.clamp(1, 256)
}

#[cfg(test)]
mod tests;
