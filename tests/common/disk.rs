//! What a run directory holds, read as a stranger would: by listing and parsing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folders of the shards by name.
pub(crate) fn shards(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("shards")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Those of them that somebody holds, or held when it died.
pub(crate) fn claimed(root: &Path) -> Vec<String> {
    let mut names = shards(root);
    names.retain(|name| name.split('.').count() == 4);
    names
}

/// The items whose records, in whole lines, are on disk.
pub(crate) fn recorded(root: &Path) -> BTreeSet<u64> {
    let mut items = BTreeSet::new();
    for name in shards(root) {
        let bytes = fs::read(root.join("shards").join(name).join("results.jsonl"));
        let bytes = bytes.unwrap_or_default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let idx =
                serde_json::from_slice::<Value>(line).ok().and_then(|line| line["idx"].as_u64());
            items.extend(idx.filter(|_| line.ends_with(b"\n")));
        }
    }
    items
}

/// The items that each worker began to compute, by its log's name.
pub(crate) fn forwards(root: &Path) -> BTreeMap<String, Vec<u64>> {
    logs(root)
        .into_iter()
        .map(|(name, text)| {
            let items = text.lines().filter_map(|line| line.strip_prefix("forward ")?.parse().ok());
            (name, items.collect())
        })
        .collect()
}

/// How often each item was begun.
pub(crate) fn times_computed(root: &Path) -> BTreeMap<u64, u32> {
    let mut times = BTreeMap::new();
    for idx in forwards(root).into_values().flatten() {
        *times.entry(idx).or_default() += 1;
    }
    times
}

/// The logs by name.
pub(crate) fn logs(root: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(root.join("logs")) else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let text = fs::read(entry.path()).ok()?;
            let name = entry.file_name().into_string().ok()?;
            Some((name, String::from_utf8_lossy(&text).into_owned()))
        })
        .collect()
}

/// How many lines of all logs hold `word`.
pub(crate) fn said(root: &Path, word: &str) -> usize {
    logs(root).values().flat_map(|text| text.lines()).filter(|line| line.contains(word)).count()
}

/// The lines of `errors.jsonl`.
pub(crate) fn errors(root: &Path) -> Vec<Value> {
    let text = fs::read_to_string(root.join("errors.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Every file below `root`, with its bytes.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(root) else { return files };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            files.insert(entry.path(), Vec::new());
            files.extend(snapshot(&entry.path()));
        } else {
            files.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
        }
    }
    files
}

/// Every record's `text` and `own` lead to the bytes of its utterance, and no shared file holds more.
pub(crate) fn check_files(root: &Path) {
    for (path, length) in check_places(root) {
        assert_eq!(fs::metadata(root.join(&path)).expect("is there").len(), length, "{path}");
    }
}

/// Every record's `text` and `own` lead to the bytes of its utterance. Returns how long each
/// shared file is if it holds nothing else.
pub(crate) fn check_places(root: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(root.join("results.jsonl")).expect("was collected");
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        let idx = record["idx"].as_u64().expect("an index");
        let content = format!("utt{idx} {}\n", "x".repeat(idx as usize % 7));
        let own = record["own"].as_str().expect("a path");
        assert_eq!(fs::read_to_string(root.join(own)).expect("is there"), content, "{line}");
        let (path, offset) =
            record["text"].as_str().and_then(|text| text.rsplit_once(':')).expect("PATH:OFFSET");
        // The offset points behind the first four bytes, as an scp does behind the key.
        let start = offset.parse::<usize>().expect("a number") - 4;
        let ark = fs::read(root.join(path)).expect("is there");
        let end = start + content.len();
        assert!(ark.len() >= end, "{line}: {path} ends at {}", ark.len());
        assert_eq!(String::from_utf8_lossy(&ark[start..end]), content, "{line}");
        *expected.entry(path.to_owned()).or_default() += content.len() as u64;
    }
    expected
}
