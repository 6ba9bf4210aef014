//! What a courier brought back from its host, put where it belongs.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use crate::claim::Claim;
use crate::indices::Indices;
use crate::log::log;
use crate::roster::{Ended, Life, Worker, life};
use crate::run_dir::{ERRORS, EXTENTS, RESULTS, RunDir, ShardState};
use crate::salvage::salvage;
use crate::shard_writer::ShardWriter;
use crate::spec::Spec;
use crate::stop::Stop;

/// What the host told of its workers.
pub(crate) struct Told {
    /// How they ended.
    pub ended: Vec<Ended>,
    /// Whether the task had begun.
    pub begun: bool,
    pub stop: Option<Stop>,
}

impl Told {
    /// How a courier ends whose host's task has ended, in `success` or not, with these last words.
    /// `None`: it died, and may be started again.
    pub(crate) fn judge(self, success: bool, host: &str, words: &str) -> Option<Ended> {
        if let Some(stop) = self.stop {
            return Some(Ended::Stopped { why: stop.to_string() });
        }
        if !self.begun {
            return Some(Ended::Failed { error: format!("{host}: {words}") });
        }
        if !success {
            return None;
        }
        let env = |ended: &&Ended| matches!(ended, Ended::EnvFailed { .. });
        let failed = |ended: &&Ended| matches!(ended, Ended::Failed { .. });
        let why = self.ended.iter().find(env).or_else(|| self.ended.iter().find(failed));
        Some(why.cloned().unwrap_or_else(|| Ended::Failed {
            error: format!("the workers on {host} have ended: {words}"),
        }))
    }
}

/// Puts the files of a shard that was away in the claimed folder. Commits it if it is done, else
/// gives it back: `false`.
pub(crate) fn settle(claim: Claim, came: &Path, items: &Indices) -> Result<bool> {
    let (shard, folder) = (claim.shard, claim.folder());
    let settled = (|| {
        move_files(came, &folder)?;
        let writer = ShardWriter::open(claim, items.clone())?;
        let (found, done) = (writer.found(), writer.pending().next().is_none());
        let still_ours = if done { writer.commit()? } else { writer.give_back()? };
        match (still_ours, done) {
            (true, true) => log(&format!("shard {shard}: done")),
            (true, false) => log(&format!("shard {shard}: given back, {found} items are there")),
            (false, _) => log(&format!("shard {shard}: taken over by another worker")),
        }
        anyhow::Ok(done)
    })();
    match settled {
        Err(_) if !folder.is_dir() => {
            log(&format!("shard {shard}: taken over by another worker"));
            Ok(true)
        }
        settled => settled.with_context(|| format!("failed to take shard {shard} back")),
    }
}

/// Takes up what an earlier courier had to leave on the host, now in `left`, where nobody has the
/// shard and not as much of it is here.
pub(crate) fn take_up(run: &RunDir, spec: &Spec, me: &Worker, left: &RunDir) -> Result<()> {
    if !Spec::read(left).is_ok_and(|theirs| theirs == *spec) {
        return Ok(());
    }
    let left_shards = left.list_shards()?;
    for name in run.list_shards()? {
        let shard = name.shard;
        let free = match &name.state {
            ShardState::Todo => true,
            ShardState::Claimed { worker, .. } => life(run, worker) == Life::Dead,
            ShardState::Done => false,
        };
        let Some(came) = left_shards.iter().find(|left| left.shard == shard && free) else {
            continue;
        };
        let came = left.shards().join(came.to_string());
        let items = spec.items(shard);
        let has = salvage(&came, shard, &items)?.items.len();
        let Some(claim) = Claim::take(run, name, &me.worker)? else { continue };
        let writer = ShardWriter::open(claim, items.clone())?;
        if has > writer.found() {
            log(&format!("shard {shard}: {has} items were left behind"));
            settle(writer.claim, &came, &items)?;
        } else {
            writer.give_back()?;
        }
    }
    Ok(())
}

