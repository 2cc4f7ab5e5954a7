use super::*;
use parking_lot::Mutex;
use prometheus::TextEncoder;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tells [`speaks_in_a_process_of_its_own`] what to do.
const ROLE: &str = "SLIPWAY_TEST_TELEMETRY";

fn command(role: &str, filter: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "telemetry::tests::speaks_in_a_process_of_its_own", "--nocapture"]);
    command.env(ROLE, role).env(VARIABLE, filter);
    command
}

/// Runs a role whose reader is late: what the process does not wait for at its end is lost.
fn speak(role: &str, filter: &str) -> (Output, String) {
    let stderr = Stdio::piped();
    let mut child = command(role, filter).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    let late = Instant::now() + Duration::from_millis(500);
    while Instant::now() < late && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

/// The body of the processes below: logging can be started only once in a process.
#[test]
fn speaks_in_a_process_of_its_own() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let format = match role.as_str() {
        "json" => Format::Json,
        "dated" => Format::Dated,
        _ => Format::Human,
    };
    if role.is_empty() {
        return;
    }
    let options = Options { format, ..Options::default() };
    let logging = start(options).map_err(|error| error.to_string()).unwrap();
    // More than the kernel takes for a reader that is late (64 KiB).
    for line in 0..1000 {
        tracing::info!(line, "one of many lines that come before the end of the process");
    }
    match role.as_str() {
        "panic" => {
            std::thread::Builder::new()
                .name("worker-1".to_owned())
                .spawn(|| panic!("the sky fell"))
                .unwrap()
                .join()
                .unwrap();
        }
        "flood" => {
            for line in 0..100_000 {
                tracing::info!(line, "a flood, for which nobody reads");
            }
        }
        _ => {
            tracing::info!(slot = 886, "a slot moved");
            tracing::debug!("a detail");
            logging.filter().set("warn,service=debug").unwrap();
            tracing::debug!("a detail that was asked for");
            logging.filter().set("off").unwrap();
            tracing::error!("what nobody wants to know");
            assert!(logging.filter().set("service=loud").is_err());
        }
    }
    drop(logging);
}

#[test]
fn lines_are_for_people_and_end_in_stderr_before_the_process_ends() {
    let (output, text) = speak("human", "");
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("INFO") && text.contains("a slot moved slot=886"), "{text}");
    assert!(!text.contains("a detail\n"), "the default is info: {text}");
    assert!(!text.contains('\u{1b}'), "no colours where no terminal is: {text:?}");
}

#[test]
fn what_is_logged_can_change_at_any_time() {
    let (output, text) = speak("human", "");
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("a detail that was asked for"), "{text}");
    assert!(!text.contains("what nobody wants to know"), "{text}");
}

#[test]
fn lines_are_codis_own_when_asked() {
    let (_, text) = speak("dated", "");
    let line = text.lines().find(|line| line.contains("a slot moved")).unwrap();
    let (date, rest) = line.split_at(20);
    let digits: String = date.chars().filter(|c| !c.is_ascii_digit()).collect();
    assert_eq!(digits, "// :: ", "{line}");
    let (place, text) = rest.split_once(": ").unwrap();
    assert!(place.starts_with("tests.rs:"), "{line}");
    assert_eq!(text, "[INFO] a slot moved slot=886");
}

#[test]
fn lines_are_json_when_asked() {
    let (_, text) = speak("json", "debug");
    let line = text.lines().find(|line| line.contains("a slot moved")).unwrap();
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((json["level"].as_str(), json["slot"].as_u64()), (Some("INFO"), Some(886)));
    assert!(text.contains("a detail"));
}

#[test]
fn a_wrong_filter_is_refused_with_what_to_write() {
    let (output, text) = speak("human", "info,proxy=loud");
    assert!(!output.status.success());
    assert!(
        text.contains("is no log filter") && text.contains("write for example SLIPWAY_LOG=info"),
        "{text}"
    );
}

#[test]
fn a_panic_in_any_thread_is_logged_and_aborts_the_process() {
    let (output, text) = speak("panic", "");
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
    for part in ["ERROR", "panic in thread worker-1", "the sky fell", "telemetry/tests.rs"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn a_reader_that_does_not_read_costs_lines_but_no_time() {
    let begun = Instant::now();
    // A pipe nobody reads: the kernel takes 64 KiB, then writing blocks.
    let mut child =
        command("flood", "").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// A stream that takes nothing until its gate opens.
#[derive(Clone, Default)]
struct Gated {
    gate: Arc<Mutex<()>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _open = self.gate.lock();
        self.written.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn lost_lines_are_counted_and_said_once_the_stream_flows_again() {
    let stream = Gated::default();
    let closed = stream.gate.lock();
    let mut queue = Queue::start(stream.clone()).unwrap();
    let before = queue::LOST.get();
    for _ in 0..5000 {
        queue.write_all(b"line\n").unwrap();
    }
    let lost = queue::LOST.get() - before;
    assert!((900..=904).contains(&lost), "{lost} of 5000 lost, with a place for 4096");
    drop(closed);
    Queue::flush(&queue);
    queue.write_all(b"after\n").unwrap();
    Queue::flush(&queue);
    let text = String::from_utf8(stream.written.lock().clone()).unwrap();
    let count = |line: &str| line.strip_prefix("slipway: ")?.split_once(' ')?.0.parse::<u64>().ok();
    assert_eq!(text.lines().filter_map(count).sum::<u64>(), lost);
    assert!(text.ends_with("after\n"));
    assert_eq!(text.matches("line\n").count() as u64, 5000 - lost);
}

#[test]
fn each_daemon_tells_its_version_and_its_process() {
    let registry = Registry::new();
    register(&registry).unwrap();
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(
        text.contains(&format!(
            "slipway_build_info{{commit=\"{}\",version=\"{VERSION}\"}} 1",
            COMMIT.unwrap_or("unknown")
        )),
        "{text}"
    );
    for name in
        ["process_resident_memory_bytes", "process_open_fds", "slipway_log_lines_lost_total"]
    {
        assert!(text.contains(name), "no {name}");
    }
    assert!(register(&registry).is_err(), "a second time is a mistake, and said");
}
