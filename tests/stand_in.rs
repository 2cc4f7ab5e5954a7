//! `slipway proxy` started and stopped as whoever runs codis-proxy does it: by scripts, with flags, a log, a pid file and signals.

use codis::identity::proxy_xauth;
use codis::model::{Model, Stats};
use harness::process::{Process, free_port};
use harness::{eventually, http, program};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// One proxy under the name codis-proxy, in a folder of its own.
struct StandIn {
    admin: String,
    folder: TempDir,
    process: Process,
}

impl StandIn {
    fn start(more: &str, flags: &[&str]) -> Self {
        let mut proxy = Self::prepare(more, flags);
        proxy.process.start("");
        proxy
    }

    fn prepare(more: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let admin = format!("127.0.0.1:{}", free_port());
        let file = folder.path().join("proxy.toml");
        let addr = format!("127.0.0.1:{}", free_port());
        let text = format!("proxy_addr = \"{addr}\"\nadmin_addr = \"{admin}\"\n{more}\n");
        fs::write(&file, text).unwrap();
        let link = folder.path().join("codis-proxy");
        symlink(program(), &link).unwrap();
        let mut args = vec!["-c", file.to_str().unwrap()];
        args.extend(flags);
        let process = Process::new("codis-proxy", link, &args, folder.path());
        Self { admin, folder, process }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn model(&self) -> Model {
        eventually("it tells who it is", SOON, || {
            let text = http::get(&self.admin, "/api/proxy/model")?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        })
    }

    fn stats(&self) -> Stats {
        serde_json::from_str(&http::get(&self.admin, "/proxy/stats").unwrap()).unwrap()
    }

    /// How it ended: the status that a shell sees.
    fn status(&mut self) -> Option<i32> {
        eventually("it ends", SOON, || self.process.ended().ok_or("it runs".to_owned())).code()
    }
}

/// The only file in a folder.
fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let files: Vec<_> = fs::read_dir(folder).map_err(|e| e.to_string())?.flatten().collect();
    match &files[..] {
        [one] => Ok(one.path()),
        others => Err(format!("{} files", others.len())),
    }
}

#[test]
fn a_script_for_codis_proxy_starts_and_stops_it() {
    let mut proxy = StandIn::prepare("max_slot_num = 16\nproduct_auth = \"secret\"", &[]);
    let [log, pid, slots] = ["logs/proxy.log", "proxy.pid", "slots.json"].map(|n| proxy.path(n));
    fs::write(&slots, r#"[{"id":3,"backend_addr":"127.0.0.1:1"}]"#).unwrap();
    let flags = [
        format!("--log={}", log.display()),
        format!("--pidf={}", pid.display()),
        format!("--fillslots={}", slots.display()),
    ];
    let file = proxy.path("proxy.toml");
    let mut args = vec!["--config", file.to_str().unwrap(), "--ncpu", "2", "--log-level=INFO"];
    args.extend(flags.iter().map(String::as_str));
    proxy.process =
        Process::new("codis-proxy", proxy.path("codis-proxy"), &args, proxy.folder.path());
    proxy.process.start("");

    let model = proxy.model();
    eventually("it is online", SOON, || {
        let stats = proxy.stats();
        if stats.online { Ok(()) } else { Err(format!("{stats:?}")) }
    });
    assert_eq!((model.pid, model.max_slot_num), (i64::from(proxy.process.id()), 16));
    assert_eq!(fs::read_to_string(&pid).unwrap(), proxy.process.id().to_string());
    let slots = http::get(&proxy.admin, "/proxy/slots").unwrap();
    assert!(slots.contains("\"backend_addr\": \"127.0.0.1:1\""), "{slots}");

    let xauth = proxy_xauth("codis-demo", "secret", &model.token);
    let head = format!("PUT /api/proxy/shutdown/{xauth}");
    let (status, answer) = http::ask(&proxy.admin, &head, b"").unwrap();
    assert!(status == 200 && answer.ends_with("\"OK\""), "{answer}");
    assert_eq!(proxy.status(), Some(0));
    assert!(!pid.exists());
    let log = only_file(log.parent().unwrap()).unwrap();
    let name = log.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(
        name.starts_with("proxy.log.20") && name.len() == "proxy.log.2026-11-22".len(),
        "{name}"
    );
    let text = fs::read_to_string(log).unwrap();
    for words in [
        "proxy is working ...",
        "proxy is exiting ...",
        "[WARN] API call PUT /api/proxy/shutdown/… from 127.0.0.1:",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert!(!text.contains(&xauth), "{text}");
    assert_eq!(proxy.process.log(), "");
}

#[test]
fn signals_stop_it_with_status_0() {
    for signal in ["-INT", "-TERM"] {
        let mut proxy = StandIn::start("", &["--token", "my-proxy_1"]);
        assert_eq!(proxy.model().token, "my-proxy_1");
        eventually("it says that it waits", SOON, || {
            let log = proxy.process.log();
            if log.contains("proxy waiting online ...") { Ok(()) } else { Err(log) }
        });
        Command::new("kill").args([signal, &proxy.process.id().to_string()]).status().unwrap();
        assert_eq!(proxy.status(), Some(0), "{signal}");
    }
}

#[test]
fn what_cannot_start_says_why_and_ends_with_status_1() {
    for (more, flags, want) in [
        (
            "proto_type = \"unix\"",
            [].as_slice(),
            "proto_type = \"unix\": this proxy listens on tcp",
        ),
        ("backend_ping_period = \"soon\"", &[], "invalid backend_ping_period"),
        ("", &["--nosuch"], "unknown option --nosuch"),
        ("", &["--ulimit=4294967295"], "ulimit too small"),
        ("", &["--fillslots=/nowhere"], "cannot read /nowhere"),
        ("", &["--host-proxy=0.0.0.0:1"], "resolve address '0.0.0.0:1' to '0.0.0.0:1'"),
    ] {
        let mut proxy = StandIn::start(more, flags);
        assert_eq!(proxy.status(), Some(1), "{more} {flags:?}");
        let said = proxy.process.log();
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn its_name_decides_how_wrong_usage_ends_and_help_is_no_error() {
    let status = |args: &[&str]| Command::new(program()).args(args).output().unwrap();
    assert_eq!(status(&["proxy", "--nosuch"]).status.code(), Some(2));
    assert_eq!(status(&["proxy"]).status.code(), Some(2));
    for (flag, want) in [
        ("--help", "--token=TOKEN"),
        ("--version", "compile: "),
        ("--default-config", "jodis_name = "),
    ] {
        let output = status(&["proxy", flag]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(want), "{flag}: {text}");
    }
}
