use super::load::Warning;
use super::*;
use crate::json::pretty;

/// The keys and values of the file that upstream ships.
const UPSTREAM: &str = r#"
product_name = "codis-demo"
product_auth = ""
session_auth = ""
admin_addr = "0.0.0.0:11080"
proto_type = "tcp4"
proxy_addr = "0.0.0.0:19000"
jodis_name = ""
jodis_addr = ""
jodis_auth = ""
jodis_timeout = "20s"
jodis_compatible = false
proxy_datacenter = ""
proxy_max_clients = 1000
proxy_max_offheap_size = "1024mb"
proxy_heap_placeholder = "256mb"
backend_ping_period = "5s"
backend_recv_bufsize = "128kb"
backend_recv_timeout = "30s"
backend_send_bufsize = "128kb"
backend_send_timeout = "30s"
backend_max_pipeline = 20480
backend_primary_only = false
backend_primary_parallel = 1
backend_replica_parallel = 1
backend_keepalive_period = "75s"
backend_number_databases = 16
session_recv_bufsize = "128kb"
session_recv_timeout = "30m"
session_send_bufsize = "64kb"
session_send_timeout = "30s"
session_max_pipeline = 10000
session_keepalive_period = "75s"
session_break_on_failure = false
metrics_report_server = ""
metrics_report_period = "1s"
metrics_report_influxdb_server = ""
metrics_report_influxdb_period = "1s"
metrics_report_influxdb_username = ""
metrics_report_influxdb_password = ""
metrics_report_influxdb_database = ""
metrics_report_statsd_server = ""
metrics_report_statsd_period = "1s"
metrics_report_statsd_prefix = ""
"#;

/// What the fork's file says on top, with its own values.
const FORK: &str = r#"
max_slot_num = 1024
backend_primary_parallel = 2
backend_replica_parallel = 2
backend_primary_quick = 1
backend_replica_quick = 1
backend_number_databases = 1
slowlog_log_slower_than = 100000
quick_cmd_list = ""
slow_cmd_list = ""
max_delay_refresh_time_interval = "15s"
"#;

const CODIS_3_0: &str = r#"
product_name = "codis-demo"
product_auth = ""
admin_addr = "0.0.0.0:11080"
proto_type = "tcp4"
proxy_addr = "0.0.0.0:19000"
jodis_addr = "10.0.0.1:2181"
jodis_timeout = 10
backend_ping_period = 5
session_max_timeout = 1800
session_max_bufsize = 131072
session_max_pipeline = 1024
session_keepalive_period = 60
"#;

fn load(text: &str) -> Config {
    Config::load(text).unwrap_or_else(|error| panic!("{text}: {error}")).config
}

fn refused(text: &str) -> String {
    Config::load(text).unwrap_err().to_string()
}

#[test]
fn files_of_every_age_and_line_load() {
    assert_eq!(
        Config::load(UPSTREAM).unwrap(),
        Loaded { config: Config::defaults(Flavour::Upstream), warnings: vec![] }
    );
    assert_eq!(load(""), Config::defaults(Flavour::Upstream));
    let fork = load(FORK);
    let lists = Config {
        quick_cmd_list: String::new(),
        slow_cmd_list: String::new(),
        ..Config::defaults(Flavour::Fork)
    };
    assert_eq!(fork, lists);
    let old = Config::load(CODIS_3_0).unwrap();
    assert_eq!(
        (old.config.jodis_timeout, old.config.backend_ping_period),
        (Span::seconds(10), Span::seconds(5))
    );
    assert_eq!(
        (old.config.session_max_pipeline, old.config.session_keepalive_period),
        (1024, Span::seconds(60))
    );
    assert_eq!(old.config.jodis(), Some(Coordinator::ZooKeeper));
    let said: Vec<_> = old.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "key session_max_bufsize means nothing since codis 3.1",
            "key session_max_timeout means nothing since codis 3.1",
            "jodis_addr without jodis_name is taken for zookeeper",
        ]
    );
}

#[test]
fn a_file_with_one_key_of_the_fork_has_the_forks_defaults() {
    let config = load("max_slot_num = 64");
    assert_eq!(config, Config { max_slot_num: 64, ..Config::defaults(Flavour::Fork) });
    assert_eq!((config.backend_primary_parallel, config.backend_number_databases), (2, 1));
    assert_eq!(config.quick_cmd_list, "get,set");
}

