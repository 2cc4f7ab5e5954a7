//! `proxy.toml` of codis-proxy: every key of Codis 3.0 to 3.2 and of Pika's fork, its defaults, rules and texts.
//!
//! A missing key has its default, an unknown one is passed over with a warning, keys match in any case. A file with any key that only the fork
//! has is read with the fork's defaults.

mod check;
mod keys;
mod load;
pub mod pconfig;
mod rewrite;
mod size;
mod span;
mod template;

pub use keys::{KEYS, Key, Kind};
pub use load::{Loaded, Warning, is_codis};
pub use rewrite::rewrite;
pub use size::Size;
pub use span::Span;
pub use template::default_text;

use crate::{Error, Flavour};
use serde::{Serialize, Serializer};

/// The configuration. Its JSON is what `/proxy` shows: keys in codis-proxy's order, without passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Whose defaults were used.
    #[serde(skip)]
    pub flavour: Flavour,
    /// The file that was read; shown by the fork.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub config_file_name: String,
    /// The network of the clients' listener, as written: see [`Config::network`].
    pub proto_type: String,
    /// Where clients connect; a path where the network is `unix`.
    pub proxy_addr: String,
    pub admin_addr: String,
    /// `--host-proxy`.
    #[serde(skip)]
    pub host_proxy: String,
    /// `--host-admin`.
    #[serde(skip)]
    pub host_admin: String,
    pub jodis_name: String,
    pub jodis_addr: String,
    /// `user:password`. codis-proxy shows it in clear; we do not.
    #[serde(serialize_with = "masked")]
    pub jodis_auth: String,
    pub jodis_timeout: Span,
    pub jodis_compatible: bool,
    pub product_name: String,
    /// Told to nodes.
    #[serde(skip)]
    pub product_auth: String,
    /// Asked of clients; none if empty.
    #[serde(skip)]
    pub session_auth: String,
    pub proxy_datacenter: String,
    /// Zero refuses everybody.
    pub proxy_max_clients: i64,
    pub proxy_max_offheap_size: Size,
    /// Means nothing here.
    pub proxy_heap_placeholder: Size,
    pub backend_ping_period: Span,
    pub backend_recv_bufsize: Size,
    pub backend_recv_timeout: Span,
    pub backend_send_bufsize: Size,
    pub backend_send_timeout: Span,
    pub backend_max_pipeline: i64,
    pub backend_primary_only: bool,
    pub backend_primary_parallel: i64,
    pub backend_replica_parallel: i64,
    pub backend_primary_quick: i64,
    pub backend_replica_quick: i64,
    pub max_slot_num: i64,
    pub backend_keepalive_period: Span,
    pub backend_number_databases: i64,
    pub session_recv_bufsize: Size,
    pub session_recv_timeout: Span,
    pub session_send_bufsize: Size,
    pub session_send_timeout: Span,
    pub session_max_pipeline: i64,
    pub session_keepalive_period: Span,
    pub session_break_on_failure: bool,
    /// Microseconds.
    pub slowlog_log_slower_than: i64,
    pub quick_cmd_list: String,
    pub slow_cmd_list: String,
    /// Means nothing, there and here.
    pub auto_set_slow_flag: bool,
    pub metrics_report_server: String,
    pub metrics_report_period: Span,
    pub metrics_report_influxdb_server: String,
    pub metrics_report_influxdb_period: Span,
    pub metrics_report_influxdb_username: String,
    #[serde(skip)]
    pub metrics_report_influxdb_password: String,
    pub metrics_report_influxdb_database: String,
    pub metrics_report_statsd_server: String,
    pub metrics_report_statsd_period: Span,
    pub metrics_report_statsd_prefix: String,
    pub max_delay_refresh_time_interval: Span,
}

/// What stands for a secret that is set.
pub(crate) const MASK: &str = "********";

fn masked<S: Serializer>(secret: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.is_empty() { "" } else { MASK })
}

/// The network of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Both families.
    Tcp,
    Tcp4,
    Tcp6,
    Unix,
    /// Keeps the borders of packets.
    UnixPacket,
}

/// Where proxies register for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinator {
    ZooKeeper,
    /// Version 2 of its API.
    Etcd,
    /// A folder: accepted, and nobody can register there.
    Filesystem,
}

/// What flags say over the file; empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub product_name: Option<String>,
    pub product_auth: Option<String>,
    pub session_auth: Option<String>,
    pub host_admin: Option<String>,
    pub host_proxy: Option<String>,
}

impl Network {
    /// Reads `proto_type`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "tcp" => Self::Tcp,
            "tcp4" => Self::Tcp4,
            "tcp6" => Self::Tcp6,
            "unix" => Self::Unix,
            "unixpacket" => Self::UnixPacket,
            _ => return None,
        })
    }
}

