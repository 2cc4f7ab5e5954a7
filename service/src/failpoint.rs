//! Named places where a test can kill, stop, slow or fail the process.
//!
//! Always compiled, so that the program that is tested is the program that ships. Unarmed, a place costs one relaxed load. Armed by the
//! environment at start, or by [`set`] at run time:
//!
//! ```text
//!   SLIPWAY_FAILPOINT = point [,point…]         point = name=action[@n]     n: only at the n-th time the place is reached, from 1
//!   action = kill         the process is gone, as by kill -9: nothing is flushed, nothing is said to anyone
//!          | stop:3s      the whole process stands still for that time, as a machine that is paused
//!          | slow:50ms    whoever reaches the place waits there; others go on
//!          | error        the place fails (only where the code asks with `check`)
//!          | count        nothing happens; `counts` tells how often the place was reached
//! ```
//!
//! A plain `SLIPWAY_FAILPOINT=` arms nothing but lets [`is_allowed`] say yes: the admin API may then arm points while the process runs.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The environment variable that arms points at start.
pub const VARIABLE: &str = "SLIPWAY_FAILPOINT";

static ARMED: AtomicBool = AtomicBool::new(false);
static ALLOWED: AtomicBool = AtomicBool::new(false);
static POINTS: Mutex<BTreeMap<String, Point>> = Mutex::new(BTreeMap::new());

/// A place failed because a test asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fail point {0}: this failure was asked for")]
pub struct Injected(pub &'static str);

/// The text arms nothing; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no fail point: write name=kill, name=stop:3s, name=slow:50ms, name=error or name=count, with @n for the n-th hit only"
)]
pub struct Unreadable(String);

/// Arms what the environment asks for; call it once, at the start of `main`.
pub fn arm_from_environment() -> Result<(), Unreadable> {
    let Ok(spec) = std::env::var(VARIABLE) else { return Ok(()) };
    ALLOWED.store(true, Ordering::Relaxed);
    set(&spec)
}

/// Whether this process was started for tests, so that its admin API may call [`set`].
pub fn is_allowed() -> bool {
    ALLOWED.load(Ordering::Relaxed)
}

/// Replaces all armed points by those of `spec`; an empty text disarms. Counts begin anew.
pub fn set(spec: &str) -> Result<(), Unreadable> {
    let parts = spec.split(',').map(str::trim).filter(|part| !part.is_empty());
    let points = parts.map(named).collect::<Result<BTreeMap<_, _>, _>>()?;
    let mut current = POINTS.lock();
    ARMED.store(!points.is_empty(), Ordering::Relaxed);
    *current = points;
    Ok(())
}

/// How often each armed place was reached since it was armed.
pub fn counts() -> BTreeMap<String, u64> {
    POINTS.lock().iter().map(|(name, point)| (name.clone(), point.hits)).collect()
}

/// The place `name`, where the code cannot fail. `slow` blocks the thread: in a task use [`reach`].
#[inline]
pub fn hit(name: &'static str) {
    if ARMED.load(Ordering::Relaxed) {
        // Nothing here can fail by request; the armed point says so in the log.
        let _ = block(name);
    }
}

/// The place `name`, where the code can fail. `slow` blocks the thread.
#[inline]
pub fn check(name: &'static str) -> Result<(), Injected> {
    if ARMED.load(Ordering::Relaxed) { block(name) } else { Ok(()) }
}

/// The place `name` in a task, where the code can fail. `slow` lets other tasks go on.
#[inline]
pub async fn reach(name: &'static str) -> Result<(), Injected> {
    if !ARMED.load(Ordering::Relaxed) {
        return Ok(());
    }
    match due(name) {
        Some(Action::Slow(time)) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
        Some(action) => act(name, action),
        None => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Stop(Duration),
    Slow(Duration),
    Error,
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    action: Action,
    /// Only at this hit, from 1.
    only: Option<u64>,
    hits: u64,
}

#[cold]
fn block(name: &'static str) -> Result<(), Injected> {
    due(name).map_or(Ok(()), |action| act(name, action))
}

/// Counts the hit; returns what is to happen at it.
fn due(name: &str) -> Option<Action> {
    let mut points = POINTS.lock();
    let point = points.get_mut(name)?;
    point.hits += 1;
    (point.only.is_none_or(|n| n == point.hits)).then_some(point.action)
}

fn act(name: &'static str, action: Action) -> Result<(), Injected> {
    if action != Action::Count {
        // Straight to stderr: what waits in a log's buffer would die with the process.
        let _ = writeln!(std::io::stderr(), "fail point {name}: {action:?}");
    }
    match action {
        Action::Kill => kill(),
        Action::Stop(time) => stop(time),
        Action::Slow(time) => std::thread::sleep(time),
        Action::Error => return Err(Injected(name)),
        Action::Count => {}
    }
    Ok(())
}

fn kill() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // Reached only until the signal is delivered.
    std::process::abort()
}

/// Stops this process; a child that outlives the stop wakes it.
fn stop(time: Duration) {
    let pid = rustix::process::getpid();
    let script = format!("sleep {}; kill -CONT {}", time.as_secs_f64(), pid.as_raw_nonzero());
    match Command::new("/bin/sh").args(["-c", &script]).spawn() {
        Ok(mut waker) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::STOP);
            let _ = waker.wait();
        }
        Err(error) => {
            tracing::error!(%error, "fail point cannot stop the process: nobody to wake it");
        }
    }
}

fn named(text: &str) -> Result<(String, Point), Unreadable> {
    let wrong = || Unreadable(text.to_owned());
    let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (action, only) = match rest.split_once('@') {
        Some((action, n)) => (action, Some(n.parse().ok().filter(|&n| n > 0).ok_or_else(wrong)?)),
        None => (rest, None),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    Ok((name.to_owned(), Point { action: action.parse().map_err(|()| wrong())?, only, hits: 0 }))
}

impl FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            None if text == "kill" => Ok(Self::Kill),
            None if text == "error" => Ok(Self::Error),
            None if text == "count" => Ok(Self::Count),
            Some(("stop", time)) => Ok(Self::Stop(duration(time).ok_or(())?)),
            Some(("slow", time)) => Ok(Self::Slow(duration(time).ok_or(())?)),
            _ => Err(()),
        }
    }
}

/// Reads `50ms` or `3s`, up to an hour: a test that waits longer is a mistake.
fn duration(text: &str) -> Option<Duration> {
    let time = match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().ok()?),
        None => Duration::from_secs(text.strip_suffix('s')?.parse().ok()?),
    };
    (time <= Duration::from_hours(1)).then_some(time)
}

#[cfg(test)]
mod tests;
