//! Client libraries as people use them, unmodified, through the proxy: while all is quiet, and while slots move under them.
//!
//! The libraries and what is asked of them are in `clients/`; `clients/run.sh HOST:PORT` runs them against any address.

use harness::cluster::Cluster;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

#[test]
fn the_libraries_work_unmodified_through_the_proxy() {
    let cluster = Cluster::start();
    cluster.tool("migrate --slots 512-1023 --to 2").unwrap();
    run_against(&cluster.proxy);
}

#[test]
fn the_libraries_notice_nothing_when_slots_move() {
    let cluster = Cluster::start();
    let (done, moves) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let group =
                    if moves.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { 2 } else { 1 };
                cluster.tool(&format!("migrate --slots 0-1023 --to {group}")).unwrap();
            }
        });
        // Told also when the run fails, or the moves would never end.
        let _told = Told(&done);
        run_against(&cluster.proxy);
    });
    let moves = moves.into_inner();
    println!("all slots moved {moves} times meanwhile");
    assert!(moves > 2, "{moves}");
}

/// Sets its flag when it goes.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[expect(clippy::print_stdout, reason = "the lines of the libraries are read by people")]
fn run_against(addr: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run.sh");
    let output = Command::new(script).arg(addr).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = text(&output.stdout) + &text(&output.stderr);
    println!("{words}");
    assert!(output.status.success(), "{words}");
}
