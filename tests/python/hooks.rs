//! Runners with writer hooks: what they write is there once, whatever fails in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::common::disk::{errors, said};
use crate::common::processes::kill_all;
use crate::common::recipe::assert_same;
use crate::common::until::wait_until;
use crate::recipe::{PythonRecipe, recipe, squares};

const SHARDS_OF_8: &str = "parallel: {env: local, n_workers: 2, shard_size: 8}";

fn writing(runner: &str, n: u64, faults: &str, config: &str) -> Option<PythonRecipe> {
    let config = format!("n: {n}\nfaults: {{{faults}}}\n{config}");
    recipe("hooks.Provider", &format!("hooks.{runner}"), &config)
}

/// The merged file has each of these items once, in order; what it says of each one is so.
fn check(recipe: &PythonRecipe, root: &Path, items: impl IntoIterator<Item = u64>) {
    let text = fs::read_to_string(root.join("text")).expect("was merged");
    let mut lines = text.lines();
    let (mut items_of, mut parts) = (BTreeMap::<String, usize>::new(), Vec::new());
    for idx in items {
        let line = lines.next().unwrap_or_else(|| panic!("no line for item {idx}"));
        let path = line.strip_prefix(&format!("utt{idx} {} ", idx * idx));
        let path = path.unwrap_or_else(|| panic!("item {idx}: {line:?}"));
        // From where the recipe is, as all paths.
        let audio = fs::read_to_string(recipe.path(path)).expect("the file is there");
        assert_eq!(audio, format!("audio of {idx}\n"));
        let folder = Path::new(path).parent().and_then(Path::parent).expect("PART/audio/FILE");
        let part = recipe.path("").join(folder);
        let part = part.strip_prefix(root).expect("is of this run").display().to_string();
        *items_of.entry(part.clone()).or_default() += 1;
        parts.push((idx, part));
    }
    assert_eq!(lines.next(), None);
    let record = |(idx, part): &(u64, String)| {
        format!("{{\"idx\":{idx},\"part\":\"{part}\",\"part_items\":{}}}\n", items_of[part])
    };
    let results: String = parts.iter().map(record).collect();
    assert_same(&fs::read_to_string(root.join("results.jsonl")).expect("collected"), &results);
    let merged: Value =
        serde_json::from_slice(&fs::read(root.join("merged.json")).expect("is there"))
            .expect("JSON");
    for folder in merged["folders"].as_array().expect("a list") {
        let folder = folder.as_str().expect("a text");
        assert!(
            results.contains(folder.split_once("run/").map_or(folder, |(_, part)| part)),
            "{merged}"
        );
    }
}

fn without(n: u64, items: &[u64]) -> Vec<u64> {
    (0..n).filter(|idx| !items.contains(idx)).collect()
}

#[test]
fn files_and_their_paths() {
    let Some(recipe) = writing("Writes", 40, "", SHARDS_OF_8) else { return };
    recipe.run(&[]).expect_code(0);
    check(&recipe, &recipe.root, 0..40);
    // Once a shard, as in ESPnet3, where nothing goes wrong.
    for first in [0, 8, 16, 24, 32] {
        assert_eq!(recipe.noted(&format!("open {first}")), 1, "{:?}", recipe.notes());
    }
    let merges = recipe.noted("merge");
    recipe.run(&[]).expect_code(0);
    recipe.call(&["collect", recipe.root_text()]);
    check(&recipe, &recipe.root, 0..40);
    assert_eq!(merges, 1);
    assert!(recipe.computed().values().all(|times| *times == 1));
}

#[test]
fn batches() {
    let config = format!("batch_size: 3\n{SHARDS_OF_8}");
    let faults = "4: raise, 9: _exit, 18: write raise, 27: write _exit";
    let Some(recipe) = writing("WritesBatches", 32, faults, &config) else { return };
    recipe.run(&[]).expect_code(1);
    check(&recipe, &recipe.root, without(32, &[4, 9, 18, 27]));
    assert_eq!(recipe.noted("batch 0,1,2"), 1, "{:?}", recipe.notes());
    let items: Vec<_> = errors(&recipe.root).iter().map(|error| error["idx"].clone()).collect();
    assert_eq!(items, [4, 9, 18, 27]);
}

