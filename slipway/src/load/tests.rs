//! The whole tool against Debian's redis-server: alone, where nothing may be found wrong, and behind a relay that lies, where the lie must
//! be found and named.

mod relay;
mod server;

use super::args::{LoadArgs, Plan};
use super::link::Refusal;
use super::report::Report;
use super::tally::Class;
use clap::Parser;
use relay::{Fault, Relay};
use server::Server;
use std::io::{Read, Write};
use std::net::TcpListener;

#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    load: LoadArgs,
}

fn plan(addr: &str, flags: &str) -> Result<Plan, String> {
    let words =
        ["load", "--quiet", "--addr", addr].into_iter().chain(flags.split_ascii_whitespace());
    Plan::new(Flags::try_parse_from(words).map_err(|error| error.to_string())?.load)
}

fn load(addr: &str, flags: &str) -> Report {
    super::execute(plan(addr, flags).unwrap()).unwrap()
}

/// A load of one second: few keys, so that each is met again soon.
const SMALL: &str = "--rate 4000 --seconds 1 --clients 2 --pipeline 8 --keys 120 --seed 7 --reply-ms-max 1500 --unknown-rest-ms 50";

/// The small load through a relay that tells one lie.
fn lie(fault: Fault, flags: &str) -> Report {
    let server = Server::start(&[]);
    let relay = Relay::start(&server.addr(), fault);
    let report = load(relay.addr(), &format!("{SMALL} {flags}"));
    assert!(relay.lies() > 0, "the relay never lied");
    report
}

/// What went wrong, without what follows from a broken connection.
fn found(report: &Report) -> Vec<(Class, u64)> {
    let follows = [Class::Unknown, Class::ConnectionLost];
    report
        .classes
        .iter()
        .filter(|(class, n)| **n > 0 && !follows.contains(class))
        .map(|(class, n)| (*class, *n))
        .collect()
}

#[test]
fn a_real_server_is_found_right_at_20000_requests_a_second() {
    let server = Server::start(&[]);
    let report = load(&server.addr(), "--rate 20000 --seconds 5");
    assert!(report.passed, "{report}\n{:?}", report.incidents);
    assert_eq!((report.requests.replied, report.verified), (100_000, 10_000));
    assert!(report.rate > 15_000.0, "{report}");
    assert_eq!((report.unchecked, report.adopted, report.broken), (0, 0, 0));
}

#[test]
fn a_real_server_is_found_right_in_resp3_with_checks_on_the_way() {
    let server = Server::start(&[]);
    let report = load(
        &server.addr(),
        "--resp3 --rate 8000 --seconds 4 --keys 400 --verify-every 0.5 --value-bytes 2000",
    );
    assert!(report.passed, "{report}\n{:?}", report.incidents);
    assert!(report.requests.beside > 400 * 8, "the checks on the way: {}", report.requests.beside);
}

#[test]
fn what_other_kinds_of_servers_lack_is_not_sent() {
    for kind in ["codis-server", "pika"] {
        let server = Server::start(&[]);
        let flags = format!("--server {kind} --big 600 --rate 8000 --seconds 3 --keys 800");
        let report = load(&server.addr(), &flags);
        assert!(report.passed, "{report}\n{:?}", report.incidents);
        let used = server.commands();
        let lacks = |name: &str| !used.iter().any(|used| used == name);
        assert!(lacks("getdel") && !lacks("hset") && !lacks("hmset"), "{kind}: {used:?}");
        assert_eq!(lacks("pexpire"), kind == "pika", "{used:?}");
    }
}

#[test]
fn a_corrupted_value_is_a_wrong_value() {
    let report = lie(Fault::Corrupt, "");
    assert_eq!(found(&report), [(Class::WrongValue, 1)], "{:?}", report.incidents);
    assert!(!report.passed && report.wrong == 1);
}

#[test]
fn a_number_where_text_is_due_is_a_wrong_type() {
    assert_eq!(found(&lie(Fault::OtherType, "")), [(Class::WrongType, 1)]);
}

#[test]
fn two_replies_that_changed_places_are_reordered() {
    let report = lie(Fault::Swap, "");
    assert_eq!(found(&report), [(Class::Reordered, 2)], "{:?}", report.incidents);
}

#[test]
fn an_acknowledged_increment_that_was_not_executed_is_lost() {
    let report = lie(Fault::SwallowIncr, "");
    assert_eq!(found(&report), [(Class::Lost, 1)], "{:?}", report.incidents);
    assert!(report.incidents[0].key.contains(":ctr:"), "{:?}", report.incidents);
}

#[test]
fn a_push_that_was_executed_twice_is_doubled() {
    let report = lie(Fault::RepeatRPush, "");
    assert_eq!(found(&report), [(Class::Doubled, 1)], "{:?}", report.incidents);
    assert!(report.incidents[0].key.contains(":list:"), "{:?}", report.incidents);
}

