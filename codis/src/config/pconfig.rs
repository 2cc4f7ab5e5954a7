//! PCONFIG, the fork's command to see and change the configuration of a running proxy.
//!
//! Pure: [`Config::pconfig_set`] changes the value it is given; whoever serves the command compares and applies. REWRITE is [`rewrite`](super::rewrite()) on the file.

use super::check::{MAX_DELAY, is_part};
use super::{Config, MASK, Span};
use crate::commands::CommandLists;
use crate::gonumber;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Get(String),
    Set { key: String, value: String },
    Rewrite,
}

/// The answer to GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One bulk string.
    Value(String),
    /// An array of names and values, one after another.
    Pairs(Vec<(&'static str, String)>),
    /// An array of texts.
    Texts(Vec<String>),
}

impl Request {
    /// Reads the words behind PCONFIG; `Err` is the error line.
    pub fn parse(words: &[&str]) -> Result<Self, &'static str> {
        let text = |text: &&str| (*text).to_owned();
        let (name, rest) = match words {
            [name, rest @ ..] if rest.len() <= 2 => (name.to_ascii_uppercase(), rest),
            _ => return Err("ERR config parameters"),
        };
        match (name.as_str(), rest) {
            ("GET", [key]) => Ok(Self::Get(text(key))),
            ("GET", _) => Err("ERR config get parameters."),
            ("SET", [key]) => Ok(Self::Set { key: text(key), value: String::new() }),
            ("SET", [key, value]) => Ok(Self::Set { key: text(key), value: text(value) }),
            ("SET", _) => Err("ERR config set parameters."),
            ("REWRITE", []) => Ok(Self::Rewrite),
            ("REWRITE", _) => Err("ERR config rewrite parameters"),
            _ => Err("ERR Unknown CONFIG subcommand or wrong args. Try GET, SET, REWRITE."),
        }
    }
}

impl Config {
    /// The value of a key, or of the keys of a group.
    pub fn pconfig_get(&self, key: &str) -> Result<Answer, String> {
        let size = |name: &'static str, size: super::Size| (name, size.human());
        let span = |name: &'static str, span: Span| (name, span.go());
        let text = |name: &'static str, text: &str| (name, text.to_owned());
        let pairs = match key {
            "jodis" => vec![
                text("jodis_name", &self.jodis_name),
                text("jodis_addr", &self.jodis_addr),
                text("jodis_auth", if self.jodis_auth.is_empty() { "" } else { MASK }),
                span("jodis_timeout", self.jodis_timeout),
                ("jodis_compatible", self.jodis_compatible.to_string()),
            ],
            "proxy" => vec![
                text("proxy_datacenter", &self.proxy_datacenter),
                ("proxy_max_clients", self.proxy_max_clients.to_string()),
                size("proxy_max_offheap_size", self.proxy_max_offheap_size),
                size("proxy_heap_placeholder", self.proxy_heap_placeholder),
            ],
            "backend_buffer_size" => vec![
                size("backend_recv_bufsize", self.backend_recv_bufsize),
                size("backend_send_bufsize", self.backend_send_bufsize),
            ],
            "backend_timeout" => vec![
                span("backend_recv_timeout", self.backend_recv_timeout),
                span("backend_send_timeout", self.backend_send_timeout),
            ],
            "session_buffer_size" => vec![
                size("session_recv_bufsize", self.session_recv_bufsize),
                size("session_send_bufsize", self.session_send_bufsize),
            ],
            "session_timeout" => vec![
                span("session_recv_timeout", self.session_recv_timeout),
                span("session_send_timeout", self.session_send_timeout),
            ],
            "metrics_report_influxdb" => vec![
                text("metrics_report_influxdb_server", &self.metrics_report_influxdb_server),
                span("metrics_report_influxdb_period", self.metrics_report_influxdb_period),
                text("metrics_report_influxdb_username", &self.metrics_report_influxdb_username),
                text("metrics_report_influxdb_database", &self.metrics_report_influxdb_database),
            ],
            "metrics_report_statsd" => vec![
                text("metrics_report_statsd_server", &self.metrics_report_statsd_server),
                span("metrics_report_statsd_period", self.metrics_report_statsd_period),
                text("metrics_report_statsd_prefix", &self.metrics_report_statsd_prefix),
            ],
            "quick_slow_cmd" => {
                let lists = CommandLists::new(&self.quick_cmd_list, &self.slow_cmd_list);
                return lists.map(|lists| Answer::Texts(lists.lines()));
            }
            one => return self.pconfig_value(one).map(Answer::Value),
        };
        Ok(Answer::Pairs(pairs))
    }

