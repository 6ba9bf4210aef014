//! What writer hooks write, between one opening of the writers and their closing: a folder.
//!
//! ESPnet3 has one such folder a shard, and loses all of it when anything goes wrong. Here a part is
//! closed now and then; only then are its items recorded, with the folder's name.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::Found;
use crate::atomic_file::scratch;
use crate::computer::Outcome;
use crate::run_dir::RunDir;

/// A part that is being written.
pub(super) struct Part {
    /// The folder's name, from the run directory on.
    pub name: String,
    pub begun: Instant,
    pub fates: Vec<Outcome>,
}

/// Brings a part to disk, and the names that lead to it.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    sync_all_in(folder)?;
    // `parts/WORKER.N`, and `parts`.
    folder.ancestors().skip(1).take(2).try_for_each(|above| File::open(above)?.sync_all())
}

fn sync_all_in(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all_in(&entry.path())?;
        } else if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_data()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// What of a record's line is ours, and not what `forward` returned.
#[derive(Deserialize)]
pub(super) struct Head {
    idx: u64,
    test_set: Option<String>,
    test_idx: Option<u64>,
    #[serde(default)]
    part: Value,
}

impl Head {
    pub(super) fn read(line: &str) -> Result<Self> {
        serde_json::from_str(line).context("a line is no record")
    }

    /// Whether writer hooks or test sets put anything there.
    pub(super) fn is_told(&self) -> bool {
        self.part().is_some() || self.test_set.is_some()
    }

    /// The part that writer hooks wrote it to.
    fn part(&self) -> Option<&str> {
        self.part.as_str().filter(|name| RunDir::is_part(name))
    }

    /// The line as the test set has it: text for text, since not all of Python's numbers are ours.
    fn in_its_set(&self, line: &str) -> Result<String> {
        let (Some(set), Some(idx)) = (&self.test_set, self.test_idx) else {
            bail!("item {} has no test set", self.idx);
        };
        let set = serde_json::to_string(set)?;
        let head = format!("{{\"idx\":{},\"test_set\":{set},\"test_idx\":{idx}", self.idx);
        let rest = line.strip_prefix(&head);
        let rest = rest.with_context(|| format!("item {} is not as it was written", self.idx))?;
        Ok(format!("{{\"idx\":{idx}{rest}\n"))
    }
}

/// Finds the parts that records name, in their order; records that hold their results themselves go
/// to their test set's own `results.jsonl`, with their index in it.
pub(super) fn sort(
    mut lines: impl Iterator<Item = io::Result<String>>,
    run: &RunDir,
    found: &mut Found,
) -> Result<()> {
    let mut files: BTreeMap<String, (PathBuf, io::BufWriter<File>)> = BTreeMap::new();
    let mut known = HashSet::new();
    let sorted = lines.try_for_each(|line| {
        let line = line?;
        let head = Head::read(&line)?;
        let folders = found.folders.entry(head.test_set.clone()).or_default();
        if let Some(part) = head.part() {
            let folder = run.root().join(part);
            if folders.last() != Some(&folder) && known.insert(folder.clone()) {
                folders.push(folder);
            }
            return Ok(());
        }
        let Some(set) = &head.test_set else { return Ok(()) };
        if !files.contains_key(set) {
            let folder = run.root().join(set);
            fs::create_dir_all(&folder)?;
            let path = scratch(&RunDir::new(&folder).results());
            files.insert(set.clone(), (path.clone(), io::BufWriter::new(File::create(path)?)));
            folders.push(folder);
        }
        let (_, out) = files.get_mut(set).context("it was just made")?;
        anyhow::Ok(out.write_all(head.in_its_set(&line)?.as_bytes())?)
    });
    let placed = sorted.and_then(|()| {
        for (set, (path, out)) in &mut files {
            out.flush()?;
            out.get_ref().sync_data()?;
            fs::rename(&*path, RunDir::new(run.root().join(set)).results())?;
        }
        Ok(())
    });
    if placed.is_err() {
        for (path, _) in files.values() {
            let _ = fs::remove_file(path);
        }
    }
    placed
}
