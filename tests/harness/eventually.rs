//! Waits for a condition, and says what did not come true.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Returns what `look` finds, as soon as it finds something; panics with `what` and the last reason after `limit`.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let begin = Instant::now();
    loop {
        let why = match look() {
            Ok(found) => return found,
            Err(why) => why,
        };
        assert!(begin.elapsed() < limit, "{what}: not within {limit:?}: {why}");
        std::thread::sleep(PAUSE);
    }
}
