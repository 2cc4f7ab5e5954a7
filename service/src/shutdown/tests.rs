use super::*;
use rustix::process::{Signal as Number, getpid, kill_process};
use tokio::sync::oneshot;

const LONG: Duration = Duration::from_hours(1);

/// Signals go to the whole process: tests that send one take turns.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn send(number: Number) {
    kill_process(getpid(), number).unwrap();
}

/// Starts `run` and returns when its signal handlers are in place.
async fn running(shutdown: &Shutdown) -> tokio::task::JoinHandle<Ended> {
    // The handlers are per process and stay: once installed, no signal ends the test.
    let _installed = Signals::new().unwrap();
    let shutdown = shutdown.clone();
    let task = tokio::spawn(async move { shutdown.run().await.unwrap() });
    tokio::task::yield_now().await;
    task
}

#[tokio::test]
async fn work_that_was_begun_is_finished_before_the_exit() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let shutdown = Shutdown::new(LONG);
    let (finish, finished) = oneshot::channel::<()>();
    let draining = shutdown.draining().clone();
    let (told, was_told) = oneshot::channel();
    shutdown.tasks().spawn(async move {
        draining.cancelled().await;
        told.send(()).unwrap();
        finished.await.unwrap();
    });
    let run = running(&shutdown).await;
    send(Number::TERM);
    was_told.await.unwrap();
    assert!(!run.is_finished(), "a task is still at work");
    assert!(!shutdown.abandoning().is_cancelled());
    finish.send(()).unwrap();
    assert_eq!(run.await.unwrap(), Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_the_rest_is_dropped_and_the_exit_says_so() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let shutdown = Shutdown::new(Duration::from_secs(10));
    let abandoning = shutdown.abandoning().clone();
    shutdown.tasks().spawn(async move { abandoning.cancelled().await });
    shutdown.begin();
    let begun = tokio::time::Instant::now();
    assert_eq!(shutdown.run().await.unwrap(), Ended::GraceOver { tasks: 1 });
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_ends_does_not_keep_the_process() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let shutdown = Shutdown::new(Duration::from_secs(10));
    shutdown.tasks().spawn(std::future::pending::<()>());
    shutdown.begin();
    let begun = tokio::time::Instant::now();
    assert_eq!(shutdown.run().await.unwrap(), Ended::GraceOver { tasks: 1 });
    assert_eq!(begun.elapsed().as_secs(), 11);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let shutdown = Shutdown::new(LONG);
    shutdown.tasks().spawn(std::future::pending::<()>());
    let run = running(&shutdown).await;
    send(Number::INT);
    shutdown.draining().cancelled().await;
    send(Number::TERM);
    assert_eq!(run.await.unwrap(), Ended::Forced { signal: 15 });
    assert!(shutdown.abandoning().is_cancelled());
}

#[test]
fn whoever_is_abandoned_is_drained_too() {
    let shutdown = Shutdown::new(LONG);
    shutdown.abandoning().cancel();
    assert!(shutdown.draining().is_cancelled());
}

#[test]
fn each_end_has_its_exit_code() {
    let ends = [
        (Ended::Drained, 0),
        (Ended::GraceOver { tasks: 2 }, 3),
        (Ended::Forced { signal: 2 }, 130),
    ];
    for (end, code) in ends {
        assert_eq!(end.code(), ExitCode::from(code), "{end:?}");
    }
}
