//! The keys of `proxy.toml` as data: name, type, whose they are, what they mean; and the way from a name to its place in the configuration.

use super::{Config, Size, Span};
use crate::Flavour;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// `Fork`: only the fork has it.
    pub line: Flavour,
    /// What it means, for the default file.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Bool,
    Int,
    /// 32 bits.
    Int32,
    Size,
    Span,
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, line: Flavour::Upstream, about }
}

const fn fork(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, line: Flavour::Fork, about }
}

/// Every key, in the order of the default file.
#[rustfmt::skip]
pub static KEYS: [Key; 53] = [
    key("product_name", Kind::Text, "The name of the cluster. Dashboard, proxies and tools must agree."),
    key("product_auth", Kind::Text, "What nodes want to hear with AUTH."),
    key("session_auth", Kind::Text, "What clients must say with AUTH. Nothing if empty."),
    key("admin_addr", Kind::Text, "Where the admin API listens: the dashboard must reach it."),
    key("proto_type", Kind::Text, "The network of the clients' listener: tcp (both families), tcp4 or tcp6."),
    key("proxy_addr", Kind::Text, "Where clients connect."),
    key("jodis_name", Kind::Text, "Where the proxy registers for clients: zookeeper or etcd."),
    key("jodis_addr", Kind::Text, "The addresses of it, with commas between. Nobody registers if empty."),
    key("jodis_auth", Kind::Text, "user:password for it."),
    key("jodis_timeout", Kind::Span, "After so long without a sign of life the registration is gone."),
    key("jodis_compatible", Kind::Bool, "Register where clients of Codis 2 look."),
    key("proxy_datacenter", Kind::Text, "Replicas of the same datacenter are read first."),
    key("proxy_max_clients", Kind::Int, "Connections of clients; one more is refused."),
    key("proxy_max_offheap_size", Kind::Size, "Memory for the buffers of all connections; 0 for no limit."),
    key("proxy_heap_placeholder", Kind::Size, "Accepted, and without meaning here."),
    key("backend_ping_period", Kind::Span, "How often an idle connection to a node is pinged; 0 for never."),
    key("backend_recv_bufsize", Kind::Size, "The buffer for what a node says."),
    key("backend_recv_timeout", Kind::Span, "A node that is silent for so long while it owes a reply is taken for dead; 0 for never."),
    key("backend_send_bufsize", Kind::Size, "The buffer for what a node is sent."),
    key("backend_send_timeout", Kind::Span, "A node that takes nothing for so long is taken for dead; 0 for never."),
    key("backend_max_pipeline", Kind::Int, "Requests on their way over one connection to a node."),
    key("backend_primary_only", Kind::Bool, "Never read from replicas."),
    key("backend_primary_parallel", Kind::Int, "Connections to each primary."),
    key("backend_replica_parallel", Kind::Int, "Connections to each replica."),
    fork("backend_primary_quick", Kind::Int, "Connections to each primary for the commands of quick_cmd_list; fewer than backend_primary_parallel."),
    fork("backend_replica_quick", Kind::Int, "Connections to each replica for them; fewer than backend_replica_parallel."),
    fork("max_slot_num", Kind::Int, "How many slots the cluster has. Must be what the dashboard says."),
    key("backend_keepalive_period", Kind::Span, "TCP keep-alive towards nodes; 0 for none."),
    key("backend_number_databases", Kind::Int32, "Databases that SELECT knows."),
    key("session_recv_bufsize", Kind::Size, "The buffer for what a client says."),
    key("session_recv_timeout", Kind::Span, "A client that is silent for so long is disconnected; 0 for never."),
    key("session_send_bufsize", Kind::Size, "The buffer for what a client is sent."),
    key("session_send_timeout", Kind::Span, "A client that takes nothing for so long is disconnected; 0 for never."),
    key("session_max_pipeline", Kind::Int, "Requests of one client that are not answered yet."),
    key("session_keepalive_period", Kind::Span, "TCP keep-alive towards clients; 0 for none."),
    key("session_break_on_failure", Kind::Bool, "Close a client's connection behind an error that the proxy made."),
    fork("slowlog_log_slower_than", Kind::Int, "Requests that take so many microseconds are logged; 0 logs all."),
    fork("quick_cmd_list", Kind::Text, "Commands that use the quick connections, with commas between."),
    fork("slow_cmd_list", Kind::Text, "Commands that are known to be slow, with commas between."),
    fork("auto_set_slow_flag", Kind::Bool, "Accepted, and without meaning."),
    key("metrics_report_server", Kind::Text, "A URL that is sent the statistics as JSON."),
    key("metrics_report_period", Kind::Span, "How often; a second at least."),
    key("metrics_report_influxdb_server", Kind::Text, "The URL of an InfluxDB that is sent the statistics."),
    key("metrics_report_influxdb_period", Kind::Span, "How often; a second at least."),
    key("metrics_report_influxdb_username", Kind::Text, "Who we are there."),
    key("metrics_report_influxdb_password", Kind::Text, "And how we prove it."),
    key("metrics_report_influxdb_database", Kind::Text, "The database to write to."),
    key("metrics_report_statsd_server", Kind::Text, "host:port of a StatsD that is sent the statistics."),
    key("metrics_report_statsd_period", Kind::Span, "How often; a second at least."),
    key("metrics_report_statsd_prefix", Kind::Text, "What the names there begin with."),
    fork("max_delay_refresh_time_interval", Kind::Span, "The time over which the longest delay is told."),
    // Codis 3.0: read, and without meaning since.
    key("session_max_timeout", Kind::Int, ""),
    key("session_max_bufsize", Kind::Int, ""),
];

