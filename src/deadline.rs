//! The moment at which a scheduler ends a task, and how a worker makes the best of the time before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Why a worker ends before its task does.
pub(crate) const NO_TIME: &str = "the time limit is near";

/// The part of the time limit that is kept for writing down and giving back.
const RESERVE: f64 = 0.05;
const LEAST_RESERVE: Duration = Duration::from_secs(3);
const MOST_RESERVE: Duration = Duration::from_secs(60);

/// When a task must be over.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// Work ends here; a little later the scheduler kills.
    end: Option<SystemTime>,
    /// The longest that an item, or a batch, has taken: nanoseconds.
    longest: AtomicU64,
}

impl Deadline {
    /// From the seconds that the task has from now on, and the second since 1970 at which it ends,
    /// where either is known; the earlier one counts.
    pub(crate) fn new(limit: Option<u64>, ends_at: Option<u64>) -> Self {
        let now = SystemTime::now();
        let by_limit = limit.map(|limit| now + Duration::from_secs(limit));
        let by_clock = ends_at.map(|second| UNIX_EPOCH + Duration::from_secs(second));
        let killed = by_limit.into_iter().chain(by_clock).min();
        let end = killed.map(|killed| {
            let left = killed.duration_since(now).unwrap_or_default();
            killed - left.mul_f64(RESERVE).clamp(LEAST_RESERVE, MOST_RESERVE)
        });
        Self { end, longest: AtomicU64::new(0) }
    }

    /// A deadline that was already made, as [`end`](Self::end) told it.
    pub(crate) fn at(end: Option<u64>) -> Self {
        let end = end.map(|second| UNIX_EPOCH + Duration::from_secs(second));
        Self { end, longest: AtomicU64::new(0) }
    }

    /// The second since 1970 at which work ends; `None`: whenever it is done.
    pub(crate) fn end(&self) -> Option<u64> {
        Some(self.end?.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }

    /// Whether there is no time left.
    pub(crate) fn passed(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Whether one more item, as long as the longest so far, would be done in time.
    pub(crate) fn fits_one_more(&self) -> bool {
        let longest = Duration::from_nanos(self.longest.load(Ordering::Relaxed));
        self.left().is_none_or(|left| left > longest)
    }

    /// Learns how long an item took.
    pub(crate) fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
    }

    fn left(&self) -> Option<Duration> {
        Some(self.end?.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_item_must_fit() {
        let deadline = Deadline::new(Some(1000), None);
        assert!(deadline.fits_one_more() && !deadline.passed());
        deadline.took(Duration::from_secs(900));
        assert!(deadline.fits_one_more());
        deadline.took(Duration::from_secs(960));
        deadline.took(Duration::from_secs(1));
        assert!(!deadline.fits_one_more() && !deadline.passed());
    }

    #[test]
    fn the_earlier_of_two_limits_counts_and_none_is_no_limit() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        assert!(Deadline::new(Some(1000), Some(now + 1)).passed());
        assert!(Deadline::new(Some(1), Some(now + 1000)).passed());
        let none = Deadline::new(None, None);
        none.took(Duration::from_secs(u64::MAX));
        assert!(none.fits_one_more() && !none.passed() && none.end().is_none());
        let told = Deadline::new(Some(1000), None).end();
        assert_eq!(Deadline::at(told).end(), told);
    }
}
