//! The next shard for a worker: one that is nobody's, else one of a dead worker.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use crate::claim::Claim;
use crate::roster::{Life, life};
use crate::run_dir::{RunDir, ShardName, ShardState};

/// Rivals advance through the same list: after so many shards that were gone, look again.
const MISSES: u32 = 16;

/// A folder renamed during a listing can be missing from it: look again, but not for ever.
const LISTINGS: u32 = 10;

/// A file server's listing can be old, and show for seconds what is gone: after so many in vain,
/// look later.
const IN_VAIN: u32 = 4;

/// What there is for a worker.
#[derive(Debug)]
pub(crate) enum Next {
    Claim(Claim),
    /// All that a listing shows is gone; a newer one may show more.
    Later,
    /// None is left for this worker: what is not done is in the hands of workers that live.
    Nothing,
}

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
    /// Shards that were not there, though listed: with an old listing the others are tried first.
    gone: HashSet<usize>,
    /// Its last attempt at each shard. It may still be committing that one when it gets the shard
    /// again: the folder must not have the same name then.
    attempts: HashMap<usize, u32>,
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
        let (todo, attempts, gone) = (VecDeque::new(), HashMap::new(), HashSet::new());
        Self { run, worker, num_shards, later, todo, misses: 0, gone, attempts, after }
    }

    /// Claims the next shard.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        if let Some(dead) = self.after.take() {
            let mut shards = self.list()?;
            shards.retain(
                |name| matches!(&name.state, ShardState::Claimed { worker, .. } if *worker == dead),
            );
            if let Some(claim) = self.inherit(shards)? {
                self.after = Some(dead);
                return Ok(Next::Claim(claim));
            }
        }
        for _ in 0..IN_VAIN {
            while let Some(shard) = self.todo.pop_front() {
                if let Some(claim) = self.take(ShardName { shard, state: ShardState::Todo })? {
                    self.misses = 0;
                    return Ok(Next::Claim(claim));
                }
                self.gone.insert(shard);
                self.misses += 1;
                if self.misses.is_multiple_of(MISSES) {
                    self.todo.clear();
                }
            }
            let shards = self.list()?;
            let todo = shards.iter().filter(|name| name.state == ShardState::Todo);
            self.todo = todo.map(|name| name.shard).collect();
            if self.todo.is_empty() {
                return Ok(self.inherit(shards)?.map_or(Next::Nothing, Next::Claim));
            }
            self.todo.retain(|shard| !self.gone.contains(shard));
            if self.todo.is_empty() {
                // Some may have been given back.
                self.gone.clear();
                break;
            }
            let later = self.later % self.todo.len();
            self.todo.rotate_left(later);
        }
        Ok(Next::Later)
    }

    fn list(&self) -> io::Result<Vec<ShardName>> {
        let mut shards = self.run.list_shards()?;
        for _ in 1..LISTINGS {
            if shards.len() == self.num_shards {
                break;
            }
            shards = self.run.list_shards()?;
        }
        // A folder that somebody made by hand is no shard of this run.
        shards.retain(|name| name.shard < self.num_shards);
        Ok(shards)
    }

    fn take(&mut self, name: ShardName) -> io::Result<Option<Claim>> {
        let last = self.attempts.get(&name.shard).copied().unwrap_or(0);
        let claim = Claim::take_after(self.run, name, self.worker, last)?;
        if let Some(claim) = &claim {
            self.attempts.insert(claim.shard, claim.attempt);
        }
        Ok(claim)
    }

    fn inherit(&mut self, shards: Vec<ShardName>) -> io::Result<Option<Claim>> {
        let mut lives: HashMap<String, Life> = HashMap::new();
        for name in shards {
            let ShardState::Claimed { worker, .. } = &name.state else { continue };
            let judged = *lives.entry(worker.clone()).or_insert_with(|| life(self.run, worker));
            if judged == Life::Dead
                && let Some(claim) = self.take(name)?
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
        while let Next::Claim(claim) = queue.next().expect("no error") {
            shards.push((claim.shard, claim.attempt));
        }
        assert_eq!(shards, [(2, 1), (3, 1), (0, 2)]);
    }

    /// Found by `tests/model`: a commit under way took the next attempt's folder for its own.
    #[test]
    fn a_shard_that_comes_back_has_another_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        std::fs::create_dir(run.workers()).expect("makes the folder");
        std::fs::create_dir_all(run.shard(0, ShardState::Todo)).expect("makes the shard");
        Worker::enter(&run, "w", Place::default()).expect("enters");
        let mut queue = Queue::new(&run, "w", 1, 1, None);
        let mut next = |lagging: bool| {
            queue.todo.extend(lagging.then_some(0));
            match queue.next().expect("no error") {
                Next::Claim(claim) => Some(claim),
                Next::Later | Next::Nothing => None,
            }
        };
        let slow = next(false).expect("claims");
        assert!(next(true).is_none(), "the listing lags: it is in this worker's own hands");
        let listed = run.list_shards().expect("lists").remove(0);
        let heir = Claim::take(&run, listed, "heir").expect("no error").expect("takes over");
        assert!(heir.give_back().expect("no error"));
        assert!(next(false).is_none(), "it was gone, and is tried again after all others");
        let again = next(false).expect("claims");
        assert_eq!((slow.attempt, again.attempt), (1, 2));
        assert!(!slow.commit().expect("no error"));
        assert!(again.held());
    }

    #[test]
    fn what_was_gone_is_tried_again_when_all_else_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        for shard in 0..3 {
            std::fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
        }
        let mut queue = Queue::new(&run, "w", 3, 1, None);
        queue.gone.extend([0, 1]);
        let mut next = || match queue.next().expect("no error") {
            Next::Claim(claim) => Some(claim.shard),
            Next::Later | Next::Nothing => None,
        };
        assert_eq!([next(), next(), next(), next()], [Some(2), None, Some(0), Some(1)]);
    }

    #[test]
    fn a_later_submission_begins_elsewhere() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        for shard in 0..4 {
            std::fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
        }
        let mut queue = Queue::new(&run, "w", 4, 2, None);
        for shard in [1, 2, 3, 0] {
            let next = queue.next().expect("no error");
            assert!(matches!(&next, Next::Claim(claim) if claim.shard == shard), "{next:?}");
        }
    }
}
