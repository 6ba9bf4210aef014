//! What an earlier attempt left in a shard's folder: the good is kept, the rest recomputed.
//!
//! A tail can be torn by a crash, and NFS can show a hole of zeros. A record is good when its line
//! parses, its item belongs to the shard and has no earlier line, and the bytes it put into shared
//! files are there. What writer hooks of Python wrote, a part, is kept with all of its items or with
//! none: what is in its files cannot be told apart. Everything kept goes into new files that replace the old ones, so that a worker
//! that was only believed dead writes into nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic_file::{self, is_scratch, put, scratch};
use crate::indices::Indices;
use crate::item_error::ItemError;
use crate::lines::Lines;
use crate::plain_file;
use crate::run_dir::{ERRORS, EXTENTS, RESULTS, RunDir, gone, is_ours};

/// What a shard's folder holds.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Items with a record or an error.
    pub items: Vec<u64>,
    /// Whether the records are in item order; not so where failed items were tried again.
    pub sorted: bool,
    /// The stage's files.
    pub files: BTreeMap<String, KeptFile>,
}

/// A file of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptFile {
    /// How long it is with the records that are kept.
    pub end: u64,
    /// Whether it belongs to one record.
    pub whole: bool,
}

/// One line of extents.jsonl: the record of item `idx` ends at byte `end` of `file`, which other
/// records share unless it is `whole`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub idx: u64,
    pub file: String,
    pub end: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// The only thing that must be known of a line to keep it.
#[derive(Deserialize)]
pub(crate) struct ItemOf {
    pub idx: u64,
}

/// Keeps the good lines of `folder`, the folder of shard number `shard`, which has `items`.
pub(crate) fn salvage(folder: &Path, shard: usize, items: &Indices) -> io::Result<Kept> {
    let mut kept = Kept { sorted: true, ..Kept::default() };
    remove_scratch(folder)?;
    if [RESULTS, ERRORS].iter().all(|name| fs::symlink_metadata(folder.join(name)).is_err()) {
        return Ok(kept);
    }
    let mut extents = read_extents(folder)?;
    let lost = lost_records(folder, &extents)?;
    let place = format!("\"{}", RunDir::committed_file(shard, ""));
    let placed: BTreeSet<(u64, &str)> =
        extents.iter().map(|extent| (extent.idx, extent.file.as_str())).collect();
    let files_of = |idx| placed.range((idx, "")..(idx + 1, "")).count();
    let sound = |idx: u64, line: &[u8]| {
        // Where its bytes end is lost, in one of its files: they cannot be told from a dead attempt's.
        let astray = memchr::memmem::find_iter(line, place.as_bytes()).count() > files_of(idx);
        items.contains(idx) && lost.binary_search(&idx).is_err() && !astray
    };
    let torn = torn_parts(&folder.join(RESULTS), sound)?;
    keep_lines(&folder.join(RESULTS), |idx, line| {
        if !sound(idx, line) || part_of(line).is_some_and(|part| torn.contains(&part.part)) {
            return false;
        }
        let new = insert(&mut kept.items, idx);
        kept.sorted &= !new || kept.items.last() == Some(&idx);
        new
    })?;
    extents.retain(|extent| kept.items.binary_search(&extent.idx).is_ok());
    for extent in &extents {
        let new = KeptFile { end: 0, whole: extent.whole };
        let file = kept.files.entry(extent.file.clone()).or_insert(new);
        file.end = file.end.max(extent.end);
    }
    remove_strangers(folder, &kept.files)?;
    keep_files(folder, &kept.files)?;
    keep_extents(folder, &extents)?;
    keep_lines(&folder.join(ERRORS), |idx, line| {
        let good = items.contains(idx) && serde_json::from_slice::<ItemError>(line).is_ok();
        good && insert(&mut kept.items, idx)
    })?;
    Ok(kept)
}

/// What a record says of the part that its item is in.
#[derive(Deserialize)]
struct PartOf {
    part: String,
    /// How many items the part has.
    part_items: usize,
}

fn part_of(line: &[u8]) -> Option<PartOf> {
    memchr::memmem::find(line, b"\"part_items\":")?;
    serde_json::from_slice(line).ok().filter(|part: &PartOf| RunDir::is_part(&part.part))
}

