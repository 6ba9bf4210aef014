//! What writer hooks write, between one opening of the writers and their closing: a folder.
//!
//! ESPnet3 has one such folder a shard, and loses all of it when anything goes wrong. Here a part is
//! closed now and then; only then are its items recorded, with the folder's name.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Found;
use crate::atomic_file::scratch;
use crate::computer::Outcome;
use crate::record::Record;
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

/// Removes parts that no record names: killed processes left them.
fn sweep(run: &RunDir, known: &HashSet<PathBuf>) {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    for worker in list(&run.parts()) {
        for part in list(&worker.path()).filter(|part| !known.contains(&part.path())) {
            let _ = fs::remove_dir_all(part.path());
        }
        // Gone only if nothing is left in it.
        let _ = fs::remove_dir(worker.path());
    }
}

/// Finds the parts that records name, in their order; records that hold their results themselves go
/// to their test set's own `results.jsonl`, with their index in it.
pub(super) fn sort(
    records: impl Iterator<Item = Result<Record>>,
    run: &RunDir,
    found: &mut Found,
) -> Result<()> {
    let mut files: BTreeMap<String, (PathBuf, io::BufWriter<File>)> = BTreeMap::new();
    let mut known = HashSet::new();
    let sorted = records.into_iter().try_for_each(|record| {
        let mut fields = record?.fields;
        let set = fields.shift_remove("test_set").and_then(|set| Some(set.as_str()?.to_owned()));
        let folders = found.folders.entry(set.clone()).or_default();
        if let Some(part) = fields.get("part").and_then(Value::as_str) {
            let folder = run.root().join(part);
            if folders.last() != Some(&folder) && known.insert(folder.clone()) {
                folders.push(folder);
            }
            return Ok(());
        }
        let Some(set) = set else { return Ok(()) };
        let folder = run.root().join(&set);
        if !files.contains_key(&set) {
            fs::create_dir_all(&folder)?;
            let path = scratch(&RunDir::new(&folder).results());
            files.insert(set.clone(), (path.clone(), io::BufWriter::new(File::create(path)?)));
            folders.push(folder);
        }
        let idx = fields.shift_remove("test_idx").unwrap_or_default();
        fields.shift_remove("idx");
        let mut line = serde_json::Map::from_iter([("idx".to_owned(), idx)]);
        line.extend(fields);
        let (_, out) = files.get_mut(&set).context("it was just made")?;
        serde_json::to_writer(&mut *out, &line)?;
        anyhow::Ok(out.write_all(b"\n")?)
    });
    let placed = sorted.and_then(|()| {
        for (set, (path, out)) in &mut files {
            out.flush()?;
            out.get_ref().sync_data()?;
            fs::rename(&*path, RunDir::new(run.root().join(set)).results())?;
        }
        Ok(())
    });
    if placed.is_ok() {
        sweep(run, &known);
    } else {
        for (path, _) in files.values() {
            let _ = fs::remove_file(path);
        }
    }
    placed
}
