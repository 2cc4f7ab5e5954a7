//! What is out of its range, in codis-proxy's words and order.

use super::{Config, Coordinator, Network};
use crate::commands::CommandLists;

impl Config {
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.product_name;
        let rules = [
            ("proto_type", Network::parse(&self.proto_type).is_some()),
            ("proxy_addr", !self.proxy_addr.is_empty()),
            ("admin_addr", !self.admin_addr.is_empty()),
            ("jodis_addr", self.jodis_name.is_empty() || !self.jodis_addr.is_empty()),
            ("jodis_timeout", self.jodis_name.is_empty() || self.jodis_timeout.0 >= 0),
            (
                "jodis_name",
                self.jodis_name.is_empty() || Coordinator::parse(&self.jodis_name).is_some(),
            ),
            ("product_name", !name.is_empty()),
            ("proxy_max_clients", self.proxy_max_clients >= 0),
            ("proxy_max_offheap_size", self.proxy_max_offheap_size.0 >= 0),
            ("proxy_heap_placeholder", self.proxy_heap_placeholder.0 >= 0),
            ("backend_ping_period", self.backend_ping_period.0 >= 0),
            ("backend_recv_bufsize", self.backend_recv_bufsize.0 >= 0),
            ("backend_recv_timeout", self.backend_recv_timeout.0 >= 0),
            ("backend_send_bufsize", self.backend_send_bufsize.0 >= 0),
            ("backend_send_timeout", self.backend_send_timeout.0 >= 0),
            ("backend_max_pipeline", self.backend_max_pipeline >= 0),
            ("backend_primary_parallel", self.backend_primary_parallel >= 0),
            ("backend_replica_parallel", self.backend_replica_parallel >= 0),
            ("backend_primary_quick", is_part(self.backend_primary_quick, self.primary_parallel())),
            ("backend_replica_quick", is_part(self.backend_replica_quick, self.replica_parallel())),
            ("max_slot_num", (1..=SLOTS_MAX).contains(&self.max_slot_num)),
            ("backend_keepalive_period", self.backend_keepalive_period.0 >= 0),
            ("backend_number_databases", self.backend_number_databases >= 1),
            ("session_recv_bufsize", self.session_recv_bufsize.0 >= 0),
            ("session_recv_timeout", self.session_recv_timeout.0 >= 0),
            ("session_send_bufsize", self.session_send_bufsize.0 >= 0),
            ("session_send_timeout", self.session_send_timeout.0 >= 0),
            ("session_max_pipeline", self.session_max_pipeline >= 0),
            ("session_keepalive_period", self.session_keepalive_period.0 >= 0),
            ("slowlog_log_slower_than", self.slowlog_log_slower_than >= 0),
            ("metrics_report_period", self.metrics_report_period.0 >= 0),
            ("metrics_report_influxdb_period", self.metrics_report_influxdb_period.0 >= 0),
            ("metrics_report_statsd_period", self.metrics_report_statsd_period.0 >= 0),
        ];
        if let Some((key, _)) = rules.iter().find(|(_, holds)| !holds) {
            return Err(format!("invalid {key}"));
        }
        if self.max_delay_refresh_time_interval.0 <= 0 {
            return Err(MAX_DELAY.to_owned());
        }
        if !is_product_name(name) {
            return Err(format!("bad product name = {name}"));
        }
        CommandLists::new(&self.quick_cmd_list, &self.slow_cmd_list).map(|_| ())
    }
}

pub(super) const MAX_DELAY: &str = "max_delay_refresh_time_interval must be greater than 0";

/// More than any cluster of ours has.
const SLOTS_MAX: i64 = 16_384;

/// Whether so many of the connections may be set aside: at least one must be left.
pub(super) fn is_part(quick: i64, parallel: u64) -> bool {
    u64::try_from(quick).is_ok_and(|quick| quick < parallel)
}

/// `^\w[\w\.\-]*$`
fn is_product_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().next().is_some_and(is_word)
        && name.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}
