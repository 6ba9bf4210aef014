//! Claiming, taking over, committing and giving back a shard: each is one rename.
//!
//! A name with a worker in it belongs to one claim only, ever. So a rename away from it succeeds
//! once, whoever tries: of rivals one wins, and a worker that was believed dead finds its own
//! folder's name gone and can neither commit nor write there.

use std::io;
use std::path::{Path, PathBuf};

use crate::run_dir::{RunDir, ShardName, ShardState};

/// A shard that this worker holds.
#[derive(Debug)]
pub(crate) struct Claim {
    run: RunDir,
    pub shard: usize,
    /// 1 for a shard that was nobody's; one more with each take-over from a dead worker, or when a
    /// worker gets it again.
    pub attempt: u32,
    worker: String,
    /// The dead worker it was taken from.
    pub taken_from: Option<String>,
}

impl Claim {
    /// Takes a shard, whatever its state: nobody's, a dead worker's, or done, to open it again.
    /// `None`: it is in that state no more; somebody else was faster.
    pub(crate) fn take(run: &RunDir, from: ShardName, worker: &str) -> io::Result<Option<Self>> {
        Self::take_after(run, from, worker, 0)
    }

    /// As [`take`](Self::take), by a worker that had the shard before: `last` was its last attempt.
    pub(crate) fn take_after(
        run: &RunDir,
        from: ShardName,
        worker: &str,
        last: u32,
    ) -> io::Result<Option<Self>> {
        let old = run.shards().join(from.to_string());
        let (attempt, taken_from) = match from.state {
            ShardState::Claimed { attempt, worker } => (attempt.max(last) + 1, Some(worker)),
            ShardState::Todo | ShardState::Done => (last + 1, None),
        };
        let (run, shard) = (run.clone(), from.shard);
        let claim = Self { run, shard, attempt, worker: worker.to_owned(), taken_from };
        Ok(rename(&old, &claim.folder())?.then_some(claim))
    }

    /// Where the shard's files are while it is held.
    pub(crate) fn folder(&self) -> PathBuf {
        let state = ShardState::Claimed { attempt: self.attempt, worker: self.worker.clone() };
        self.run.shard(self.shard, state)
    }

    /// The shard is done. `false`: it was taken over meanwhile.
    pub(crate) fn commit(&self) -> io::Result<bool> {
        rename(&self.folder(), &self.run.shard(self.shard, ShardState::Done))
    }

    /// The shard is anybody's again. `false`: it was taken over meanwhile.
    pub(crate) fn give_back(&self) -> io::Result<bool> {
        rename(&self.folder(), &self.run.shard(self.shard, ShardState::Todo))
    }

    /// Whether the shard is still this worker's.
    pub(crate) fn held(&self) -> bool {
        self.folder().is_dir()
    }
}

/// `false`: the source is gone, and the rename was not ours.
fn rename(from: &Path, to: &Path) -> io::Result<bool> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        // An NFS server that answers a repeated request says "no such file" of a rename that it
        // did: the target is there then. Where the target has no worker's name, somebody else may
        // have made it; the shard's state is the wanted one all the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(to.is_dir()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn todo() -> ShardName {
        ShardName { shard: 0, state: ShardState::Todo }
    }

    fn run_of_one_shard() -> (tempfile::TempDir, RunDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        std::fs::create_dir_all(run.shard(0, ShardState::Todo)).expect("makes the shard");
        (folder, run)
    }

    #[test]
    fn of_many_rivals_one_claims() {
        let (_folder, run) = run_of_one_shard();
        let claims: Vec<_> = std::thread::scope(|scope| {
            let rivals: Vec<_> = (0..8)
                .map(|rival| {
                    let run = &run;
                    scope.spawn(move || {
                        Claim::take(run, todo(), &format!("w{rival}")).expect("no error")
                    })
                })
                .collect();
            rivals.into_iter().filter_map(|rival| rival.join().expect("no panic")).collect()
        });
        assert_eq!(claims.len(), 1);
        assert!(claims[0].held());
    }

    #[test]
    fn a_zombie_can_neither_commit_nor_give_back() {
        let (_folder, run) = run_of_one_shard();
        let zombie = Claim::take(&run, todo(), "zombie").expect("no error").expect("claims");
        let listed = run.list_shards().expect("lists").remove(0);
        let heir = Claim::take(&run, listed, "heir").expect("no error").expect("takes over");
        assert_eq!((heir.attempt, heir.taken_from.as_deref()), (2, Some("zombie")));
        assert!(!zombie.held());
        assert!(!zombie.give_back().expect("no error"));
        assert!(!zombie.commit().expect("no error"));
        assert!(heir.commit().expect("no error"));
        assert_eq!(run.list_shards().expect("lists")[0].state, ShardState::Done);
    }
}