#[test]
fn the_default_texts_give_the_defaults() {
    for flavour in [Flavour::Upstream, Flavour::Fork] {
        let loaded = Config::load(&default_text(flavour)).unwrap();
        assert_eq!(loaded, Loaded { config: Config::defaults(flavour), warnings: vec![] });
        assert!(is_codis(&default_text(flavour)));
    }
    assert!(!default_text(Flavour::Upstream).contains("max_slot_num"));
}

#[test]
fn too_many_quick_connections_are_fewer() {
    let loaded = Config::load(
        "backend_primary_parallel = 1\nmax_slot_num = 1024\nbackend_replica_quick = 7",
    )
    .unwrap();
    assert_eq!((loaded.config.backend_primary_quick, loaded.config.backend_replica_quick), (0, 1));
    let primary = Warning::Clamped { key: "backend_primary_quick", from: 1, to: 0 };
    let replica = Warning::Clamped { key: "backend_replica_quick", from: 7, to: 1 };
    assert_eq!(loaded.warnings, [primary, replica]);
    assert_eq!(refused("backend_primary_quick = -1"), "invalid backend_primary_quick");
}

#[test]
fn keys_match_in_any_case_and_unknown_ones_are_told() {
    let loaded = Config::load("Product_Name = \"a\"\nnosuch = 1\n[table]\nx = 1").unwrap();
    assert_eq!(loaded.config.product_name, "a");
    assert_eq!(
        loaded.warnings,
        [Warning::UnknownKey("nosuch".to_owned()), Warning::UnknownKey("table".to_owned())]
    );
    let loaded = Config::load("Product_Name = \"a\"\nproduct_name = \"b\"").unwrap();
    assert_eq!(loaded.config.product_name, "b");
    assert_eq!(loaded.warnings, [Warning::Repeated("Product_Name".to_owned())]);
}

#[test]
fn types_are_strict_but_for_sizes_and_durations() {
    let config = load(
        "session_recv_timeout = 1.5\nsession_recv_bufsize = 4096\nbackend_send_timeout = \"1.5m\"",
    );
    assert_eq!(
        (config.session_recv_timeout, config.session_recv_bufsize),
        (Span(1_500_000_000), Size(4096))
    );
    assert_eq!(config.backend_send_timeout, Span::seconds(90));
    for (text, want) in [
        ("proxy_max_clients = \"7\"", "invalid proxy_max_clients: it takes an integer"),
        ("proxy_max_clients = 7.0", "invalid proxy_max_clients: it takes an integer"),
        ("product_name = 7", "invalid product_name: it takes a string"),
        ("jodis_compatible = 1", "invalid jodis_compatible: it takes true or false"),
        ("backend_number_databases = 4294967296", "invalid backend_number_databases: out of range"),
        ("session_recv_timeout = \"1h30m\"", "invalid session_recv_timeout: invalid timesize"),
        ("session_recv_bufsize = \"1KB\"", "invalid session_recv_bufsize: invalid byte size"),
        ("session_recv_bufsize = true", "invalid session_recv_bufsize: invalid byte size"),
        (
            "session_recv_bufsize = [1]",
            "invalid session_recv_bufsize: it takes a size, such as \"128kb\"",
        ),
    ] {
        assert_eq!(refused(text), want, "{text}");
    }
    assert!(refused("product_name = ").starts_with("TOML parse error at line 1"));
}