    fn pconfig_value(&self, key: &str) -> Result<String, String> {
        Ok(match key {
            "backend_ping_period" => self.backend_ping_period.go(),
            "backend_max_pipeline" => self.backend_max_pipeline.to_string(),
            "backend_primary_only" => self.backend_primary_only.to_string(),
            "max_slot_num" => self.max_slot_num.to_string(),
            "backend_primary_parallel" => self.backend_primary_parallel.to_string(),
            "backend_replica_parallel" => self.backend_replica_parallel.to_string(),
            "backend_primary_quick" => self.backend_primary_quick.to_string(),
            "backend_replica_quick" => self.backend_replica_quick.to_string(),
            "backend_keepalive_period" => self.backend_keepalive_period.go(),
            "backend_number_databases" => self.backend_number_databases.to_string(),
            "slowlog_log_slower_than" => self.slowlog_log_slower_than.to_string(),
            "metrics_report_server" => self.metrics_report_server.clone(),
            "metrics_report_period" => self.metrics_report_period.go(),
            "quick_cmd_list" => self.quick_cmd_list.clone(),
            "slow_cmd_list" => self.slow_cmd_list.clone(),
            "max_delay_refresh_time_interval" => self.max_delay_refresh_time_interval.go(),
            _ => return Err(format!("unsupported key: {key}")),
        })
    }