/// Where the value of a key is.
#[derive(Debug)]
pub(super) enum Place<'a> {
    Text(&'a mut String),
    Bool(&'a mut bool),
    Int(&'a mut i64),
    Size(&'a mut Size),
    Span(&'a mut Span),
    /// Read, and kept nowhere.
    Nowhere,
}

impl Key {
    /// The key of that name, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name))
    }
}

impl Place<'_> {
    /// The value as it stands in a file.
    pub(super) fn toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self {
            Self::Text(text) => quoted(text),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Size(value) => quoted(&value.to_string()),
            Self::Span(value) => quoted(&value.to_string()),
            Self::Nowhere => String::new(),
        }
    }
}

impl Config {
    #[rustfmt::skip]
    pub(super) fn place(&mut self, key: &str) -> Place<'_> {
        use Place::{Bool, Int, Nowhere, Text};
        match key {
            "product_name" => Text(&mut self.product_name),
            "product_auth" => Text(&mut self.product_auth),
            "session_auth" => Text(&mut self.session_auth),
            "admin_addr" => Text(&mut self.admin_addr),
            "proto_type" => Text(&mut self.proto_type),
            "proxy_addr" => Text(&mut self.proxy_addr),
            "jodis_name" => Text(&mut self.jodis_name),
            "jodis_addr" => Text(&mut self.jodis_addr),
            "jodis_auth" => Text(&mut self.jodis_auth),
            "jodis_timeout" => Place::Span(&mut self.jodis_timeout),
            "jodis_compatible" => Bool(&mut self.jodis_compatible),
            "proxy_datacenter" => Text(&mut self.proxy_datacenter),
            "proxy_max_clients" => Int(&mut self.proxy_max_clients),
            "proxy_max_offheap_size" => Place::Size(&mut self.proxy_max_offheap_size),
            "proxy_heap_placeholder" => Place::Size(&mut self.proxy_heap_placeholder),
            "backend_ping_period" => Place::Span(&mut self.backend_ping_period),
            "backend_recv_bufsize" => Place::Size(&mut self.backend_recv_bufsize),
            "backend_recv_timeout" => Place::Span(&mut self.backend_recv_timeout),
            "backend_send_bufsize" => Place::Size(&mut self.backend_send_bufsize),
            "backend_send_timeout" => Place::Span(&mut self.backend_send_timeout),
            "backend_max_pipeline" => Int(&mut self.backend_max_pipeline),
            "backend_primary_only" => Bool(&mut self.backend_primary_only),
            "backend_primary_parallel" => Int(&mut self.backend_primary_parallel),
            "backend_replica_parallel" => Int(&mut self.backend_replica_parallel),
            "backend_primary_quick" => Int(&mut self.backend_primary_quick),
            "backend_replica_quick" => Int(&mut self.backend_replica_quick),
            "max_slot_num" => Int(&mut self.max_slot_num),
            "backend_keepalive_period" => Place::Span(&mut self.backend_keepalive_period),
            "backend_number_databases" => Int(&mut self.backend_number_databases),
            "session_recv_bufsize" => Place::Size(&mut self.session_recv_bufsize),
            "session_recv_timeout" => Place::Span(&mut self.session_recv_timeout),
            "session_send_bufsize" => Place::Size(&mut self.session_send_bufsize),
            "session_send_timeout" => Place::Span(&mut self.session_send_timeout),
            "session_max_pipeline" => Int(&mut self.session_max_pipeline),
            "session_keepalive_period" => Place::Span(&mut self.session_keepalive_period),
            "session_break_on_failure" => Bool(&mut self.session_break_on_failure),
            "slowlog_log_slower_than" => Int(&mut self.slowlog_log_slower_than),
            "quick_cmd_list" => Text(&mut self.quick_cmd_list),
            "slow_cmd_list" => Text(&mut self.slow_cmd_list),
            "auto_set_slow_flag" => Bool(&mut self.auto_set_slow_flag),
            "metrics_report_server" => Text(&mut self.metrics_report_server),
            "metrics_report_period" => Place::Span(&mut self.metrics_report_period),
            "metrics_report_influxdb_server" => Text(&mut self.metrics_report_influxdb_server),
            "metrics_report_influxdb_period" => Place::Span(&mut self.metrics_report_influxdb_period),
            "metrics_report_influxdb_username" => Text(&mut self.metrics_report_influxdb_username),
            "metrics_report_influxdb_password" => Text(&mut self.metrics_report_influxdb_password),
            "metrics_report_influxdb_database" => Text(&mut self.metrics_report_influxdb_database),
            "metrics_report_statsd_server" => Text(&mut self.metrics_report_statsd_server),
            "metrics_report_statsd_period" => Place::Span(&mut self.metrics_report_statsd_period),
            "metrics_report_statsd_prefix" => Text(&mut self.metrics_report_statsd_prefix),
            "max_delay_refresh_time_interval" => Place::Span(&mut self.max_delay_refresh_time_interval),
            _ => Nowhere,
        }
    }

    /// The value of a key as it stands in a file.
    pub(super) fn toml(&self, key: &str) -> String {
        self.clone().place(key).toml()
    }
}
