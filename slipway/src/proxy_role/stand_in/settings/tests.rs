use super::*;
use codis::Flavour;
use codis::flags::{self, Invocation};

const MANUAL: &str = include_str!("../../../../../config/codis/proxy.toml");

fn read(text: &str, line: &str) -> Result<Settings> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let Ok(Invocation::Run(flags)) = flags::parse(&args) else { panic!("{line}") };
    Settings::read(Start { text: text.to_owned(), flags: *flags, check: false, token: None })
}

fn refused(text: &str, line: &str) -> String {
    format!("{:#}", read(text, line).unwrap_err())
}

#[test]
fn the_manual_is_a_valid_file_with_the_defaults() {
    let settings = read(MANUAL, "").unwrap();
    assert_eq!(*settings.codis, Config::defaults(Flavour::Upstream));
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert!(codis::config::is_codis(MANUAL));
}

/// Files as each line shipped them, by the keys that only it has or lacks.
#[test]
fn files_of_every_line_load() {
    for (text, warnings) in [
        // 3.0: bare seconds, two keys that are gone, ZooKeeper without a name.
        (
            "backend_ping_period = 5\nsession_max_timeout = 1800\nsession_max_bufsize = 131072\njodis_addr = \"z:2181\"\njodis_timeout = 20\n",
            3,
        ),
        // 3.1
        (
            "backend_max_pipeline = 1024\nsession_max_pipeline = 1024\nproxy_heap_placeholder = \"256mb\"\n",
            0,
        ),
        // 3.2
        (
            "proto_type = \"tcp4\"\nbackend_primary_parallel = 1\nmetrics_report_statsd_prefix = \"\"\n",
            0,
        ),
        // The fork, with one connection to a primary: there it does not start.
        ("max_slot_num = 1024\nbackend_primary_parallel = 1\nbackend_replica_parallel = 1\n", 2),
        (
            "quick_cmd_list = \"get,set\"\nslow_cmd_list = \"mget, mset\"\nauto_set_slow_flag = true\n",
            0,
        ),
        ("", 0),
        ("nosuch = 1\n", 1),
    ] {
        let settings = read(text, "").unwrap();
        assert_eq!(settings.warnings.len(), warnings, "{text}{:?}", settings.warnings);
    }
    assert_eq!(read("nosuch = 1\n", "").unwrap().warnings, ["unknown key nosuch is ignored"]);
}

#[test]
fn keys_and_flags_become_settings() {
    let text = "max_slot_num = 64\nproduct_auth = \"node\"\nbackend_primary_parallel = 3\nbackend_recv_timeout = 0\nproxy_max_offheap_size = \"1mb\"\n";
    let settings = read(text, "--ncpu 3 --product_name other --log-level=NONE -l F").unwrap();
    let proxy = &settings.proxy;
    assert_eq!((proxy.workers, u32::from(proxy.slot_count.get())), (3, 64));
    assert_eq!(proxy.node_password.as_deref(), Some("node"));
    assert_eq!(proxy.upstream.connections, 3);
    assert_eq!(proxy.upstream.reply_timeout, NO_LIMIT);
    assert_eq!(proxy.limits.process_unanswered_bytes_max, UNANSWERED_LEAST);
    assert_eq!(settings.codis.product_name, "other");
    let log = settings.log();
    assert_eq!((log.filter.as_deref(), log.file), (Some("off"), Some(PathBuf::from("F"))));
    assert_eq!(read("proto_type = \"tcp\"", "").unwrap().family, Family::Both);
    assert!(read("", "--ncpu 1 --max-ncpu 4").unwrap().proxy.workers == 1);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (text, line, want) in [
        ("backend_recv_timeout = \"soon\"", "", "backend_recv_timeout"),
        ("proto_type = \"unix\"\nproxy_addr = \"/tmp/p\"", "", "write proto_type = \"tcp4\""),
        ("max_slot_num = 0", "", "invalid max_slot_num"),
        ("", "--product_name=-x", "bad product name = -x"),
        ("x = = 1", "-c F", "F"),
    ] {
        let said = refused(text, line);
        assert!(said.contains(want), "{text}: {said}");
    }
}

#[test]
fn a_token_can_stand_in_a_path() {
    for token in ["a", "proxy-1_A", &"f".repeat(64)] {
        assert!(check_token(token).is_ok(), "{token}");
    }
    for token in ["", "a/b", "a b", "ä", "a.b", &"f".repeat(65)] {
        assert!(check_token(token).is_err(), "{token}");
    }
}

#[test]
fn too_few_open_files_are_an_error_where_it_was_asked() {
    let refused = read("", "--ulimit 4294967295").unwrap().check_open_files().unwrap_err();
    assert!(refused.to_string().starts_with("ulimit too small: "), "{refused}");
    assert!(read("", "--ulimit 1").unwrap().check_open_files().is_ok());
    assert!(read("", "").unwrap().check_open_files().is_ok());
}