/// The parts that have lost lines: whoever wrote them was killed, or stopped, amid them. A line of
/// an item that has an earlier one will not be kept, so it is lost, too.
fn torn_parts(path: &Path, sound: impl Fn(u64, &[u8]) -> bool) -> io::Result<BTreeSet<String>> {
    let mut parts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut seen = Vec::new();
    each_line(path, |line, item| {
        let first = item.is_some_and(|idx| sound(idx, line) && insert(&mut seen, idx));
        if let Some(part) = part_of(line).filter(|_| item.is_some()) {
            let (there, of) = parts.entry(part.part).or_default();
            (*there, *of) = (*there + usize::from(first), part.part_items.max(*of));
        }
        Ok(())
    })?;
    Ok(parts.into_iter().filter(|(_, (there, of))| there < of).map(|(part, _)| part).collect())
}

/// Whether `idx` was not there before.
fn insert(items: &mut Vec<u64>, idx: u64) -> bool {
    if items.last().is_none_or(|last| *last < idx) {
        items.push(idx);
        return true;
    }
    match items.binary_search(&idx) {
        Ok(_) => false,
        Err(place) => {
            items.insert(place, idx);
            true
        }
    }
}

/// Rewrites a JSONL file with those of its good lines that `keep` wants.
fn keep_lines(path: &Path, mut keep: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let scratch = scratch(path);
    let mut new = BufWriter::new(File::create_new(&scratch)?);
    each_line(path, |line, item| match item.is_some_and(|idx| keep(idx, line)) {
        true => new.write_all(line),
        false => Ok(()),
    })?;
    new.into_inner()?.sync_data()?;
    put(&scratch, path)
}

