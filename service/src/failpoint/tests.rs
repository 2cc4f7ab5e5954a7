use super::*;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::time::Instant;

/// The points are the process's: tests that arm them take turns.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs the test `reaches_a_place_of_each_kind` alone in a process of its own that is armed with `spec`.
fn armed(spec: &str) -> (Output, Duration) {
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failpoint::tests::reaches_a_place_of_each_kind", "--nocapture"])
        .env(VARIABLE, spec)
        .output()
        .unwrap();
    (output, begun.elapsed())
}

/// The body that [`armed`] runs; by itself it shows that unarmed places do nothing.
#[test]
fn reaches_a_place_of_each_kind() {
    let _turn = ONE_AT_A_TIME.blocking_lock();
    arm_from_environment().unwrap();
    for _ in 0..3 {
        hit("plain");
        if check("checked").is_err() {
            println!("the checked place failed");
        }
    }
    println!("reached the end: {:?}", counts());
    set("").unwrap();
}

#[test]
fn kill_ends_the_process_as_kill_9_does_at_the_hit_that_was_asked_for() {
    let (output, _) = armed("plain=kill@2,checked=count");
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("reached the end"));
    let (output, _) = armed("plain=kill@4");
    assert!(output.status.success(), "the place is reached three times only: {output:?}");
}

#[test]
fn error_fails_only_the_hit_that_was_asked_for() {
    let (output, _) = armed("checked=error@3");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.matches("the checked place failed").count(), 1, "{text}");
    assert!(text.contains("reached the end: {\"checked\": 3}"), "{text}");
}

#[test]
fn slow_and_stop_take_their_time_and_go_on() {
    for spec in ["plain=slow:300ms@1", "plain=stop:1s@1"] {
        let (output, took) = armed(spec);
        assert!(output.status.success(), "{spec}: {output:?}");
        assert!(took >= Duration::from_millis(300), "{spec} took {took:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("reached the end"), "{spec}");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_in_a_task_lets_others_go_on() {
    let _turn = ONE_AT_A_TIME.lock().await;
    set("task=slow:3s").unwrap();
    let begun = tokio::time::Instant::now();
    let (first, second) = tokio::join!(reach("task"), reach("task"));
    set("").unwrap();
    assert_eq!((first, second), (Ok(()), Ok(())));
    // One after the other it would be six.
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[test]
fn arming_anew_replaces_all_and_an_empty_text_disarms() {
    let _turn = ONE_AT_A_TIME.blocking_lock();
    set("a=error, b=error@2").unwrap();
    assert_eq!(check("a"), Err(Injected("a")));
    assert_eq!((check("b"), check("b"), check("b")), (Ok(()), Err(Injected("b")), Ok(())));
    set("c=count").unwrap();
    assert_eq!((check("a"), check("c")), (Ok(()), Ok(())));
    assert_eq!(counts(), BTreeMap::from([("c".to_owned(), 1)]));
    set("").unwrap();
    assert!(!ARMED.load(Ordering::Relaxed));
    assert!(!is_allowed(), "this process was not started with the variable");
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let _turn = ONE_AT_A_TIME.blocking_lock();
    set("a=count").unwrap();
    for spec in [
        "a",
        "=kill",
        "a=die",
        "a=slow",
        "a=slow:5",
        "a=slow:x",
        "a=stop:9999s",
        "a=kill@0",
        "a=kill@x",
        "b=count,a=",
    ] {
        let error = set(spec).unwrap_err().to_string();
        assert!(error.contains("is no fail point: write"), "{error}");
    }
    assert_eq!(counts().len(), 1);
    set("").unwrap();
}