#[test]
fn what_is_out_of_range_is_told_in_codis_words() {
    for key in [
        "proxy_max_clients",
        "backend_max_pipeline",
        "backend_primary_parallel",
        "backend_replica_parallel",
        "session_max_pipeline",
    ] {
        assert_eq!(refused(&format!("{key} = -1")), format!("invalid {key}"));
        load(&format!("{key} = 0"));
    }
    for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Size | Kind::Span)) {
        if key.name == "max_delay_refresh_time_interval" || key.name == "jodis_timeout" {
            continue;
        }
        assert_eq!(refused(&format!("{} = -1", key.name)), format!("invalid {}", key.name));
        load(&format!("{} = 0", key.name));
    }
    for (text, want) in [
        ("product_name = \"\"", "invalid product_name"),
        ("product_name = \"a b\"", "bad product name = a b"),
        ("product_name = \".a\"", "bad product name = .a"),
        ("admin_addr = \"\"", "invalid admin_addr"),
        ("proxy_addr = \"\"", "invalid proxy_addr"),
        ("proto_type = \"\"", "invalid proto_type"),
        ("proto_type = \"udp\"", "invalid proto_type"),
        ("jodis_name = \"zk\"", "invalid jodis_addr"),
        ("jodis_name = \"zk\"\njodis_addr = \"a\"\njodis_timeout = -1", "invalid jodis_timeout"),
        ("jodis_name = \"consul\"\njodis_addr = \"a\"", "invalid jodis_name"),
        ("backend_number_databases = 0", "invalid backend_number_databases"),
        ("max_slot_num = 0", "invalid max_slot_num"),
        ("slowlog_log_slower_than = -1", "invalid slowlog_log_slower_than"),
        (
            "max_delay_refresh_time_interval = 0",
            "max_delay_refresh_time_interval must be greater than 0",
        ),
        ("quick_cmd_list = \"unlink\"", "err：can not find [UNLINK] command.."),
        ("slow_cmd_list = \"get\"", "err：cmd[GET] is FlagQuick command.."),
    ] {
        assert_eq!(refused(text), want, "{text}");
    }
    assert_eq!(load("product_name = \"a-b.c_9\"").product_name, "a-b.c_9");
}

#[test]
fn json_has_texts_for_sizes_and_no_secrets() {
    let secrets = "product_auth = \"s3cret\"\nsession_auth = \"s3cret\"\nmetrics_report_influxdb_password = \"s3cret\"\njodis_auth = \"u:s3cret\"";
    let text = pretty(&load(secrets));
    assert!(
        !text.contains("s3cret") && !text.contains("product_auth") && !text.contains("host_admin"),
        "{text}"
    );
    for line in [
        "{\n    \"proto_type\": \"tcp4\",\n    \"proxy_addr\": \"0.0.0.0:19000\",\n    \"admin_addr\"",
        "\"jodis_auth\": \"********\"",
        "\"jodis_timeout\": \"20s\",\n    \"jodis_compatible\": false,\n    \"product_name\": \"codis-demo\",\n    \"proxy_datacenter\": \"\"",
        "\"proxy_max_offheap_size\": \"1gb\"",
        "\"session_recv_bufsize\": \"128kb\"",
        "\"session_recv_timeout\": \"30m\"",
        "\"backend_keepalive_period\": \"75s\"",
        "\"max_slot_num\": 1024",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(pretty(&load("backend_ping_period = 0")).contains("\"backend_ping_period\": \"0\""));
}

#[test]
fn flags_go_over_the_file() {
    let overrides = Overrides {
        product_name: Some("n".to_owned()),
        host_admin: Some("a:1".to_owned()),
        ..Overrides::default()
    };
    let config = load("product_name = \"f\"\nproduct_auth = \"x\"").with(&overrides).unwrap();
    assert_eq!(
        (config.product_name.as_str(), config.product_auth.as_str(), config.host_admin.as_str()),
        ("n", "x", "a:1")
    );
    let bad = Overrides { product_name: Some("a b".to_owned()), ..Overrides::default() };
    assert_eq!(load("").with(&bad).unwrap_err().to_string(), "bad product name = a b");
}

#[test]
fn our_own_file_is_told_from_codis() {
    let ours = include_str!("../../../config/proxy.toml");
    assert!(!is_codis(ours));
    for text in [
        UPSTREAM,
        FORK,
        CODIS_3_0,
        "",
        "# nothing",
        "PRODUCT_NAME = \"a\"",
        "product_name = \"a\"\nnosuch = 1",
        "proxy_addr = broken",
    ] {
        assert!(is_codis(text), "{text}");
    }
    for text in [
        "listen = \"a\"",
        "nosuch = 1",
        "[limits]\nclients_max = 1",
        "listen = \"a\"\nproduct_name = \"b\"",
        "listen = broken",
    ] {
        assert!(!is_codis(text), "{text}");
    }
}
