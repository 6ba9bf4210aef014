//! The next shard for a worker: one that is nobody's, else one of a dead worker.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use crate::claim::Claim;
use crate::roster::{Life, Worker, life};
use crate::run_dir::{RunDir, ShardName, ShardState};

/// So many names come from a file server for about the price of one rename.
const NAMES: usize = 1000;

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

/// What a worker has asked of the file server for its shards.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// Listings of all shards.
    pub listings: u64,
    /// Shards that it got.
    pub claims: u64,
    /// Shards that it tried to get, and somebody else had.
    pub in_vain: u64,
}

/// Goes through the shards of a run.
pub(crate) struct Queue<'a> {
    run: &'a RunDir,
    worker: &'a Worker,
    num_shards: usize,
    /// The workers of the run: each begins with its share of what is free. All at the front would be
    /// rivals for each shard.
    n_workers: u32,
    /// The shards that are begun before all others, with their cards.
    heavy: HashMap<usize, usize>,
    todo: VecDeque<usize>,
    misses: u32,
    /// What it has cost so far.
    pub asked: Asked,
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
        worker: &'a Worker,
        num_shards: usize,
        n_workers: u32,
        after: Option<String>,
    ) -> Self {
        let (todo, attempts, gone) = (VecDeque::new(), HashMap::new(), HashSet::new());
        let (asked, heavy) = (Asked::default(), HashMap::new());
        Self {
            run,
            worker,
            num_shards,
            n_workers,
            heavy,
            todo,
            misses: 0,
            asked,
            gone,
            attempts,
            after,
        }
    }

    /// With shards that are begun before all others, the heaviest first. They are dealt out to the workers
    /// like cards; a worker that gets none begins as ever.
    pub(crate) fn first_of_all(self, heavy: &[usize]) -> Self {
        if heavy.len() <= self.worker.rank as usize {
            return self;
        }
        Self { heavy: heavy.iter().copied().zip(0..).collect(), ..self }
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
                if self.misses > self.patience() {
                    self.todo.clear();
                } else if !self.todo.is_empty() && !self.heavy.contains_key(&shard) {
                    // Who has this one has those behind it, too: further and further ahead.
                    self.todo.rotate_left((1 << self.misses.min(31)) % self.todo.len());
                }
            }
            self.misses = 0;
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
            self.todo.rotate_left(self.first(self.todo.len()));
            self.heavy_to_the_front();
        }
        Ok(Next::Later)
    }

    /// A worker begins with its own cards, and goes on with those of its neighbours, who may not have come
    /// yet.
    fn heavy_to_the_front(&mut self) {
        let workers = self.n_workers.max(1) as usize;
        let rank = self.worker.rank as usize % workers;
        let card = |shard: &usize| self.heavy.get(shard).copied();
        let mut mine: Vec<_> =
            self.todo.iter().filter_map(|shard| Some((card(shard)?, *shard))).collect();
        mine.sort_by_key(|(card, _)| ((card + workers - rank) % workers, *card));
        self.todo.retain(|shard| card(shard).is_none());
        mine.into_iter().rev().for_each(|(_, shard)| self.todo.push_front(shard));
    }

    /// Which of so many free shards this worker tries first. Those of a later submission begin one
    /// further than those of the one before it, which an item longer than its time limit may have ended.
    fn first(&self, free: usize) -> usize {
        let (rank, workers) = (u64::from(self.worker.rank), u64::from(self.n_workers.max(1)));
        let share = free as u64 * (rank % workers) / workers;
        (share as usize + self.worker.job.saturating_sub(1) as usize) % free
    }

    /// After so many shards that were gone, look again: they have cost as much as another listing.
    fn patience(&self) -> u32 {
        2 + (self.num_shards / NAMES) as u32
    }

    fn list(&mut self) -> io::Result<Vec<ShardName>> {
        let mut shards = Vec::new();
        for _ in 0..LISTINGS {
            shards = self.run.list_shards()?;
            self.asked.listings += 1;
            if shards.len() == self.num_shards {
                break;
            }
        }
        // A folder that somebody made by hand is no shard of this run.
        shards.retain(|name| name.shard < self.num_shards);
        Ok(shards)
    }

    fn take(&mut self, name: ShardName) -> io::Result<Option<Claim>> {
        let last = self.attempts.get(&name.shard).copied().unwrap_or(0);
        let claim = Claim::take_after(self.run, name, &self.worker.worker, last)?;
        match &claim {
            Some(claim) => {
                self.attempts.insert(claim.shard, claim.attempt);
                self.asked.claims += 1;
            }
            None => self.asked.in_vain += 1,
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
    use crate::roster::{Ended, Place};

    fn todo(shard: usize) -> ShardName {
        ShardName { shard, state: ShardState::Todo }
    }

    fn run_of(shards: usize) -> (tempfile::TempDir, RunDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        std::fs::create_dir(run.workers()).expect("makes the folder");
        for shard in 0..shards {
            std::fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
        }
        (folder, run)
    }

    fn worker(run: &RunDir, name: &str, place: Place) -> Worker {
        Worker::enter(run, name, place).expect("enters")
    }

    fn claimed(next: io::Result<Next>) -> Option<Claim> {
        match next.expect("no error") {
            Next::Claim(claim) => Some(claim),
            Next::Later | Next::Nothing => None,
        }
    }

    #[test]
    fn first_the_free_then_the_dead_never_the_living() {
        let (_folder, run) = run_of(4);
        let [dead, living, me] = ["a", "b", "c"].map(|name| worker(&run, name, Place::default()));
        Claim::take(&run, todo(0), &dead.worker).expect("no error").expect("claims");
        Claim::take(&run, todo(1), &living.worker).expect("no error").expect("claims");
        dead.end(&run, Ended::Died { status: "signal 9".into() }).expect("ends");
        let mut queue = Queue::new(&run, &me, 4, 1, None);
        let mut shards = Vec::new();
        while let Some(claim) = claimed(queue.next()) {
            shards.push((claim.shard, claim.attempt));
        }
        assert_eq!(shards, [(2, 1), (3, 1), (0, 2)]);
    }

    /// Found by `tests/model`: a commit under way took the next attempt's folder for its own.
    #[test]
    fn a_shard_that_comes_back_has_another_name() {
        let (_folder, run) = run_of(1);
        let me = worker(&run, "w", Place::default());
        let mut queue = Queue::new(&run, &me, 1, 1, None);
        let mut next = |lagging: bool| {
            queue.todo.extend(lagging.then_some(0));
            claimed(queue.next())
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
        let (_folder, run) = run_of(3);
        let me = worker(&run, "w", Place::default());
        let mut queue = Queue::new(&run, &me, 3, 1, None);
        queue.gone.extend([0, 1]);
        let mut next = || claimed(queue.next()).map(|claim| claim.shard);
        assert_eq!([next(), next(), next(), next()], [Some(2), None, Some(0), Some(1)]);
    }

    #[test]
    fn the_heavy_are_dealt_out_and_go_first() {
        for (rank, workers, expected) in [
            (0, 2, [5, 1, 4, 0, 2, 3]),
            (1, 2, [4, 5, 1, 3, 0, 2]),
            // There are three of them for six workers.
            (2, 6, [1, 5, 4, 2, 3, 0]),
            (3, 6, [3, 4, 5, 0, 1, 2]),
        ] {
            let (_folder, run) = run_of(6);
            let me = worker(&run, "w", Place { job: 1, task: 0, rank });
            let mut queue = Queue::new(&run, &me, 6, workers, None).first_of_all(&[5, 4, 1]);
            let shards = expected.map(|_| claimed(queue.next()).map(|claim| claim.shard));
            assert_eq!(shards, expected.map(Some), "rank {rank} of {workers}");
        }
    }

    #[test]
    fn each_worker_begins_with_its_share() {
        for (rank, job, expected) in [
            (0, 1, [0, 1, 2, 3, 4, 5]),
            (1, 1, [3, 4, 5, 0, 1, 2]),
            // A later submission, after an item longer than the time limit.
            (0, 2, [1, 2, 3, 4, 5, 0]),
            (1, 4, [0, 1, 2, 3, 4, 5]),
        ] {
            let (_folder, run) = run_of(6);
            let me = worker(&run, "w", Place { job, task: 0, rank });
            let mut queue = Queue::new(&run, &me, 6, 2, None);
            let shards = expected.map(|_| claimed(queue.next()).map(|claim| claim.shard));
            assert_eq!(shards, expected.map(Some), "rank {rank}, submission {job}");
        }
    }
}
