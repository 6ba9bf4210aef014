//! The next shard for a worker: one that is nobody's, else one of a dead worker.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::claim::Claim;
use crate::roster::{Life, life};
use crate::run_dir::{RunDir, ShardName, ShardState};

/// Rivals advance through the same list: after so many shards that were gone, look again.
const MISSES: u32 = 16;

/// A folder renamed during a listing can be missing from it: look again, but not for ever.
const LISTINGS: u32 = 10;

/// Goes through the shards of a run.
pub(crate) struct Queue<'a> {
    run: &'a RunDir,
    worker: &'a str,
    num_shards: usize,
    /// So many shards are left for later: those of a later submission begin elsewhere than those of
    /// the one before it, which an item longer than its time limit may have ended.
    later: usize,
    todo: VecDeque<usize>,
    misses: u32,
    /// The worker that died in this one's place. What it held comes first: were there always a
    /// new shard to die in, no poison item would be found.
    after: Option<String>,
}

impl<'a> Queue<'a> {
    pub(crate) fn new(
        run: &'a RunDir,
        worker: &'a str,
        num_shards: usize,
        job: u32,
        after: Option<String>,
    ) -> Self {
        let later = job.saturating_sub(1) as usize;
        Self { run, worker, num_shards, later, todo: VecDeque::new(), misses: 0, after }
    }

    /// Claims the next shard. `None`: none is left for this worker; what is not done is in the
    /// hands of workers that live.
    ///
    /// A listing can be old, or tell a folder twice: shards that this worker has `in_hand` are passed
    /// over. Their folders have the names that a claim would give them, and a claim that finds one
    /// there would be taken for granted.
    pub(crate) fn next(&mut self, in_hand: &dyn Fn(usize) -> bool) -> io::Result<Option<Claim>> {
        if let Some(dead) = &self.after {
            let mut shards = self.list(in_hand)?;
            shards.retain(
                |name| matches!(&name.state, ShardState::Claimed { worker, .. } if worker == dead),
            );
            if let Some(claim) = self.inherit(shards)? {
                return Ok(Some(claim));
            }
            self.after = None;
        }
        loop {
            while let Some(shard) = self.todo.pop_front() {
                if in_hand(shard) {
                    continue;
                }
                if let Some(claim) = Claim::take(
                    self.run,
                    ShardName { shard, state: ShardState::Todo },
                    self.worker,
                )? {
                    self.misses = 0;
                    return Ok(Some(claim));
                }
                self.misses += 1;
                if self.misses.is_multiple_of(MISSES) {
                    self.todo.clear();
                }
            }
            let shards = self.list(in_hand)?;
            let todo = shards.iter().filter(|name| name.state == ShardState::Todo);
            self.todo = todo.map(|name| name.shard).collect();
            if self.todo.is_empty() {
                return self.inherit(shards);
            }
            let later = self.later % self.todo.len();
            self.todo.rotate_left(later);
        }
    }

    fn list(&self, in_hand: &dyn Fn(usize) -> bool) -> io::Result<Vec<ShardName>> {
        let mut shards = self.run.list_shards()?;
        for _ in 1..LISTINGS {
            if shards.len() == self.num_shards {
                break;
            }
            shards = self.run.list_shards()?;
        }
        // A folder that somebody made by hand is no shard of this run.
        shards.retain(|name| name.shard < self.num_shards && !in_hand(name.shard));
        Ok(shards)
    }

    fn inherit(&self, shards: Vec<ShardName>) -> io::Result<Option<Claim>> {
        let mut lives: HashMap<String, Life> = HashMap::new();
        for name in shards {
            let ShardState::Claimed { worker, .. } = &name.state else { continue };
            let judged = *lives.entry(worker.clone()).or_insert_with(|| life(self.run, worker));
            if judged == Life::Dead
                && let Some(claim) = Claim::take(self.run, name, self.worker)?
            {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::{Ended, Place, Worker};

    fn todo(shard: usize) -> ShardName {
        ShardName { shard, state: ShardState::Todo }
    }

    #[test]
    fn first_the_free_then_the_dead_never_the_living() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        std::fs::create_dir(run.workers()).expect("makes the folder");
        for shard in 0..4 {
            std::fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
        }
        let [dead, living, me] = ["a", "b", "c"]
            .map(|name| Worker::enter(&run, name, Place::default()).expect("enters"));
        Claim::take(&run, todo(0), &dead.worker).expect("no error").expect("claims");
        Claim::take(&run, todo(1), &living.worker).expect("no error").expect("claims");
        dead.end(&run, Ended::Died { status: "signal 9".into() }).expect("ends");
        let mut queue = Queue::new(&run, &me.worker, 4, 1, None);
        let mut shards = Vec::new();
        while let Some(claim) = queue.next(&|_| false).expect("no error") {
            shards.push((claim.shard, claim.attempt));
        }
        assert_eq!(shards, [(2, 1), (3, 1), (0, 2)]);
    }

    #[test]
    fn a_later_submission_begins_elsewhere() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        for shard in 0..4 {
            std::fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
        }
        let mut queue = Queue::new(&run, "w", 4, 2, None);
        let next = |_| queue.next(&|_| false).expect("no error").map(|claim| claim.shard);
        assert_eq!([0; 4].map(next), [1, 2, 3, 0].map(Some));
    }
}