/// Each line, and the item that it is of, if it is a good one.
fn each_line(
    path: &Path,
    mut each: impl FnMut(&[u8], Option<u64>) -> io::Result<()>,
) -> io::Result<()> {
    let Some(file) = if_there(plain_file::open(path))? else { return Ok(()) };
    let mut lines = Lines::of(file);
    while let Some(line) = lines.next()? {
        // serde_json does not look into the strings that it passes over.
        let text = str::from_utf8(line.bytes).ok().filter(|_| line.whole);
        let item = text.and_then(|text| serde_json::from_str::<ItemOf>(text).ok());
        each(line.bytes, item.map(|item| item.idx))?;
    }
    Ok(())
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a killed process was writing under another name. One that will not go does no harm.
fn remove_scratch(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_scratch) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Files of no kept record. They would be written anew, but whoever began them may only be believed dead,
/// and still write into them.
fn remove_strangers(folder: &Path, kept: &BTreeMap<String, KeptFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let known = name.to_str().is_some_and(|name| is_ours(name) || kept.contains_key(name));
        if !known && entry.file_type()?.is_file() {
            gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn read_extents(folder: &Path) -> io::Result<Vec<Extent>> {
    let mut extents = Vec::new();
    let Some(file) = if_there(plain_file::open(&folder.join(EXTENTS)))? else {
        return Ok(extents);
    };
    let mut lines = Lines::of(file);
    while let Some(line) = lines.next()? {
        extents.extend(serde_json::from_slice::<Extent>(line.bytes).ok());
    }
    Ok(extents)
}

/// Items whose bytes in a shared file did not reach the disk, sorted.
fn lost_records(folder: &Path, extents: &[Extent]) -> io::Result<Vec<u64>> {
    let mut lengths = BTreeMap::new();
    for extent in extents {
        if !lengths.contains_key(&extent.file) {
            let length = fs::metadata(folder.join(&extent.file)).map_or(0, |file| file.len());
            lengths.insert(extent.file.clone(), length);
        }
    }
    let mut lost: Vec<u64> = extents
        .iter()
        .filter(|extent| extent.end > lengths[&extent.file])
        .map(|extent| extent.idx)
        .collect();
    lost.sort_unstable();
    lost.dedup();
    Ok(lost)
}

/// Replaces the shared files by copies that end where the last kept record ends. A file of one
/// record needs none: it was complete before the record was written.
fn keep_files(folder: &Path, files: &BTreeMap<String, KeptFile>) -> io::Result<()> {
    for (name, KeptFile { end, .. }) in files.iter().filter(|(_, file)| !file.whole) {
        let path = folder.join(name);
        let scratch = scratch(&path);
        let mut copy = File::create_new(&scratch)?;
        io::copy(&mut plain_file::open(&path)?.take(*end), &mut copy)?;
        copy.sync_data()?;
        put(&scratch, &path)?;
    }
    Ok(())
}

fn keep_extents(folder: &Path, kept: &[Extent]) -> io::Result<()> {
    let mut lines = Vec::new();
    for extent in kept {
        serde_json::to_writer(&mut lines, extent)?;
        lines.push(b'\n');
    }
    if lines.is_empty() && !folder.join(EXTENTS).exists() {
        return Ok(());
    }
    atomic_file::write(&folder.join(EXTENTS), &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).expect("writes");
        }
        folder
    }

    #[test]
    fn torn_tails_holes_strangers_and_doubles_go() {
        let lines = b"{\"idx\":0}\n\0\0\0\0\0\0\n{\"idx\":1}\n{\"idx\":1}\n{\"idx\":99}\nrubbish\n{\"idx\":2}\n{\"idx\":3";
        let folder = folder_with(&[(RESULTS, lines)]);
        let kept = salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        assert_eq!((kept.items, kept.sorted), (vec![0, 1, 2], true));
        let text = fs::read_to_string(folder.path().join(RESULTS)).expect("reads");
        assert_eq!(text, "{\"idx\":0}\n{\"idx\":1}\n{\"idx\":2}\n");
    }

    #[test]
    fn a_part_is_kept_whole_or_not_at_all() {
        let lines = br#"{"idx":0,"part":"parts/w1.1/split.0","part_items":2}
{"idx":1,"part":"parts/w1.1/split.0","part_items":2}
{"idx":2,"part":"parts/w1.2/split.2","part_items":3}
{"idx":4,"part":"parts/w1.2/split.2","part_items":3}
{"idx":5,"part":"of speech","part_items":3}
{"idx":6,"part":"parts/w1.3/split.6","part_items":2}
{"idx":7,"part":"parts/w1.3/split.6","part_ite"#;
        let folder = folder_with(&[(RESULTS, lines)]);
        let kept = salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        assert_eq!(kept.items, [0, 1, 5]);
    }

    /// Found by the fuzz target `records`.
    #[test]
    fn lines_that_collect_would_refuse_go() {
        let folder = folder_with(&[
            (RESULTS, b"{\"idx\":0,\"text\":\"a\xff\"}\n{\"idx\":1}\n"),
            (ERRORS, b"{\"idx\":2}\n{\"idx\":3,\"kind\":\"error\",\"error\":\"bad\"}\n"),
        ]);
        let kept = salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        assert_eq!(kept.items, [1, 3]);
    }

    /// Found by the fuzz target `records`.
    #[test]
    fn a_line_that_is_there_twice_makes_no_part_whole() {
        let lines = br#"{"idx":0,"part":"parts/w1.1/split.0","part_items":2}
{"idx":0,"part":"parts/w1.1/split.0","part_items":2}
{"idx":2,"part":"parts/w1.2/split.2","part_items":2}
{"idx":3,"part":"parts/w1.2/split.2","part_items":2}
{"idx":3,"part":"parts/w1.3/split.3","part_items":2}
{"idx":4,"part":"parts/w1.3/split.3","part_items":2}
"#;
        let folder = folder_with(&[(RESULTS, lines)]);
        let kept = salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        assert_eq!(kept.items, [2, 3]);
    }

    #[test]
    fn a_zombie_writes_into_nothing() {
        let folder = folder_with(&[(RESULTS, b"{\"idx\":0}\n")]);
        let path = folder.path().join(RESULTS);
        let mut zombie = fs::OpenOptions::new().append(true).open(&path).expect("opens");
        salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        zombie.write_all(b"{\"idx\":1}\n").expect("writes");
        assert_eq!(fs::read_to_string(path).expect("reads"), "{\"idx\":0}\n");
    }

    /// What it begins before its first record is on disk is in no kept record.
    #[test]
    fn a_zombie_writes_into_nothing_of_the_stage_either() {
        let folder = folder_with(&[(RESULTS, b""), ("feats.ark", b"aaaa")]);
        let path = folder.path().join("feats.ark");
        let mut zombie = fs::OpenOptions::new().append(true).open(&path).expect("opens");
        salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        zombie.write_all(b"bbbb").expect("writes");
        assert!(!path.exists());
    }

    #[test]
    fn records_whose_bytes_are_missing_go_and_files_end_with_the_last_kept() {
        let extents = br#"{"idx":0,"file":"feats.ark","end":4}
{"idx":1,"file":"feats.ark","end":8}
{"idx":2,"file":"feats.ark","end":12}
"#;
        let results = b"{\"idx\":0}\n{\"idx\":1}\n{\"idx\":2}\n";
        let folder =
            folder_with(&[(RESULTS, results), (EXTENTS, extents), ("feats.ark", b"aaaabbbbcc")]);
        let kept = salvage(folder.path(), 0, &Indices::all(10)).expect("salvages");
        assert_eq!(kept.items, [0, 1]);
        assert_eq!(kept.files["feats.ark"], KeptFile { end: 8, whole: false });
        assert_eq!(fs::read(folder.path().join("feats.ark")).expect("reads"), b"aaaabbbb");
    }
}