#[test]
fn the_final_state_alone_shows_what_was_lost_after_the_last_reply() {
    let report =
        lie(Fault::SwallowIncr, "--mix counters --keys 10000 --rate 2000 --clients 1 --seed 8");
    assert_eq!(found(&report), [(Class::Lost, 1)], "{:?}", report.incidents);
    let without = lie(
        Fault::SwallowIncr,
        "--mix counters --keys 10000 --rate 2000 --clients 1 --seed 8 --no-verify-end",
    );
    assert!(without.passed, "no second command met the key: {:?}", without.incidents);
}

#[test]
fn a_missing_reply_is_one_missing_reply_and_not_a_hundred_wrong_ones() {
    let report = lie(Fault::DropReply, "");
    assert_eq!(found(&report), [(Class::MissingReply, 1)], "{:?}", report.incidents);
    assert!(!report.passed && report.classes[&Class::ConnectionLost] == 0);
}

#[test]
fn a_connection_that_falls_silent_is_noticed_by_time_and_made_again() {
    let report = lie(Fault::Silence, "");
    assert_eq!(found(&report), [(Class::MissingReply, 1)], "{:?}", report.incidents);
    assert_eq!(report.requests.sent, report.requests.planned, "the rest was sent on a new one");
    assert!(report.classes[&Class::Unknown] > 0 && report.reads_unanswered > 0, "{report}");
}

#[test]
fn what_had_not_left_when_a_connection_broke_was_certainly_not_executed() {
    let report = lie(Fault::Deaf, "--value-bytes 100000 --rate 2000 --mix strings --seconds 2");
    assert_eq!(found(&report), [(Class::MissingReply, 1)], "{:?}", report.incidents);
    assert!(report.dropped > 0, "{report}");
}

#[test]
fn a_reply_too_many_is_an_extra_reply() {
    let report = lie(Fault::RepeatReply, "");
    assert_eq!(found(&report), [(Class::ExtraReply, 1)], "{:?}", report.incidents);
}

#[test]
fn bytes_that_are_no_reply_are_garbled() {
    assert_eq!(found(&lie(Fault::Garble, "")), [(Class::Garbled, 1)]);
}

#[test]
fn an_error_reply_is_an_error_and_the_command_counts_as_not_executed() {
    let report = lie(Fault::Refuse("-MOVED 289 127.0.0.1:1"), "");
    assert_eq!(found(&report), [(Class::Error, 1)], "{:?}", report.incidents);
    assert_eq!(report.errors_by_word.get("MOVED"), Some(&1));
    assert!(!lie(Fault::Refuse("-MOVED 289 127.0.0.1:1"), "--allow-unknown").passed);
}

#[test]
fn a_write_of_unknown_fate_may_have_been_executed_or_not() {
    for fault in [Fault::DoubtUnexecuted, Fault::DoubtExecuted] {
        let report = lie(fault, "--allow-unknown");
        assert_eq!(found(&report), [], "{fault:?} {:?}", report.incidents);
        assert!(report.classes[&Class::Unknown] > 0 && report.passed, "{report}");
        assert!(!lie(fault, "").passed, "it has to be allowed");
    }
}

#[test]
fn a_write_of_unknown_fate_that_was_executed_twice_is_wrong() {
    let report = lie(Fault::DoubtTwice, "--allow-unknown");
    assert!(report.wrong > 0 && !report.passed, "{report}");
}

#[test]
fn a_cut_connection_leaves_unknown_writes_and_nothing_wrong() {
    let report = lie(Fault::Cut, "--allow-unknown");
    assert_eq!(found(&report), [], "{:?}", report.incidents);
    assert!(
        report.passed && report.classes[&Class::ConnectionLost] > 0 && report.broken > 1,
        "{report}"
    );
    assert!(!lie(Fault::Cut, "").passed);
}

#[test]
fn a_stall_is_seen_by_every_request_that_was_due_in_it() {
    let report = lie(Fault::Stall, "--clients 1");
    assert!(report.passed, "{:?}", report.incidents);
    let latency = &report.latency_us;
    assert!(latency.max >= 50_000, "{report}");
    // 4000 a second for 50 ms are 200 requests of 4000: far more than the batch that was held.
    assert!(latency.p99 > 20_000, "{report}");
    assert!(
        report.worst[0].at_s > 0.0 && report.worst[0].latency_us == latency.max,
        "{:?}",
        report.worst
    );
}

#[test]
fn too_many_outstanding_requests_hold_sending_back_and_count_as_late() {
    let report = lie(Fault::Stall, "--clients 1 --outstanding-max 16");
    assert!(report.passed && report.generator.throttled > 0, "{report}");
    assert!(report.latency_us.p99 > 20_000, "{report}");
    assert!(report.service_us.p99 < report.latency_us.p99, "{report}");
    assert_eq!(report.requests.replied, report.requests.planned);
}

#[test]
fn a_time_to_live_that_is_not_kept_is_wrong() {
    let report = lie(Fault::LongLife, "--mix ttl --seconds 2");
    assert!(report.of(Class::WrongValue) > 0, "{report}");
    assert!(
        report.incidents.iter().any(|incident| incident.key.contains(":ttl:")),
        "{:?}",
        report.incidents
    );
}