/// Each fault in the middle of a shard, at its begin, at its end, and next to another one.
#[test]
fn each_fault_takes_its_item_alone() {
    let table = [
        ("raise", "error", "ValueError: corrupt audio"),
        ("_exit", "died", "exit code 3"),
        ("oom", "died", "SIGKILL"),
        ("hang", "timeout", "item_timeout, 2 s"),
        ("write raise", "error", "ValueError: corrupt audio"),
        ("write sys.exit", "error", "SystemExit: 4"),
        ("write _exit", "died", "exit code 3"),
        ("write hang", "timeout", "item_timeout, 2 s"),
        ("close raise", "error", "ValueError: corrupt audio"),
        ("close _exit", "error", "exit code 3"),
        ("close hang", "error", "longer than item_timeout"),
    ];
    for (fault, kind, words) in table {
        let bad = [0, 12, 13, 23];
        let faults = bad.map(|idx| format!("{idx}: {fault}")).join(", ");
        let limit = if fault.ends_with("hang") { 2 } else { 60 };
        let config = format!("num_items: 24\nitem_timeout: {limit}\n{SHARDS_OF_8}");
        let Some(recipe) = writing("Writes", 24, &faults, &config) else { return };
        recipe.run(&[]).expect_code(1);
        check(&recipe, &recipe.root, without(24, &bad));
        let errors = errors(&recipe.root);
        let named: Vec<_> = errors.iter().map(|error| error["idx"].clone()).collect();
        assert_eq!(named, bad, "{fault}: {errors:?}");
        for error in &errors {
            assert_eq!(error["kind"], kind, "{error}");
            assert!(error["error"].as_str().expect("a text").contains(words), "{fault}: {error}");
        }
        // Who shares a part with a bad one is computed again for it; nobody four times.
        let most = recipe.computed().into_values().max();
        assert!(most <= Some(4), "{fault}: {:?}", recipe.computed());
    }
}

#[test]
fn killed_and_resumed() {
    let config = format!("num_items: 120\nseconds: 0.01\n{SHARDS_OF_8}");
    let Some(recipe) = writing("Writes", 120, "", &config) else { return };
    for round in 0..5 {
        recipe.forget_notes();
        let call = recipe.start_run(&[]);
        wait_until("an item to be at hand", || !recipe.computed().is_empty());
        std::thread::sleep(Duration::from_millis(37 * round));
        kill_all(&recipe.root, Some(call.pid()));
        wait_until("the Python processes to be gone", || recipe.pythons().is_empty());
    }
    recipe.run(&["--set", "parallel.n_workers=1"]).expect_code(0);
    check(&recipe, &recipe.root, 0..120);
    // The same as of a run that nothing happened to, but for the folders' names.
    let elsewhere = recipe.elsewhere(&[], 0);
    let plain = |root: &Path| -> Vec<String> {
        let text = fs::read_to_string(root.join("text")).expect("was merged");
        text.lines().map(|line| line.rsplit_once(' ').expect("three words").0.to_owned()).collect()
    };
    assert_eq!(plain(&recipe.root), plain(&elsewhere));
}

#[test]
fn failed_ones_tried_again() {
    let faults = "3: once, 5: raise, 11: raise";
    let Some(recipe) = writing("Writes", 16, faults, SHARDS_OF_8) else { return };
    recipe.run(&[]).expect_code(1);
    check(&recipe, &recipe.root, without(16, &[5, 11]));
    recipe.forget_notes();
    recipe.run(&["--retry-failed"]).expect_code(1);
    assert_eq!(recipe.computed(), BTreeMap::from([(5, 1), (11, 1)]));
    check(&recipe, &recipe.root, without(16, &[5, 11]));
}

#[test]
fn writers_that_never_open_or_close() {
    let config = format!("num_items: 16\n{SHARDS_OF_8}");
    let faults = (0..16).map(|idx| format!("{idx}: close raise")).collect::<Vec<_>>().join(", ");
    let Some(recipe) = writing("Writes", 16, &faults, &config) else { return };
    recipe.run(&[]).expect_code(1).expect_says("0 of 16 items, 16 failed");
    assert_eq!(errors(&recipe.root).len(), 16);
    assert!(!recipe.root.join("text").exists());

    let config = format!("num_items: 16\n{SHARDS_OF_8}").replace("n_workers: 2", "n_workers: 1");
    let Some(recipe) = writing("Writes", 16, "0: open raise, 8: open raise", &config) else {
        return;
    };
    let alone = ["--set", "parallel.max_resubmits=0"];
    recipe.run(&alone).expect_code(3).expect_says("`open_writers` failed: ValueError");
    assert_eq!(said(&recipe.root, "`open_writers` failed: ValueError"), 1);
}

#[test]
fn the_writing_of_the_base_class() {
    let Some(recipe) = writing("AtTheEnd", 20, "", SHARDS_OF_8) else { return };
    recipe.run(&[]).expect_code(0);
    let merged = fs::read(recipe.root.join("merged.json")).expect("is there");
    let merged: Value = serde_json::from_slice(&merged).expect("JSON");
    let expected: Vec<u64> = (0..20).map(|idx| idx * idx).collect();
    assert_eq!(merged["squares"], Value::from(expected));
}

#[test]
fn hooks_that_only_stand_in() {
    let Some(recipe) = writing("OnlyForward", 20, "", SHARDS_OF_8) else { return };
    recipe.run(&[]).expect_code(0);
    assert_eq!(recipe.results(), squares(0..20));
    assert!(!recipe.root.join("merged.json").exists());
}

#[test]
fn a_merge_of_records() {
    let Some(recipe) = writing("OnlyMerge", 20, "", SHARDS_OF_8) else { return };
    recipe.run(&["--set", "parallel.shard_size=1"]).expect_code(0);
    let merged = fs::read(recipe.root.join("merged.json")).expect("is there");
    let merged: Value = serde_json::from_slice(&merged).expect("JSON");
    assert_eq!(merged["items"], Value::from((0..20).collect::<Vec<u64>>()));
}