/// Enters the workers of the host, with their logs, in the run here; how they ended.
pub(crate) fn enter_workers(run: &RunDir, courier: &Worker, there: &RunDir) -> Result<Vec<Ended>> {
    for name in there.log_names()? {
        let (from, to) = (there.log(&name), run.log(&name));
        if !to.exists() {
            fs::rename(&from, &to).with_context(|| format!("failed to make {}", to.display()))?;
        }
    }
    let mut all = Vec::new();
    for worker in Worker::read_all(there) {
        let lost = || Ended::Lost { why: "it left no word".to_owned() };
        let ended = worker.ended.clone().unwrap_or_else(lost);
        all.push(ended.clone());
        if !run.worker(&worker.worker).exists() {
            let ours = Worker { run: run.id(), task: courier.task, ..worker };
            ours.end(run, ended)?;
        }
    }
    Ok(all)
}

/// Removes what couriers that died had brought back and not yet put in its place.
pub(crate) fn clean_up(run: &RunDir) -> io::Result<()> {
    for courier in run.fetchers()? {
        if life(run, &courier) == Life::Dead {
            let _ = fs::remove_dir_all(run.fetched(&courier));
        }
    }
    Ok(())
}

/// Moves a shard's files from one folder into another, each after what must be believed before it.
fn move_files(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        names.push(entry?.file_name());
    }
    names.sort_by_key(|name| match name.to_str() {
        Some(RESULTS | ERRORS) => 2,
        Some(EXTENTS) => 1,
        _ => 0,
    });
    for name in names {
        let path = from.join(&name);
        fs::File::open(&path)?.sync_data()?;
        fs::rename(&path, to.join(&name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_hosts_task_ended_is_judged() {
        let told = |begun, stop, ended| Told { ended, begun, stop };
        let failed = |error: &str| Ended::Failed { error: error.to_owned() };
        let env = Ended::EnvFailed { error: "no model".into() };
        let died = Ended::Died { status: "signal 9".into() };
        let all = vec![died.clone(), failed("disk full"), env.clone()];
        let judge = |told: Told, success| told.judge(success, "h", "words");
        assert_eq!(judge(told(true, None, all.clone()), true), Some(env));
        assert_eq!(judge(told(true, None, all[..2].to_vec()), true), Some(failed("disk full")));
        let ended = Some(failed("the workers on h have ended: words"));
        assert_eq!(judge(told(true, None, vec![died]), true), ended);
        assert_eq!(judge(told(true, None, all.clone()), false), None);
        assert_eq!(judge(told(false, None, vec![]), false), Some(failed("h: words")));
        let stopped = Some(Ended::Stopped { why: Stop::Cancelled.to_string() });
        assert_eq!(judge(told(true, Some(Stop::Cancelled), all), false), stopped);
    }

    #[test]
    fn what_came_takes_its_place_whole_or_in_part() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = RunDir::new(folder.path());
        let (came, items) = (folder.path().join("came"), Indices::all(2));
        for (shard, lines, state) in [
            (0, "{\"idx\":0}\n{\"idx\":1}\n", ShardState::Done),
            (1, "{\"idx\":0}\n{\"idx\":1", ShardState::Todo),
        ] {
            fs::create_dir_all(run.shard(shard, ShardState::Todo)).expect("makes the shard");
            fs::create_dir_all(&came).expect("makes the folder");
            fs::write(came.join(RESULTS), lines).expect("writes");
            let name = run.list_shards().expect("lists").remove(shard);
            let claim = Claim::take(&run, name, "w1").expect("no error").expect("claims");
            let done = settle(claim, &came, &items).expect("settles");
            assert_eq!(done, state == ShardState::Done);
            let text = fs::read_to_string(run.shard(shard, state).join(RESULTS)).expect("reads");
            assert_eq!(text.lines().count(), if done { 2 } else { 1 });
        }
        // One that was taken over meanwhile is somebody else's.
        fs::create_dir_all(&came).expect("makes the folder");
        let name = run.list_shards().expect("lists").remove(1);
        let mine = Claim::take(&run, name, "w1").expect("no error").expect("claims");
        let name = run.list_shards().expect("lists").remove(1);
        let other = Claim::take(&run, name, "w2").expect("no error").expect("takes over");
        assert!(settle(mine, &came, &items).expect("no error"));
        assert!(other.held());
    }
}