#[test]
fn a_server_that_keeps_its_log_loses_nothing_when_it_is_killed() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "no"]);
    let addr = server.addr();
    let flags =
        "--rate 4000 --seconds 3 --clients 4 --keys 400 --unknown-rest-ms 100 --allow-unknown";
    let run = std::thread::spawn(move || load(&addr, flags));
    server.wait_for_commands(3000);
    server.restart();
    let report = run.join().unwrap();
    assert!(report.passed, "{report}\n{:?}", report.incidents);
    assert_eq!(report.classes[&Class::ConnectionLost], 4);
    assert_eq!(report.requests.sent, report.requests.planned);
}

#[test]
fn a_server_that_keeps_nothing_is_caught_when_it_is_killed() {
    let mut server = Server::start(&[]);
    let addr = server.addr();
    let run = std::thread::spawn(move || {
        load(&addr, "--rate 4000 --seconds 2 --clients 4 --keys 400 --allow-unknown")
    });
    server.wait_for_commands(3000);
    server.restart();
    let report = run.join().unwrap();
    assert!(report.of(Class::Lost) > 100 && !report.passed, "{report}");
    assert!(report.incidents.len() == 20, "only the first are kept");
}

#[test]
fn a_server_that_dies_for_good_leaves_requests_unfinished_and_keys_unverified() {
    let server = Server::start(&[]);
    let addr = server.addr();
    let run = std::thread::spawn(move || load(&addr, &format!("{SMALL} --allow-unknown")));
    server.wait_for_commands(1000);
    drop(server);
    let report = run.join().unwrap();
    assert!(
        report.of(Class::Unfinished) > 0 && report.of(Class::Unverified) >= 120 && !report.passed,
        "{report}"
    );
}

#[test]
fn a_run_cleans_up_and_can_be_repeated_by_its_name() {
    let server = Server::start(&[]);
    for _ in 0..2 {
        assert!(load(&server.addr(), &format!("{SMALL} --run-id twice")).passed);
        assert!(server.keys() > 50);
    }
    assert!(load(&server.addr(), &format!("{SMALL} --run-id twice --cleanup")).passed);
    assert_eq!(server.keys(), 0);
}

#[test]
fn keys_stay_in_the_slots_that_were_asked_for() {
    use cluster::{Slot, SlotCount};
    let server = Server::start(&[]);
    assert!(load(&server.addr(), &format!("{SMALL} --slots 3-4,1000")).passed);
    let slots: std::collections::BTreeSet<_> =
        server.names().iter().map(|key| SlotCount::DEFAULT.of(key)).collect();
    assert_eq!(slots.into_iter().collect::<Vec<_>>(), [3, 4, 1000].map(Slot));
}

fn refusal(addr: &str, flags: &str) -> String {
    let error = super::execute(plan(addr, flags).unwrap()).unwrap_err();
    assert!(error.is::<Refusal>(), "{error}");
    error.to_string()
}

#[test]
fn an_address_where_nothing_listens_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let text = refusal(&free, "");
    assert!(
        text.contains(&free) && text.contains("--addr") && text.contains("slipway up"),
        "{text}"
    );
}

#[test]
fn a_server_that_wants_a_password_gets_it_or_says_so() {
    let server = Server::start(&["--requirepass", "secret"]);
    let text = refusal(&server.addr(), SMALL);
    assert!(text.contains("NOAUTH") && text.contains("--password"), "{text}");
    assert!(load(&server.addr(), &format!("{SMALL} --password secret")).passed);
    assert!(
        load(&server.addr(), &format!("{SMALL} --password secret --resp3 --user default")).passed
    );
}

#[test]
fn what_is_no_redis_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 64]);
    });
    assert!(refusal(&addr, "").contains("does not speak the Redis protocol"));
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    for (flags, word) in [
        ("--seconds 0", "--seconds"),
        ("--rate 0", "rate"),
        ("--slots 5000", "slot 5000"),
        ("--slot-count 20000", "--slot-count"),
        ("--keys 4", "--keys"),
        ("--run-id a:b", "--run-id"),
        ("--mix streams=2", "streams"),
        ("--verify-every 0", "--verify-every"),
    ] {
        let text = plan("127.0.0.1:1", flags).unwrap_err();
        assert!(text.contains(word), "{flags}: {text}");
    }
}

#[test]
fn the_result_as_json_has_the_names_that_others_rely_on() {
    let server = Server::start(&[]);
    let json = serde_json::to_value(load(&server.addr(), SMALL)).unwrap();
    for path in [
        "/passed",
        "/wrong",
        "/errors",
        "/broken",
        "/rate",
        "/seconds",
        "/verified",
        "/requests/replied",
        "/latency_us/p50",
        "/latency_us/p99",
        "/latency_us/p99_9",
        "/latency_us/max",
        "/service_us/max",
        "/classes/lost",
        "/classes/doubled",
        "/classes/reordered",
        "/classes/wrong_value",
        "/classes/unknown",
        "/errors_by_word",
        "/generator/cpu_percent",
        "/generator/late_max_us",
        "/timeline/0/max_us",
        "/worst/0/unix_ms",
        "/worst/0/slot",
        "/incidents",
    ] {
        assert!(json.pointer(path).is_some(), "{path} is missing in {json}");
    }
}