    /// Changes a key; on an error nothing is changed. A changed `product_name` is shown only: token, xauth and model stay.
    pub fn pconfig_set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = || gonumber::parse("Atoi", value).map_err(|error| format!("err：{error}"));
        let in_range = |number: i64, holds: bool| {
            if holds { Ok(number) } else { Err(format!("invalid {key}")) }
        };
        match key {
            "product_name" => value.clone_into(&mut self.product_name),
            "proxy_max_clients" => {
                self.proxy_max_clients = number().and_then(|n| in_range(n, n > 0))?
            }
            "slowlog_log_slower_than" => {
                self.slowlog_log_slower_than = number().and_then(|n| in_range(n, n >= 0))?
            }
            "backend_primary_quick" => {
                self.backend_primary_quick =
                    number().and_then(|n| in_range(n, is_part(n, self.primary_parallel())))?;
            }
            "backend_replica_quick" => {
                self.backend_replica_quick =
                    number().and_then(|n| in_range(n, is_part(n, self.replica_parallel())))?;
            }
            "quick_cmd_list" => {
                CommandLists::new(value, &self.slow_cmd_list)?;
                value.clone_into(&mut self.quick_cmd_list);
            }
            "slow_cmd_list" => {
                CommandLists::new(&self.quick_cmd_list, value)?;
                value.clone_into(&mut self.slow_cmd_list);
            }
            "max_delay_refresh_time_interval" => {
                let span = Span::parse(value).map_err(|error| format!("err：{error}"))?;
                if span.0 <= 0 {
                    return Err(MAX_DELAY.to_owned());
                }
                self.max_delay_refresh_time_interval = span;
            }
            "backend_primary_only" => return Err("not currently supported".to_owned()),
            _ => return Err(format!("unsupported key: {key}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;

    #[test]
    fn pconfig_gets_values_and_groups() {
        let mut config = Config::defaults(Flavour::Fork);
        config.jodis_auth = "u:p".to_owned();
        let pairs = |key: &str| match config.pconfig_get(key) {
            Ok(Answer::Pairs(pairs)) => pairs
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
            other => panic!("{key}: {other:?}"),
        };
        for (key, want) in [
            (
                "jodis",
                "jodis_name= jodis_addr= jodis_auth=******** jodis_timeout=20s jodis_compatible=false",
            ),
            (
                "proxy",
                "proxy_datacenter= proxy_max_clients=1000 proxy_max_offheap_size=1024.00mb proxy_heap_placeholder=256.00mb",
            ),
            ("backend_buffer_size", "backend_recv_bufsize=128.00kb backend_send_bufsize=128.00kb"),
            ("backend_timeout", "backend_recv_timeout=30s backend_send_timeout=30s"),
            ("session_buffer_size", "session_recv_bufsize=128.00kb session_send_bufsize=64.00kb"),
            ("session_timeout", "session_recv_timeout=30m0s session_send_timeout=30s"),
            (
                "metrics_report_influxdb",
                "metrics_report_influxdb_server= metrics_report_influxdb_period=1s metrics_report_influxdb_username= metrics_report_influxdb_database=",
            ),
            (
                "metrics_report_statsd",
                "metrics_report_statsd_server= metrics_report_statsd_period=1s metrics_report_statsd_prefix=",
            ),
        ] {
            assert_eq!(pairs(key), want);
        }
        for (key, want) in [
            ("backend_ping_period", "5s"),
            ("backend_max_pipeline", "20480"),
            ("backend_primary_only", "false"),
            ("max_slot_num", "1024"),
            ("backend_primary_parallel", "2"),
            ("backend_replica_parallel", "2"),
            ("backend_primary_quick", "1"),
            ("backend_replica_quick", "1"),
            ("backend_keepalive_period", "1m15s"),
            ("backend_number_databases", "1"),
            ("slowlog_log_slower_than", "100000"),
            ("metrics_report_server", ""),
            ("metrics_report_period", "1s"),
            ("quick_cmd_list", "get,set"),
            ("slow_cmd_list", "mget, mset"),
            ("max_delay_refresh_time_interval", "15s"),
        ] {
            assert_eq!(config.pconfig_get(key), Ok(Answer::Value(want.to_owned())), "{key}");
        }
        let lists = [
            "GET : Flag[16], FlagQuick",
            "MGET : Flag[32], FlagSlow",
            "MSET : Flag[33], FlagSlow",
            "SET : Flag[17], FlagQuick",
        ];
        assert_eq!(
            config.pconfig_get("quick_slow_cmd"),
            Ok(Answer::Texts(lists.map(str::to_owned).to_vec()))
        );
        for key in ["nosuch", "product_auth", "session_auth", "metrics_report_influxdb_password"] {
            assert_eq!(config.pconfig_get(key), Err(format!("unsupported key: {key}")));
        }
    }

    #[test]
    fn pconfig_sets_what_may_be_set() {
        let mut config = Config::defaults(Flavour::Fork);
        for (key, value) in [
            ("product_name", ""),
            ("proxy_max_clients", "1"),
            ("slowlog_log_slower_than", "0"),
            ("quick_cmd_list", ""),
            ("slow_cmd_list", "get,hgetall"),
            ("backend_primary_quick", "0"),
            ("backend_replica_quick", "1"),
            ("max_delay_refresh_time_interval", "1m"),
        ] {
            assert_eq!(config.pconfig_set(key, value), Ok(()), "{key}");
        }
        assert_eq!((config.proxy_max_clients, config.slow_cmd_list.as_str()), (1, "get,hgetall"));
        let before = config.clone();
        for (key, value, want) in [
            ("proxy_max_clients", "0", "invalid proxy_max_clients"),
            ("proxy_max_clients", "x", "err：strconv.Atoi: parsing \"x\": invalid syntax"),
            ("slowlog_log_slower_than", "-1", "invalid slowlog_log_slower_than"),
            ("backend_primary_quick", "2", "invalid backend_primary_quick"),
            ("backend_replica_quick", "-1", "invalid backend_replica_quick"),
            ("quick_cmd_list", "get", "err：cmd[GET] is FlagQuick command.."),
            ("quick_cmd_list", "nosuch", "err：can not find [NOSUCH] command.."),
            (
                "max_delay_refresh_time_interval",
                "0",
                "max_delay_refresh_time_interval must be greater than 0",
            ),
            ("max_delay_refresh_time_interval", "x", "err：invalid timesize"),
            ("backend_primary_only", "true", "not currently supported"),
            ("product_auth", "x", "unsupported key: product_auth"),
        ] {
            assert_eq!(config.pconfig_set(key, value), Err(want.to_owned()), "{key} {value}");
        }
        assert_eq!(config, before);
    }

    #[test]
    fn pconfig_wants_the_right_words() {
        for (words, want) in [
            (&["get", "jodis"][..], Ok(Request::Get("jodis".to_owned()))),
            (&["SET", "k"], Ok(Request::Set { key: "k".to_owned(), value: String::new() })),
            (&["SET", "k", "v"], Ok(Request::Set { key: "k".to_owned(), value: "v".to_owned() })),
            (&["rewrite"], Ok(Request::Rewrite)),
            (&[], Err("ERR config parameters")),
            (&["SET", "a", "b", "c"], Err("ERR config parameters")),
            (&["GET"], Err("ERR config get parameters.")),
            (&["GET", "a", "b"], Err("ERR config get parameters.")),
            (&["SET"], Err("ERR config set parameters.")),
            (&["REWRITE", "x"], Err("ERR config rewrite parameters")),
            (
                &["nosuch"],
                Err("ERR Unknown CONFIG subcommand or wrong args. Try GET, SET, REWRITE."),
            ),
        ] {
            assert_eq!(Request::parse(words), want, "{words:?}");
        }
    }
}
