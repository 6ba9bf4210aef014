//! Waiting for a condition, with a bound that only a hang reaches.

use std::time::{Duration, Instant};

/// A machine may be noisy; what takes so long hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Asks until there is an answer; panics, naming `what`, when it takes too long.
pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    until_within(what, BOUND, ask)
}

/// The same with a bound of its own.
pub(crate) fn until_within<T>(
    what: &str,
    bound: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < bound, "waited {bound:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `holds` does.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}
