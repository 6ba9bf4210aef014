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
