//! How far a run is, from the run directory alone.

use std::fs;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;

use crate::lines::Lines;
use crate::plain_file;
use crate::run_dir::{ERRORS, FOUND, RESULTS, RunDir, ShardName, ShardState};
use crate::spec::Spec;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Progress {
    /// Items with a record.
    pub done: u64,
    /// Items in errors.jsonl.
    pub failed: u64,
    pub total: u64,
    pub shards: Counts,
    /// Seconds of audio in the records that appeared since the first look, where records have a
    /// `duration`.
    #[serde(skip)]
    pub audio: f64,
    #[serde(skip)]
    pub claims: Vec<ClaimedShard>,
    /// Shards that are nobody's.
    #[serde(skip)]
    pub waiting: Vec<usize>,
    /// Shards that the listing did not show: renamed while it ran, or gone.
    #[serde(skip)]
    pub unseen: Vec<usize>,
}

/// Shards by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub todo: u64,
    pub claimed: u64,
    pub done: u64,
}

/// A shard in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClaimedShard {
    pub shard: usize,
    pub attempt: u32,
    pub worker: String,
    /// Items with a record or an error, of so many.
    pub items: u64,
    pub total: u64,
}

/// How many items a second the present attempt at a shard gets done; `None`: it has done none yet.
pub(crate) fn rate(run: &RunDir, claim: &ClaimedShard) -> Option<f64> {
    let (attempt, worker) = (claim.attempt, claim.worker.clone());
    let folder = run.shard(claim.shard, ShardState::Claimed { attempt, worker });
    let found = plain_file::read(&folder.join(FOUND)).ok();
    let found: u64 = found.and_then(|found| serde_json::from_slice(&found).ok()).unwrap_or(0);
    // The folder changed last when the attempt opened its files in it.
    let opened = fs::metadata(&folder).ok()?.modified().ok()?;
    let last = fs::metadata(folder.join(RESULTS)).ok()?.modified().ok()?;
    let took = last.duration_since(opened).ok()?.as_secs_f64();
    let new = claim.items.checked_sub(found).filter(|new| *new > 0)?;
    (took > 0.0).then(|| new as f64 / took)
}

impl Progress {
    /// Of a run that is not on disk yet.
    pub(crate) fn before(spec: &Spec) -> Self {
        let shards = Counts { todo: spec.num_shards() as u64, ..Counts::default() };
        Self { total: spec.total(), shards, ..Self::default() }
    }

    /// Whether every shard is done.
    pub(crate) fn complete(&self) -> bool {
        self.shards.todo == 0 && self.shards.claimed == 0
    }

    /// Whether a folder that was listed is not there: NFS may show an old listing for a minute.
    pub(crate) fn is_old(&self, run: &RunDir) -> bool {
        let claimed = self.claims.iter().map(|ClaimedShard { shard, attempt, worker, .. }| {
            let (attempt, worker) = (*attempt, worker.clone());
            run.shard(*shard, ShardState::Claimed { attempt, worker })
        });
        let waiting = self.waiting.iter().map(|shard| run.shard(*shard, ShardState::Todo));
        claimed.chain(waiting).any(|folder| !folder.is_dir())
    }
}

/// Looks at a run again and again, and reads only what is new.
pub(crate) struct Survey<'a> {
    run: &'a RunDir,
    spec: &'a Spec,
    seen: Vec<Seen>,
    audio: f64,
    first: bool,
}

/// What was seen of one shard.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Bytes read of results.jsonl, and the lines in them.
    read: u64,
    lines: u64,
    failed: u64,
    done: bool,
}