impl Coordinator {
    /// Reads `jodis_name`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "zookeeper" | "zk" => Self::ZooKeeper,
            "etcd" => Self::Etcd,
            "filesystem" | "fs" => Self::Filesystem,
            _ => return None,
        })
    }
}

impl Config {
    /// The defaults of a line.
    pub fn defaults(flavour: Flavour) -> Self {
        let text = |text: &str| text.to_owned();
        let fork_or =
            |fork: i64, upstream: i64| if flavour == Flavour::Fork { fork } else { upstream };
        let list = |fork: &str| text(if flavour == Flavour::Fork { fork } else { "" });
        let kib = |kib: i64| Size(kib << 10);
        Self {
            flavour,
            config_file_name: String::new(),
            proto_type: text("tcp4"),
            proxy_addr: text("0.0.0.0:19000"),
            admin_addr: text("0.0.0.0:11080"),
            host_proxy: String::new(),
            host_admin: String::new(),
            jodis_name: String::new(),
            jodis_addr: String::new(),
            jodis_auth: String::new(),
            jodis_timeout: Span::seconds(20),
            jodis_compatible: false,
            product_name: text("codis-demo"),
            product_auth: String::new(),
            session_auth: String::new(),
            proxy_datacenter: String::new(),
            proxy_max_clients: 1000,
            proxy_max_offheap_size: kib(1 << 20),
            proxy_heap_placeholder: kib(256 << 10),
            backend_ping_period: Span::seconds(5),
            backend_recv_bufsize: kib(128),
            backend_recv_timeout: Span::seconds(30),
            backend_send_bufsize: kib(128),
            backend_send_timeout: Span::seconds(30),
            backend_max_pipeline: 20_480,
            backend_primary_only: false,
            backend_primary_parallel: fork_or(2, 1),
            backend_replica_parallel: fork_or(2, 1),
            backend_primary_quick: fork_or(1, 0),
            backend_replica_quick: fork_or(1, 0),
            max_slot_num: 1024,
            backend_keepalive_period: Span::seconds(75),
            backend_number_databases: fork_or(1, 16),
            session_recv_bufsize: kib(128),
            session_recv_timeout: Span::seconds(1800),
            session_send_bufsize: kib(64),
            session_send_timeout: Span::seconds(30),
            session_max_pipeline: 10_000,
            session_keepalive_period: Span::seconds(75),
            session_break_on_failure: false,
            slowlog_log_slower_than: 100_000,
            quick_cmd_list: list("get,set"),
            slow_cmd_list: list("mget, mset"),
            auto_set_slow_flag: false,
            metrics_report_server: String::new(),
            metrics_report_period: Span::seconds(1),
            metrics_report_influxdb_server: String::new(),
            metrics_report_influxdb_period: Span::seconds(1),
            metrics_report_influxdb_username: String::new(),
            metrics_report_influxdb_password: String::new(),
            metrics_report_influxdb_database: String::new(),
            metrics_report_statsd_server: String::new(),
            metrics_report_statsd_period: Span::seconds(1),
            metrics_report_statsd_prefix: String::new(),
            max_delay_refresh_time_interval: Span::seconds(15),
        }
    }

    /// Flags go over the file; checks again.
    pub fn with(mut self, overrides: &Overrides) -> Result<Self, Error> {
        let pairs = [
            (&mut self.product_name, &overrides.product_name),
            (&mut self.product_auth, &overrides.product_auth),
            (&mut self.session_auth, &overrides.session_auth),
            (&mut self.host_admin, &overrides.host_admin),
            (&mut self.host_proxy, &overrides.host_proxy),
        ];
        for (place, wanted) in pairs {
            if let Some(wanted) = wanted {
                place.clone_from(wanted);
            }
        }
        self.check().map_err(Error::Config)?;
        Ok(self)
    }

    /// The network of the clients' listener; the admin API's is always [`Network::Tcp`].
    pub fn network(&self) -> Network {
        Network::parse(&self.proto_type).unwrap_or(Network::Tcp4)
    }

    /// Where to register for clients, if anywhere: an address is what switches it on. Codis 3.0 knew ZooKeeper alone and had no
    /// `jodis_name`.
    pub fn jodis(&self) -> Option<Coordinator> {
        let named = Coordinator::parse(&self.jodis_name).unwrap_or(Coordinator::ZooKeeper);
        (!self.jodis_addr.is_empty()).then_some(named)
    }

    /// Connections to a primary: one at least.
    pub fn primary_parallel(&self) -> u64 {
        self.backend_primary_parallel.max(1).unsigned_abs()
    }

    /// Connections to a replica: one at least.
    pub fn replica_parallel(&self) -> u64 {
        self.backend_replica_parallel.max(1).unsigned_abs()
    }

    /// How often idle connections to nodes are pinged, if at all.
    pub fn ping_period(&self) -> Option<std::time::Duration> {
        self.backend_ping_period.limit().map(|_| self.backend_ping_period.period())
    }
}

#[cfg(test)]
mod tests;
