//! `max_failed_items`: when a run has failed too often to go on.

use std::io;
use std::time::{Duration, Instant};

use crate::run_dir::RunDir;
use crate::stop::Stop;
use crate::survey::count_failed;

/// Counting reads all shards: not more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// What one worker knows of the run's failed items.
pub(crate) struct Failures {
    allowed: Option<u64>,
    own: u64,
    counted: Option<Instant>,
}

impl Failures {
    pub(crate) fn new(allowed: Option<u64>) -> Self {
        Self { allowed, own: 0, counted: None }
    }

    /// Called when an item has failed and is on disk. `Some`: there are too many, in the whole run.
    pub(crate) fn one_more(&mut self, run: &RunDir) -> io::Result<Option<Stop>> {
        let Some(allowed) = self.allowed else { return Ok(None) };
        self.own += 1;
        if self.own <= allowed && self.counted.is_some_and(|last| last.elapsed() < PAUSE) {
            return Ok(None);
        }
        // A shard that is just being committed can be missed, and what this worker knows is not less.
        let failed = count_failed(run)?.max(self.own);
        self.counted = Some(Instant::now());
        Ok((failed > allowed).then_some(Stop::TooManyFailed { failed, allowed }))
    }
}