impl<'a> Survey<'a> {
    pub(crate) fn new(run: &'a RunDir, spec: &'a Spec) -> Self {
        Self { run, spec, seen: vec![Seen::default(); spec.num_shards()], audio: 0.0, first: true }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the run directory cannot be read. Folders renamed during the look are counted as they
    /// were or as they are.
    pub(crate) fn look(&mut self) -> io::Result<Progress> {
        let mut progress = Progress { total: self.spec.total(), ..Progress::default() };
        let mut known = vec![false; self.seen.len()];
        for name in self.run.list_shards()? {
            if name.shard >= known.len() || std::mem::replace(&mut known[name.shard], true) {
                continue;
            }
            self.look_at(&name)?;
            let (seen, total) = (self.seen[name.shard], self.spec.len(name.shard));
            match name.state {
                ShardState::Done => progress.shards.done += 1,
                ShardState::Todo => {
                    progress.shards.todo += 1;
                    progress.waiting.push(name.shard);
                }
                ShardState::Claimed { attempt, worker } => {
                    progress.shards.claimed += 1;
                    let (shard, items) = (name.shard, seen.lines + seen.failed);
                    let claimed = ClaimedShard { shard, attempt, worker, items, total };
                    progress.claims.push(claimed);
                }
            }
        }
        // A folder that was renamed while the listing ran is in somebody's hands.
        // Without `shards/` the plan was cut off, and the next driver makes them all.
        if self.run.shards().is_dir() {
            progress.unseen = (0..known.len()).filter(|shard| !known[*shard]).collect();
        } else {
            progress.shards.todo = known.len() as u64;
            progress.waiting = (0..known.len()).collect();
        }
        progress.shards.claimed += progress.unseen.len() as u64;
        for seen in &self.seen {
            progress.done += seen.lines;
            progress.failed += seen.failed;
        }
        progress.audio = self.audio;
        self.first = false;
        Ok(progress)
    }

    fn look_at(&mut self, name: &ShardName) -> io::Result<()> {
        let mut seen = self.seen[name.shard];
        if seen.done {
            return Ok(());
        }
        let folder = self.run.shards().join(name.to_string());
        seen.failed = count_lines(&folder.join(ERRORS))?;
        seen.done = name.state == ShardState::Done;
        if !(seen.done && self.first) {
            self.read_on(&folder.join(RESULTS), &mut seen)?;
        }
        if seen.done {
            seen.lines = self.spec.len(name.shard).saturating_sub(seen.failed);
        }
        self.seen[name.shard] = seen;
        Ok(())
    }

    fn read_on(&mut self, path: &Path, seen: &mut Seen) -> io::Result<()> {
        let mut file = match plain_file::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < seen.read {
            // A later attempt replaced it by its good lines.
            (seen.read, seen.lines) = (0, 0);
        }
        file.seek(SeekFrom::Start(seen.read))?;
        let mut new = Lines::of(file);
        while let Some(line) = new.next()?.filter(|line| line.whole) {
            seen.read += line.length;
            seen.lines += 1;
            self.audio += duration(line.bytes).unwrap_or(0.0);
        }
        Ok(())
    }
}

/// The field `duration` of a record's line, in seconds, without parsing the rest.
fn duration(line: &[u8]) -> Option<f64> {
    const KEY: &[u8] = b"\"duration\":";
    let start = memchr::memmem::find(line, KEY)? + KEY.len();
    let end = line[start..].iter().position(|byte| matches!(byte, b',' | b'}'))?;
    std::str::from_utf8(&line[start..start + end]).ok()?.trim().parse().ok()
}

/// How many items of the run are in an errors.jsonl.
pub(crate) fn count_failed(run: &RunDir) -> io::Result<u64> {
    let mut failed = 0;
    for name in run.list_shards()? {
        failed += count_lines(&run.shards().join(name.to_string()).join(ERRORS))?;
    }
    Ok(failed)
}

/// What changes whenever the run gets on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes of records.
    pub records: u64,
    /// Bytes of failed items.
    errors: u64,
}

/// How far the run is, told cheaply.
pub(crate) fn mark(run: &RunDir) -> io::Result<Mark> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut mark = Mark::default();
    for name in run.list_shards()? {
        let folder = run.shards().join(name.to_string());
        mark.records += size(&folder.join(RESULTS));
        mark.errors += size(&folder.join(ERRORS));
    }
    Ok(mark)
}

fn count_lines(path: &Path) -> io::Result<u64> {
    let mut lines = match plain_file::open(path) {
        Ok(file) => Lines::of(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    while lines.next()?.is_some_and(|line| line.whole) {
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_from_lines() {
        assert_eq!(duration(b"{\"idx\":1,\"duration\":2.5,\"a\":1}\n"), Some(2.5));
        assert_eq!(duration(b"{\"idx\":1,\"duration\":3}\n"), Some(3.0));
        assert_eq!(duration(b"{\"idx\":1,\"text\":\"\\\"duration\\\":7,\"}\n"), None);
        assert_eq!(duration(b"{\"idx\":1}\n"), None);
    }
}
